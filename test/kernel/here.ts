/**
 * Two hosts, of which the left one is the namespace that the tests run in, and their addresses.
 * @module
 */
import { LEFT, RIGHT, type TwoHosts, twoHosts } from '../../lib/testing/topologies.ts';

export type { Host } from '../../lib/testing/host.ts';
export type { TwoHosts };

/** The address of each host's cable, and the one behind it. */
export const UNDERLAY = { left: LEFT.address, right: RIGHT.address } as const;
export const INNER = { left: LEFT.inner, right: RIGHT.inner } as const;

/** This namespace and another, joined by a cable that is called so on both. */
export const hostsHere = (): Promise<TwoHosts> => twoHosts({ left: { here: true } });
