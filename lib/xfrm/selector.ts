/** Selectors as callers of the client write them. @module */
import { shown } from '../base/shown.ts';
import type { Encodable } from '../wire/encodable.ts';
import { EncodeError } from '../wire/error.ts';
import { parseNetwork } from '../wire/network.ts';
import type { XfrmSelector } from './types.ts';

const NETWORKS = [
  ['saddr', 'prefixlenS'],
  ['daddr', 'prefixlenD'],
] as const;

/**
 * A selector as the kernel has it, of one whose networks may have their prefix lengths with them: `10.0.0.0/8`.
 *
 * @throws EncodeError for what is no network, or has two prefix lengths
 */
export function takeNetworks<Given extends Encodable<XfrmSelector> | undefined>(
  selector: Given,
  path: readonly string[],
): Given {
  if (typeof selector !== 'object' || selector === null) return selector;
  let taken: Given = selector;
  for (const [address, length] of NETWORKS) {
    const { [address]: text, [length]: given } = selector as Encodable<XfrmSelector>;
    if (typeof text !== 'string' || !text.includes('/')) continue;
    const network = parseNetwork(text);
    if (network === undefined)
      throw new EncodeError(`${shown(text)} is no network`, [...path, address]);
    if (given !== undefined && given !== network.bits) {
      const reason = `is ${shown(given)}, and ${address} is ${shown(text)}: give one of them`;
      throw new EncodeError(reason, [...path, length]);
    }
    taken = { ...taken, [address]: network.address, [length]: network.bits };
  }
  return taken;
}

/** The same of what has a selector. */
export function takeNetworksOf<
  Given extends { readonly selector?: Encodable<XfrmSelector> | undefined },
>(given: Given, ...path: readonly string[]): Given {
  if (typeof given !== 'object' || given === null || given.selector === undefined) return given;
  const selector = takeNetworks(given.selector, [...path, 'selector']);
  return selector === given.selector ? given : { ...given, selector };
}
