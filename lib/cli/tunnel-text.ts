/**
 * Tunnels and their changes as text: a line each, or rows of a table.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { Claimant, DownCause, TunnelChange } from '../tunnel/changes.ts';
import {
  type Direction,
  isUp,
  type Traffic,
  type Tunnel,
  type TunnelState,
  type TunnelWarning,
} from '../tunnel/tunnel.ts';
import { printable } from '../wire/text.ts';
import type { Colors } from './colors.ts';
import { formatMark, formatNamespace, formatSpi, formatTime } from './text.ts';
import { iso } from './tunnel-json.ts';
import type { TunnelRates } from './tunnel-rates.ts';
import { formatBytes, formatDuration, formatRate } from './units.ts';

/** Red: packets do not get through. Yellow: look at it. */
const STATE_COLOR: Readonly<Record<TunnelState, 'red' | 'yellow' | 'cyan' | 'dim' | 'green'>> = {
  down: 'red',
  blocked: 'red',
  orphan: 'red',
  'one-way': 'red',
  acquiring: 'yellow',
  expiring: 'yellow',
  rekeying: 'cyan',
  idle: 'dim',
  up: 'green',
};

export const paintState = (state: TunnelState, colors: Colors, text: string = state): string =>
  colors[STATE_COLOR[state]](text);

/** Its name, if it has one, and its ends: `a > b` from this host, `a <> b` where nobody knows. */
export function titleOf(
  { name, local, remote, directed }: Pick<Tunnel, 'name' | 'local' | 'remote' | 'directed'>,
  colors: Colors,
): string {
  const arrow = directed || local === undefined || remote === undefined ? '>' : '<>';
  const ends = `${colors.cyan(local ?? 'any')} ${arrow} ${colors.cyan(remote ?? 'any')}`;
  return name === undefined ? ends : `${colors.bold(printable(name))} ${ends}`;
}

/** What else tells it from others: reqid, interface id, mark. */
export function qualifiersOf({ reqid, ifId, mark }: Tunnel): string[] {
  const of = <T>(values: { in: T; out: T }, text: (value: NonNullable<T>) => string) => {
    const both = [values.in, values.out].map((one) => (one ? text(one) : undefined));
    if (both[0] === both[1]) return both[0] === undefined ? [] : [both[0]];
    return both.flatMap((one, i) =>
      one === undefined ? [] : [`${one} ${i === 0 ? 'in' : 'out'}`],
    );
  };
  return [
    ...(reqid === undefined ? [] : [`reqid ${reqid}`]),
    ...of(ifId, (one) => `if_id 0x${one.toString(16)}`),
    ...of(mark, (one) => `mark ${formatMark(one)}`),
  ];
}

const warningText = ({ kind, what, text }: TunnelWarning): string =>
  `${printable([kind, what].filter(Boolean).join(' '))}: ${printable(text)}`;

const quoted = (text: string): string => `"${text.replaceAll('"', '\\"')}"`;

/** Whole seconds, UTC: what a line says today it says tomorrow. */
const stamp = (milliseconds: number | undefined): string | undefined =>
  iso(milliseconds)?.replace(/\.\d+Z$/, 'Z');

const labelled = (label: string, value: string | undefined): string[] =>
  value === undefined ? [] : [`${label} ${value}`];

const soonest = ({ expiry }: Tunnel, limit: 'soft' | 'hard'): number | undefined => {
  const all = [expiry.in[limit], expiry.out[limit]].filter((one) => one !== undefined);
  return all.length === 0 ? undefined : Math.min(...all);
};

/** A tunnel in one line, for pipes: state, name and ends, then the rest, times as UTC. */
export function describeTunnel(tunnel: Tunnel, colors: Colors): string {
  const { state, protocol, mode, encap, sas, larval, traffic, installed, rekeys } = tunnel;
  const carried = (direction: Direction) =>
    `${direction} ${traffic[direction].bytes}B/${traffic[direction].packets}p`;
  return [
    paintState(state, colors),
    titleOf(tunnel, colors),
    ...(protocol === undefined ? [] : [`${protocol}`]),
    ...(mode === undefined ? [] : [`${mode}`]),
    ...qualifiersOf(tunnel),
    ...(encap ? [`${encap.type} ${encap.sport}>${encap.dport}`] : []),
    ...labelled('since', stamp(tunnel.since.wall)),
    ...labelled('up-since', stamp(tunnel.upSince?.wall)),
    `sas ${sas.in.length} in ${sas.out.length} out`,
    ...(larval.length === 0 ? [] : [`${larval.length} larval`]),
    carried('in'),
    carried('out'),
    ...labelled('installed', stamp(installed)),
    ...labelled('rekey-by', stamp(soonest(tunnel, 'soft'))),
    ...labelled('expires', stamp(soonest(tunnel, 'hard'))),
    ...(rekeys === 0 ? [] : [`rekeys ${rekeys}`]),
    `reason ${quoted(printable(tunnel.reason))}`,
    ...tunnel.warnings.map((one) => colors.yellow(`warning ${quoted(warningText(one))}`)),
  ].join(' ');
}

/** A tunnel as people say it: `paris 192.0.2.1 > 192.0.2.2 reqid 1 up 3h 12m, rekeyed 4m ago, …`. */
export function sayTunnel(tunnel: Tunnel, colors: Colors, now: number): string {
  const title = [titleOf(tunnel, colors), ...qualifiersOf(tunnel)].join(' ');
  return `${title} ${[...times(tunnel, now, colors), ...trouble(tunnel, colors)].join(', ')}`;
}

const seconds = (milliseconds: number) => formatDuration(milliseconds / 1000);

/** `up 3h 12m`, `rekeyed 4m ago`, `expires in 56m`. */
function times(tunnel: Tunnel, now: number, colors: Colors): string[] {
  const { state, since, upSince, installed, rekeys } = tunnel;
  const age = seconds(now - (state === 'up' ? (upSince ?? since) : since).wall);
  const all = [`${paintState(state, colors)} ${age}`];
  if (state !== 'up' && isUp(state) && upSince) all.push(`up ${seconds(now - upSince.wall)}`);
  if (installed !== undefined) {
    all.push(`${rekeys > 0 ? 'rekeyed' : 'installed'} ${seconds(now - installed)} ago`);
  }
  const hard = soonest(tunnel, 'hard');
  if (hard !== undefined) all.push(`expires in ${seconds(hard - now)}`);
  return all;
}

/** Why it is not simply up, and what is to be watched. */
function trouble({ state, reason, warnings }: Tunnel, colors: Colors): string[] {
  return [
    ...(state === 'up' ? [] : [printable(reason)]),
    ...warnings.map((one) => colors.yellow(warningText(one))),
  ];
}

export const TUNNEL_HEADS = [
  'STATE',
  'FOR',
  'TUNNEL',
  'ID',
  'IN',
  'OUT',
  'KEYED',
  'EXPIRES',
  'WHY',
];

/** A tunnel as a row. @param now milliseconds since 1970 */
export function tunnelRow(
  tunnel: Tunnel,
  colors: Colors,
  now: number,
  rates?: TunnelRates,
): string[] {
  const { state, since, upSince, installed, traffic } = tunnel;
  const hard = soonest(tunnel, 'hard');
  const carried = ({ bytes, packets }: Traffic, rate: number | undefined) =>
    packets === 0n
      ? '-'
      : `${formatBytes(bytes)}${rate === undefined ? '' : `  ${formatRate(rate)}`}`;
  const id = qualifiersOf(tunnel).join(' ').replace('reqid ', '#');
  return [
    paintState(state, colors),
    seconds(now - (state === 'up' ? (upSince ?? since) : since).wall),
    titleOf(tunnel, colors),
    id || '-',
    carried(traffic.in, rates?.in),
    carried(traffic.out, rates?.out),
    installed === undefined ? '-' : `${seconds(now - installed)} ago`,
    hard === undefined ? '-' : colors.yellow(`in ${seconds(hard - now)}`),
    trouble(tunnel, colors).join('; '),
  ];
}

/** A warning about the host. */
export const describeWarning = (warning: TunnelWarning, colors: Colors): string =>
  `${colors.yellow('warning')} ${warningText(warning)}`;

const CHANGE_COLOR: Readonly<
  Record<TunnelChange['kind'], 'green' | 'yellow' | 'red' | 'cyan' | 'dim'>
> = {
  added: 'green',
  up: 'green',
  down: 'red',
  rekeyed: 'cyan',
  stalled: 'red',
  state: 'yellow',
  warning: 'yellow',
  removed: 'dim',
  overrun: 'red',
  repaired: 'green',
  refreshed: 'dim',
  malformed: 'red',
};

/** A change in one line. @param label the network namespace it comes from, if that is to be told */
export function formatChange(change: TunnelChange, colors: Colors, label?: string | null): string {
  const { kind, time } = change;
  const from = label === undefined ? '' : `${colors.magenta(formatNamespace(label))} `;
  const paint = kind === 'warning' && !change.raised ? 'green' : CHANGE_COLOR[kind];
  const word = colors[paint](kind.padEnd(9));
  return `${when(time, colors)} ${from}${word} ${describeChange(change, colors)}`;
}

const when = ({ wall }: EventTime, colors: Colors) => colors.dim(formatTime(wall));

function describeChange(change: TunnelChange, colors: Colors): string {
  const of = (tunnel: Tunnel) => [titleOf(tunnel, colors), ...qualifiersOf(tunnel)].join(' ');
  switch (change.kind) {
    case 'added':
    case 'removed': {
      const { tunnel } = change;
      return `${of(tunnel)}: ${paintState(tunnel.state, colors)}, ${printable(tunnel.reason)}`;
    }
    case 'up': {
      const { tunnel, before } = change;
      const was = before === undefined ? 'new' : `was ${before}`;
      return `${of(tunnel)}: ${paintState(tunnel.state, colors)}, ${was}`;
    }
    case 'down': {
      const { tunnel, cause, before } = change;
      const state = paintState(tunnel.state, colors);
      return `${of(tunnel)}: ${state}, ${describeCause(cause)}, was ${before}`;
    }
    case 'stalled':
    case 'state': {
      const { tunnel, before } = change;
      const { state, reason } = tunnel;
      return `${of(tunnel)}: ${paintState(state, colors)}, ${printable(reason)}, was ${before}`;
    }
    case 'rekeyed': {
      const { tunnel, direction, protocol, from, to, overlap } = change;
      const span = `${Math.abs(Math.round(overlap))} ms`;
      const both = overlap < 0 ? `neither for ${span}` : `both for ${span}`;
      const spis = `${formatSpi(from)} > ${colors.bold(formatSpi(to))}`;
      return `${of(tunnel)}: ${direction} ${protocol} ${spis}, ${both}`;
    }
    case 'warning': {
      const { raised, warning, tunnel } = change;
      const about = tunnel === undefined ? 'host' : of(tunnel);
      return `${about}: ${raised ? '' : 'over: '}${warningText(warning)}`;
    }
    case 'overrun':
      return change.slowConsumer
        ? `changes were lost before this line: they were not read fast enough (${change.code})`
        : `events were lost before this line (${change.code}); a repair is under way`;
    case 'repaired':
    case 'refreshed': {
      const { added, updated, removed, took } = change;
      return `SAs and policies: ${added} added, ${updated} updated, ${removed} removed, took ${Math.round(took)} ms`;
    }
    case 'malformed': {
      const where = [...change.path, change.reason].join(' › ');
      return `${printable(where)} (offset ${change.offset})`;
    }
  }
}

/** Why a tunnel went down. */
export function describeCause(cause: DownCause): string {
  switch (cause.kind) {
    case 'deleted':
    case 'flushed':
      return `${cause.kind}${describeClaimant(cause.by)}`;
    case 'expired':
      return 'expired without a successor';
    case 'address-gone':
      return `the address ${cause.address} is gone`;
    case 'link-gone':
      return `the link ${printable(cause.link)} of ${cause.address} is gone or down`;
    case 'migrated':
      return `moved${cause.to === undefined ? '' : ` to ${printable(cause.to)}`}`;
    case 'found-missing':
      return 'found without SAs by a repair';
    case 'unknown':
      return 'nobody said why';
  }
}

/** As text shows whom an event claims to be of: a claim, no proof. */
function describeClaimant({ portId, pid, process }: Claimant): string {
  if (process !== undefined) return `, claimed by ${printable(process)}[${pid ?? '?'}]`;
  return portId === 0 ? '' : `, claims port ${portId}`;
}
