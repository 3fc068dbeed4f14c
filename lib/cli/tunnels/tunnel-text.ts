import {
  isUpState,
  type TrafficDirection,
  type Tunnel,
  type TunnelPart,
  type TunnelState,
  type TunnelWarning,
} from '../../tunnel/tunnel.ts';
import { printable } from '../../wire/text.ts';
import { formatMark } from '../../xfrm/text.ts';
import type { Colors } from '../terminal/colors.ts';
import { formatDuration } from '../text/units.ts';

/** Red: packets do not get through. Yellow: needs attention. */
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

/** Its name, if it has one, and its ends: `a > b` as seen from this host, `a <> b` if that is unknown. */
export function titleOf(
  { name, local, remote, directed }: Pick<Tunnel, 'name' | 'local' | 'remote' | 'directed'>,
  colors: Colors,
): string {
  const arrow = directed || local === undefined || remote === undefined ? '>' : '<>';
  const ends = `${colors.cyan(local ?? 'any')} ${arrow} ${colors.cyan(remote ?? 'any')}`;
  return name === undefined ? ends : `${colors.bold(printable(name))} ${ends}`;
}

/** What else identifies it: reqid, interface ID, mark. */
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

export const warningText = ({ kind, what, text }: TunnelWarning): string =>
  `${printable([kind, what].filter(Boolean).join(' '))}: ${printable(text)}`;

const quoted = (text: string): string => `"${text.replaceAll('"', '\\"')}"`;

/** Undefined for none, and for times outside the range of a Date. */
function isoText(milliseconds: number | undefined): string | undefined {
  if (milliseconds === undefined) return undefined;
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

/** UTC in whole seconds: a line's text does not depend on when it is printed. */
const stamp = (milliseconds: number | undefined): string | undefined =>
  isoText(milliseconds)?.replace(/\.\d+Z$/, 'Z');

const labelled = (label: string, value: string | undefined): string[] =>
  value === undefined ? [] : [`${label} ${value}`];

export const soonest = ({ expiry }: Tunnel, limit: 'softAt' | 'hardAt'): number | undefined => {
  const all = [expiry.in[limit], expiry.out[limit]].filter((one) => one !== undefined);
  return all.length === 0 ? undefined : Math.min(...all);
};

/** A tunnel in one line, for pipes: state, name and ends, then the rest, times in UTC. */
export function describeTunnel(tunnel: Tunnel, colors: Colors): string {
  const { state, protocol, mode, encap, sas, larval, traffic, installedAt, rekeys } = tunnel;
  return [
    paintState(state, colors),
    titleOf(tunnel, colors),
    ...(protocol === undefined ? [] : [`${protocol}`]),
    ...(mode === undefined ? [] : [`${mode}`]),
    ...qualifiersOf(tunnel),
    ...(encap ? [`${encap.type} ${encap.sport}>${encap.dport}`] : []),
    ...labelled(tunnel.sinceKnown ? 'since' : 'since-before', stamp(tunnel.since.wall)),
    ...labelled('up-since', stamp(tunnel.upSince?.wall)),
    `sas ${sas.in.length} in ${sas.out.length} out`,
    ...(larval.length === 0 ? [] : [`${larval.length} larval`]),
    carried(traffic, 'in'),
    carried(traffic, 'out'),
    ...labelled('installed', stamp(installedAt)),
    ...labelled('rekey-by', stamp(soonest(tunnel, 'softAt'))),
    ...labelled('expires', stamp(soonest(tunnel, 'hardAt'))),
    ...(rekeys === 0 ? [] : [`rekeys ${rekeys}`]),
    `reason ${quoted(printable(tunnel.reason))}`,
    ...tunnel.warnings.map((one) => colors.yellow(`warning ${quoted(warningText(one))}`)),
  ].join(' ');
}

/** The part of a tunnel with one reqid, on a line below it. */
export function describePart({ reqid, protocol, sas, traffic }: TunnelPart): string {
  return [
    `  reqid ${reqid}`,
    ...(protocol === undefined ? [] : [`${protocol}`]),
    `sas ${sas.in.length} in ${sas.out.length} out`,
    carried(traffic, 'in'),
    carried(traffic, 'out'),
  ].join(' ');
}

const carried = (traffic: Tunnel['traffic'], direction: TrafficDirection): string =>
  `${direction} ${traffic[direction].bytes}B/${traffic[direction].packets}p`;

/** A tunnel in prose: `paris 192.0.2.1 > 192.0.2.2 reqid 1 up 3h 12m, rekeyed 4m ago, …`. */
export function sayTunnel(tunnel: Tunnel, colors: Colors, now: number): string {
  const title = [titleOf(tunnel, colors), ...qualifiersOf(tunnel)].join(' ');
  return `${title} ${[...times(tunnel, now, colors), ...trouble(tunnel, colors)].join(', ')}`;
}

export const seconds = (milliseconds: number) => formatDuration(milliseconds / 1000);

/**
 * Time in its current state; for `up`, how long packets have been able to pass. If the start is unknown, `>5m`: longer
 * than it has been watched; undefined if it has only just been.
 */
export function ageOf(tunnel: Tunnel, now: number): string | undefined {
  const { state, since, sinceKnown, upSince } = tunnel;
  const age = now - (state === 'up' ? (upSince ?? since) : since).wall;
  if (sinceKnown) return seconds(age);
  return age < 1000 ? undefined : `>${seconds(age)}`;
}

/** `up 3h 12m`, `rekeyed 4m ago`, `expires in 56m`. */
function times(tunnel: Tunnel, now: number, colors: Colors): string[] {
  const { state, upSince, installedAt, rekeys } = tunnel;
  const age = ageOf(tunnel, now);
  const all = [paintState(state, colors) + (age === undefined ? '' : ` ${age}`)];
  if (state !== 'up' && isUpState(state) && upSince) all.push(`up ${seconds(now - upSince.wall)}`);
  if (installedAt !== undefined) {
    all.push(`${rekeys > 0 ? 'rekeyed' : 'installed'} ${seconds(now - installedAt)} ago`);
  }
  const hard = soonest(tunnel, 'hardAt');
  if (hard !== undefined) all.push(`expires in ${seconds(hard - now)}`);
  return all;
}

/** Why it is not simply up, and its warnings. */
export function trouble({ state, reason, warnings }: Tunnel, colors: Colors): string[] {
  return [
    ...(state === 'up' ? [] : [printable(reason)]),
    ...warnings.map((one) => colors.yellow(warningText(one))),
  ];
}

/** A warning about the host. */
export const describeWarning = (warning: TunnelWarning, colors: Colors): string =>
  `${colors.yellow('warning')} ${warningText(warning)}`;
