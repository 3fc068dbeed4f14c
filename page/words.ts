/** Values as text, for people. @module */

import { formatBytes, formatDuration, formatRate } from '../lib/cli/text/units.ts';
import { describeDownReason } from '../lib/cli/tunnels/change-text.ts';
import type { TunnelDownReason } from '../lib/tunnel/tunnel-changes.ts';
import { formatMark, formatSpi } from '../lib/xfrm/text.ts';
import { availability, downsOf, rateNow, type TunnelHistory } from './history.ts';
import type { PageChange, PageTunnel, PageWarning } from './wire.ts';

export const bytes = (value: string | number): string =>
  formatBytes(BigInt(typeof value === 'number' ? Math.round(value) : value));
export const rate = formatRate;
export const count = (value: string | number): string => Number(value).toLocaleString('en');
/** `12s`, `3m 20s` between two moments. */
export const span = (milliseconds: number): string => formatDuration(milliseconds / 1000);
export const spi = formatSpi;

export const plural = (n: number, one: string, many = `${one}s`): string =>
  `${count(n)} ${n === 1 ? one : many}`;

/** With a capital. */
export const cap = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const two = (n: number): string => String(n).padStart(2, '0');

/** A local time of day, with the date if it is another day than `now`. */
export function clock(at: number, now: number, milliseconds = false): string {
  const time = new Date(at);
  const parts = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':');
  const text = milliseconds ? `${parts}.${String(time.getMilliseconds()).padStart(3, '0')}` : parts;
  const day = (date: Date) =>
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return day(time) === day(new Date(now)) ? text : `${day(time)} ${text}`;
}

/** Its name, or its ends. */
export const titleOf = (tunnel: Pick<PageTunnel, 'name' | 'local' | 'remote' | 'directed'>) =>
  tunnel.name ?? endsOf(tunnel);

/** `192.0.2.1 → 198.51.100.7`, as seen from this host; `↔` if it is unknown which end is this host's. */
export const endsOf = ({
  local,
  remote,
  directed,
}: Pick<PageTunnel, 'local' | 'remote' | 'directed'>): string =>
  `${local ?? 'any'} ${directed || local === undefined || remote === undefined ? '→' : '↔'} ${remote ?? 'any'}`;

/** What else identifies it. */
export function qualifiersOf({ reqid, ifId, mark, netns }: PageTunnel): string[] {
  const interfaceId = ifId.out ?? ifId.in;
  const packetMark = mark.out ?? mark.in;
  return [
    ...(netns ? [`in ${netns}`] : []),
    ...(reqid === undefined ? [] : [`reqid ${reqid}`]),
    ...(interfaceId ? [`if_id 0x${interfaceId.toString(16)}`] : []),
    ...(packetMark ? [`mark ${formatMark(packetMark)}`] : []),
  ];
}

/** Time in its state; for `up`, how long packets have got through. `>`: longer than it was watched. */
export function ageOf(tunnel: PageTunnel, now: number): string {
  const since = tunnel.state === 'up' ? (tunnel.upSince ?? tunnel.since) : tunnel.since;
  return `${tunnel.sinceKnown ? '' : '>'}${span(now - since)}`;
}

/** The next hard limit in time. */
export function expiryOf({ expiry }: PageTunnel): number | undefined {
  const all = [expiry.in.hardAt, expiry.out.hardAt].filter((one) => typeof one === 'number');
  return all.length === 0 ? undefined : Math.min(...all);
}

export const warningText = ({ kind, what, text }: PageWarning): string =>
  `${[kind, what].filter(Boolean).join(' ')}: ${text}`;

/** How serious a change is, for its colour. */
export type Tone = 'bad' | 'warn' | 'good' | 'note';

const TONE: Readonly<Record<PageChange['change'], Tone>> = {
  added: 'note',
  up: 'good',
  down: 'bad',
  rekeyed: 'note',
  replaced: 'note',
  stalled: 'bad',
  state: 'note',
  warning: 'warn',
  removed: 'note',
  overrun: 'bad',
  resynced: 'good',
  refreshed: 'note',
  'namespace-gone': 'bad',
  malformed: 'bad',
};

export const toneOf = (change: PageChange): Tone =>
  change.change === 'warning' && !change.raised ? 'good' : TONE[change.change];

const DIRECTIONS = ['out', 'in'] as const;

type Succession = { readonly proto: string | number; from: number; to: number; gapMs?: number };
function successionText({ proto, from, to, gapMs }: Succession): string {
  const text = `${proto} ${formatSpi(from)} → ${formatSpi(to)}`;
  if (gapMs === undefined) return `${text} (found by a resync)`;
  return gapMs === 0 ? text : `${text} (gap ${Math.max(1, Math.round(gapMs))} ms)`;
}

/** What happened, without the tunnel that it happened to. */
export function changeText(change: PageChange): string {
  switch (change.change) {
    case 'added':
      return `seen first: ${change.tunnel.state}, ${change.tunnel.reason}`;
    case 'removed':
      return 'no SAs or policies left';
    case 'up':
      return change.before === undefined ? 'new' : `was ${change.before}`;
    case 'down': {
      const why = describeDownReason(change.reason as TunnelDownReason);
      return `${change.tunnel.state}: ${why}, was ${change.before}`;
    }
    case 'stalled':
    case 'state':
      return `${change.tunnel.state}: ${change.tunnel.reason}, was ${change.before}`;
    case 'rekeyed':
      return DIRECTIONS.flatMap((direction) =>
        change[direction].map((one) => `${direction} ${successionText(one as Succession)}`),
      ).join(', ');
    case 'replaced':
      return `${change.direction} ${successionText(change as Succession)}`;
    case 'warning':
      return `${change.raised ? '' : 'cleared: '}${warningText(change.warning)}`;
    case 'overrun':
      return change.slowConsumer
        ? 'changes were lost: the daemon did not read them fast enough'
        : `the kernel dropped events (${change.code}); the tables are being repaired`;
    case 'resynced':
    case 'refreshed':
      return `the tables match the kernel again: ${change.added} added, ${change.updated} updated, ${change.removed} removed, took ${Math.round(change.durationMs)} ms`;
    case 'namespace-gone':
      return `${change.namespacePath} no longer names this namespace, which is still watched`;
    case 'malformed':
      return `not decoded: ${[...change.path, change.reason].join(' › ')}`;
  }
}

/** A history in words, for those who do not see its picture. */
export function historyText(history: TunnelHistory, from: number, to: number): string {
  const share = availability(history, from, to);
  if (share === undefined) return 'no data for this period';
  const downs = downsOf(history, from, to).length;
  const rekeys = history.rekeys.filter((at) => at >= from && at <= to).length;
  const now = rateNow(history);
  const percent = share === 1 ? '100' : Math.min(99.9, share * 100).toFixed(1);
  return [
    `passed packets ${percent} % of the time`,
    downs === 0 ? 'never went down' : `went down ${downs === 1 ? 'once' : `${downs} times`}`,
    plural(rekeys, 'rekey'),
    ...(now ? [`now ${rate(now.out)} out, ${rate(now.in)} in`] : []),
  ].join(', ');
}
