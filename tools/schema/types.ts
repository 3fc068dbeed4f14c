/**
 * JSON Schemas for the parts of events, from the tables of structs and attributes: the JSON that
 * lib/cli/json.ts produces for a decoded value.
 * @module
 */
import type { Attribute, AttributeTable } from '../../lib/wire/attribute-table.ts';
import { type Enumeration, Flags } from '../../lib/wire/names.ts';
import {
  NUMBER_SIZE,
  type NumberType,
  type PlacedField,
  type Struct,
} from '../../lib/wire/struct.ts';
import type { None, TimeUnit } from '../../lib/wire/time.ts';
import { decoded, isOptional, mayBeLarge, type Named, numbersOf } from '../codec/shape.ts';

/** A JSON Schema. */
export type Schema = { readonly [Keyword: string]: unknown };

export const string: Schema = { type: 'string' };
export const reference = (name: string): Schema => ({ $ref: `#/$defs/${name}` });
export const array = (items: Schema): Schema => ({ type: 'array', items });

/** An object with these members, all required except the optional ones. */
export function object(
  properties: Readonly<Record<string, Schema>>,
  optional: readonly string[] = [],
): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

const described = (schema: Schema, doc: string): Schema =>
  doc === '' ? schema : { description: doc, ...schema };

const unsigned = (bits: number): Schema => ({
  type: 'integer',
  minimum: 0,
  maximum: 2 ** bits - 1,
});

/** What most members are. */
export const scalarDefinitions = {
  U8: unsigned(8),
  U16: unsigned(16),
  U32: unsigned(32),
  U64: {
    description: 'Decimal digits, which no JSON parser rounds.',
    type: 'string',
    pattern: '^[0-9]{1,20}$',
  },
  Bytes: {
    description: 'Hexadecimal digits, or the number of bytes if they might contain a key.',
    anyOf: [
      { type: 'string', pattern: '^([0-9a-f]{2})*$' },
      { type: 'string', pattern: '^\\[[0-9]+ bytes\\]$' },
    ],
  },
} satisfies Record<string, Schema>;

/** An unsigned 64-bit number. */
export const digits = reference('U64');
export const bytes = reference('Bytes');

const number = (type: NumberType): Schema =>
  type === 's32'
    ? { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }
    : reference(`U${NUMBER_SIZE[type] * 8}`);

/** A name, or the number of a value that has no name (yet). */
function enumeration(names: Enumeration<string>, type: NumberType): Schema {
  return { anyOf: [{ enum: Object.keys(names.numbers) }, number(type)] };
}

function flags(names: Flags<string>, type: NumberType): Schema {
  return object({ mask: number(type), names: array({ enum: Object.keys(names.bits) }) });
}

type NumberLike = {
  readonly type: NumberType;
  readonly names?: Enumeration<string> | Flags<string>;
  readonly unit?: TimeUnit;
  readonly none?: None;
};

/** A limit, a duration or a point in time; null means no limit. */
function time({ type, unit, none }: NumberLike): Schema {
  const least = type === 's32' ? {} : { minimum: 0 };
  const one = unit === undefined ? number(type) : { type: 'number', ...least };
  return none === undefined || unit === 'moment' ? one : { anyOf: [one, { type: 'null' }] };
}

/** The digits of numbers too large to be exact. */
function exactOf(all: readonly (Named & { readonly name: string })[]): Record<string, Schema> {
  const large = all.filter(mayBeLarge).map(({ name }) => [name, digits]);
  if (large.length === 0) return {};
  const properties = Object.fromEntries(large);
  return {
    exact: described(
      object(properties, Object.keys(properties)),
      'The digits of those numbers that are too large to be exact.',
    ),
  };
}

function numeric(of: NumberLike): Schema {
  const { type, names, unit, none } = of;
  if (unit !== undefined || none !== undefined) return time(of);
  if (names instanceof Flags) return flags(names, type);
  return names ? enumeration(names, type) : number(type);
}

/** An unknown attribute. */
export const rawAttribute: Schema = object({
  type: number('u16'),
  flags: number('u16'),
  bytes,
});

/** A boolean byte; other numbers remain numbers. */
export const truth: Schema = {
  anyOf: [{ type: 'boolean' }, { type: 'integer', minimum: 2, maximum: 255 }],
};

function field(of: PlacedField): Schema {
  switch (of.type) {
    case 'truth':
      return truth;
    case 'address':
    case 'name':
    case 'text':
    case 'ip':
      return string;
    case 'rest':
      return bytes;
    case 'struct':
      return reference(of.struct.name);
    case 'key':
      return { type: 'string', pattern: '^([0-9a-f]{2})*$' };
    case 'words':
      return array(number('u32'));
    case 'length':
    case 'reserved':
      throw new Error(`${of.type} fields are not decoded`);
    default:
      return numeric(of);
  }
}

/** The members for the fields of a struct. */
export function members(of: Struct): Record<string, Schema> {
  const all = decoded(of);
  return {
    ...Object.fromEntries(all.map((one) => [one.name, described(field(one), one.doc)])),
    ...exactOf(all),
  };
}

/** Optional members of a struct: in JSON, also times that have not been reached. */
export const optionalOf = (of: Struct): string[] =>
  Object.keys(members(of)).filter(
    (name) =>
      name === 'exact' ||
      decoded(of).some(
        (one) =>
          one.name === name &&
          (isOptional(one) || ('unit' in one && one.unit === 'moment' && one.none !== undefined)),
      ),
  );

/** A struct. */
export function struct(of: Struct): Schema {
  return described(object(members(of), optionalOf(of)), of.doc);
}

function attribute(of: Attribute): Schema {
  switch (of.type) {
    case 'struct':
      return reference(of.struct.name);
    case 'list':
      return array(reference(of.struct.name));
    case 'address':
    case 'ip':
    case 'lladdr':
      return string;
    case 'string':
      return of.repeated ? array(string) : string;
    case 'u32 or u64':
      return number('u32');
    case 'numbers':
      return array(number(of.of));
    case 'choice':
    case 'bytes':
      return bytes;
    case 'nest':
      return of.header === undefined ? reference(of.table.name) : joined(of.header, of.table);
    case 'records':
      return array(joined(of.struct, of.table));
    case 'nests':
      return array(reference(of.table.name));
    case 'flag':
      return { const: true };
    case 'pad':
      throw new Error('padding is not decoded');
    default:
      return numeric(of);
  }
}

const namesOf = ({ attributes }: AttributeTable) =>
  attributes.filter(({ type }) => type !== 'pad').map(({ name }) => name);

/** An attribute space. */
export function table(of: AttributeTable): Schema {
  const all = optional(of, namesOf(of));
  return described(object(all, Object.keys(all)), of.doc);
}

/** A struct together with attributes. */
export function joined(of: Struct, beside: AttributeTable): Schema {
  const more = optional(beside, namesOf(beside));
  return object({ ...members(of), ...more }, [...optionalOf(of), ...Object.keys(more)]);
}

/** The members for the attributes of a message, all of them optional. */
export function optional(table: AttributeTable, names: readonly string[]): Record<string, Schema> {
  const all: Record<string, Schema> = {};
  for (const name of names) {
    const found = table.attributes.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no attribute is called ${name}`);
    if (found.type === 'choice') {
      for (const { name, table, doc } of found.options) {
        all[name] = described(reference(table.name), doc);
      }
    }
    if (found.type === 'u32 or u64') {
      const { name, unit, doc } = found.wide;
      all[name] = described(time({ type: 'u64', unit }), doc);
    }
    all[name] = described(attribute(found), found.doc);
  }
  Object.assign(all, exactOf(numbersOf(table.attributes.filter(({ name }) => name in all))));
  all.unknown = reference('UnknownAttributes');
  return all;
}

/** The definition that {@link optional} refers to. */
export const unknownAttributes = (): Schema =>
  described(array(rawAttribute), 'Attributes this version does not know, as they came.');

type Common = 'kind' | 'message' | 'change' | 'protocol' | 'time';
type Maybe<R> = { [Key in keyof R]-?: undefined extends R[Key] ? Key : never }[keyof R];
/** The members of a kind other than those common to all. */
export type Members<R> = R extends unknown
  ? {
      readonly always: Record<Exclude<keyof R, Common | Maybe<R>>, Schema>;
      readonly sometimes?: Record<Exclude<Maybe<R>, Common>, Schema>;
      readonly doc: string;
    }
  : never;

/** {@link Members} of any kind. */
export interface AnyMembers {
  readonly always: Readonly<Record<string, Schema>>;
  readonly sometimes?: Readonly<Record<string, Schema>>;
  readonly doc: string;
}
