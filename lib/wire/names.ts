/**
 * Names for the kernel's numbers: enumerations, flag words and booleans.
 * @module
 */
import { shown } from '../base/shown.ts';
import { EncodeError } from './error.ts';

/** A fixed list of names for numbers; numbers without a name stay numbers. */
export class Enumeration<Name extends string> {
  readonly label: string;
  readonly numbers: Readonly<Record<Name, number>>;
  readonly #names: (Name | undefined)[] = [];

  /** @param label the name of the exported constant and type, which generated code imports */
  constructor(label: string, numbers: Record<Name, number>) {
    this.label = label;
    this.numbers = numbers;
    for (const name in numbers) this.#names[numbers[name]] = name;
  }

  /** The name of a number, or the number itself if it has none. */
  name(number: number): Name | number {
    return this.#names[number] ?? number;
  }

  /** The number of a name; a number is returned as it is, undefined is 0. */
  number(value: Name | number | undefined, field: string): number {
    if (typeof value !== 'string') return value ?? 0;
    if (Object.hasOwn(this.numbers, value)) return this.numbers[value];
    const known = Object.keys(this.numbers).join(', ');
    throw new EncodeError(`invalid value ${shown(value)}: expected one of ${known}, or a number`, [
      field,
    ]);
  }
}

/** The value of an enumeration field: a known name, or a number without one. */
export type NameOf<E> = E extends Enumeration<infer Name> ? Name | number : never;

/** A decoded flag word. */
export interface FlagSet<Name extends string> {
  /** All bits as received, named or not. */
  readonly mask: number;
  /** The names of the bits that have one, lowest bit first. */
  readonly names: readonly Name[];
}

/** The names of the bits of a flag word. */
export class Flags<Name extends string> {
  readonly label: string;
  readonly bits: Readonly<Record<Name, number>>;
  readonly #sets = new Map<number, FlagSet<Name>>();

  constructor(label: string, bits: Record<Name, number>) {
    this.label = label;
    this.bits = bits;
  }

  /** The set for a mask: frozen, and (up to a bound) the same object for the same mask. */
  of(mask: number): FlagSet<Name> {
    let set = this.#sets.get(mask);
    if (set === undefined) {
      const names = (Object.keys(this.bits) as Name[]).filter((name) => mask & this.bits[name]);
      set = Object.freeze({ mask, names: Object.freeze(names) });
      if (this.#sets.size < 256) this.#sets.set(mask, set);
    }
    return set;
  }

  /** The mask of a set (its names are ignored), a list of names or a number; undefined is 0. */
  mask(value: FlagSet<Name> | readonly Name[] | number | undefined, field: string): number {
    if (value === undefined) return 0;
    if (typeof value === 'number') return value;
    if (typeof value === 'object' && value !== null && 'mask' in value) return value.mask;
    if (!Array.isArray(value)) {
      const reason = `invalid value ${shown(value)}: expected an array of names, a flag set or a number`;
      throw new EncodeError(reason, [field]);
    }
    let mask = 0;
    for (const name of value as readonly Name[]) {
      if (typeof name !== 'string' || !Object.hasOwn(this.bits, name)) {
        const known = Object.keys(this.bits).join(', ');
        throw new EncodeError(`invalid value ${shown(name)}: expected one of ${known}`, [field]);
      }
      mask |= this.bits[name];
    }
    return mask >>> 0;
  }
}

/** The value of a flag field. */
export type FlagsOf<F> = F extends Flags<infer Name> ? FlagSet<Name> : never;

/**
 * A boolean byte. The kernel writes 0 and 1, but passes on values written by others; any other
 * number stays a number, and means true.
 */
export type KernelBool = boolean | number;

/** 0 and 1 as false and true. */
export const readTruth = (byte: number): KernelBool =>
  byte === 0 ? false : byte === 1 ? true : byte;

/**
 * The byte for a boolean; undefined is 0. Other values are unchanged, and fail the check of the
 * byte.
 */
export const truthByte = (value: KernelBool | undefined): number =>
  typeof value === 'boolean' ? Number(value) : (value ?? 0);
