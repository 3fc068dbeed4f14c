/**
 * Checks of what callers pass to the client, before anything is sent. The encoders check the range of
 * each value; here is what they can't see: misspelled and missing properties, values of the wrong
 * type, addresses of mixed families, and keys of a length the kernel would refuse with a bare EINVAL.
 * @module
 */
import { AF_INET, addressFamily } from '../wire/address.ts';
import type { Attribute, AttributeTable } from '../wire/attribute-table.ts';
import { EncodeError } from '../wire/error.ts';
import type { Field, Struct } from '../wire/struct.ts';
import { attributes } from './attributes.ts';
import { xfrm_mark } from './structs.ts';

/** What a property holds: an object or a list of a shape, text, a key; the rest encoders check. */
interface Member {
  readonly holds: 'object' | 'list' | 'text' | 'key' | 'other';
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
  shape: shapeWith({ type: 'other', flags: 'other', bytes: 'other' }, ['type', 'bytes']),
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
      const known = [...of.members.keys()].join(', ');
      throw new EncodeError(`is no property here; there are ${known}`, [...path, name]);
    }
    checkMember(inner, member, [...path, name]);
  }
  const properties = Object.fromEntries(given);
  for (const name of of.required) {
    if (properties[name] === undefined) throw new EncodeError('is missing', [...path, name]);
  }
  for (const group of of.families) checkFamilies(properties, group, path);
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

/**
 * Bits of key that an algorithm takes (for AEADs with the salt, for rfc3686 with the nonce), and bits
 * of check value. From the setkey functions of crypto/ and the tables of net/xfrm/xfrm_algo.c.
 * HMACs take any key.
 */
const ALGORITHMS: Readonly<Record<string, { keyBits: number[]; icvBits?: number[] }>> = {
  'rfc4106(gcm(aes))': { keyBits: [160, 224, 288], icvBits: [64, 96, 128] },
  'rfc4543(gcm(aes))': { keyBits: [160, 224, 288], icvBits: [128] },
  'rfc4309(ccm(aes))': { keyBits: [152, 216, 280], icvBits: [64, 96, 128] },
  'rfc7539esp(chacha20,poly1305)': { keyBits: [288], icvBits: [128] },
  'cbc(aes)': { keyBits: [128, 192, 256] },
  'rfc3686(ctr(aes))': { keyBits: [160, 224, 288] },
  'cbc(camellia)': { keyBits: [128, 192, 256] },
  'cbc(des3_ede)': { keyBits: [192] },
  'ecb(cipher_null)': { keyBits: [0] },
};

interface AlgorithmInput {
  readonly name?: string | undefined;
  readonly keyBits?: number | undefined;
  readonly icvBits?: number | undefined;
  readonly key?: { readonly length: number } | undefined;
}

/**
 * Refuses key and check value lengths that are known to be wrong.
 *
 * @throws EncodeError that says which lengths there are
 */
export function checkAlgorithm(algorithm: AlgorithmInput | undefined, path: string[]): void {
  const known = ALGORITHMS[algorithm?.name ?? ''];
  if (algorithm === undefined || known === undefined) return;
  const bits = algorithm.keyBits ?? (algorithm.key?.length ?? 0) * 8;
  if (!known.keyBits.includes(bits)) {
    const salt = /^rfc/.test(algorithm.name ?? '') ? ' (salt included)' : '';
    const list = known.keyBits.join(', ');
    throw new EncodeError(`${algorithm.name} takes a key of ${list} bits${salt}, not ${bits}`, [
      ...path,
      'key',
    ]);
  }
  if (known.icvBits !== undefined && !known.icvBits.includes(algorithm.icvBits ?? 0)) {
    throw new EncodeError(
      `${algorithm.name} has check values of ${known.icvBits.join(', ')} bits, not ${algorithm.icvBits ?? 0}`,
      [...path, 'icvBits'],
    );
  }
}
