/**
 * Address families and prefix lengths that requests omit, derived from their addresses.
 * @module
 */

import { shown } from '../base/shown.ts';
import { addressFamily, familyOf } from '../wire/address.ts';
import { EncodeError } from '../wire/error.ts';
import { AddressFamily } from './names.ts';

/**
 * The given family, or that of the first address that is present.
 *
 * @param addresses by property name; nested ones as `nexthops[0].gateway`
 * @throws EncodeError if nothing determines the family
 */
export function familyFrom(
  given: AddressFamily | undefined,
  path: readonly string[],
  addresses: Readonly<Record<string, string | undefined>>,
): AddressFamily {
  if (given !== undefined) return given;
  const found = familyOf(...Object.values(addresses));
  if (found !== 0) return AddressFamily.name(found);
  for (const [name, address] of Object.entries(addresses)) {
    if (address !== undefined) familyNamed(address, [...path, ...name.split('.')]);
  }
  throw new EncodeError('is missing, and no address implies it', [...path, 'family']);
}

/** The family of an address. @throws EncodeError if it is invalid */
export function familyNamed(address: string, path: readonly string[]): 'inet' | 'inet6' {
  const family = typeof address === 'string' ? addressFamily(address) : undefined;
  if (family === undefined)
    throw new EncodeError(`invalid value ${shown(address)}: expected an IP address`, path);
  return family === AddressFamily.numbers.inet ? 'inet' : 'inet6';
}

/**
 * Filters by the requested family. If the kernel has no dump handler for a family, or does not know
 * it, it dumps all families (net/core/rtnetlink.c, rtnetlink_rcv_msg falls back to the handler of
 * PF_UNSPEC).
 */
export function ofFamily(
  asked: AddressFamily | undefined,
): ((one: { readonly family: AddressFamily }) => boolean) | undefined {
  if (asked === undefined || asked === 'unspec' || asked === AddressFamily.numbers.unspec) {
    return undefined;
  }
  const name = typeof asked === 'number' ? AddressFamily.name(asked) : asked;
  return ({ family }) => family === name;
}

/** The full prefix length of an address in bits; 0 without an address. */
export const bits = (address: string | undefined) =>
  address === undefined ? 0 : addressFamily(address) === AddressFamily.numbers.inet ? 32 : 128;
