/**
 * Which properties an encodable object may have, derived from the tables.
 * @module
 */
import type { Attribute, AttributeTable } from './attribute-table.ts';
import { Enumeration } from './names.ts';
import type { Field, Struct } from './struct.ts';

/** What a property holds; the encoders check `other`. */
export interface Member {
  readonly holds: 'object' | 'list' | 'text' | 'key' | 'bytes' | 'u16' | 'other';
  /** The shape of the object, or of each entry of the list. */
  readonly shape?: Shape;
}

/** Mutually exclusive properties: another property chooses which one may be present. */
export interface Choice {
  /** The property that chooses. */
  readonly by: string;
  /** The names of its values. */
  readonly names?: Enumeration<string> | undefined;
  /** The values that choose each property, as names where they have one. */
  readonly options: ReadonlyMap<string, readonly (string | number)[]>;
  /** The property that may hold any of them as bytes. */
  readonly raw: string;
}

/** The properties an object may have. */
export interface Shape {
  readonly members: ReadonlyMap<string, Member>;
  /** Required properties. */
  readonly required: readonly string[];
  /** Groups of addresses that must have the same family. */
  readonly families: readonly (readonly string[])[];
  readonly choices: readonly Choice[];
}

const HOLDS: Partial<Record<Field['type'] | Attribute['type'], Member['holds']>> = {
  struct: 'object',
  list: 'list',
  words: 'list',
  numbers: 'list',
  address: 'text',
  ip: 'text',
  lladdr: 'text',
  name: 'text',
  text: 'text',
  string: 'text',
  key: 'key',
  bytes: 'bytes',
  rest: 'bytes',
};

/** Makes a shape from an explicit list of properties. */
export function shapeWith(
  members: Readonly<Record<string, Member['holds'] | Shape>>,
  required: readonly string[] = [],
): Shape {
  const all = Object.entries(members).map(([name, of]): [string, Member] => [
    name,
    typeof of === 'string' ? { holds: of } : { holds: 'object', shape: of },
  ]);
  return { members: new Map(all), required, families: [], choices: [] };
}

/** Attributes that are sent unchanged: see RawAttribute and OpaqueAttribute. */
const sentAsTheyAre = (bytes: 'bytes' | 'key'): Member => ({
  holds: 'list',
  shape: shapeWith({ type: 'u16', flags: 'u16', bytes }, ['type', 'bytes']),
});
const RAW = sentAsTheyAre('bytes');
const OPAQUE = sentAsTheyAre('key');

/** The property with the digits of numbers too large to be exact: see time.ts. */
function exactOf(all: readonly (Field | Attribute)[]): [string, Member][] {
  const names = all.flatMap((one) => {
    if (one.type === 'u32 or u64') return [one.wide.name];
    return one.type === 'u64' && one.unit !== undefined ? [one.name] : [];
  });
  if (names.length === 0) return [];
  const digits = Object.fromEntries(names.map((name) => [name, 'other' as const]));
  return [['exact', { holds: 'object', shape: shapeWith(digits) }]];
}

/** The fields of a struct, including those of inlined structs. */
function fieldsOf(struct: Struct): Field[] {
  return struct.fields.flatMap((field) =>
    field.type === 'struct' && field.inline ? fieldsOf(field.struct) : [field],
  );
}

function memberOfField(field: Field): Member {
  const holds = HOLDS[field.type] ?? 'other';
  return field.type === 'struct' ? { holds, shape: shapeOfStruct(field.struct) } : { holds };
}

function shapeOfStruct(struct: Struct): Shape {
  const fields = fieldsOf(struct).filter(({ type }) => type !== 'reserved' && type !== 'length');
  const groups = new Map<string, string[]>();
  for (const field of fields) {
    if (field.type !== 'address') continue;
    const rule = field.family ?? '';
    groups.set(rule, [...(groups.get(rule) ?? []), field.name]);
  }
  return {
    members: new Map([
      ...fields.map((field): [string, Member] => [field.name, memberOfField(field)]),
      ...exactOf(fields),
    ]),
    required: struct.whole ? fields.map(({ name }) => name) : [],
    families: [...groups.values()],
    choices: [],
  };
}

/** The choices in an attribute space. */
function choicesOf({ attributes }: AttributeTable): Choice[] {
  return attributes.flatMap((of) => {
    if (of.type !== 'choice') return [];
    const by = attributes.find(({ number }) => number === of.by);
    if (by === undefined) throw new Error(`no attribute ${of.by} for ${of.kernel}`);
    const names = 'names' in by && by.names instanceof Enumeration ? by.names : undefined;
    const options = of.options.map(({ name, values }): [string, (string | number)[]] => [
      name,
      values.map((one) => (typeof one === 'number' ? (names?.name(one) ?? one) : one)),
    ]);
    return [{ by: by.name, names, options: new Map(options), raw: of.name }];
  });
}

function membersOf(of: Attribute): [string, Member][] {
  switch (of.type) {
    case 'pad':
      return [];
    case 'struct':
      return [[of.name, { holds: 'object', shape: shapeOfStruct(of.struct) }]];
    case 'list':
      return [[of.name, { holds: 'list', shape: shapeOfStruct(of.struct) }]];
    case 'nest':
      return [[of.name, { holds: 'object', shape: shape(of.header, of.table) }]];
    case 'nests':
      return [[of.name, { holds: 'list', shape: shape(undefined, of.table) }]];
    case 'records':
      return [[of.name, { holds: 'list', shape: shape(of.struct, of.table) }]];
    case 'choice':
      return [
        ...of.options.map(({ name, table }): [string, Member] => [
          name,
          { holds: 'object', shape: shape(undefined, table) },
        ]),
        [of.name, { holds: 'bytes' }],
      ];
    case 'u32 or u64':
      return [
        [of.name, { holds: 'other' }],
        [of.wide.name, { holds: 'other' }],
      ];
    case 'string':
      return [[of.name, { holds: of.repeated ? 'list' : 'text' }]];
    default:
      return [[of.name, { holds: HOLDS[of.type] ?? 'other' }]];
  }
}

/**
 * The properties of an object made of a struct and attributes.
 *
 * @param names the attributes that it may have; default: all
 * @param required required properties, in addition to those of the struct
 */
export function shape(
  struct: Struct | undefined,
  table: AttributeTable,
  names?: readonly string[],
  required: readonly string[] = [],
): Shape {
  const of = struct ? shapeOfStruct(struct) : shapeWith({});
  const members = new Map(of.members);
  const chosen = table.attributes.filter(({ name }) => names?.includes(name) !== false);
  for (const attribute of chosen) {
    for (const [name, member] of membersOf(attribute)) members.set(name, member);
  }
  for (const [name, member] of exactOf(chosen)) members.set(name, member);
  members.set('unknown', table.opaque ? OPAQUE : RAW);
  return {
    members,
    required: [...of.required, ...required],
    families: of.families,
    choices: choicesOf(table),
  };
}
