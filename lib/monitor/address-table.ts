/**
 * How each rtnetlink event changes a table of links and addresses. An event carries its whole
 * object, and nothing changes without an event, so no row is ever uncertain. Local routes also make
 * addresses: the kernel accepts packets to them and sends from them (net/ipv4/fib_frontend.c,
 * inet_addr_type).
 * @module
 */
import type { RouteEvent } from '../route/events.ts';
import type { IpAddress, Link, Route } from '../route/objects.ts';
import type { ObjectModel, Rows } from './object-model.ts';

/** A link, with what decides whether its addresses are usable. */
export interface HostLink {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
}

/** An address of a link, which may have the same address more than once. */
export interface HostAddress {
  readonly address: string;
  /** The link's index. */
  readonly index: number;
  /** Distinguishes several assignments of the same address. */
  readonly holding: string;
}

/** Links come first, so that what is removed with a link is removed after it. */
export type AddressKinds = { link: HostLink; address: HostAddress };

export const hostLink = ({ index, name, flags }: Link): HostLink => ({
  index,
  name: name ?? `${index}`,
  up: flags.names.includes('up'),
});

/**
 * Whether the kernel accepts packets for an address: an IPv6 address gets its local route when it
 * was found to be unique, and none if it was not (net/ipv6/addrconf.c, addrconf_dad_completed).
 */
export const isAccepted = ({ flags }: IpAddress): boolean =>
  !flags?.names.includes('tentative') || flags.names.includes('optimistic');

/** @returns undefined if it is not an address that packets can be sent from */
export function hostAddress(one: IpAddress): HostAddress | undefined {
  const { family, index, local, prefixLength } = one;
  // On a point-to-point link `address` is the peer's (linux/if_addr.h).
  const address = local ?? one.address;
  if (address === undefined) return undefined;
  // An interface can hold the same IPv4 address several times, with different prefixes or peers;
  // each is added and removed on its own (seen on 6.18). It holds an IPv6 address once, and the
  // peer may change.
  const holding = family === 'inet' ? `${index} ${one.address}/${prefixLength}` : `${index}`;
  return { address, index, holding };
}

/** The assignment of an address that comes from a route rather than from a link. */
const BY_ROUTE = 'by route';

/** @returns undefined for a route that adds no address, or that the kernel made for one */
export function routedAddress(route: Route): HostAddress | undefined {
  const { family, type, protocol, dst, dstLength, oif = 0 } = route;
  const isHost = dst !== undefined && dstLength === (family === 'inet6' ? 128 : 32);
  if (type !== 'local' || protocol === 'kernel' || !isHost) return undefined;
  return { address: dst, index: oif, holding: `${oif} ${BY_ROUTE}` };
}

const linkKey = ({ index }: Pick<HostLink, 'index'>): string => `${index}`;
const addressKey = ({ address, holding }: HostAddress): string => `${address} ${holding}`;

/**
 * Links and addresses, fed by the groups LINK, IPV4_IFADDR, IPV6_IFADDR, IPV4_ROUTE and IPV6_ROUTE.
 */
export const addressModel: ObjectModel<AddressKinds, RouteEvent> = {
  kinds: {
    link: {
      indexes: {},
      key: linkKey,
      differences: (before, after) =>
        (['name', 'up'] as const).filter((field) => before[field] !== after[field]),
    },
    address: {
      indexes: { address: ({ address }) => address, link: ({ index }) => `${index}` },
      key: addressKey,
      differences: () => [],
    },
  },
  apply(event, rows) {
    if (event.kind === 'NEWLINK') {
      const link = hostLink(event.link);
      rows.put('link', linkKey(link), link, 'same');
      if (!link.up) withoutRoutes(link.index, rows);
    } else if (event.kind === 'DELLINK') {
      rows.remove('link', linkKey(event.link), 'deleted');
      withoutRoutes(event.link.index, rows);
    } else if (event.kind === 'NEWROUTE' || event.kind === 'DELROUTE') {
      const address = routedAddress(event.route);
      if (address === undefined) return;
      if (event.kind === 'NEWROUTE') rows.put('address', addressKey(address), address, 'same');
      else rows.remove('address', addressKey(address), 'deleted');
    } else if (event.kind === 'NEWADDR' || event.kind === 'DELADDR') {
      const address = hostAddress(event.address);
      if (address === undefined) return;
      const isThere = event.kind === 'NEWADDR' && isAccepted(event.address);
      if (isThere) rows.put('address', addressKey(address), address, 'same');
      else rows.remove('address', addressKey(address), 'deleted');
    }
  },
};

/** Setting a link down removes its routes, those of IPv4 without an event (fib_sync_down_dev). */
function withoutRoutes(index: number, rows: Rows<AddressKinds>): void {
  for (const [, value] of rows.tables.address.findRows('link', `${index}`)) {
    if (value.holding.endsWith(BY_ROUTE)) rows.remove('address', addressKey(value), 'deleted');
  }
}
