/**
 * The content of requests for objects that this library only lists: neighbours, next hop objects,
 * namespace ids, IP settings.
 * @module
 */
import { checkProperties } from '../wire/check.ts';
import { type Member, shapeWith } from '../wire/shape.ts';
import { familyNamed, ofFamily } from './families.ts';
import type { AddressFamily } from './names.ts';
import type { Question } from './question.ts';

/** Which neighbours to list. */
export interface NeighbourFilter {
  /**
   * `bridge` lists the forwarding tables of bridges and tunnels. Default: all families except that.
   */
  readonly family?: AddressFamily | undefined;
  /** Interface index. */
  readonly index?: number | undefined;
  /** Interface index of the bridge they are on. */
  readonly master?: number | undefined;
  /** Entries this host answers for (proxy ARP), which no other list includes. */
  readonly proxy?: boolean | undefined;
}

/** Which next hop objects to list. */
export interface NexthopFilter {
  /** Interface index of the outgoing link. */
  readonly oif?: number | undefined;
  /** Interface index of the bridge or VRF. */
  readonly master?: number | undefined;
  /** Groups only. */
  readonly groups?: boolean | undefined;
}

/** The family whose settings to list. */
export interface NetconfFilter {
  readonly family?: AddressFamily | undefined;
}

/** A network namespace: by a process in it, an open descriptor of it, or its id in this one. */
export type NamespaceKey =
  | { readonly pid: number }
  | { readonly fd: number }
  | { readonly nsid: number };

type Holds = Member['holds'];

const NEIGHBOURS = shapeWith({
  family: 'other',
  index: 'other',
  master: 'other',
  proxy: 'other',
} satisfies Record<keyof NeighbourFilter, Holds>);
const NEXTHOPS = shapeWith({ oif: 'other', master: 'other', groups: 'other' } satisfies Record<
  keyof NexthopFilter,
  Holds
>);
const NETCONFS = shapeWith({ family: 'other' } satisfies Record<keyof NetconfFilter, Holds>);

export function listNeighbours(filter: NeighbourFilter): Question<'neighbour'> {
  checkProperties(filter, NEIGHBOURS, ['filter']);
  const { family, index, master, proxy } = filter;
  // Forwarding tables are selected by the struct, neighbours by an attribute (net/core: rtnetlink.c
  // valid_fdb_dump_strict, neighbour.c neigh_valid_dump_req).
  const by = family === 'bridge' ? { index } : { viaIndex: index };
  const flags = proxy ? (['proxy'] as const) : [];
  return { message: 'GETNEIGH', about: 'neighbour', value: { family, master, flags, ...by } };
}

export function getNeighbour(index: number, dst: string): Question<'neighbour'> {
  const family = familyNamed(dst, ['GETNEIGH', 'dst']);
  return { message: 'GETNEIGH', about: 'neighbour', value: { family, index, dst } };
}

export function listNexthops(filter: NexthopFilter): Question<'nexthop'> {
  checkProperties(filter, NEXTHOPS, ['filter']);
  const { oif, master, groups } = filter;
  const value = { oif, master, ...(groups ? { groups } : {}) };
  return { message: 'GETNEXTHOP', about: 'nexthop', value };
}

export const getNexthop = (id: number): Question<'nexthop'> => ({
  message: 'GETNEXTHOP',
  about: 'nexthop',
  value: { id },
});

export const namespaceIds = (key: Partial<NamespaceKey>): Question<'nsid'> => ({
  message: 'GETNSID',
  about: 'nsid',
  value: key,
});

export function listNetconfs(filter: NetconfFilter): Question<'netconf'> {
  checkProperties(filter, NETCONFS, ['filter']);
  const { family } = filter;
  return { message: 'GETNETCONF', about: 'netconf', value: { family }, keep: ofFamily(family) };
}

export const getNetconf = (family: AddressFamily, index: number): Question<'netconf'> => ({
  message: 'GETNETCONF',
  about: 'netconf',
  value: { family, index },
});
