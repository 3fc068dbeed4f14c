/**
 * How a kernel struct is declared: once, as a table of its fields in the kernel's order, with the
 * kernel's names. Offsets and sizes follow from C's layout rules; types, readers and writers are
 * generated from the tables (tools/codec); a test compares both with a C compiler.
 * @module
 */
import { once } from '../base/once.ts';
import type { Enumeration, Flags } from './names.ts';
import type { None, TimeUnit } from './time.ts';

/** Number types: u unsigned, s signed, be network order, else host order. */
export type NumberType = 'u8' | 'u16' | 'u32' | 'u64' | 's32' | 'be16' | 'be32' | 'be64';

/** Bytes of each number type, which is also its alignment in a struct. */
export const NUMBER_SIZE: Readonly<Record<NumberType, number>> = {
  u8: 1,
  u16: 2,
  be16: 2,
  u32: 4,
  s32: 4,
  be32: 4,
  u64: 8,
  be64: 8,
};

/** The type of a field. */
export type FieldType =
  | {
      readonly type: NumberType;
      readonly names?: Enumeration<string> | Flags<string>;
      /** The unit of a time: see time.ts. */
      readonly unit?: TimeUnit;
      /**
       * The kernel's value for "no limit" or "never": 0 or all bits set. It is written if no value
       * is given.
       */
      readonly none?: None;
      /**
       * Whether older kernels end the struct before this field; then all following fields are
       * optional too.
       */
      readonly optional?: true;
    }
  /** A boolean byte. */
  | { readonly type: 'truth' }
  /**
   * xfrm_address_t; `family` names the field with its family, 'outer' means the enclosing struct's.
   */
  | { readonly type: 'address'; readonly family: string | undefined }
  | { readonly type: 'struct'; readonly struct: Struct; readonly inline: boolean }
  /** char[64], NUL-padded. */
  | { readonly type: 'name' }
  /** Trailing key bytes; `bits` names the field with their length in bits. */
  | { readonly type: 'key'; readonly bits: string }
  /** Trailing u32 words; `count` names the field with their number. */
  | { readonly type: 'words'; readonly count: string }
  /** Trailing text; `length` names the field with its length in bytes. */
  | { readonly type: 'text'; readonly length: string }
  /** A trailing address, whose family is in the field named by `family`. */
  | { readonly type: 'ip'; readonly family: string }
  /** Bytes that newer kernels append to an extensible struct; absent if there are none. */
  | { readonly type: 'rest' }
  /**
   * A length that is derived from other data, so it is checked and written but has no property: the
   * number of `words` at the end, or the size of the whole struct with its trailing data (for a
   * record, see attribute-table.ts: with its attributes).
   */
  | { readonly type: 'length'; readonly of: NumberType; readonly counts: 'words' | 'whole' }
  /** Reserved by the kernel: zero, and not decoded. */
  | { readonly type: 'reserved'; readonly of: NumberType };

export type Field = FieldType & {
  /** The kernel's name. */
  readonly kernel: string;
  /** This library's name. */
  readonly name: string;
  /** One sentence, including the unit, for the generated type. */
  readonly doc: string;
};

/** A field with its position in the struct. */
export type PlacedField = Field & { readonly offset: number; readonly size: number };

export interface Struct {
  /** The kernel's name, without `struct`. */
  readonly kernel: string;
  /** The name of the generated type and reader. */
  readonly name: string;
  readonly doc: string;
  readonly fields: readonly PlacedField[];
  /** sizeof, including trailing padding, excluding variable parts. */
  readonly size: number;
  readonly align: number;
  /**
   * The field with the address family of the struct's addresses, as a path (`sel.family`); `outer`
   * if the enclosing struct has it; undefined if none does.
   */
  readonly family: string | undefined;
  /** Whether all fields are required when the struct is present. */
  readonly whole: boolean;
  /** Whether its values recur: tables share them. */
  readonly recurs: boolean;
}

const camel = (kernel: string) =>
  kernel.includes('_')
    ? kernel.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
    : kernel;

function field(type: FieldType, kernel: string, name: string | undefined, doc: string): Field {
  return { ...type, kernel, name: name ?? camel(kernel), doc };
}

/**
 * A number, under the kernel's name or this library's; with `names`, an enumeration or a flag word.
 */
export const number = (
  type: NumberType,
  kernel: string,
  doc: string,
  more: {
    name?: string;
    names?: Enumeration<string> | Flags<string>;
    unit?: TimeUnit;
    none?: None;
    optional?: true;
  } = {},
): Field => {
  return { type, ...more, kernel, name: more.name ?? camel(kernel), doc };
};

export const truth = (kernel: string, doc: string): Field =>
  field({ type: 'truth' }, kernel, undefined, doc);

/** An address; `family` overrides the struct's own rule. */
export const address = (
  kernel: string,
  doc: string,
  more: { name?: string; family?: string } = {},
): Field => field({ type: 'address', family: more.family }, kernel, more.name, doc);

/** A nested struct, as an object of its own. */
export const nested = (struct: Struct, kernel: string, name: string, doc: string): Field =>
  field({ type: 'struct', struct, inline: false }, kernel, name, doc);

/** A nested struct whose fields become fields of the outer object. */
export const inline = (struct: Struct, kernel: string): Field =>
  field({ type: 'struct', struct, inline: true }, kernel, kernel, '');

export const name = (kernel: string, doc: string): Field =>
  field({ type: 'name' }, kernel, 'name', doc);
export const key = (kernel: string, bits: string): Field =>
  field({ type: 'key', bits }, kernel, 'key', 'The key; present only where keys were asked for.');
export const words = (kernel: string, count: string, ours: string, doc: string): Field =>
  field({ type: 'words', count }, kernel, ours, doc);
export const text = (kernel: string, length: string, ours: string, doc: string): Field =>
  field({ type: 'text', length }, kernel, ours, doc);
export const ip = (kernel: string, family: string, ours: string, doc: string): Field =>
  field({ type: 'ip', family }, kernel, ours, doc);
export const rest: Field = field({ type: 'rest' }, 'more', 'more', 'What newer kernels append.');
export const length = (of: NumberType, kernel: string, counts: 'words' | 'whole'): Field =>
  field({ type: 'length', of, counts }, kernel, undefined, '');
export const reserved = (of: NumberType, kernel: string): Field =>
  field({ type: 'reserved', of }, kernel, undefined, '');

/** Fixed size of a field. */
function sizeOf(of: Field): number {
  switch (of.type) {
    case 'truth':
      return 1;
    case 'address':
      return 16;
    case 'struct':
      return of.struct.size;
    case 'name':
      return 64;
    case 'key':
    case 'text':
    case 'ip':
    case 'rest':
    case 'words':
      return 0;
    case 'length':
    case 'reserved':
      return NUMBER_SIZE[of.of];
    default:
      return NUMBER_SIZE[of.type];
  }
}

/**
 * Alignment of a field by C's rules, assuming that 64-bit numbers are aligned to 8 bytes: true
 * everywhere except i386 (System V ABI, Intel386 supplement), which package.json excludes.
 */
function alignOf(of: Field): number {
  switch (of.type) {
    case 'address': // xfrm_address_t is a union of __be32 words
    case 'words':
      return 4;
    case 'struct':
      return of.struct.align;
    case 'name':
    case 'key':
    case 'text':
    case 'ip':
    case 'rest':
      return 1;
    default:
      return sizeOf(of);
  }
}

/** Declares a struct. Its size is known at once; the offsets of its fields when they are asked for. */
export function struct(
  kernel: string,
  typeName: string,
  doc: string,
  fields: readonly Field[],
  more: { family?: string; whole?: true; recurs?: true } = {},
): Struct {
  let end = 0;
  let align = 1;
  const after = (one: Field): number => {
    const size = sizeOf(one);
    end = up(end, alignOf(one)) + size;
    return size;
  };
  for (const one of fields) {
    align = Math.max(align, alignOf(one));
    after(one);
  }
  const place = once(() => {
    end = 0;
    return fields.map((one): PlacedField => {
      const size = after(one);
      return { ...one, offset: end - size, size };
    });
  });
  return {
    kernel,
    name: typeName,
    doc,
    get fields() {
      return place();
    },
    size: up(end, align),
    align,
    family: more.family,
    whole: more.whole === true,
    recurs: more.recurs === true,
  };
}

const up = (offset: number, to: number) => Math.ceil(offset / to) * to;

/** The offset of a field in a struct; for a nested struct, by its path (`sel.family`). */
export function offsetOf(of: Struct, path: string): number {
  const [first, ...rest] = path.split('.');
  const field = of.fields.find(({ kernel }) => kernel === first);
  if (field === undefined) throw new Error(`struct ${of.kernel} has no ${first}`);
  if (rest.length === 0) return field.offset;
  if (field.type !== 'struct') throw new Error(`${first} of struct ${of.kernel} is not a struct`);
  return field.offset + offsetOf(field.struct, rest.join('.'));
}
