/** Selectors as callers of the client write them. @module */
import { shallowCopy } from '../base/shallow-copy.ts';
import type { Encodable } from '../wire/encodable.ts';
import { hostBits, withLengths } from '../wire/network.ts';
import type { XfrmSelector } from './types.ts';

const NETWORKS = [
  ['saddr', 'prefixlenS'],
  ['daddr', 'prefixlenD'],
] as const;

/**
 * Converts a selector whose networks may include their prefix lengths (`10.0.0.0/8`) to the
 * kernel's form. An address without a prefix length is a single host, as with `ip xfrm`: a length
 * of 0 would select all traffic.
 *
 * @throws EncodeError for an invalid network, or one with two prefix lengths
 */
export function takeNetworks<Given extends Encodable<XfrmSelector> | undefined>(
  selector: Given,
  path: readonly string[],
): Given {
  const given = withLengths<Encodable<XfrmSelector> | undefined>(selector, NETWORKS as never, path);
  if (typeof given !== 'object' || given === null) return given as Given;
  let taken: typeof given | undefined;
  for (const [name, length] of NETWORKS) {
    const { [name]: address, [length]: said } = given;
    if (said !== undefined || typeof address !== 'string' || isAny(address)) continue;
    taken = Object.assign(taken ?? shallowCopy(given), { [length]: hostBits(address) });
  }
  return (taken ?? given) as Given;
}

/** 0.0.0.0 and :: are not hosts: without a prefix length they mean every address. */
const isAny = (address: string): boolean => /^[0.]+$|^[0:]+$/.test(address);

/** The same for an object that has a selector. */
export function takeNetworksOf<
  Given extends { readonly selector?: Encodable<XfrmSelector> | undefined },
>(given: Given, ...path: readonly string[]): Given {
  if (typeof given !== 'object' || given === null || given.selector === undefined) return given;
  const selector = takeNetworks(given.selector, [...path, 'selector']);
  return selector === given.selector ? given : Object.assign(shallowCopy(given), { selector });
}
