/** Thresholds: the times and numbers that states and warnings depend on. @module */
import { integer, options, outOfRange, wrongType } from '../base/argument.ts';

/** Times are in milliseconds. */
export interface TunnelThresholds {
  /**
   * How long a tunnel may lack something before that is reported: a deletion followed by a
   * successor is a rekey.
   */
  readonly settle: number;
  /** No packets for this long: `idle`. 0: never. */
  readonly idle: number;
  /** Outbound but no inbound packets for this long: `one-way`. 0: never. */
  readonly stalled: number;
  /** Past a soft limit for this long without a successor: `expiring`. */
  readonly successor: number;
  /** This close to a hard time limit without a successor: `expiring`. */
  readonly expiring: number;
  /** How long an old SA may coexist with its successor: then `piling-up`, no longer `rekeying`. */
  readonly overlap: number;
  /**
   * How long an ACQUIRE counts, and how long a rekey of one direction waits for the other: as long
   * as the kernel waits for SAs (net.core.xfrm_acq_expires, 30 s).
   */
  readonly acquiring: number;
  /** How long a tunnel that is down and not expected stays listed. */
  readonly remember: number;
  /** The most SAs of a direction, CPU and selector that are not `piling-up`. */
  readonly pile: number;
  /** Used share of the sequence numbers, from 0 to 1. */
  readonly sequence: number;
  /** Used share of a hard limit of bytes or packets, from 0 to 1. */
  readonly lifetime: number;
  /** Warnings about rejected packets end after this long without one. */
  readonly quiet: number;
  /** This many ACQUIREs within {@link acquireWindow} are an `acquire-storm`. */
  readonly acquires: number;
  readonly acquireWindow: number;
  /** This many changes of a peer's address or port in {@link mappingWindow} are a `nat-mapping`. */
  readonly mappings: number;
  readonly mappingWindow: number;
  /** Policies that outlive their last SA by this long are a `stale-policy`. 0: never. */
  readonly stalePolicy: number;
  /** This many more unused SAs or policies, growing throughout {@link leakWindow}, are a `leak`. */
  readonly leak: number;
  readonly leakWindow: number;
}

/** The default of each threshold. */
export const THRESHOLDS: TunnelThresholds = Object.freeze({
  settle: 100,
  idle: 300_000,
  stalled: 30_000,
  successor: 2_000,
  expiring: 120_000,
  overlap: 600_000,
  acquiring: 30_000,
  remember: 3_600_000,
  pile: 2,
  sequence: 0.8,
  lifetime: 0.9,
  quiet: 60_000,
  acquires: 10,
  acquireWindow: 60_000,
  mappings: 3,
  mappingWindow: 600_000,
  stalePolicy: 60_000,
  leak: 50,
  leakWindow: 600_000,
});

const SHARES = new Set<string>(['sequence', 'lifetime']);

/** Thresholds that are plain numbers; all others are durations. */
export const NUMBERS: ReadonlySet<string> = new Set([
  'pile',
  'sequence',
  'lifetime',
  'acquires',
  'mappings',
  'leak',
] satisfies (keyof TunnelThresholds)[]);

/** The thresholds with their defaults. @throws TypeError or RangeError that names an invalid one */
export function checkedThresholds(given: unknown): TunnelThresholds {
  if (given === undefined) return THRESHOLDS;
  options('options.thresholds', given, new Set(Object.keys(THRESHOLDS)));
  const set = Object.entries(given as object).filter(([, value]) => value !== undefined);
  for (const [name, value] of set) {
    const path = `options.thresholds.${name}`;
    if (!SHARES.has(name)) integer(path, value, name === 'pile' ? 1 : 0, 0x7fff_ffff);
    else if (typeof value !== 'number') throw wrongType(path, 'a number', value);
    else if (!(value > 0 && value <= 1)) {
      throw outOfRange(`${path} must be above 0 and at most 1; received ${value}`);
    }
  }
  return Object.freeze({ ...THRESHOLDS, ...Object.fromEntries(set) });
}
