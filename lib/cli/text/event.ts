/**
 * Events as lines of text: the important parts first, names for all values, never keys.
 * @module
 */
import type { SubscriptionEvent } from '../../monitor/subscribe.ts';
import type { KernelBool } from '../../wire/names.ts';
import { printable } from '../../wire/text.ts';
import { NO_LIMIT } from '../../wire/time.ts';
import type { XfrmPolicy, XfrmState } from '../../xfrm/objects.ts';
import { formatMark, formatSpi } from '../../xfrm/text.ts';
import type { LifetimeLimits, PolicyTemplate, StateStats, XfrmSelector } from '../../xfrm/types.ts';
import type { Colors } from '../terminal/colors.ts';
import { describeRouteEvent } from './route.ts';

let latest = Number.NaN;
let latestText = '';

/** Local time of day with milliseconds. Events of a batch share the same time, so the text is cached. */
export function formatTime(wall: number): string {
  if (wall !== latest) {
    latest = wall;
    latestText = timeOfDay(wall);
  }
  return latestText;
}

function timeOfDay(wall: number): string {
  const date = new Date(wall);
  const two = (n: number) => (n < 10 ? `0${n}` : `${n}`);
  const ms = date.getMilliseconds();
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}`;
}

/** The name of a network namespace in a line; null is the current one. */
export const formatNamespace = (label: string | null): string =>
  label === null ? '(own)' : printable(label);

/** Additions to a line, if requested. */
export interface LineAdditions {
  /** The network namespace it comes from; null is the current one. */
  readonly label?: string | null | undefined;
  /** The process that the event claims as its requester, instead of the port ID. */
  readonly claimedBy?: string | undefined;
}

/** One line for an event, without line break. */
export function formatEvent(
  event: SubscriptionEvent,
  colors: Colors,
  { label, claimedBy }: LineAdditions = {},
): string {
  const paint = KIND_COLOR[event.kind] ?? 'bold';
  const from = label === undefined ? '' : `${colors.magenta(formatNamespace(label))} `;
  const by =
    claimedBy === undefined ? claim(event, colors) : colors.dim(` claimed by ${claimedBy}`);
  const kind = `${from}${colors[paint](column(event.kind))}`;
  return formatLine(event, kind, `${describeEvent(event, colors)}${by}`, colors);
}

const columns: Record<string, string> = {};
/** A kind padded to the width of the common ones. */
export const column = (kind: string): string => (columns[kind] ??= kind.padEnd(9));

/** The requester according to the event's header, which may contain anything. */
function claim(event: SubscriptionEvent, colors: Colors): string {
  // In a NEWAE caused by traffic or a timer the header is garbage (docs/events.md).
  if (event.kind === 'NEWAE' || event.kind === 'overrun' || event.kind === 'malformed') return '';
  const { portId } = event.header;
  return portId === 0 ? '' : colors.dim(` claims port ${portId}`);
}

/** A line: time (if known: a recording may have none), kind, details. */
export function formatLine(
  { time }: Pick<SubscriptionEvent, 'time'>,
  kind: string,
  text: string,
  colors: Colors,
): string {
  const when = Number.isNaN(time.wall) ? '' : `${colors.dim(formatTime(time.wall))} `;
  return `${when}${kind} ${text}`;
}

/** Green: added. Yellow: needs attention. Red: deleted or lost. */
const KIND_COLOR: Partial<Record<SubscriptionEvent['kind'], 'green' | 'yellow' | 'red' | 'cyan'>> =
  {
    NEWSA: 'green',
    UPDSA: 'green',
    NEWPOLICY: 'green',
    UPDPOLICY: 'green',
    DELSA: 'red',
    FLUSHSA: 'red',
    DELPOLICY: 'red',
    FLUSHPOLICY: 'red',
    EXPIRE: 'yellow',
    POLEXPIRE: 'yellow',
    ACQUIRE: 'yellow',
    MIGRATE: 'yellow',
    MIGRATE_STATE: 'yellow',
    MAPPING: 'yellow',
    NEWLINK: 'green',
    NEWPORT: 'green',
    NEWADDR: 'green',
    NEWROUTE: 'green',
    NEWNEIGH: 'green',
    NEWRULE: 'green',
    NEWNEXTHOP: 'green',
    NEWNSID: 'green',
    DELLINK: 'red',
    DELPORT: 'red',
    DELIFINFO: 'red',
    DELADDR: 'red',
    DELROUTE: 'red',
    DELNEIGH: 'red',
    DELRULE: 'red',
    DELNEXTHOP: 'red',
    DELNSID: 'red',
    overrun: 'red',
    malformed: 'red',
  };

/** The details of an event, without time and kind. */
export function describeEvent(event: SubscriptionEvent, colors: Colors): string {
  switch (event.kind) {
    case 'NEWSA':
    case 'UPDSA':
    case 'DELSA':
      return describeState(event.state, colors);
    case 'EXPIRE':
      return `${limit(event.hard, colors)} ${describeState(event.state, colors)}`;
    case 'FLUSHSA':
      return event.proto === 'any' ? 'all SAs' : `all SAs of ${event.proto}`;
    case 'NEWPOLICY':
    case 'UPDPOLICY':
    case 'DELPOLICY':
      return describePolicy(event.policy, colors);
    case 'POLEXPIRE':
      return `${limit(event.hard, colors)} ${describePolicy(event.policy, colors)}`;
    case 'FLUSHPOLICY':
      return `all policies of type ${event.policyType?.type ?? 'main'}`;
    case 'GETDEFAULT': {
      const { in: inbound, fwd, out } = event.defaults;
      return `in ${inbound} fwd ${fwd} out ${out}`;
    }
    case 'ACQUIRE': {
      const { acquire } = event;
      const wanted = (acquire.templates ?? []).map(describeTemplate).join(' ');
      return `${pair(acquire, colors)} ${acquire.proto} for ${describeSelector(acquire.selector)} seq ${acquire.seq}${wanted === '' ? '' : ` ${wanted}`}`;
    }
    case 'NEWAE': {
      const { aevent } = event;
      const used = aevent.lifetimeCurrent;
      return [
        pair(aevent, colors),
        aevent.proto,
        colors.bold(formatSpi(aevent.spi)),
        `reqid ${aevent.reqid}`,
        aevent.flags.names.join(','),
        ...(used ? [`used ${used.bytes} bytes ${used.packets} packets`] : []),
      ].join(' ');
    }
    case 'REPORT':
      return `${event.report.proto} ${describeSelector(event.report.selector)}`;
    case 'MIGRATE':
      return event.migrations
        .map((one) => `${one.oldSaddr} > ${one.oldDaddr} becomes ${one.newSaddr} > ${one.newDaddr}`)
        .join(', ');
    case 'MIGRATE_STATE': {
      const { id, newSaddr, newDaddr } = event.migration;
      return `${id.daddr} ${id.proto} ${formatSpi(id.spi)} becomes ${newSaddr} > ${newDaddr}`;
    }
    case 'MAPPING': {
      const { mapping } = event;
      const from = `${mapping.oldSaddr}:${mapping.oldSport}`;
      return `${mapping.daddr} ${mapping.proto} ${formatSpi(mapping.spi)} peer moved from ${from} to ${mapping.newSaddr}:${mapping.newSport}`;
    }
    case 'unknown':
      return `${event.protocol} message ${event.header.type}, ${event.payload.length} bytes`;
    case 'overrun':
      return `${event.protocol} events were lost before this line (${event.code}, overrun ${event.count})`;
    case 'malformed': {
      const where = [...event.path, event.reason].join(' › ');
      return `${event.protocol} ${printable(where)} (offset ${event.offset})`;
    }
    default:
      return describeRouteEvent(event, colors);
  }
}

const limit = (hard: KernelBool, colors: Colors) =>
  hard ? colors.red('hard') : colors.yellow('soft');

const pair = ({ saddr, daddr }: { saddr: string; daddr: string }, colors: Colors) =>
  `${colors.cyan(saddr)} > ${colors.cyan(daddr)}`;

/** Each text preceded by a space. Concatenation is used because joining arrays costs three times as much. */
function more(texts: readonly string[]): string {
  let text = '';
  for (const one of texts) text += ` ${one}`;
  return text;
}

/** An SA: addresses, protocol, SPI, mode, then whatever is out of the ordinary. */
export function describeState(state: XfrmState, colors: Colors): string {
  const spi = colors.bold(formatSpi(state.spi));
  let text = `${pair(state, colors)} ${state.proto} ${spi} ${state.mode} reqid ${state.reqid}`;
  text += more(describeAlgorithms(state));
  text += more(stateExtras(state));
  text += describeLifetime(state.lifetime);
  const { bytes, packets } = state.current;
  if (bytes || packets) text += ` used ${bytes}B/${packets}p`;
  return text + more(refusedPackets(state.stats));
}

/** Properties of an SA that are out of the ordinary. */
export function stateExtras(state: XfrmState): string[] {
  const parts: string[] = [];
  if (state.dir !== undefined) parts.push(`dir ${state.dir}`);
  if (state.encap) parts.push(`${state.encap.type} ${state.encap.sport}>${state.encap.dport}`);
  if (state.mark) parts.push(`mark ${formatMark(state.mark)}`);
  if (state.ifId !== undefined) parts.push(`if_id 0x${state.ifId.toString(16)}`);
  if (state.pcpu !== undefined) parts.push(`cpu ${state.pcpu}`);
  if (state.offload) parts.push(`offload ifindex ${state.offload.ifindex}`);
  if (state.securityContext) parts.push(`label ${printable(state.securityContext.label)}`);
  return parts;
}

/** Packets rejected by an SA, by reason. */
export function refusedPackets({ replayWindow, replay, integrityFailed }: StateStats): string[] {
  const parts: string[] = [];
  if (replayWindow > 0) parts.push(`outside-window ${replayWindow}`);
  if (replay > 0) parts.push(`replayed ${replay}`);
  if (integrityFailed > 0) parts.push(`integrity-failed ${integrityFailed}`);
  return parts;
}

/** Its algorithms, each with the key length in bits. */
export function describeAlgorithms(state: XfrmState): string[] {
  const parts: string[] = [];
  const { aead, crypt, comp } = state;
  // The kernel sends auth along with authTrunc, which is more specific.
  const auth = state.authTrunc ?? state.auth;
  if (aead) parts.push(`${printable(aead.name)}/${aead.keyBits}`);
  if (crypt) parts.push(`${printable(crypt.name)}/${crypt.keyBits}`);
  if (auth) parts.push(`${printable(auth.name)}/${auth.keyBits}`);
  if (comp) parts.push(printable(comp.name));
  return parts;
}

/** The limits that are set, soft/hard, such as ` time 3600/4000s`. */
function describeLifetime(lifetime: LifetimeLimits): string {
  return (
    limits(' time ', lifetime.softAddSeconds, lifetime.hardAddSeconds, 's') +
    limits(' use ', lifetime.softUseSeconds, lifetime.hardUseSeconds, 's') +
    limits(' bytes ', lifetime.softBytes, lifetime.hardBytes, '') +
    limits(' packets ', lifetime.softPackets, lifetime.hardPackets, '')
  );
}

type Limit = bigint | number;
function limits(name: string, soft: Limit, hard: Limit, unit: string): string {
  if (soft === NO_LIMIT && hard === NO_LIMIT) return '';
  const side = (value: Limit) => (value === NO_LIMIT ? '-' : `${value}`);
  return `${name}${side(soft)}/${side(hard)}${unit}`;
}

/** A selector: networks, ports, protocol, interface. */
export function describeSelector(selector: XfrmSelector): string {
  const { saddr, prefixlenS, sport, sportMask, daddr, prefixlenD, dport, dportMask } = selector;
  const from = sportMask === 0 ? '' : `:${sport}`;
  const to = dportMask === 0 ? '' : `:${dport}`;
  const proto = selector.proto === 0 ? '' : ` proto ${selector.proto}`;
  const ifindex = selector.ifindex === 0 ? '' : ` ifindex ${selector.ifindex}`;
  return `${saddr}/${prefixlenS}${from} > ${daddr}/${prefixlenD}${to}${proto}${ifindex}`;
}

/** A policy: direction, selector, action, then its templates. */
export function describePolicy(policy: XfrmPolicy, colors: Colors): string {
  const selector = colors.cyan(describeSelector(policy.selector));
  const action = policy.action === 'block' ? colors.red('block') : policy.action;
  let text = `${policy.dir} ${selector} ${action} priority ${policy.priority} index ${policy.index}`;
  text += more(policyExtras(policy));
  for (const template of policy.templates ?? []) text += ` ${describeTemplate(template)}`;
  return text + describeLifetime(policy.lifetime);
}

/** Properties of a policy that are out of the ordinary. */
export function policyExtras(policy: XfrmPolicy): string[] {
  const parts: string[] = [];
  if (policy.mark) parts.push(`mark ${formatMark(policy.mark)}`);
  if (policy.ifId !== undefined) parts.push(`if_id 0x${policy.ifId.toString(16)}`);
  if (policy.policyType && policy.policyType.type !== 'main') {
    parts.push(`type ${policy.policyType.type}`);
  }
  return parts;
}

/** A template: the SA that a policy requires. */
export function describeTemplate(template: PolicyTemplate): string {
  const { saddr, daddr, proto, mode, reqid, spi, optional } = template;
  const ends = mode === 'transport' ? '' : ` ${saddr} > ${daddr}`;
  return `[${proto} ${mode}${ends} reqid ${reqid}${spi === 0 ? '' : ` spi ${formatSpi(spi)}`}${optional ? ' optional' : ''}]`;
}
