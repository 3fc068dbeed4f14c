/**
 * Middles and spreads of what was measured.
 * @module
 */

/** Some numbers in short. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** The value below which the part `q` (0 to 1) of the values lies; of none it is NaN. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  if (low === undefined || high === undefined) return Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export function spread(values: readonly number[]): Spread {
  const known = values.filter((value) => !Number.isNaN(value));
  return { median: median(known), least: Math.min(...known), most: Math.max(...known) };
}

/** How often `base` the values are, each with the one of the same round. */
export function ratios(values: readonly number[], base: readonly number[]): number[] {
  return values.map((value, round) => value / (base[round] ?? Number.NaN));
}
