/**
 * How the attributes of a protocol are declared: number, payload, and the property of a decoded
 * message, in one table for each attribute space. Types, readers and writers are generated from the
 * tables (tools/codec).
 * @module
 */
import type { AF_INET, AF_INET6 } from './address.ts';
import type { OpaqueAttribute, RawAttribute } from './attribute.ts';
import type { Enumeration, Flags } from './names.ts';
import type { NumberType, Struct } from './struct.ts';
import type { None, TimeUnit } from './time.ts';

/** The type of an attribute's payload. */
export type Payload =
  | {
      readonly type: NumberType;
      readonly names?: Enumeration<string> | Flags<string>;
      /** The unit of a time: see time.ts. */
      readonly unit?: TimeUnit;
      readonly none?: None;
    }
  | { readonly type: 'struct'; readonly struct: Struct }
  /**
   * Consecutive structs in one attribute. `repeated`: events have one attribute for each struct
   * instead; reading accepts both.
   */
  | { readonly type: 'list'; readonly struct: Struct; readonly repeated?: true }
  /** xfrm_address_t: 16 bytes, of the message's family. */
  | { readonly type: 'address' }
  /** An address by its length: 4 or 16 bytes. Of the message's family unless one is declared. */
  | { readonly type: 'ip'; readonly family?: typeof AF_INET | typeof AF_INET6 }
  /** A link-layer address, of any length. */
  | { readonly type: 'lladdr' }
  /** A 32-bit number; a 64-bit one has a different meaning, and a property of its own. */
  | {
      readonly type: 'u32 or u64';
      readonly wide: { readonly name: string; readonly doc: string; readonly unit: TimeUnit };
    }
  /**
   * Text; written with a trailing NUL, read with or without. `repeated`: one attribute for each
   * text.
   */
  | { readonly type: 'string'; readonly repeated?: true }
  | { readonly type: 'bytes' }
  /** An array of numbers. */
  | { readonly type: 'numbers'; readonly of: 'u32' | 'u64' }
  /**
   * Attributes of another space. `header`: preceded by a struct, whose fields become siblings of
   * theirs. `flag`: the kernel sets NLA_F_NESTED.
   */
  | {
      readonly type: 'nest';
      readonly table: AttributeTable;
      readonly header?: Struct;
      readonly flag?: true;
    }
  /**
   * Attributes of a space chosen by a sibling attribute: the one with number `by`, which holds text
   * or a number. Each option has a property of its own; without a matching option the payload is
   * kept as bytes.
   */
  | {
      readonly type: 'choice';
      readonly by: number;
      readonly of: 'string' | 'u16';
      readonly options: readonly Option[];
    }
  /** Consecutive records: a struct that begins with the record's 16-bit length, then attributes. */
  | { readonly type: 'records'; readonly struct: Struct; readonly table: AttributeTable }
  /** A list of nests: attributes numbered from `first` on, each with attributes of one space. */
  | { readonly type: 'nests'; readonly table: AttributeTable; readonly first: number }
  /** Empty: true if present. */
  | { readonly type: 'flag' }
  /** Alignment only. */
  | { readonly type: 'pad' };

/** A space that can be chosen. */
export interface Option {
  /** The values that choose it. */
  readonly values: readonly (string | number)[];
  /**
   * Values for which the addresses in the space are IPv6; for others they are IPv4. Omitted: they
   * are of the message's family.
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
  /** In the order of writing. */
  readonly attributes: readonly Attribute[];
  /**
   * Whether several kinds of message share the space, each with a subset of it: the generated
   * functions then take the subset and its order (see {@link messageAttributes}).
   */
  readonly shared?: true;
  /**
   * Whether unknown attributes may hold keys: if so, they are kept as {@link OpaqueAttribute}
   * instead of {@link RawAttribute}.
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
   * What a reader does with an attribute, by its number: the number itself means read it, 0 keep it
   * raw, {@link SKIP} skip it.
   */
  readonly use: Uint8Array;
}

/** In {@link MessageAttributes.use}: read elsewhere. */
export const SKIP = 255;

/**
 * Attribute numbers of a table by name, and a {@link MessageAttributes.use} in which none belongs.
 */
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
 * Declares which attributes belong to a kind of message, in the order in which the kernel sends
 * them. Other attributes in such a message are kept raw.
 *
 * @param skipped properties that are read separately
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
