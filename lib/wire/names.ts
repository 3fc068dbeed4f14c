/**
 * Names for the kernel's numbers: enumerations and flag words.
 * @module
 */

/** A closed list of names for a number that may be open: unknown numbers stay numbers. */
export class Enumeration<Name extends string> {
  readonly label: string;
  readonly numbers: Readonly<Record<Name, number>>;
  readonly #names: (Name | undefined)[] = [];

  /** @param label the name of the exported constant and type, as generated code imports them */
  constructor(label: string, numbers: Record<Name, number>) {
    this.label = label;
    this.numbers = numbers;
    for (const name in numbers) this.#names[numbers[name]] = name;
  }

  /** The name of a number, or the number itself where there is none. */
  name(number: number): Name | number {
    return this.#names[number] ?? number;
  }
}

/** What a field of an enumeration holds: a known name, or a number that has none yet. */
export type NameOf<E> = E extends Enumeration<infer Name> ? Name | number : never;

/** A decoded flag word. */
export interface FlagSet<Name extends string> {
  /** All bits as they came, named or not. */
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
}

/** What a flag field holds. */
export type FlagsOf<F> = F extends Flags<infer Name> ? FlagSet<Name> : never;
