/**
 * The content of requests for addresses.
 * @module
 */
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/constants.ts';
import { checkProperties } from '../wire/check.ts';
import type { Encodable } from '../wire/encodable.ts';
import { EncodeError } from '../wire/error.ts';
import { withLengths } from '../wire/network.ts';
import { type Member, shapeWith } from '../wire/shape.ts';
import { bits, familyFrom, ofFamily } from './families.ts';
import type { AddressFamily } from './names.ts';
import type { IpAddress } from './objects.ts';
import { checkObject, type Question } from './question.ts';

/** Which addresses to list. */
export interface IpAddressFilter {
  readonly family?: AddressFamily | undefined;
  /** Interface index. */
  readonly index?: number | undefined;
}

type Request = Question<'address'>;

const FILTER = shapeWith({ family: 'other', index: 'other' } satisfies Record<
  keyof IpAddressFilter,
  Member['holds']
>);

/** An address may include its prefix length: `10.0.0.1/24`. */
const NETWORKS = [
  ['local', 'prefixLength'],
  ['address', 'prefixLength'],
] as const;

/**
 * Completes an address: IPv4 carries it twice (local and address); the default prefix length is
 * that of a single host.
 */
function complete(
  given: Encodable<IpAddress>,
  message: 'NEWADDR' | 'DELADDR',
): Encodable<IpAddress> {
  const address = withLengths(given, NETWORKS, [message]);
  checkObject('address', address, message);
  const { local, address: other } = address;
  const own = local ?? other;
  if (own === undefined) throw new EncodeError('is missing', [message, 'address']);
  if (address.index === undefined) throw new EncodeError('is missing', [message, 'index']);
  const { times } = address;
  return {
    ...address,
    // The kernel refuses a preferred lifetime longer than the valid one (net/ipv4/devinet.c,
    // net/ipv6/addrconf.c).
    ...(times && { times: { preferredSeconds: times.validSeconds, ...times } }),
    family: familyFrom(address.family, [message], { local, address: other }),
    local: own,
    address: other ?? own,
    prefixLength: address.prefixLength ?? bits(own),
  };
}

export function listAddresses(filter: IpAddressFilter): Request {
  checkProperties(filter, FILTER, ['filter']);
  const { family, index } = filter;
  return { message: 'GETADDR', about: 'address', value: { family, index }, keep: ofFamily(family) };
}

const set = (address: Encodable<IpAddress>, flags: number): Request => ({
  message: 'NEWADDR',
  about: 'address',
  value: complete(address, 'NEWADDR'),
  flags: NLM_F_CREATE | flags,
});
export const addAddress = (address: Encodable<IpAddress>) => set(address, NLM_F_EXCL);
export const replaceAddress = (address: Encodable<IpAddress>) => set(address, NLM_F_REPLACE);

export const deleteAddress = (address: Encodable<IpAddress>): Request => ({
  message: 'DELADDR',
  about: 'address',
  value: complete(address, 'DELADDR'),
});
