/**
 * Networks: an address and a prefix length.
 * @module
 */
import { shown } from '../base/shown.ts';
import { AF_INET, addressFamily, writeAddress } from './address.ts';
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

/**
 * Parses a network such as `10.0.0.0/8`; an address alone is a single host. Undefined if it is
 * neither.
 */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', length, ...more] = text.split('/');
  const family = addressFamily(address);
  if (family === undefined || more.length > 0) return undefined;
  const most = family === AF_INET ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return undefined;
  const bits = length === undefined ? most : Number(length);
  if (bits > most) return undefined;
  const bytes = new Uint8Array(16);
  writeAddress(bytes, 0, address, family, '');
  return { address, family, bits, bytes };
}

/** The same, but throws. @throws EncodeError that says what is expected */
export function networkOf(text: unknown, path: readonly string[]): Network {
  const network = typeof text === 'string' ? parseNetwork(text) : undefined;
  if (network !== undefined) return network;
  const reason = `invalid value ${shown(text)}: expected an address or a network (10.0.0.0/8)`;
  throw new EncodeError(reason, path);
}

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
  let taken = given;
  for (const [name, length] of pairs) {
    // Two addresses may share one length.
    const { [name]: text, [length]: said } = taken;
    if (typeof text !== 'string' || !text.includes('/')) continue;
    const { address, bits } = networkOf(text, [...path, name]);
    if (said !== undefined && said !== bits) {
      const reason = `is ${shown(said)}, but ${name} is ${shown(text)}: give one of them`;
      throw new EncodeError(reason, [...path, length]);
    }
    taken = { ...taken, [name]: address, [length]: bits };
  }
  return taken;
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
