/** Selectors as callers of the client write them. @module */
import type { Encodable } from '../wire/encodable.ts';
import { withLengths } from '../wire/network.ts';
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
export const takeNetworks = <Given extends Encodable<XfrmSelector> | undefined>(
  selector: Given,
  path: readonly string[],
): Given =>
  withLengths<Encodable<XfrmSelector> | undefined>(selector, NETWORKS as never, path) as Given;

/** The same of what has a selector. */
export function takeNetworksOf<
  Given extends { readonly selector?: Encodable<XfrmSelector> | undefined },
>(given: Given, ...path: readonly string[]): Given {
  if (typeof given !== 'object' || given === null || given.selector === undefined) return given;
  const selector = takeNetworks(given.selector, [...path, 'selector']);
  return selector === given.selector ? given : { ...given, selector };
}
