/**
 * Networks: an address and a prefix length.
 * @module
 */
import { shallowCopy } from '../base/shallow-copy.ts';
import { shown } from '../base/shown.ts';
import { AF_INET, addressFamily, familyOf, writeAddress } from './address.ts';
import { EncodeError } from './error.ts';

/** A network, prepared for comparison with addresses. */
export interface Network {
  /** The address as it was given. */
  readonly address: string;
  readonly family: number;
  /** Its prefix length in bits. */
  readonly bits: number;
  readonly bytes: Uint8Array;
}

/** The length of a host's prefix in bits; undefined if the text is not an address. */
export function hostBits(address: string): number | undefined {
  const family = addressFamily(address);
  return family === undefined ? undefined : family === AF_INET ? 32 : 128;
}

type Prefix = Pick<Network, 'address' | 'bits'>;

function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const most = hostBits(address);
  if (most === undefined) return undefined;
  if (slash < 0) return { address, bits: most };
  const length = text.slice(slash + 1);
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : most + 1;
  return bits > most ? undefined : { address, bits };
}

/**
 * Parses a network such as `10.0.0.0/8`; an address alone is a single host. Undefined if it is
 * neither.
 */
export function parseNetwork(text: string): Network | undefined {
  const prefix = parsePrefix(text);
  if (prefix === undefined) return undefined;
  const family = familyOf(prefix.address);
  const bytes = new Uint8Array(16);
  writeAddress(bytes, 0, prefix.address, family, '');
  return { ...prefix, family, bytes };
}

function refuse(text: unknown, path: readonly string[]): never {
  const reason = `invalid value ${shown(text)}: expected an address or a network (10.0.0.0/8)`;
  throw new EncodeError(reason, path);
}

/** {@link parseNetwork}, but throws. @throws EncodeError that says what is expected */
export const networkOf = (text: unknown, path: readonly string[]): Network =>
  (typeof text === 'string' ? parseNetwork(text) : undefined) ?? refuse(text, path);

/**
 * Converts a value whose addresses may include their prefix lengths (`10.0.0.0/8`) to the kernel's
 * form, with the length in a property of its own. Other invalid values are left for the checks of
 * each property.
 *
 * @param pairs each address property with its length property
 * @throws EncodeError for an invalid network, or one with two prefix lengths
 */
export function withLengths<Given>(
  given: Given,
  pairs: readonly (readonly [address: keyof Given & string, length: keyof Given & string])[],
  path: readonly string[],
): Given {
  if (typeof given !== 'object' || given === null) return given;
  let taken: (Given & object) | undefined;
  for (const [name, length] of pairs) {
    // Two addresses may share one length.
    const { [name]: text, [length]: said } = taken ?? given;
    if (typeof text !== 'string' || !text.includes('/')) continue;
    const { address, bits } = parsePrefix(text) ?? refuse(text, [...path, name]);
    if (said !== undefined && said !== bits) {
      const reason = `is ${shown(said)}, but ${name} is ${shown(text)}: give one of them`;
      throw new EncodeError(reason, [...path, length]);
    }
    taken = Object.assign(taken ?? shallowCopy(given), { [name]: address, [length]: bits });
  }
  return taken ?? given;
}

const scratch = new Uint8Array(16);

/**
 * Whether a network contains an address, or the whole network formed by it and a prefix length. No
 * network contains text that is not an address.
 */
export function contains({ family, bits, bytes }: Network, address: string, length = 128): boolean {
  if (length < bits || addressFamily(address) !== family) return false;
  scratch.fill(0);
  writeAddress(scratch, 0, address, family, '');
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (scratch[i] !== bytes[i]) return false;
  const rest = bits & 7;
  if (rest === 0) return true;
  const differ = (scratch[whole] as number) ^ (bytes[whole] as number);
  return differ >> (8 - rest) === 0;
}
