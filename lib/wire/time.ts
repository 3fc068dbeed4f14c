/**
 * Durations and moments. The kernel has 32-bit or 64-bit seconds or ticks; here they are plain
 * numbers: `…Seconds`, `…Ms` (durations) and `…At` (moments, in ms since 1970, as Date.now()
 * returns them).
 *
 * A number represents whole seconds exactly up to 2^53. No clock or key manager comes near that,
 * but any program may set a larger value: then the number is the nearest one, and a property
 * `exact` next to it holds the digits, which are used when encoding.
 * @module
 */
import { shown } from '../base/shown.ts';
import { LE } from './endian.ts';
import { EncodeError } from './error.ts';
import { ALL_ONES, HIGH, LOW, readU64, writeU64 } from './integer.ts';

/**
 * No limit. Larger than any number, so that comparisons with a limit need no special case. JSON has
 * it as null.
 *
 * @example
 * if (state.lifetime.hardBytes === NO_LIMIT) console.log('carries as much as it likes');
 */
export const NO_LIMIT = Number.POSITIVE_INFINITY;

/** The latest time of a Date, in milliseconds since 1970; the earliest is as far before. */
export const LATEST_DATE = 8.64e15;

/** Factors from the kernel's units to this library's: seconds stay seconds, others become ms. */
export const FACTOR = {
  seconds: 1,
  moment: 1000,
  ticks: 10,
  '1/8 ms': 0.125,
  '1/4 ms': 0.25,
} as const;
/**
 * The unit of a kernel number: seconds, seconds since 1970, 1/100 s (USER_HZ), or fractions of ms.
 */
export type TimeUnit = keyof typeof FACTOR;

/** The kernel's value for "none": no limit or, for a moment, never. */
export type None = 'zero' | 'ones';

/** The digits of numbers that a JavaScript number cannot represent exactly. */
export type ExactDigits<Name extends string> = { [Each in Name]?: bigint };

/** Bit of the upper half from which seconds converted to ms may be inexact: 2^43 and above. */
const LARGE = 11;

/** Whether the 64-bit number at `at` is too large to be exact. */
export const isLarge = (view: DataView, at: number): boolean =>
  view.getUint32(at + HIGH, LE) >>> LARGE !== 0;

/** The number nearest to the 64-bit one at `at`. */
export const readNearest = (view: DataView, at: number): number =>
  view.getUint32(at + HIGH, LE) * 2 ** 32 + view.getUint32(at + LOW, LE);

/** The digits of the numbers that are too large; `places` alternates names and offsets. */
export function readExact(view: DataView, ...places: readonly (string | number)[]) {
  const exact: Record<string, bigint> = {};
  for (let i = 0; i < places.length; i += 2) {
    const at = places[i + 1] as number;
    if (isLarge(view, at)) exact[places[i] as string] = readU64(view, at);
  }
  return exact;
}

/** Sets the digits of one number, or removes those of an earlier attribute of the same type. */
export function replaceExact(
  into: { exact?: object | undefined },
  view: DataView,
  name: string,
  at: number,
) {
  const exact: Record<string, bigint> = { ...into.exact };
  delete exact[name];
  Object.assign(exact, readExact(view, name, at));
  if (Object.keys(exact).length > 0) into.exact = exact;
  else delete into.exact;
}

const shapes: object[] = [];

/**
 * Makes objects of a shape smaller and faster to create. If V8 has seen only numbers in a field,
 * and some are not small integers, it boxes each one separately: eight for a lifetime. If it has
 * also seen undefined, it does not, and all share the box of NO_LIMIT. (Measured with Node 20: an
 * SA takes 800 bytes instead of 930.)
 *
 * @param shape the members of the objects, in the same order, all undefined
 */
export function withoutBoxes(shape: object): void {
  shapes.push(shape); // V8 forgets a shape that no object has
}

/** A limit, where 0 means none. */
export const orNoLimit = (value: number): number => (value === 0 ? NO_LIMIT : value);
/** A 32-bit limit, where all ones means none. */
export const orNoLimit32 = (value: number): number => (value === 0xffffffff ? NO_LIMIT : value);
/** A moment, where 0 means never. */
export const orNever = (value: number): number | undefined => (value === 0 ? undefined : value);

/** The limit of bytes or packets at `at`. */
export function readLimit(view: DataView, at: number): bigint | number {
  const value = readU64(view, at);
  return value === ALL_ONES ? NO_LIMIT : value;
}

/** A value in the kernel's whole units. `none` is the kernel's value for "none". */
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

/**
 * Writes 64-bit whole units over zeros; writes the digits of `exact` instead if the given number is
 * nearest to them.
 */
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
  if (whole === 0) return;
  if (whole < 0) {
    throw new EncodeError(`invalid value ${shown(value)}: expected 0 or more`, [field]);
  }
  view.setUint32(at + HIGH, Math.floor(whole / 2 ** 32), LE);
  view.setUint32(at + LOW, whole >>> 0, LE);
}

/** Writes a limit of bytes or packets; undefined means no limit. */
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
