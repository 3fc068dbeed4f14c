/**
 * The state of a tunnel: a function of what there is of it, what it was before, and the time. Times of
 * this host's events are monotonic; limits and uses of SAs are wall-clock times, as the kernel has
 * them. @module
 */
import type { EventTime } from '../netlink/event.ts';
import { formatSpi } from '../xfrm/text.ts';
import type { Obstacle } from './policy-match.ts';
import { bySlot } from './sa-limits.ts';
import type { TunnelThresholds } from './thresholds.ts';
import { isUpState, type PerDirection, TUNNEL_STATES, type TunnelState } from './tunnel.ts';
import { both, DIRECTIONS } from './tunnel-contents.ts';

/** An SA with keys, as far as the state depends on it. */
export interface ObservedSa {
  readonly spi: number;
  /** SAs of one slot follow each other; those of others stand beside (CPU, selector, protocol, reqid). */
  readonly slot: string;
  /** When it came, monotonic. */
  readonly addedAt: number;
  /** When a soft limit was or will be reached, on the wall clock; undefined if it is not in time. */
  readonly softAt: number | undefined;
  /** Likewise a hard limit, and when it is near. */
  readonly hardAt: number | undefined;
}

/** What there is of a tunnel. */
export interface Observation {
  /** SAs with keys, the oldest first. */
  readonly sas: PerDirection<readonly ObservedSa[]>;
  /** What keeps packets from passing through them. */
  readonly obstacles: PerDirection<Obstacle>;
  /** When the last SA of a direction went for which none has come, monotonic. */
  readonly goneAt?: PerDirection<number | undefined>;
  /** When the oldest SA without keys came, monotonic; undefined if there is none. */
  readonly larvalAt: number | undefined;
  /** Policies through which it gets packets, or takes them. */
  readonly policies: number;
  /** Whether one of them sends packets through its SAs. */
  readonly sends: boolean;
  /** When an SA was last asked for, monotonic. */
  readonly acquiredAt: number | undefined;
  /** Why its local address cannot be used, in words. */
  readonly unreachable: string | undefined;
  /** Whether a hard limit took the last SA that it had. */
  readonly expired: boolean;
  /** Packets across rekeys, and when one was last seen (wall clock), at the last reading of counters. */
  readonly packets: PerDirection<bigint>;
  readonly lastUsed: PerDirection<number | undefined>;
  readonly countedAt: EventTime;
  /** For the words: `outbound`, `inbound`. */
  readonly words: PerDirection<string>;
  /** Whether it was there before anyone looked. */
  readonly isFound: boolean;
}

/** What the counters told so far. */
interface CounterHistory {
  readonly packets: PerDirection<bigint>;
  readonly at: number;
  /** When packets were last seen, on the wall clock. */
  readonly used: PerDirection<number | undefined>;
  /** When packets were last found to go out, monotonic. */
  readonly outAt: number | undefined;
  /** Since when they go out and none come in, monotonic. */
  readonly unanswered: number | undefined;
}

export interface StateEvaluation {
  /** undefined: too early to tell; it will be by `next`. */
  readonly state: TunnelState | undefined;
  readonly reason: string;
  readonly since: EventTime;
  /** false: it was found in this state, and nothing tells since when; `since` is when it was found. */
  readonly sinceKnown: boolean;
  readonly upSince: EventTime | undefined;
  /** Packets are found to go out only. */
  readonly stalled: boolean;
  /** When to look again although nothing happens, monotonic; Infinity: never. */
  readonly next: number;
  readonly counters: CounterHistory;
  /** Since when something is missing that is not told yet. */
  readonly pending: EventTime | undefined;
}

/** What holds at this moment, whatever it was before. */
interface Condition {
  readonly state: TunnelState;
  readonly reason: string;
  /** Something may only be missing for the moment. */
  readonly settling?: boolean;
  /** Since when it holds, monotonic, where that can be told. */
  readonly from?: number;
}

const rank = (state: TunnelState): number => TUNNEL_STATES.indexOf(state);

/**
 * The state at `now`. Called again with the same observation before `next`, it says the same.
 *
 * The first condition that holds, in the order of the states, is the state. A state in which something is
 * missing is told only when it is missing for `limits.settle`, and then since it is: it may be on its way,
 * as the policies are that come after the SAs, or an address that is taken off and set again. Only that SAs
 * are asked for is told at once, if it was worse.
 *
 * @param heardUntil until when all is known that the kernel announced, monotonic: no time after it has passed as
 *   far as the state is concerned, since what would change the state may be waiting to be read
 */
export function evaluateState(
  seen: Observation,
  before: StateEvaluation | undefined,
  now: EventTime,
  limits: TunnelThresholds,
  heardUntil = now.monotonic,
): StateEvaluation {
  const counters = updatedCounters(seen, before?.counters);
  const clock = new Clock(now, heardUntil, seen.countedAt.monotonic);
  const began = before?.upSince ?? at(now, seen.isFound ? completeAt(seen) : undefined);
  const { state, reason, settling, from } = condition(seen, counters, began, clock, limits);
  const told = (since: EventTime, sinceKnown = true): StateEvaluation => ({
    state,
    reason,
    since,
    sinceKnown,
    upSince: isUpState(state) ? began : undefined,
    stalled: state === 'one-way' && !settling,
    next: clock.next,
    // What went out unanswered while something was missing says nothing of the time after.
    counters: settling ? { ...counters, outAt: undefined, unanswered: undefined } : counters,
    pending: undefined,
  });
  if (before === undefined && seen.isFound) return told(at(now, from), from !== undefined);
  const early =
    before?.state === undefined ||
    (state === 'acquiring' ? rank(state) < rank(before.state) : state !== before.state);
  if (settling && early) {
    // What went after that was there meanwhile: something else was missing before.
    const again = goneSince(seen);
    const known = before?.pending;
    const pending = known && again && again > known.monotonic ? at(now, again) : (known ?? now);
    if (clock.past(pending.monotonic + limits.settle)) return told(pending);
    const untold = before ?? { ...told(now), state: undefined, reason: '' };
    return { ...untold, next: clock.next, counters, pending };
  }
  return state === before?.state ? told(before.since, before.sinceKnown) : told(now);
}

/** Since when there are SAs in both directions, monotonic. */
function completeAt({ sas }: Observation): number | undefined {
  const [out, into] = [sas.out[0], sas.in[0]];
  return out && into && Math.max(out.addedAt, into.addedAt);
}

/** Since when a direction has no SA, as far as that was seen, monotonic. */
function goneSince({ sas, goneAt, unreachable }: Observation): number | undefined {
  if (unreachable !== undefined) return undefined;
  const times = DIRECTIONS.filter((one) => sas[one].length === 0).map((one) => goneAt?.[one]);
  return times.length === 0 ? undefined : Math.min(...times.map((time) => time ?? 0));
}

/** A monotonic moment on both clocks: `now` at the latest, also where nobody knows. */
function at(now: EventTime, monotonic = now.monotonic): EventTime {
  if (monotonic >= now.monotonic) return now;
  return { wall: now.wall - now.monotonic + monotonic, monotonic };
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
  const lacking = DIRECTIONS.flatMap(
    (one) => missingIn(sas[one], obstacles[one], words[one]) ?? [],
  );
  if (lacking.length > 0) {
    return missing(lacking.length === 1 ? 'one-way' : 'blocked', lacking.join(', '));
  }
  const { unanswered, outAt = 0, used } = heard;
  if (limits.stalled > 0 && unanswered !== undefined && outAt - unanswered >= limits.stalled) {
    if (limits.idle === 0 || !clock.counted(outAt + limits.idle)) {
      return { state: 'one-way', reason: `outbound traffic, but no ${words.in} packets` };
    }
  }
  const newest = DIRECTIONS.flatMap((direction) =>
    [...bySlot(sas[direction]).values()].map((slot) => ({ slot, word: words[direction] })),
  );
  for (const { slot, word } of newest) {
    const { spi, softAt = Infinity, hardAt = Infinity } = slot.at(-1) as ObservedSa;
    const [hard, late] = [clock.ofWall(hardAt), clock.ofWall(softAt + limits.successor)];
    const [isNear, isLate] = [clock.past(hard), clock.past(late)];
    if (!isNear && !isLate) continue;
    const limit = isNear ? 'is near a hard limit' : 'is past a soft limit';
    const reason = `${word} SA ${formatSpi(spi)} ${limit}, without a successor`;
    return { state: 'expiring', reason, from: isNear ? hard : late };
  }
  for (const { slot, word } of newest) {
    const [old, young] = [slot.at(-2), slot.at(-1)];
    if (!old || !young || clock.past(young.addedAt + limits.overlap)) continue;
    const reason = `${word} SA ${formatSpi(old.spi)} is being replaced by its successor ${formatSpi(young.spi)}`;
    return { state: 'rekeying', reason, from: young.addedAt };
  }
  if (limits.idle > 0) {
    const last = Math.max(used.out ?? 0, used.in ?? 0);
    // Of a tunnel that was away, since it is back.
    const from = Math.max(clock.ofWall(last), began.monotonic) + limits.idle;
    if (clock.counted(from)) {
      const reason = last === 0 ? 'never used' : 'not used recently';
      return { state: 'idle', reason, from };
    }
  }
  return { state: 'up', reason: 'SAs in both directions', from: began.monotonic };
}

/** There is no SA with keys. */
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

/** What packets of a direction lack, in words; undefined if nothing. */
function missingIn(
  sas: readonly ObservedSa[],
  { missing, caught }: Obstacle,
  word: string,
): string | undefined {
  if (missing.length > 0) return `no ${word} ${missing.join(' or ')} SA`;
  if (sas.length === 0) return `no ${word} SA`;
  if (caught === undefined) return undefined;
  const does = caught === 'block' ? 'blocks all packets' : 'takes all packets, without SAs';
  return `${word}, an earlier policy ${does}`;
}

/** What a reading of the counters adds to what they told before. */
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
    // Older kernels say only when an SA was first used.
    const silent = moved[direction] && (told === undefined || told <= (known ?? 0));
    const now = silent ? countedAt.wall : told;
    return now === undefined || (known !== undefined && known > now) ? known : now;
  });
  if (!isNew) return { ...before, used };
  const outAt = moved.out ? at : before.outAt;
  const unanswered = moved.in ? undefined : (before.unanswered ?? (moved.out ? at : undefined));
  return { packets, at, used, outAt, unanswered };
}

/**
 * The time, and the next moment after which a question about it would be answered otherwise. It does not go on
 * while something may be waiting to be read that would change the answer.
 */
export class Clock {
  next = Infinity;
  readonly now: EventTime;
  /** When the counters were read, monotonic. */
  readonly countedAt: number;
  readonly #heardUntil: number;

  constructor(now: EventTime, heardUntil: number, countedAt: number) {
    this.now = now;
    this.#heardUntil = heardUntil;
    this.countedAt = countedAt;
  }

  /** Whether a moment has come, monotonic. */
  past(moment: number): boolean {
    if (moment <= this.#heardUntil) return true;
    this.next = Math.min(this.next, moment);
    return false;
  }

  /** A moment of the wall clock, monotonic. */
  ofWall(moment: number): number {
    return moment - this.now.wall + this.now.monotonic;
  }

  /** Whether a moment had come when the counters were read. Between it and the next reading nobody knows. */
  counted(moment: number): boolean {
    return this.past(moment) && moment <= this.countedAt;
  }
}
