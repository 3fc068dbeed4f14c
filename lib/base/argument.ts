/** Checks of arguments, made before any system call. @module */
import { shown } from './shown.ts';

/** The largest 32-bit unsigned number: port ids and group masks are u32 (linux/netlink.h). */
export const U32_MAX = 0xffff_ffff;

/** A TypeError that names the argument, with Node's code for it. */
export function wrongType(name: string, expected: string, value: unknown): TypeError {
  const error = new TypeError(`${name} must be ${expected}; received ${shown(value)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

/** A TypeError for an invalid value of the right type, with Node's code for it. */
export function wrongValue(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** A RangeError for a number that is too small or too large, with Node's code for it. */
export function outOfRange(message: string): RangeError {
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' });
}

/** `value`, if it is an integer from `min` to `max`. */
export function integer(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw wrongType(name, 'a number', value);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw outOfRange(`${name} must be an integer from ${min} to ${max}; received ${value}`);
}

/** The same, or `otherwise` if it is undefined. */
export function optionalInteger(
  name: string,
  value: unknown,
  otherwise: number,
  min: number,
  max: number,
): number {
  return value === undefined ? otherwise : integer(name, value, min, max);
}

/** `value`, if it is a string. */
export function string(name: string, value: unknown): string {
  if (typeof value !== 'string') throw wrongType(name, 'a string', value);
  return value;
}

/** `value`, if it is a Uint8Array. */
export function bytes(name: string, value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw wrongType(name, 'a Uint8Array', value);
  return value;
}

/** `value`, if it is a boolean, or `otherwise` if it is undefined. */
export function optionalBoolean(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw wrongType(name, 'a boolean', value);
  return value;
}

export const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Throws unless `value` is an object. */
export function object(name: string, value: unknown): void {
  if (!isObject(value)) throw wrongType(name, 'an object', value);
}

/** Throws unless `value` is an object with no properties other than `names`. */
export function options(name: string, value: unknown, names: ReadonlySet<string>): void {
  object(name, value);
  for (const one of Object.keys(value as object)) {
    if (names.has(one)) continue;
    throw wrongValue(`unknown option ${name}.${one}; valid options: ${[...names].join(', ')}`);
  }
}

/** A check for each option: returns its value or default, given the argument's name and value. */
export type OptionChecks = Readonly<Record<string, (name: string, value: unknown) => unknown>>;

/** The options that the checks return. */
export type CheckedOptions<Checks extends OptionChecks> = {
  [Key in keyof Checks]: ReturnType<Checks[Key]>;
};

/** All options of a table, checked, with their defaults. Throws for an unknown one. */
export function checkedOptions<Checks extends OptionChecks>(
  name: string,
  value: unknown,
  checks: Checks,
): CheckedOptions<Checks> {
  options(name, value, new Set(Object.keys(checks)));
  const given = value as Record<string, unknown>;
  const checked = Object.entries(checks).map(([key, check]) => [
    key,
    check(`${name}.${key}`, given[key]),
  ]);
  return Object.fromEntries(checked) as CheckedOptions<Checks>;
}

/** `value`, if it is an AbortSignal or undefined. */
export function optionalSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw wrongType(name, 'an AbortSignal', value);
}
