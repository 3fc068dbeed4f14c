/**
 * Checks of the objects that callers pass to clients, before anything is sent. The encoders check
 * the range of each value; this module finds what they cannot see: misspelled and missing
 * properties, values of the wrong type, addresses of mixed families, and properties that belong to
 * another kind.
 * @module
 */

import { instead } from '../base/nearest.ts';
import { shown } from '../base/shown.ts';
import { AF_INET, addressFamily } from './address.ts';
import { EncodeError } from './error.ts';
import type { Choice, Member, Shape } from './shape.ts';

/**
 * Refuses an object that cannot be encoded.
 *
 * @throws EncodeError that names the property and what it should be
 */
export function checkProperties(value: unknown, of: Shape, path: readonly string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EncodeError('must be an object', path);
  }
  const given = Object.entries(value).filter(([, inner]) => inner !== undefined);
  for (const [name, inner] of given) {
    const member = of.members.get(name);
    if (member === undefined) {
      throw new EncodeError(
        `unknown property; ${instead(name, [...of.members.keys()], 'properties')}`,
        [...path, name],
      );
    }
    checkMember(inner, member, [...path, name]);
  }
  const properties = Object.fromEntries(given);
  for (const name of of.required) {
    if (properties[name] === undefined) throw new EncodeError('is missing', [...path, name]);
  }
  for (const group of of.families) checkFamilies(properties, group, path);
  for (const choice of of.choices) checkChoice(properties, choice, path);
}

/** Refuses properties of another kind: the kernel would misread or ignore them. */
function checkChoice(
  properties: Readonly<Record<string, unknown>>,
  { by, names, options, raw }: Choice,
  path: readonly string[],
): void {
  const { [by]: given } = properties;
  const chosen = typeof given === 'number' ? (names?.name(given) ?? given) : given;
  for (const [name, values] of options) {
    if (properties[name] === undefined) continue;
    const refuse = (reason: string) => {
      throw new EncodeError(reason, [...path, name]);
    };
    const wanted = values.join(', ');
    if (chosen === undefined) refuse(`needs ${by} to be ${wanted}`);
    if (!values.includes(chosen as string)) {
      refuse(`needs ${by} to be ${wanted}; received ${shown(chosen)}`);
    }
    if (properties[raw] !== undefined)
      refuse(`and ${raw} set the same attribute: give one of them`);
  }
}

function checkMember(value: unknown, { holds, shape }: Member, path: readonly string[]): void {
  switch (holds) {
    case 'object':
      if (shape) checkProperties(value, shape, path);
      break;
    case 'list':
      if (!Array.isArray(value)) throw new EncodeError('must be an array', path);
      if (shape) {
        const last = path.at(-1);
        const outer = path.slice(0, -1);
        for (const [i, item] of value.entries()) {
          checkProperties(item, shape, [...outer, `${last}[${i}]`]);
        }
      }
      break;
    case 'text':
      if (typeof value !== 'string') throw new EncodeError('must be a string', path);
      // The kernel stops reading text at the NUL.
      if (value.includes('\0')) throw new EncodeError('contains a NUL character', path);
      break;
    case 'u16':
      if (!Number.isInteger(value) || (value as number) >>> 16 !== 0) {
        throw new EncodeError('must be an integer from 0 to 65535', path);
      }
      break;
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw new EncodeError('must be a Uint8Array', path);
      break;
    case 'key':
      if (value instanceof Uint8Array) break;
      if (typeof value !== 'object' || value === null || !('bytes' in value)) {
        throw new EncodeError('must be a Uint8Array or a KeyMaterial', path);
      }
  }
}

/** Refuses a mix of IPv4 and IPv6 addresses. */
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
      const reason = `is ${word(family)}, ${first.name} is ${word(first.family)}: the address families must match`;
      throw new EncodeError(reason, [...path, name]);
    }
  }
}
