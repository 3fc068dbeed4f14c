/** From when on something counts: times and numbers that states and warnings depend on. @module */
import { integer, options, wrongType } from '../socket/argument.ts';

/** Times are in milliseconds. */
export interface TunnelThresholds {
  /**
   * For how long a tunnel may lack what it had before that is told: a deletion and its successor
   * in one breath are a rekey.
   */
  readonly settle: number;
  /** Without a packet for so long: `idle`. 0: never. */
  readonly idle: number;
  /** Packets going out for so long and none coming in: `one-way`. 0: never. */
  readonly stalled: number;
  /** Past a soft limit for so long without a successor: `expiring`. */
  readonly successor: number;
  /** So near to a hard limit in time, without a successor: `expiring`. */
  readonly expiring: number;
  /** An old SA may stay so long beside its successor: then `piling-up`, and no longer `rekeying`. */
  readonly overlap: number;
  /**
   * How long an ACQUIRE counts, and how long a rekey of one direction waits for that of the other: as long as the kernel
   * waits for SAs (net.core.xfrm_acq_expires, 30 s).
   */
  readonly acquiring: number;
  /** How long a tunnel that is down and not expected stays in the lists. */
  readonly remember: number;
  /** SAs of a direction, CPU and selector above which they are `piling-up`. */
  readonly pile: number;
  /** Share of the sequence numbers, from 0 to 1. */
  readonly sequence: number;
  /** Share of a hard limit of bytes or packets, from 0 to 1. */
  readonly lifetime: number;
  /** Warnings of refused packets end when none was refused for so long. */
  readonly quiet: number;
  /** So many ACQUIREs within {@link acquireWindow} are an `acquire-storm`. */
  readonly acquires: number;
  readonly acquireWindow: number;
  /** So many changes of the peer's address or port within {@link mappingWindow} are worth a warning. */
  readonly mappings: number;
  readonly mappingWindow: number;
  /** Policies that outlive their last SA for so long are a `stale-policy`. 0: never. */
  readonly stalePolicy: number;
  /** So many more SAs or policies that nothing uses, growing all through {@link leakWindow}, are a `leak`. */
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

/** The thresholds with their defaults. @throws TypeError or RangeError that names a wrong one */
export function checkedThresholds(given: unknown): TunnelThresholds {
  if (given === undefined) return THRESHOLDS;
  options('options.thresholds', given, new Set(Object.keys(THRESHOLDS)));
  const set = Object.entries(given as object).filter(([, value]) => value !== undefined);
  for (const [name, value] of set) {
    const path = `options.thresholds.${name}`;
    if (!SHARES.has(name)) integer(path, value, name === 'pile' ? 1 : 0, 0x7fff_ffff);
    else if (typeof value !== 'number') throw wrongType(path, 'a number', value);
    else if (!(value > 0 && value <= 1)) {
      const error = new RangeError(`${path} must be above 0 and at most 1; received ${value}`);
      throw Object.assign(error, { code: 'ERR_OUT_OF_RANGE' });
    }
  }
  return Object.freeze({ ...THRESHOLDS, ...Object.fromEntries(set) });
}
