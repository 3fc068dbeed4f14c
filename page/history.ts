/** What a tunnel did over time: its states, rekeys and traffic on one axis. @module */
import { carries, isUpState, type TunnelState } from '../lib/tunnel/tunnel.ts';

/** `[at, state, reason]`, times in milliseconds since 1970. */
export type StateSpan = readonly [at: number, state: TunnelState, reason?: string];
/** `[at, bytes in, bytes out]`: totals, which do not fall at a rekey. */
export type TrafficSample = readonly [at: number, bytesIn: number, bytesOut: number];

/** The history of a tunnel, oldest first. */
export interface TunnelHistory {
  /** Each state from when it began. */
  readonly states: readonly StateSpan[];
  readonly rekeys: readonly number[];
  readonly traffic: readonly TrafficSample[];
}

export const NO_HISTORY: TunnelHistory = { states: [], rekeys: [], traffic: [] };

/** In these, packets do not get through both ways: they are drawn as down. */
export const isBroken = (state: TunnelState): boolean => !isUpState(state);

const atOf = (entry: number | readonly [number, ...unknown[]]): number =>
  typeof entry === 'number' ? entry : entry[0];

/** The entries of an answer, those before it, and those that came while it was under way. */
function continued<T extends number | readonly [number, ...unknown[]]>(
  old: readonly T[],
  fresh: readonly T[],
  since: number,
  to: number,
): readonly T[] {
  // An answer begins with the state at `since`, which may have begun before.
  const from = Math.min(since, ...fresh.slice(0, 1).map(atOf));
  const end = Math.max(to, ...fresh.slice(-1).map(atOf));
  return [
    ...old.filter((one) => atOf(one) < from),
    ...fresh,
    ...old.filter((one) => atOf(one) > end),
  ];
}

/** A history with an answer that covers everything from `since` to `to`. */
export const merged = (
  old: TunnelHistory,
  fresh: TunnelHistory,
  since: number,
  to: number,
): TunnelHistory => ({
  states: continued(old.states, fresh.states, since, to),
  rekeys: continued(old.rekeys, fresh.rekeys, since, to),
  traffic: continued(old.traffic, fresh.traffic, since, to),
});

/** A history with a state that began, unless it is the last one anyway. */
export function withState(old: TunnelHistory, span: StateSpan): TunnelHistory {
  const last = old.states.at(-1);
  if (last?.[1] === span[1] && last[2] === span[2]) return old;
  return { ...old, states: [...old.states.filter(([at]) => at < span[0]), span] };
}

/** A history with a rekey. */
export const withRekey = (old: TunnelHistory, at: number): TunnelHistory =>
  old.rekeys.includes(at) ? old : { ...old, rekeys: [...old.rekeys, at] };

/** A history without what ended before `from`. */
export function since(old: TunnelHistory, from: number): TunnelHistory {
  const first = old.states.findIndex((_, i) => (old.states[i + 1]?.[0] ?? Infinity) > from);
  const sample = old.traffic.findIndex(([at]) => at >= from);
  return {
    states: first < 0 ? [] : old.states.slice(first),
    rekeys: old.rekeys.filter((at) => at >= from),
    traffic: sample < 0 ? [] : old.traffic.slice(Math.max(0, sample - 1)),
  };
}

/** A history as it was at `to`: the same one if nothing came after. */
export function upTo(old: TunnelHistory, to: number): TunnelHistory {
  const newest = [old.states, old.rekeys, old.traffic].map((all) => all.at(-1) ?? 0);
  if (newest.every((one) => atOf(one) <= to)) return old;
  return {
    states: old.states.filter(([at]) => at <= to),
    rekeys: old.rekeys.filter((at) => at <= to),
    traffic: old.traffic.filter(([at]) => at <= to),
  };
}

/** A state with its beginning and its end within a window. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly state: TunnelState;
  readonly reason: string | undefined;
}

/** The states within a window. */
export function spansOf({ states }: TunnelHistory, from: number, to: number): Span[] {
  return states.flatMap(([at, state, reason], i) => {
    const span = {
      from: Math.max(at, from),
      to: Math.min(states[i + 1]?.[0] ?? to, to),
      state,
      reason,
    };
    return span.to > span.from ? [span] : [];
  });
}

/** Times at which packets stopped getting through, within a window. */
export const downsOf = ({ states }: TunnelHistory, from: number, to: number): number[] =>
  states.flatMap(([at, state], i) => {
    const before = states[i - 1]?.[1];
    const fell = before !== undefined && carries(before) && !carries(state);
    return fell && at >= from && at <= to ? [at] : [];
  });

/** The share of a window's known part in which packets got through both ways; undefined if nothing is known. */
export function availability(history: TunnelHistory, from: number, to: number): number | undefined {
  let known = 0;
  let good = 0;
  for (const span of spansOf(history, from, to)) {
    known += span.to - span.from;
    if (!isBroken(span.state)) good += span.to - span.from;
  }
  return known === 0 ? undefined : good / known;
}

/** Rates in bytes per second at the end of each interval: x in milliseconds. */
export interface Rates {
  readonly at: readonly number[];
  readonly in: readonly (number | null)[];
  readonly out: readonly (number | null)[];
}

/** Intervals longer than this many times the shortest are gaps: nothing was read there. */
const GAP = 4;

/** Rates from totals. A total that fell (the daemon was restarted) begins anew. */
export function ratesOf({ traffic }: Pick<TunnelHistory, 'traffic'>): Rates {
  const at: number[] = [];
  const rates = { in: [] as (number | null)[], out: [] as (number | null)[] };
  const lengths = traffic.slice(1).map(([now], i) => now - (traffic[i]?.[0] ?? now));
  const usual = Math.min(...lengths.filter((one) => one > 0));
  const push = (time: number, into: number | null, out: number | null) => {
    at.push(time);
    rates.in.push(into);
    rates.out.push(out);
  };
  for (let i = 1; i < traffic.length; i++) {
    const [before, into, out] = traffic[i - 1] as TrafficSample;
    const [now, intoNow, outNow] = traffic[i] as TrafficSample;
    const seconds = (now - before) / 1000;
    if (seconds <= 0) continue;
    const rate = (old: number, fresh: number) => (fresh >= old ? (fresh - old) / seconds : null);
    if (i === 1 || now - before > GAP * usual) push(before, null, null);
    push(now, rate(into, intoNow), rate(out, outNow));
  }
  return { at, ...rates };
}

/** Bytes carried, as of the last sample; at least those that are known otherwise. */
export function totalOf({ traffic }: TunnelHistory, direction: 'in' | 'out', known: number) {
  const [, into = 0, out = 0] = traffic.at(-1) ?? [];
  return Math.max(known, direction === 'in' ? into : out);
}

/** The rates of the last interval, in bytes per second. */
export function rateNow({ traffic }: TunnelHistory): { in: number; out: number } | undefined {
  const rates = ratesOf({ traffic: traffic.slice(-2) });
  const [into, out] = [rates.in.at(-1), rates.out.at(-1)];
  return typeof into === 'number' && typeof out === 'number' ? { in: into, out } : undefined;
}
