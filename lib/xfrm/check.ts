/**
 * Checks of what callers pass to the client, before anything is sent. The encoders check the range of
 * each value; here is what they can't see: misspelled and missing properties, values of the wrong
 * type, and addresses of mixed families.
 * @module
 */
import { AF_INET, addressFamily } from '../wire/address.ts';
import type { Attribute, AttributeTable } from '../wire/attribute-table.ts';
import { EncodeError } from '../wire/error.ts';
import type { Field, Struct } from '../wire/struct.ts';
import { attributes } from './attributes.ts';
import { xfrm_mark } from './structs.ts';

/** What a property holds. What is `other`, the encoders check. */
interface Member {
  readonly holds: 'object' | 'list' | 'text' | 'key' | 'bytes' | 'u16' | 'other';
  readonly shape?: Shape;
}

/** The properties an object may have. */
export interface Shape {
  readonly members: ReadonlyMap<string, Member>;
  /** Those that must be there. */
  readonly required: readonly string[];
  /** Addresses that must be of one family, in groups. */
  readonly families: readonly (readonly string[])[];
}

/** A mark without a mask would match every packet, or none. */
const WHOLE: ReadonlyMap<Struct, readonly string[]> = new Map([[xfrm_mark, ['value', 'mask']]]);

const HOLDS: Partial<Record<Field['type'] | Attribute['type'], Member['holds']>> = {
  struct: 'object',
  list: 'list',
  words: 'list',
  address: 'text',
  name: 'text',
  text: 'text',
  key: 'key',
};

function memberOf(of: Field | Attribute): Member {
  const holds = HOLDS[of.type] ?? 'other';
  return 'struct' in of ? { holds, shape: shapeOf(of.struct) } : { holds };
}

/** The fields of a struct, those of inlined structs among them. */
function fieldsOf(struct: Struct): Field[] {
  return struct.fields.flatMap((field) =>
    field.type === 'struct' && field.inline ? fieldsOf(field.struct) : [field],
  );
}

function shapeOf(struct: Struct): Shape {
  const fields = fieldsOf(struct).filter(({ type }) => type !== 'reserved' && type !== 'length');
  const groups = new Map<string, string[]>();
  for (const field of fields) {
    if (field.type !== 'address') continue;
    const rule = field.family ?? '';
    groups.set(rule, [...(groups.get(rule) ?? []), field.name]);
  }
  return {
    members: new Map(fields.map((field) => [field.name, memberOf(field)])),
    required: WHOLE.get(struct) ?? [],
    families: [...groups.values()],
  };
}

const RAW: Member = {
  holds: 'list',
  shape: shapeWith({ type: 'u16', flags: 'u16', bytes: 'bytes' }, ['type', 'bytes']),
};

/** A shape written out. */
export function shapeWith(
  members: Readonly<Record<string, Member['holds'] | Shape>>,
  required: readonly string[] = [],
): Shape {
  const all = Object.entries(members).map(([name, of]): [string, Member] => [
    name,
    typeof of === 'string' ? { holds: of } : { holds: 'object', shape: of },
  ]);
  return { members: new Map(all), required, families: [] };
}

/** The properties of an object made of a struct and of attributes. */
export function shape(
  struct: Struct | undefined,
  names: readonly string[],
  required: readonly string[] = [],
  table: AttributeTable = attributes,
): Shape {
  const of = struct ? shapeOf(struct) : shapeWith({});
  const members = new Map(of.members);
  for (const attribute of table.attributes) {
    if (names.includes(attribute.name)) members.set(attribute.name, memberOf(attribute));
  }
  members.set('unknown', RAW);
  return { members, required: [...of.required, ...required], families: of.families };
}

/**
 * Refuses what nothing can be made of.
 *
 * @throws EncodeError that names the property, and what it should be
 */
export function checkProperties(value: unknown, of: Shape, path: readonly string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EncodeError('is no object', path);
  }
  const given = Object.entries(value).filter(([, inner]) => inner !== undefined);
  for (const [name, inner] of given) {
    const member = of.members.get(name);
    if (member === undefined) {
      throw new EncodeError(`is no property here; ${instead(name, of)}`, [...path, name]);
    }
    checkMember(inner, member, [...path, name]);
  }
  const properties = Object.fromEntries(given);
  for (const name of of.required) {
    if (properties[name] === undefined) throw new EncodeError('is missing', [...path, name]);
  }
  for (const group of of.families) checkFamilies(properties, group, path);
}

/** The property that was meant, if one is but two letters away; else all there are. */
function instead(name: string, { members }: Shape): string {
  const known = [...members.keys()];
  const [nearest] = known
    .map((one): [number, string] => [distance(name, one), one])
    .filter(([away]) => away <= 2)
    .sort(([a], [b]) => a - b);
  return nearest ? `did you mean ${nearest[1]}?` : `there are ${known.join(', ')}`;
}

/** How many letters must be added, removed or changed (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const change = (row[j] as number) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

function checkMember(value: unknown, { holds, shape }: Member, path: readonly string[]): void {
  switch (holds) {
    case 'object':
      if (shape) checkProperties(value, shape, path);
      break;
    case 'list':
      if (!Array.isArray(value)) throw new EncodeError('is no array', path);
      if (shape) {
        const last = path.at(-1);
        const outer = path.slice(0, -1);
        for (const [i, item] of value.entries()) {
          checkProperties(item, shape, [...outer, `${last}[${i}]`]);
        }
      }
      break;
    case 'text':
      if (typeof value !== 'string') throw new EncodeError('is no string', path);
      break;
    case 'u16':
      if (!Number.isInteger(value) || (value as number) >>> 16 !== 0) {
        throw new EncodeError('is no whole number from 0 to 65535', path);
      }
      break;
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw new EncodeError('is no Uint8Array', path);
      break;
    case 'key':
      if (value instanceof Uint8Array) break;
      if (typeof value !== 'object' || value === null || !('bytes' in value)) {
        throw new EncodeError('is neither a Uint8Array nor a KeyMaterial', path);
      }
  }
}

/** Refuses addresses of which one is IPv4 and another IPv6. */
function checkFamilies(
  properties: Readonly<Record<string, unknown>>,
  group: readonly string[],
  path: readonly string[],
): void {
  let first: { name: string; family: number } | undefined;
  const word = (family: number) => (family === AF_INET ? 'IPv4' : 'IPv6');
  for (const name of group) {
    const family = addressFamily(String(properties[name]));
    if (family === undefined) continue;
    first ??= { name, family };
    if (family !== first.family) {
      const reason = `is ${word(family)}, ${first.name} is ${word(first.family)}: both must be of one family`;
      throw new EncodeError(reason, [...path, name]);
    }
  }
}
