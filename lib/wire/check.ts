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
import { EncodeError, within } from './error.ts';
import type { Choice, Member, Shape } from './shape.ts';

/**
 * Refuses an object that cannot be encoded.
 *
 * @throws EncodeError that names the property and what it should be
 */
export function checkProperties(value: unknown, of: Shape, path: readonly string[]): void {
  try {
    check(value, of);
  } catch (error) {
    throw error instanceof EncodeError
      ? new EncodeError(error.reason, [...path, ...error.path])
      : error;
  }
}

/** The same; paths begin here, and are put together only for an error. */
function check(value: unknown, of: Shape): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EncodeError('must be an object', []);
  }
  const properties = value as Readonly<Record<string, unknown>>;
  for (const name in properties) {
    const inner = properties[name];
    if (inner === undefined || !Object.hasOwn(properties, name)) continue;
    const member = of.members.get(name);
    if (member === undefined) {
      throw new EncodeError(
        `unknown property; ${instead(name, [...of.members.keys()], 'properties')}`,
        [name],
      );
    }
    if (member.shape === undefined) checkMember(inner, member, name);
    else checkInside(inner, member.shape, member, name);
  }
  for (const name of of.required) {
    if (properties[name] === undefined) throw new EncodeError('is missing', [name]);
  }
  for (const group of of.families) checkFamilies(properties, group);
  for (const choice of of.choices) checkChoice(properties, choice);
}

function checkInside(value: unknown, shape: Shape, { holds }: Member, name: string): void {
  if (holds === 'object') {
    try {
      check(value, shape);
    } catch (error) {
      throw within(error, name);
    }
    return;
  }
  if (!Array.isArray(value)) throw new EncodeError('must be an array', [name]);
  for (let i = 0; i < value.length; i++) {
    try {
      check(value[i], shape);
    } catch (error) {
      throw within(error, `${name}[${i}]`);
    }
  }
}

/** Refuses properties of another kind: the kernel would misread or ignore them. */
function checkChoice(
  properties: Readonly<Record<string, unknown>>,
  { by, names, options, raw }: Choice,
): void {
  const { [by]: given } = properties;
  const chosen = typeof given === 'number' ? (names?.name(given) ?? given) : given;
  for (const [name, values] of options) {
    if (properties[name] === undefined) continue;
    const refuse = (reason: string) => {
      throw new EncodeError(reason, [name]);
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

function checkMember(value: unknown, { holds }: Member, name: string): void {
  switch (holds) {
    case 'list':
      if (!Array.isArray(value)) throw new EncodeError('must be an array', [name]);
      break;
    case 'text':
      if (typeof value !== 'string') throw new EncodeError('must be a string', [name]);
      // The kernel stops reading text at the NUL.
      if (value.includes('\0')) throw new EncodeError('contains a NUL character', [name]);
      break;
    case 'u16':
      if (!Number.isInteger(value) || (value as number) >>> 16 !== 0) {
        throw new EncodeError('must be an integer from 0 to 65535', [name]);
      }
      break;
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw new EncodeError('must be a Uint8Array', [name]);
      break;
    case 'key':
      if (value instanceof Uint8Array) break;
      if (typeof value !== 'object' || value === null || !('bytes' in value)) {
        throw new EncodeError('must be a Uint8Array or a KeyMaterial', [name]);
      }
  }
}

/** Refuses a mix of IPv4 and IPv6 addresses. */
function checkFamilies(
  properties: Readonly<Record<string, unknown>>,
  group: readonly string[],
): void {
  let first: { name: string; family: number } | undefined;
  const word = (family: number) => (family === AF_INET ? 'IPv4' : 'IPv6');
  for (const name of group) {
    const text = properties[name];
    const family = typeof text === 'string' ? addressFamily(text) : undefined;
    if (family === undefined) continue;
    first ??= { name, family };
    if (family !== first.family) {
      const reason = `is ${word(family)}, ${first.name} is ${word(first.family)}: the address families must match`;
      throw new EncodeError(reason, [name]);
    }
  }
}
