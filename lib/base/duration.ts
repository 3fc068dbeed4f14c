/** Durations as people write them: `500ms`, `30s`, `1h30m`. @module */

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Parses a duration into milliseconds: `500ms`, `30s`, `5m`, `1h`, `1h30m`, `2d`; 0 needs no unit.
 * Undefined if it is invalid, or longer than a timer can wait (24 days).
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(\d{1,9}(ms|s|m|h|d))+$/.test(text)) return undefined;
  let all = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
    all += Number(count) * MILLISECONDS[unit as keyof typeof MILLISECONDS];
  }
  return all <= 0x7fff_ffff ? all : undefined;
}

/** A duration in the format of {@link parseDuration}, with one unit: `500ms`, `30s`, `5m`. */
export function formatThreshold(milliseconds: number): string {
  if (milliseconds === 0) return '0';
  const units = Object.entries(MILLISECONDS).reverse();
  const [unit, size] = units.find(([, size]) => milliseconds % size === 0) ?? ['ms', 1];
  return `${milliseconds / size}${unit}`;
}
