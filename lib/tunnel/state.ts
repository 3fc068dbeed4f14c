/**
 * The state of a tunnel: a pure function of an observation, the previous state and the time. Times
 * of events on this host are monotonic; limits and uses of SAs are wall-clock times, as in the
 * kernel. @module
 */
import type { EventTime } from '../netlink/event.ts';
import { formatSpi } from '../xfrm/text.ts';
import type { Caught, Obstacle } from './policy-match.ts';
import { bySlot } from './sa-limits.ts';
import type { TunnelThresholds } from './thresholds.ts';
import { isUpState, type PerDirection, TUNNEL_STATES, type TunnelState } from './tunnel.ts';
import { both, DIRECTIONS } from './tunnel-contents.ts';

/** The properties of an SA with keys that the state depends on. */
export interface ObservedSa {
  readonly spi: number;
  /** SAs in the same slot succeed each other; others coexist (CPU, selector, protocol, reqid). */
  readonly slot: string;
  /** When it was added, monotonic. */
  readonly addedAt: number;
  /** When a soft limit was or will be reached, wall clock; undefined if it is not a time limit. */
  readonly softAt: number | undefined;
  /** When a hard limit becomes near, wall clock. */
  readonly hardAt: number | undefined;
  /** Whether it has used all its outbound sequence numbers. */
  readonly exhausted: boolean;
}

/** What is observed of a tunnel. */
export interface Observation {
  /** SAs with keys, oldest first. */
  readonly sas: PerDirection<readonly ObservedSa[]>;
  /** What keeps packets from passing through them. */
  readonly obstacles: PerDirection<Obstacle>;
  /** When the last SA of a direction was removed without a successor, monotonic. */
  readonly goneAt?: PerDirection<number | undefined> | undefined;
  /** When the oldest larval SA was added, monotonic; undefined if there is none. */
  readonly larvalAt: number | undefined;
  /** Number of policies that send or accept its packets. */
  readonly policies: number;
  /** Whether one of them sends packets through its SAs. */
  readonly sends: boolean;
  /** When an SA was last requested, monotonic. */
  readonly acquiredAt: number | undefined;
  /** Why its local address cannot be used, as text. */
  readonly unreachable: string | undefined;
  /** Whether its last SA reached a hard limit. */
  readonly expired: boolean;
  /** Packets across rekeys, and when one was last seen (wall clock), at the last reading. */
  readonly packets: PerDirection<bigint>;
  readonly lastUsed: PerDirection<number | undefined>;
  readonly countedAt: EventTime;
  /** Words for the directions: `outbound`, `inbound`. */
  readonly words: PerDirection<string>;
  /** Whether it existed when the monitor opened. */
  readonly isFound: boolean;
}

/** What counter readings have shown so far. */
interface CounterHistory {
  readonly packets: PerDirection<bigint>;
  readonly at: number;
  /** When packets were last seen, wall clock. */
  readonly used: PerDirection<number | undefined>;
  /** When outbound packets were last found, monotonic. */
  readonly outAt: number | undefined;
  /** Since when there are outbound packets but no inbound ones, monotonic. */
  readonly unanswered: number | undefined;
}

export interface StateEvaluation {
  /** undefined: too early to tell; known by `next`. */
  readonly state: TunnelState | undefined;
  readonly reason: string;
  readonly since: EventTime;
  /** false: found in this state, start unknown; `since` is when it was found. */
  readonly sinceKnown: boolean;
  readonly upSince: EventTime | undefined;
  /** There are outbound packets only. */
  readonly stalled: boolean;
  /** When to evaluate again without a change, monotonic; Infinity: never. */
  readonly next: number;
  counters: CounterHistory;
  /** Since when something is missing that is not yet reported. */
  readonly pending: EventTime | undefined;
}

/** The current condition, regardless of the previous state. */
interface Condition {
  readonly state: TunnelState;
  readonly reason: string;
  /** Something may be missing only briefly. */
  readonly settling?: boolean;
  /** Since when it holds, monotonic, if known. */
  readonly from?: number;
}

const rank = (state: TunnelState): number => TUNNEL_STATES.indexOf(state);

/**
 * The state at `now`. Repeated with the same observation before `next`, it gives the same result.
 *
 * The first condition that holds, in the order of the states, is the state. A state in which
 * something is missing is reported only after `limits.settle`, dated to when it began: policies may
 * follow the SAs, or an address may be removed and added again. Only an improvement to `acquiring`
 * is reported immediately.
 *
 * @param heardUntil up to when everything the kernel announced is known, monotonic: time does not
 *   pass beyond it for the state, because what would change the state may still be unread
 * @param wallOffset the offset of the wall clock from the monotonic one, the same each time: a
 *   deadline must not move because two readings of both clocks differ
 */
export function evaluateState(
  seen: Observation,
  before: StateEvaluation | undefined,
  now: EventTime,
  limits: TunnelThresholds,
  heardUntil = now.monotonic,
  wallOffset = now.wall - now.monotonic,
): StateEvaluation {
  const counters = updatedCounters(seen, before?.counters);
  const clock = new Clock(now, heardUntil, seen.countedAt.monotonic, wallOffset);
  const began = before?.upSince ?? clock.at(seen.isFound ? completeAt(seen) : undefined);
  const { state, reason, settling, from } = condition(seen, counters, began, clock, limits);
  const told = (since: EventTime, sinceKnown = true): StateEvaluation => ({
    state,
    reason,
    since,
    sinceKnown,
    upSince: isUpState(state) ? began : undefined,
    stalled: state === 'one-way' && !settling,
    next: clock.next,
    // Packets unanswered while something was missing say nothing about the time after.
    counters: settling ? { ...counters, outAt: undefined, unanswered: undefined } : counters,
    pending: undefined,
  });
  if (before === undefined && seen.isFound) {
    const since = from === began.monotonic ? began : clock.at(from);
    return told(since, from !== undefined);
  }
  const early =
    before?.state === undefined ||
    (state === 'acquiring' ? rank(state) < rank(before.state) : state !== before.state);
  if (settling && early) {
    // What was removed after that existed meanwhile: something else was missing before.
    const again = goneSince(seen);
    const known = before?.pending;
    const pending = known && again && again > known.monotonic ? clock.at(again) : (known ?? now);
    if (clock.past(pending.monotonic + limits.settle)) return told(pending);
    const untold = before ?? { ...told(now), state: undefined, reason: '' };
    return { ...untold, next: clock.next, counters, pending };
  }
  return state === before?.state ? told(before.since, before.sinceKnown) : told(now);
}

/** Since when both directions have SAs, monotonic. */
function completeAt({ sas }: Observation): number | undefined {
  const [out, into] = [sas.out[0], sas.in[0]];
  return out && into && Math.max(out.addedAt, into.addedAt);
}

/** Since when a direction has no SA, if that was seen, monotonic. */
function goneSince({ sas, goneAt, unreachable }: Observation): number | undefined {
  if (unreachable !== undefined) return undefined;
  const times = DIRECTIONS.filter((one) => sas[one].length === 0).map((one) => goneAt?.[one]);
  return times.length === 0 ? undefined : Math.min(...times.map((time) => time ?? 0));
}

function condition(
  seen: Observation,
  heard: CounterHistory,
  began: EventTime,
  clock: Clock,
  limits: TunnelThresholds,
): Condition {
  const { sas, obstacles, sends, words, unreachable } = seen;
  if (unreachable !== undefined) return missing('down', unreachable);
  if (sas.out.length + sas.in.length === 0) return withoutSas(seen, clock, limits);
  if (!sends) return missing('orphan', 'SAs, but no outbound policy uses them');
  const lacksOut = missingIn(sas.out, obstacles.out, words.out) ?? exhaustedOf(sas.out, words.out);
  const lacksIn = missingIn(sas.in, obstacles.in, words.in);
  if (lacksOut !== undefined && lacksIn !== undefined) {
    return missing('blocked', `${lacksOut}, ${lacksIn}`);
  }
  if (lacksOut !== undefined) return missing('one-way', lacksOut);
  if (lacksIn !== undefined) return missing('one-way', lacksIn);
  const { unanswered, outAt = 0, used } = heard;
  if (limits.stalled > 0 && unanswered !== undefined && outAt - unanswered >= limits.stalled) {
    if (limits.idle === 0 || !clock.counted(outAt + limits.idle)) {
      return { state: 'one-way', reason: `outbound traffic, but no ${words.in} packets` };
    }
  }
  for (const direction of DIRECTIONS) {
    for (const slot of slotsOf(sas[direction])) {
      const { spi, softAt = Infinity, hardAt = Infinity } = slot.at(-1) as ObservedSa;
      const [hard, late] = [clock.ofWall(hardAt), clock.ofWall(softAt + limits.successor)];
      const [isNear, isLate] = [clock.past(hard), clock.past(late)];
      if (!isNear && !isLate) continue;
      const limit = isNear ? 'is near a hard limit' : 'is past a soft limit';
      const reason = `${words[direction]} SA ${formatSpi(spi)} ${limit}, without a successor`;
      return { state: 'expiring', reason, from: isNear ? hard : late };
    }
  }
  for (const direction of DIRECTIONS) {
    if (sas[direction].length < 2) continue;
    for (const slot of slotsOf(sas[direction])) {
      const [old, young] = [slot.at(-2), slot.at(-1)];
      if (!old || !young || clock.past(young.addedAt + limits.overlap)) continue;
      const reason = `${words[direction]} SA ${formatSpi(old.spi)} is being replaced by its successor ${formatSpi(young.spi)}`;
      return { state: 'rekeying', reason, from: young.addedAt };
    }
  }
  if (limits.idle > 0) {
    const last = Math.max(used.out ?? 0, used.in ?? 0);
    // A tunnel that was down counts from when it came back.
    const from = Math.max(clock.ofWall(last), began.monotonic) + limits.idle;
    if (clock.counted(from)) {
      const reason = last === 0 ? 'never used' : 'not used recently';
      return { state: 'idle', reason, from };
    }
  }
  return { state: 'up', reason: 'SAs in both directions', from: began.monotonic };
}

/** The SAs of a direction, slot by slot. */
const slotsOf = (sas: readonly ObservedSa[]): Iterable<readonly ObservedSa[]> =>
  sas.length === 1 ? [sas] : bySlot(sas).values();

/** The condition without SAs with keys. */
function withoutSas(seen: Observation, clock: Clock, limits: TunnelThresholds): Condition {
  const { larvalAt, policies, acquiredAt, expired } = seen;
  const asked = acquiredAt !== undefined && !clock.past(acquiredAt + limits.acquiring);
  const from = larvalAt ?? (asked ? acquiredAt : undefined);
  if (from !== undefined) {
    return { ...missing('acquiring', 'an SA was requested and is not installed yet'), from };
  }
  if (expired) return missing('down', 'its last SA hit a hard limit, without a successor');
  if (policies > 0) return missing('blocked', 'policies, but no SAs');
  return missing('down', 'no SAs or policies');
}

const missing = (state: TunnelState, reason: string): Condition => ({
  state,
  reason,
  settling: true,
});

/** What packets of a direction lack, as text; undefined if nothing. */
function missingIn(
  sas: readonly ObservedSa[],
  { missing, caught, unanswered }: Obstacle,
  word: string,
): string | undefined {
  if (missing.length > 0) return `no ${word} ${missing.join(' or ')} SA`;
  if (sas.length === 0) return `no ${word} SA`;
  if (caught !== undefined) return `${word}, ${CAUGHT[caught]}`;
  return unanswered ? `no ${word} policy for answers to what an inbound one accepts` : undefined;
}

/** Which SA sends no more, as text: the kernel sends through the newest. */
function exhaustedOf(sas: readonly ObservedSa[], word: string): string | undefined {
  if (!sas.some(({ exhausted }) => exhausted)) return undefined;
  const spent = [...slotsOf(sas)].find((slot) => slot.at(-1)?.exhausted);
  const { spi } = spent?.at(-1) ?? {};
  return spi === undefined
    ? undefined
    : `${word} SA ${formatSpi(spi)} has used all its sequence numbers`;
}

const CAUGHT: { readonly [by in Caught]: string } = {
  block: 'an earlier policy blocks all packets',
  allow: 'an earlier policy takes all packets, without SAs',
  tunnel: 'an earlier policy of another tunnel takes all packets',
  default: 'the default policy blocks packets',
  none: 'no policy is for the answers to what an outbound one sends',
};

/** Adds a counter reading to the history. */
function updatedCounters(seen: Observation, before: CounterHistory | undefined): CounterHistory {
  const { packets, countedAt, lastUsed } = seen;
  const at = countedAt.monotonic;
  if (before === undefined) {
    return { packets, at, used: lastUsed, outAt: undefined, unanswered: undefined };
  }
  const isNew = at > before.at;
  const moved = both((direction) => isNew && packets[direction] > before.packets[direction]);
  const used = both((direction) => {
    const [told, known] = [lastUsed[direction], before.used[direction]];
    // Older kernels report only an SA's first use.
    const silent = moved[direction] && (told === undefined || told <= (known ?? 0));
    const now = silent ? countedAt.wall : told;
    return now === undefined || (known !== undefined && known > now) ? known : now;
  });
  if (!isNew) return { ...before, used };
  const outAt = moved.out ? at : before.outAt;
  const unanswered = moved.in ? undefined : (before.unanswered ?? (moved.out ? at : undefined));
  return { packets, at, used, outAt, unanswered };
}

/** As of a reading that found the same. */
export const recounted = (
  { packets, used, outAt, unanswered }: CounterHistory,
  at: number,
): CounterHistory => ({ packets, at, used, outAt, unanswered });

/**
 * The time, and the next time at which an answer given here changes. Time does not advance while
 * something that could change the answer may still be unread.
 */
export class Clock {
  next = Infinity;
  readonly now: EventTime;
  /** When the counters were read, monotonic. */
  readonly countedAt: number;
  readonly #heardUntil: number;
  readonly #wallOffset: number;

  constructor(now: EventTime, heardUntil: number, countedAt: number, wallOffset: number) {
    this.now = now;
    this.#heardUntil = heardUntil;
    this.countedAt = countedAt;
    this.#wallOffset = wallOffset;
  }

  /** Whether a monotonic time has passed. */
  past(moment: number): boolean {
    if (moment <= this.#heardUntil) return true;
    this.next = Math.min(this.next, moment);
    return false;
  }

  /** Converts a wall-clock time to monotonic. */
  ofWall(moment: number): number {
    return moment - this.#wallOffset;
  }

  /** A monotonic time on both clocks, no later than now, which is also the default. */
  at(monotonic = this.now.monotonic): EventTime {
    if (monotonic >= this.now.monotonic) return this.now;
    return { wall: monotonic + this.#wallOffset, monotonic };
  }

  /** Whether a time had passed when the counters were read. Nothing later is known yet. */
  counted(moment: number): boolean {
    return this.past(moment) && moment <= this.countedAt;
  }
}
