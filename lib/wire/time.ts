/**
 * Durations and moments. The kernel has them as seconds or ticks, in 32 bits or in 64; here they are plain numbers:
 * `…Seconds`, `…Ms` (durations) and `…At` (moments, in ms since 1970, as Date.now() has them).
 *
 * A number holds whole seconds exactly up to 2^53. No clock and no key manager comes near that, but anybody may write
 * it: then the number is the nearest there is, and `exact` beside it holds the digits, which are written again.
 * @module
 */
import { shown } from '../base/shown.ts';
import { LE } from './endian.ts';
import { EncodeError } from './error.ts';
import { ALL_ONES, HIGH, LOW, readU64, writeU64 } from './integer.ts';

/**
 * There is no limit: larger than any number, so that what compares with a limit is right without asking for it. JSON
 * has it as null.
 *
 * @example
 * if (state.lifetime.hardBytes === NO_LIMIT) console.log('carries as much as it likes');
 */
export const NO_LIMIT = Number.POSITIVE_INFINITY;

/** By how much a number of each unit is multiplied to be ours: seconds to seconds, others to ms. */
export const FACTOR = {
  seconds: 1,
  moment: 1000,
  ticks: 10,
  '1/8 ms': 0.125,
  '1/4 ms': 0.25,
} as const;
/** What a number of the kernel counts: seconds, seconds since 1970, 1/100 s (USER_HZ), or parts of ms. */
export type TimeUnit = keyof typeof FACTOR;

/** What the kernel has for "none": no limit, or for a moment, never. */
export type None = 'zero' | 'ones';

/** The digits of numbers that are too large to be exact. */
export type ExactDigits<Name extends string> = { [Each in Name]?: bigint };

/** Bits of the upper half from which on a number of seconds may not be exact in ms: 2^43 and above. */
const LARGE = 11;

/** Whether the 64-bit number at `at` is too large to be exact. */
export const isLarge = (view: DataView, at: number): boolean =>
  view.getUint32(at + HIGH, LE) >>> LARGE !== 0;

/** The nearest number to the 64-bit one at `at`. */
export const readNearest = (view: DataView, at: number): number =>
  view.getUint32(at + HIGH, LE) * 2 ** 32 + view.getUint32(at + LOW, LE);

/** The digits of those numbers that are too large; `places` are names and offsets by turns. */
export function readExact(view: DataView, ...places: readonly (string | number)[]) {
  const exact: Record<string, bigint> = {};
  for (let i = 0; i < places.length; i += 2) {
    const at = places[i + 1] as number;
    if (isLarge(view, at)) exact[places[i] as string] = readU64(view, at);
  }
  return exact;
}

const shapes: object[] = [];

/**
 * Makes objects of a shape smaller, and faster to make. Where V8 has seen only numbers in a field, and some that are
 * no small integers, it keeps each in a box of its own: eight for a lifetime. Where it has seen undefined too, it does
 * not, and all share the box of NO_LIMIT. (Measured with Node 20: an SA takes 800 bytes and not 930.)
 *
 * @param shape has the members of the objects, in their order, all undefined
 */
export function withoutBoxes(shape: object): void {
  shapes.push(shape); // V8 forgets the shape when no object has it
}

/** A limit of which 0 is none. */
export const orNoLimit = (value: number): number => (value === 0 ? NO_LIMIT : value);
/** A limit in 32 bits of which all ones are none. */
export const orNoLimit32 = (value: number): number => (value === 0xffffffff ? NO_LIMIT : value);
/** A moment of which 0 is never. */
export const orNever = (value: number): number | undefined => (value === 0 ? undefined : value);

/** The limit of bytes or packets at `at`. */
export function readLimit(view: DataView, at: number): bigint | number {
  const value = readU64(view, at);
  return value === ALL_ONES ? NO_LIMIT : value;
}

/** How the kernel has a value: whole units. `none` is what it has where there is nothing. */
export function units(
  value: number | undefined,
  factor: number,
  none: number | undefined,
  field: string,
): number {
  if (value === undefined) return none ?? 0;
  if (value === NO_LIMIT && none !== undefined) return none;
  const whole = value / factor;
  if (Number.isSafeInteger(whole)) return whole;
  const step = factor === 1 ? 'an integer' : `a multiple of ${factor}`;
  const or = none === undefined ? '' : ', or NO_LIMIT';
  throw new EncodeError(`invalid value ${shown(value)}: expected ${step}${or}`, [field]);
}

/** Writes whole units in 64 bits; if `exact` is nearest to the number that is given, its digits. */
export function writeUnits(
  view: DataView,
  at: number,
  value: number | undefined,
  exact: bigint | number | undefined,
  factor: number,
  none: number | undefined,
  field: string,
): void {
  if (exact !== undefined && Number(exact) * factor === value) {
    const digits = BigInt(exact);
    if (digits >= 0n && digits <= ALL_ONES) {
      view.setBigUint64(at, digits, LE);
      return;
    }
  }
  const whole = units(value, factor, none, field);
  if (whole < 0) {
    throw new EncodeError(`invalid value ${shown(value)}: expected 0 or more`, [field]);
  }
  view.setUint32(at + HIGH, Math.floor(whole / 2 ** 32), LE);
  view.setUint32(at + LOW, whole >>> 0, LE);
}

/** Writes a limit of bytes or packets; undefined is none. */
export function writeLimit(
  view: DataView,
  at: number,
  value: bigint | number | undefined,
  field: string,
): void {
  if (value === undefined || value === NO_LIMIT) {
    view.setInt32(at, -1);
    view.setInt32(at + 4, -1);
    return;
  }
  writeU64(view, at, value, field);
}
