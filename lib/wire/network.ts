/**
 * Networks: an address and how many of its first bits count.
 * @module
 */
import { AF_INET, addressFamily, writeAddress } from './address.ts';

/** A network, ready to be compared with addresses. */
export interface Network {
  /** The address as it was given. */
  readonly address: string;
  readonly family: number;
  /** Its prefix length in bits. */
  readonly bits: number;
  readonly bytes: Uint8Array;
}

/** `10.0.0.0/8` taken apart; an address alone is a network of one. Undefined if it is neither. */
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

const scratch = new Uint8Array(16);

/**
 * Whether a network holds an address, or all of the network that it and a prefix length make.
 * Text that is no address is in no network.
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
