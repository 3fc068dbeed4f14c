/**
 * Human-readable numbers.
 * @module
 */

const DAY = 86_400;

/** A duration in seconds, in its two largest units: `12s`, `3m 20s`, `2h 5m`, `4d 7h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const units = [
    [Math.floor(whole / DAY), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const;
  const first = units.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return units
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** A number of bytes: `120 B`, `1.5 MiB`. */
export function formatBytes(bytes: bigint): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.floor(value) : value.toFixed(1)} ${SIZES[unit]}`;
}

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Parses a duration into milliseconds: `500ms`, `30s`, `5m`, `1h`, `1h30m`, `2d`; 0 needs no unit. Undefined if it is
 * invalid, or longer than a timer can wait (24 days).
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

/** A rate: `0 B/s`, `1.5 MiB/s`. */
export const formatRate = (bytesPerSecond: number): string =>
  `${formatBytes(BigInt(Math.round(bytesPerSecond)))}/s`;

/** A duration in the format of {@link parseDuration}, with one unit: `500ms`, `30s`, `5m`. */
export function formatThreshold(milliseconds: number): string {
  if (milliseconds === 0) return '0';
  const units = Object.entries(MILLISECONDS).reverse();
  const [unit, size] = units.find(([, size]) => milliseconds % size === 0) ?? ['ms', 1];
  return `${milliseconds / size}${unit}`;
}
