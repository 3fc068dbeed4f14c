/**
 * How the attributes of a protocol are stated: number, payload, and the property a decoded message
 * has it under, in one table for each attribute space. Types, readers and writers are generated
 * from the tables (tools/codec).
 * @module
 */
import type { Enumeration, Flags } from './names.ts';
import type { NumberType, Struct } from './struct.ts';

/** What the bytes of an attribute mean. */
export type Payload =
  | { readonly type: NumberType; readonly names?: Enumeration<string> | Flags<string> }
  | { readonly type: 'struct'; readonly struct: Struct }
  /**
   * Structs one after another in one attribute. `repeated`: events have an attribute for each
   * instead, which reads the same.
   */
  | { readonly type: 'list'; readonly struct: Struct; readonly repeated?: true }
  /** xfrm_address_t: 16 bytes, of the message's family. */
  | { readonly type: 'address' }
  /** An address whose length says its family: 4 bytes or 16. Others are hexadecimal digits. */
  | { readonly type: 'ip' }
  /** Text; written with a NUL at its end, read with or without. */
  | { readonly type: 'string' }
  | { readonly type: 'bytes' }
  /** Attributes of another space. */
  | { readonly type: 'nest'; readonly table: AttributeTable }
  /** A list of nests: attributes, numbered from `first` on, that hold attributes of one space. */
  | { readonly type: 'nests'; readonly table: AttributeTable; readonly first: number }
  /** Empty: it says yes by being there. */
  | { readonly type: 'flag' }
  /** Alignment only. */
  | { readonly type: 'pad' };

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
   * then told which part, and in which order (see {@link part}).
   */
  readonly shared?: true;
}

/** The attributes of a shared space that belong to one kind of message. */
export interface Part {
  /** Their numbers, in the kernel's order. */
  readonly order: readonly number[];
  /**
   * What a reader does with an attribute, by its number: the number itself to read it, 0 to keep
   * it raw, {@link SKIP} to pass over it.
   */
  readonly use: Uint8Array;
}

/** In {@link Part.use}: somebody else reads it. */
export const SKIP = 255;

/**
 * States which attributes belong to a kind of message, in the order in which the kernel sends them.
 * Others in such a message are kept raw.
 *
 * @param skipped properties that are read apart
 */
export function part(
  { attributes }: AttributeTable,
  names: readonly string[],
  skipped: readonly string[] = [],
): Part {
  const numberOf = (name: string) => {
    const found = attributes.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no attribute is called ${name}`);
    return found.number;
  };
  const use = new Uint8Array(Math.max(...attributes.map(({ number }) => number)) + 1);
  const order = names.map(numberOf);
  for (const number of order) use[number] = number;
  for (const name of skipped) use[numberOf(name)] = SKIP;
  for (const { type, number } of attributes) if (type === 'pad') use[number] = SKIP;
  return { order, use };
}
