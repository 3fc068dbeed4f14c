/**
 * How the attributes of a protocol are stated: number, payload, and the property a decoded message
 * has it under, in one table for each attribute space. Types, readers and writers are generated
 * from the tables (tools/codec).
 * @module
 */
import type { AF_INET, AF_INET6 } from './address.ts';
import type { OpaqueAttribute, RawAttribute } from './attribute.ts';
import type { Enumeration, Flags } from './names.ts';
import type { NumberType, Struct } from './struct.ts';
import type { None, TimeUnit } from './time.ts';

/** What the bytes of an attribute mean. */
export type Payload =
  | {
      readonly type: NumberType;
      readonly names?: Enumeration<string> | Flags<string>;
      /** What a number of time counts: see time.ts. */
      readonly unit?: TimeUnit;
      readonly none?: None;
    }
  | { readonly type: 'struct'; readonly struct: Struct }
  /**
   * Structs one after another in one attribute. `repeated`: events have an attribute for each
   * instead, which reads the same.
   */
  | { readonly type: 'list'; readonly struct: Struct; readonly repeated?: true }
  /** xfrm_address_t: 16 bytes, of the message's family. */
  | { readonly type: 'address' }
  /** An address of its length: 4 bytes or 16. It is of the message's family unless one is stated. */
  | { readonly type: 'ip'; readonly family?: typeof AF_INET | typeof AF_INET6 }
  /** A link-layer address, of any length. */
  | { readonly type: 'lladdr' }
  /** A number of 32 bits; one of 64 means something else, and has a property of its own. */
  | {
      readonly type: 'u32 or u64';
      readonly wide: { readonly name: string; readonly doc: string; readonly unit: TimeUnit };
    }
  /** Text; written with a NUL at its end, read with or without. `repeated`: an attribute each. */
  | { readonly type: 'string'; readonly repeated?: true }
  | { readonly type: 'bytes' }
  /** Numbers one after another. */
  | { readonly type: 'numbers'; readonly of: 'u32' | 'u64' }
  /**
   * Attributes of another space; `header`: after a struct, whose fields are beside them. `flag`: the
   * kernel sets NLA_F_NESTED.
   */
  | {
      readonly type: 'nest';
      readonly table: AttributeTable;
      readonly header?: Struct;
      readonly flag?: true;
    }
  /**
   * Attributes of a space that another attribute chooses, beside this one: the one of number
   * `by`, text or a number. A chosen space has a property of its own; what no option is for stays
   * as bytes.
   */
  | {
      readonly type: 'choice';
      readonly by: number;
      readonly of: 'string' | 'u16';
      readonly options: readonly Option[];
    }
  /**
   * Records one after another: a struct that begins with the record's length in 16 bits, then
   * attributes.
   */
  | { readonly type: 'records'; readonly struct: Struct; readonly table: AttributeTable }
  /** A list of nests: attributes, numbered from `first` on, that hold attributes of one space. */
  | { readonly type: 'nests'; readonly table: AttributeTable; readonly first: number }
  /** Empty: it says yes by being there. */
  | { readonly type: 'flag' }
  /** Alignment only. */
  | { readonly type: 'pad' };

/** A space that can be chosen. */
export interface Option {
  /** What chooses it. */
  readonly values: readonly (string | number)[];
  /**
   * Those of the values with which the addresses in the space are IPv6; with the others they are
   * IPv4. Left out: they are of the message's family.
   */
  readonly inet6?: readonly string[];
  /** Its property. */
  readonly name: string;
  readonly doc: string;
  readonly table: AttributeTable;
}

export type Attribute = Payload & {
  /** The kernel's name. */
  readonly kernel: string;
  readonly number: number;
  /** The property of the decoded message. */
  readonly name: string;
  readonly doc: string;
};

/** An attribute space. */
export interface AttributeTable {
  /** The name of the generated type. */
  readonly name: string;
  readonly doc: string;
  /** In the order in which they are written. */
  readonly attributes: readonly Attribute[];
  /**
   * Whether kinds of message share the space, each using a part of it: the generated functions are
   * then told which part, and in which order (see {@link messageAttributes}).
   */
  readonly shared?: true;
  /**
   * Whether what is not known in it may be a key: then it is kept as {@link OpaqueAttribute}, not as
   * {@link RawAttribute}.
   */
  readonly opaque?: true;
}

const numbered = new WeakMap<AttributeTable, ReadonlyMap<number, Attribute>>();

/** The attributes of a space by their numbers. */
export function attributesByNumber(table: AttributeTable): ReadonlyMap<number, Attribute> {
  let found = numbered.get(table);
  if (found === undefined) {
    found = new Map(table.attributes.map((one) => [one.number, one]));
    numbered.set(table, found);
  }
  return found;
}

/** The attributes of a shared space that belong to one kind of message. */
export interface MessageAttributes {
  /** Their numbers, in the kernel's order. */
  readonly order: readonly number[];
  /**
   * What a reader does with an attribute, by its number: the number itself to read it, 0 to keep
   * it raw, {@link SKIP} to pass over it.
   */
  readonly use: Uint8Array;
}

/** In {@link MessageAttributes.use}: somebody else reads it. */
export const SKIP = 255;

/** The numbers of a table by name, and {@link MessageAttributes.use} where no attribute belongs. */
interface Index {
  readonly numbers: ReadonlyMap<string, number>;
  readonly unused: Uint8Array;
}

const indexes = new WeakMap<AttributeTable, Index>();

function indexOf(table: AttributeTable): Index {
  let index = indexes.get(table);
  if (index === undefined) {
    const { attributes } = table;
    const numbers = new Map(attributes.map(({ name, number }) => [name, number]));
    const unused = new Uint8Array(Math.max(...attributes.map(({ number }) => number)) + 1);
    for (const { type, number } of attributes) if (type === 'pad') unused[number] = SKIP;
    index = { numbers, unused };
    indexes.set(table, index);
  }
  return index;
}

/**
 * States which attributes belong to a kind of message, in the order in which the kernel sends them.
 * Others in such a message are kept raw.
 *
 * @param skipped properties that are read apart
 */
export function messageAttributes(
  table: AttributeTable,
  names: readonly string[],
  skipped: readonly string[] = [],
): MessageAttributes {
  const { numbers, unused } = indexOf(table);
  const numberOf = (name: string) => {
    const number = numbers.get(name);
    if (number === undefined) throw new Error(`no attribute is called ${name}`);
    return number;
  };
  const use = unused.slice();
  const order = names.map(numberOf);
  for (const number of order) use[number] = number;
  for (const name of skipped) use[numberOf(name)] = SKIP;
  return { order, use };
}
