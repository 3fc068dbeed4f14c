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

/** A rate: `0 B/s`, `1.5 MiB/s`. */
export const formatRate = (bytesPerSecond: number): string =>
  `${formatBytes(BigInt(Math.round(bytesPerSecond)))}/s`;
