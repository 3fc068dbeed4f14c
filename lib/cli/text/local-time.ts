/**
 * Local time for any number of seconds, even outside the range of a Date.
 * @module
 */

/** Seconds in 400 years, after which the calendar repeats. */
const ERA = 400n * 31556952n;
/** The last year that a C int can hold, counted from 1900. */
const MOST_YEARS = 2n ** 31n - 1n + 1900n;

/**
 * A time in seconds, as ip prints those of last use: `2026-11-21 20:21:36`, `-` for never. The number is signed, as
 * time_t is.
 */
export function formatLocalTime(seconds: bigint): string {
  if (seconds === 0n) return '-';
  const signed = BigInt.asIntN(64, seconds);
  // Move into the era from 2000 on, for which the machine knows the clock changes.
  const from2000 = signed - 946684800n;
  const eras = from2000 / ERA - (from2000 % ERA < 0n ? 1n : 0n);
  const inEra = signed - eras * ERA;
  const date = new Date(Number(inEra) * 1000);
  const near = eras >= -1n && eras <= 0n ? new Date(Number(signed) * 1000) : undefined;
  const year = near ? BigInt(near.getFullYear()) : BigInt(date.getFullYear()) + 400n * eras;
  if (year > MOST_YEARS || year < -(2n ** 31n) + 1900n) return 'invalid-time';
  const of = near ?? date;
  const two = (value: number) => `${value}`.padStart(2, '0');
  return (
    `${year}-${two(of.getMonth() + 1)}-${two(of.getDate())} ` +
    `${two(of.getHours())}:${two(of.getMinutes())}:${two(of.getSeconds())}`
  );
}
