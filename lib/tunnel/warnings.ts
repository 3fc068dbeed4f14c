/** Warnings: pure functions of a tunnel's contents, the previous warnings and the time. @module */
import type { EventTime } from '../netlink/event.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import { formatSpi } from '../xfrm/text.ts';
import { NONE } from './few.ts';
import type { SaGroups } from './sa-groups.ts';
import { bySlot, sequenceUsed, share } from './sa-limits.ts';
import type { Clock } from './state.ts';
import type { TunnelThresholds } from './thresholds.ts';
import type { TrafficDirection, Tunnel, TunnelWarning } from './tunnel.ts';
import { DIRECTIONS, type Sa } from './tunnel-contents.ts';
import type { TunnelRecord } from './tunnel-record.ts';

type Refusal = keyof Tunnel['refused'];

/** The current warnings, and the data they are based on. */
export interface WarningState {
  readonly warnings: readonly TunnelWarning[];
  readonly refusals: Readonly<Record<Refusal, CounterRise>>;
  /** When to evaluate again without a change, monotonic; Infinity: never. */
  readonly next: number;
}

/** A counter that should not increase. */
interface CounterRise {
  readonly count: bigint;
  /** Its value before it increased; undefined: it is stable. */
  readonly from: bigint | undefined;
  /** When it last increased, monotonic. */
  readonly at: number;
}

/** Nothing was refused so far, as by most tunnels. */
const NO_RISE: CounterRise = { count: 0n, from: undefined, at: Number.NEGATIVE_INFINITY };
const NO_REFUSALS: WarningState['refusals'] = {
  integrity: NO_RISE,
  replay: NO_RISE,
  replayWindow: NO_RISE,
};

/** Of most tunnels. */
const NO_WARNINGS: WarningState = { warnings: NONE, refusals: NO_REFUSALS, next: Infinity };

const areNone = ({ integrity, replay, replayWindow }: Tunnel['refused']): boolean =>
  integrity === 0n && replay === 0n && replayWindow === 0n;

type FoundWarning = Omit<TunnelWarning, 'since'>;

const REFUSALS = [
  ['integrity', 'integrity', 'failed the integrity check'],
  ['replay', 'replay', 'were dropped as replayed'],
  ['replayWindow', 'replay-window', 'were dropped as older than the replay window'],
] as const;

/**
 * The current warnings about a tunnel. Repeated without changes before `next`, it gives the same
 * result.
 *
 * @param members say how many destinations share an SA's SPI
 */
export function evaluateWarnings(
  record: TunnelRecord,
  members: Pick<SaGroups, 'sharing'>,
  clock: Clock,
  limits: TunnelThresholds,
): WarningState {
  const { contents, warningState: before, refused, lastGone } = record;
  const { now } = clock;
  const found: FoundWarning[] = [];
  for (const what of DIRECTIONS) {
    const sas = contents.sas[what];
    if (sas.length > 1) found.push(...piles(sas, what, limits, clock));
    let isNear = false;
    let shared: Sa | undefined;
    for (const sa of sas) {
      isNear ||= mayExhaust(sa, what, limits);
      if (shared === undefined && members.sharing(sa) > 1) shared = sa;
    }
    if (isNear) found.push(...exhausted(sas, what, limits));
    if (shared) {
      const value = members.sharing(shared);
      const text = `SPI ${formatSpi(shared.entry.value.spi)} is used for ${value} destinations`;
      found.push({ kind: 'spi-shared', what, text, value, limit: 1 });
    }
  }
  const known = before?.refusals ?? NO_REFUSALS;
  const isQuiet = known === NO_REFUSALS && areNone(refused);
  const refusals = isQuiet ? known : { ...known };
  for (const [field, kind, words] of isQuiet ? NONE : REFUSALS) {
    const rise = rising(refused[field], before?.refusals[field], clock, limits.quiet);
    (refusals as Record<Refusal, CounterRise>)[field] = rise;
    if (rise.from === undefined) continue;
    clock.past(rise.at + limits.quiet);
    const value = Number(rise.count - rise.from);
    found.push({ kind, what: '', text: `${value} packets ${words}`, value, limit: 0 });
  }
  const { acquireWindow, acquires, mappingWindow, mappings } = limits;
  const asked = countRecent(record.acquiredAt, acquireWindow, clock);
  if (asked >= acquires) {
    const text = `an SA was requested ${within(asked, acquireWindow)}`;
    found.push({ kind: 'acquire-storm', what: '', text, value: asked, limit: acquires });
  }
  const mapped = countRecent(record.mappedAt, mappingWindow, clock);
  if (mapped >= mappings) {
    const text = `the peer's address or port changed ${within(mapped, mappingWindow)}`;
    found.push({ kind: 'nat-mapping', what: '', text, value: mapped, limit: mappings });
  }
  const goneAt = lastGone?.time.monotonic;
  if (goneAt !== undefined && record.isWithoutSas && limits.stalePolicy > 0) {
    // Neither created nor changed after the last SA was removed.
    const stale = contents.policies.filter(({ changedAt }) => changedAt < goneAt - limits.settle);
    const value = stale.length;
    if (value > 0 && clock.past(goneAt + limits.stalePolicy)) {
      const text = 'stale policies still match its traffic although its last SA is gone';
      found.push({ kind: 'stale-policy', what: '', text, value, limit: 0 });
    }
  }
  const isStill = isQuiet || Object.values(refusals).every((rise) => rise === NO_RISE);
  const next = clock.next;
  if (isStill && found.length === 0 && next === Infinity) return NO_WARNINGS;
  return {
    warnings: found.length === 0 ? NONE : since(found, before?.warnings ?? NONE, now),
    refusals: isStill ? NO_REFUSALS : refusals,
    next,
  };
}

function countRecent(moments: readonly number[], window: number, clock: Clock): number {
  let count = 0;
  for (const moment of moments) if (!clock.past(moment + window)) count++;
  return count;
}

const within = (times: number, window: number): string =>
  `${times} times within ${window / 1000} s`;

/** More SAs than a rekey explains, or old SAs left after the overlap. */
function* piles(
  sas: readonly Sa[],
  what: string,
  { pile, overlap }: TunnelThresholds,
  clock: Clock,
): Generator<FoundWarning> {
  let worst: Sa[] = [];
  for (const slot of bySlot(sas).values()) {
    const { came } = slot.at(-1) as Sa;
    const piled = slot.length > pile || (slot.length > 1 && clock.past(came + overlap));
    if (piled && slot.length > worst.length) worst = slot;
  }
  if (worst.length === 0) return;
  const [value, limit] = [worst.length, Math.min(pile, worst.length - 1)];
  yield { kind: 'piling-up', what, text: `${value} SAs where 1 is expected`, value, limit };
}

/** The used share of each limit; undefined if there is none. */
const USED = {
  'sequence numbers': sequenceUsed,
  bytes: ({ current, lifetime }: XfrmState) => share(current.bytes, lifetime.hardBytes),
  packets: ({ current, lifetime }: XfrmState) => share(current.packets, lifetime.hardPackets),
};

const USES = Object.entries(USED);

/** Whether an SA approaches a limit other than time. */
function mayExhaust(
  { entry: { value } }: Sa,
  direction: TrafficDirection,
  { sequence, lifetime }: TunnelThresholds,
): boolean {
  return (
    (USED['sequence numbers'](value, direction) ?? 0) >= sequence ||
    (USED.bytes(value) ?? 0) >= lifetime ||
    (USED.packets(value) ?? 0) >= lifetime
  );
}

/** The newest SAs that approach a limit other than time. */
function* exhausted(
  sas: readonly Sa[],
  direction: TrafficDirection,
  limits: TunnelThresholds,
): Generator<FoundWarning> {
  const newest = new Map(sas.map(({ slot, entry }) => [slot, entry.value]));
  for (const [unit, of] of USES) {
    const isSequence = unit === 'sequence numbers';
    const kind = isSequence ? 'sequence' : 'lifetime';
    const limit = limits[kind];
    let [spi, value] = [0, 0];
    for (const state of newest.values()) {
      const used = of(state, direction) ?? 0;
      if (used >= limit && used > value) [spi, value] = [state.spi, used];
    }
    if (value === 0) continue;
    const what = isSequence ? direction : `${direction} ${unit}`;
    const used = `SA ${formatSpi(spi)} has used ${Math.floor(value * 100)} % of its ${unit}`;
    yield { kind, what, text: isSequence ? used : `${used}, without a successor`, value, limit };
  }
}

function rising(
  count: bigint,
  before: CounterRise | undefined,
  clock: Clock,
  quiet: number,
): CounterRise {
  if (count === 0n && before === undefined) return NO_RISE;
  const at = clock.now.monotonic;
  if (before === undefined) return { count, from: undefined, at };
  if (count > before.count) return { count, from: before.from ?? before.count, at };
  // As of the last reading: rejections since then are unknown.
  if (before.from === undefined && count === before.count) return before;
  const from = before.at + quiet <= clock.countedAt ? undefined : before.from;
  return { count, from, at: before.at };
}

const isSame = (a: FoundWarning, b: FoundWarning): boolean =>
  a.kind === b.kind && a.what === b.what;

const since = (found: readonly FoundWarning[], before: readonly TunnelWarning[], now: EventTime) =>
  found.map((one) => ({ ...one, since: before.find((old) => isSame(old, one))?.since ?? now }));

/** A host's unused objects at a counter reading. */
export interface Surplus {
  readonly at: EventTime;
  readonly sas: number;
  readonly policies: number;
}

/**
 * Whether the number of unused objects grows, without ever shrinking, throughout a window: a leak.
 * Objects that serve tunnels may grow freely.
 *
 * @param samples oldest first, at most a window old except for the first
 */
export function evaluateLeaks(
  samples: readonly Surplus[],
  before: readonly TunnelWarning[],
  { leak, leakWindow }: TunnelThresholds,
): TunnelWarning[] {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last.at.monotonic - first.at.monotonic < leakWindow) return [];
  const found: FoundWarning[] = [];
  for (const what of ['sas', 'policies'] as const) {
    const grows = samples.every((one, i) => one[what] >= (samples[i - 1] ?? one)[what]);
    const [limit, value] = [first[what], last[what]];
    if (!grows || value - limit < leak) continue;
    const name = what === 'sas' ? 'SAs' : 'policies';
    const text = `${value} ${name} belong to no tunnel, up from ${limit}`;
    found.push({ kind: 'leak', what, text, value, limit });
  }
  return since(found, before, last.at);
}

/** Warnings that were raised or cleared. */
export function* differences(
  before: readonly TunnelWarning[],
  after: readonly TunnelWarning[],
): Generator<{ readonly raised: boolean; readonly warning: TunnelWarning }> {
  const has = (all: readonly TunnelWarning[], one: TunnelWarning) =>
    all.some((other) => isSame(other, one));
  for (const warning of after) if (!has(before, warning)) yield { raised: true, warning };
  for (const warning of before) if (!has(after, warning)) yield { raised: false, warning };
}
