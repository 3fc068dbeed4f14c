/**
 * Checks of what callers pass to the client, before anything is sent. The encoders check each value;
 * here is what they can't see: misspelled properties, and keys of a length the kernel would refuse
 * with a bare EINVAL.
 * @module
 */
import type { Attribute } from '../wire/attribute-table.ts';
import { EncodeError } from '../wire/error.ts';
import type { Struct } from '../wire/struct.ts';
import { attributes } from './attributes.ts';

/** The properties an object may have, each with those of the object it holds. */
export type Shape = Map<string, Shape | undefined>;

function shapeOf(struct: Struct): Shape {
  const shape: Shape = new Map();
  for (const field of struct.fields) {
    if (field.type === 'struct' && field.inline) {
      for (const [name, inner] of shapeOf(field.struct)) shape.set(name, inner);
    } else if (field.type !== 'reserved') {
      shape.set(field.name, field.type === 'struct' ? shapeOf(field.struct) : undefined);
    }
  }
  return shape;
}

const attributesByName = new Map<string, Attribute>(
  attributes.attributes.map((attribute) => [attribute.name, attribute]),
);

/** The properties of an object made of a struct and of attributes. */
export function shape(struct: Struct, names: readonly string[]): Shape {
  const properties = shapeOf(struct);
  for (const name of names) {
    const attribute = attributesByName.get(name);
    const holds = attribute?.type === 'struct' || attribute?.type === 'list';
    properties.set(name, holds ? shapeOf(attribute.struct) : undefined);
  }
  properties.set('unknown', undefined);
  return properties;
}

/**
 * Refuses properties that nothing is made of.
 *
 * @throws EncodeError that names the property, and one it may be mistaken for
 */
export function checkProperties(value: unknown, properties: Shape, path: readonly string[]): void {
  if (typeof value !== 'object' || value === null) {
    throw new EncodeError(`${String(value)} is no object`, path);
  }
  for (const [name, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    const known = properties.get(name);
    if (known === undefined && !properties.has(name)) {
      const known = [...properties.keys()].join(', ');
      throw new EncodeError(`is no property here; there are ${known}`, [...path, name]);
    }
    if (known === undefined) continue;
    const items = Array.isArray(inner) ? inner : [inner];
    for (const [index, item] of items.entries()) {
      const at = Array.isArray(inner) ? `${name}[${index}]` : name;
      checkProperties(item, known, [...path, at]);
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
