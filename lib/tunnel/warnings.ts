/**
 * Warnings about a tunnel, and about the host: functions of what there is, what was said before, and the
 * time, like the state (state.ts).
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import { bySlot } from './figures.ts';
import type { TunnelThresholds } from './thresholds.ts';
import type { PerDirection, TunnelWarning } from './tunnel.ts';

/** An SA with keys, as far as warnings depend on it. */
export interface Spent {
  readonly spi: number;
  readonly slot: string;
  /** Monotonic. */
  readonly addedAt: number;
  /** Share of the sequence numbers used; undefined where they may start again, or there are none. */
  readonly sequence: number | undefined;
  /** Share of the hard limit used. */
  readonly bytes: number | undefined;
  readonly packets: number | undefined;
  /** Addresses to which there are SAs of this SPI, this one's included. */
  readonly destinations: number;
}

type Refusal = 'integrity' | 'replay' | 'replay-window';

/** What there is of a tunnel. */
export interface Worries {
  /** The oldest first. */
  readonly sas: PerDirection<readonly Spent[]>;
  /** Packets refused, across rekeys. */
  readonly refused: Readonly<Record<Refusal, bigint>>;
  /** When SAs were asked for, monotonic, the oldest first. */
  readonly acquires: readonly number[];
  readonly mappings: readonly number[];
  /** When the counters were read, monotonic. */
  readonly countedAt: number;
  /** Policies that were neither made nor changed after the last SA had gone, and when that was, monotonic. */
  readonly stale: { readonly policies: number; readonly since: number } | undefined;
}

/** What was said, and what it goes by. */
export interface Warned {
  readonly warnings: readonly TunnelWarning[];
  readonly refusals: Readonly<Record<Refusal, Rise>>;
  /** When to look again although nothing happens, monotonic; Infinity: never. */
  readonly next: number;
}

/** A counter that ought not to move. */
interface Rise {
  readonly count: bigint;
  /** Where it stood before it moved; undefined: it is at rest. */
  readonly from: bigint | undefined;
  /** When it last moved, monotonic. */
  readonly at: number;
}

type Found = Omit<TunnelWarning, 'since'>;

const hex = (spi: number): string => `0x${spi.toString(16).padStart(8, '0')}`;
const percent = (share: number): string => `${Math.floor(share * 100)} %`;
const REFUSALS: Readonly<Record<Refusal, string>> = {
  integrity: 'failed the check of their integrity',
  replay: 'were refused as replayed',
  'replay-window': 'came too late for the replay window',
};

/**
 * The warnings at `now`. Called again with the same before `next`, it says the same.
 *
 * @param time until when all is known that the kernel announced, monotonic ({@link judge})
 */
export function warn(
  worries: Worries,
  before: Warned | undefined,
  now: EventTime,
  limits: TunnelThresholds,
  time = now.monotonic,
): Warned {
  let next = Number.POSITIVE_INFINITY;
  const past = (moment: number): boolean => {
    if (moment <= time) return true;
    next = Math.min(next, moment);
    return false;
  };
  const found: Found[] = [];
  for (const direction of ['out', 'in'] as const) {
    const sas = worries.sas[direction];
    found.push(...piles(sas, direction, limits, past));
    found.push(...exhausted(sas, direction, limits));
    const shared = sas.find(({ destinations }) => destinations > 1);
    if (shared) {
      const { spi, destinations: value } = shared;
      const text = `the SPI ${hex(spi)} is in use for ${value} destinations`;
      found.push({ kind: 'spi-shared', what: direction, text, value, limit: 1 });
    }
  }
  const refusals = {} as Record<Refusal, Rise>;
  for (const kind of Object.keys(REFUSALS) as Refusal[]) {
    const rise = rising(worries, kind, before?.refusals[kind], now.monotonic, limits.quiet);
    refusals[kind] = rise;
    if (rise.from === undefined) continue;
    past(rise.at + limits.quiet);
    const value = Number(rise.count - rise.from);
    found.push({ kind, what: '', text: `${value} packets ${REFUSALS[kind]}`, value, limit: 0 });
  }
  /** How many of these moments are within a window. */
  const within = (moments: readonly number[], window: number): number => {
    const recent = moments.filter((moment) => moment + window > time);
    if (recent[0] !== undefined) past(recent[0] + window);
    return recent.length;
  };
  const asked = within(worries.acquires, limits.acquireWindow);
  if (asked >= limits.acquires) {
    const text = `an SA was asked for ${asked} times within ${limits.acquireWindow / 1000} s`;
    found.push({ kind: 'acquire-storm', what: '', text, value: asked, limit: limits.acquires });
  }
  const moved = within(worries.mappings, limits.mappingWindow);
  if (moved >= limits.mappings) {
    const text = `the peer's address or port changed ${moved} times within ${limits.mappingWindow / 1000} s`;
    found.push({ kind: 'nat-mapping', what: '', text, value: moved, limit: limits.mappings });
  }
  const { stale } = worries;
  if (stale && limits.stalePolicy > 0 && past(stale.since + limits.stalePolicy)) {
    const text = 'policies are left from before its last SA went, and catch its packets';
    const value = stale.policies;
    found.push({ kind: 'stale-policy', what: '', text, value, limit: 0 });
  }
  return { warnings: since(found, before?.warnings, now), refusals, next };
}

/** More SAs than a rekey explains. SAs that an overlap leaves behind are worth a word too, in time. */
function* piles(
  sas: readonly Spent[],
  what: string,
  { pile, overlap }: TunnelThresholds,
  past: (moment: number) => boolean,
): Generator<Found> {
  let worst: Spent[] = [];
  for (const slot of bySlot(sas).values()) {
    const young = slot.at(-1) as Spent;
    const piled = slot.length > pile || (slot.length > 1 && past(young.addedAt + overlap));
    if (piled && slot.length > worst.length) worst = slot;
  }
  if (worst.length === 0) return;
  const [value, limit] = [worst.length, Math.min(pile, worst.length - 1)];
  const text = `${value} SAs do the work of one`;
  yield { kind: 'piling-up', what, text, value, limit };
}

/** The newest SAs that run into a limit which no clock shows. */
function* exhausted(
  sas: readonly Spent[],
  what: string,
  limits: TunnelThresholds,
): Generator<Found> {
  const newest = new Map(sas.map((sa) => [sa.slot, sa]));
  const most = (of: (sa: Spent) => number | undefined, limit: number) => {
    let found: Spent | undefined;
    for (const sa of newest.values()) {
      if ((of(sa) ?? 0) >= limit && (of(sa) ?? 0) > ((found && of(found)) ?? 0)) found = sa;
    }
    return found;
  };
  const sequence = most((sa) => sa.sequence, limits.sequence);
  if (sequence) {
    const value = sequence.sequence as number;
    const text = `SA ${hex(sequence.spi)} has used ${percent(value)} of its sequence numbers`;
    yield { kind: 'sequence', what, text, value, limit: limits.sequence };
  }
  for (const unit of ['bytes', 'packets'] as const) {
    const sa = most((one) => one[unit], limits.lifetime);
    if (!sa) continue;
    const value = sa[unit] as number;
    const text = `SA ${hex(sa.spi)} has used ${percent(value)} of its ${unit}, and has no successor`;
    yield { kind: 'lifetime', what: `${what} ${unit}`, text, value, limit: limits.lifetime };
  }
}

function rising(
  { refused, countedAt }: Worries,
  kind: Refusal,
  before: Rise | undefined,
  at: number,
  quiet: number,
): Rise {
  const count = refused[kind];
  if (before === undefined) return { count, from: undefined, at };
  if (count > before.count) return { count, from: before.from ?? before.count, at };
  // As of the last reading: what was refused since then nobody knows.
  const from = before.at + quiet <= countedAt ? undefined : before.from;
  return { count, from, at: before.at };
}

/** The warnings with when they were raised. */
function since(
  found: readonly Found[],
  before: readonly TunnelWarning[] | undefined,
  now: EventTime,
): TunnelWarning[] {
  return found.map((one) => {
    const known = before?.find(({ kind, what }) => kind === one.kind && what === one.what);
    return { ...one, since: known?.since ?? now };
  });
}

/** What of a host nothing uses, when its counters were read. */
export interface Surplus {
  readonly at: EventTime;
  readonly sas: number;
  readonly policies: number;
}

/**
 * Whether what nothing uses grows, and never shrinks, all through a window: a leak. What serves tunnels
 * may grow as it likes.
 *
 * @param samples the oldest first, at most a window old but for the first
 */
export function leaks(
  samples: readonly Surplus[],
  before: readonly TunnelWarning[],
  { leak, leakWindow }: TunnelThresholds,
): TunnelWarning[] {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last.at.monotonic - first.at.monotonic < leakWindow) return [];
  const found: Found[] = [];
  for (const what of ['sas', 'policies'] as const) {
    const grows = samples.every(
      (one, i) => i === 0 || one[what] >= (samples[i - 1] as Surplus)[what],
    );
    const [limit, value] = [first[what], last[what]];
    if (!grows || value - limit < leak) continue;
    const name = what === 'sas' ? 'SAs' : 'policies';
    const text = `${value} ${name} serve no tunnel, and they grow: there were ${limit}`;
    found.push({ kind: 'leak', what, text, value, limit });
  }
  return since(found, before, last.at);
}

/** Warnings that were raised, and those that no longer hold. */
export function* differences(
  before: readonly TunnelWarning[],
  after: readonly TunnelWarning[],
): Generator<{ readonly raised: boolean; readonly warning: TunnelWarning }> {
  const has = (all: readonly TunnelWarning[], { kind, what }: TunnelWarning) =>
    all.some((one) => one.kind === kind && one.what === what);
  for (const warning of after) if (!has(before, warning)) yield { raised: true, warning };
  for (const warning of before) if (!has(after, warning)) yield { raised: false, warning };
}
