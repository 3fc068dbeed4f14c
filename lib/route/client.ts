/**
 * Ask and act: links, addresses, routes, rules and the rest listed, and the first four added,
 * changed and removed, with the types in which the events tell of them.
 * @module
 */
import type { RequestOptions } from '../netlink/connection.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/constants.ts';
import { addressFamily } from '../wire/address.ts';
import { EncodeError, shown } from '../wire/error.ts';
import type { Input } from '../wire/input.ts';
import { RTM_F_FIB_MATCH, RTM_F_LOOKUP_TABLE } from './constants.ts';
import { Conversation, type Listing } from './conversation.ts';
import {
  checkName,
  completeAddress,
  completeLink,
  completeRoute,
  completeRule,
  type LinkKey,
  linkKey,
  routeKey,
} from './defaults.ts';
import { AddressFamily, type RouteProtocol, type RouteType } from './names.ts';
import type {
  BridgePort,
  IpAddress,
  Link,
  NamespaceId,
  Neighbour,
  Netconf,
  Nexthop,
  Route,
  Rule,
} from './objects.ts';

export type { LinkKey, Listing };

/** Which links to list. */
export interface LinkFilter {
  /** The kind, as `veth` or `xfrm`. */
  readonly kind?: string | undefined;
  /** Interface index of the bridge, bond or VRF they are a part of. */
  readonly master?: number | undefined;
}

/** Which addresses to list. */
export interface IpAddressFilter {
  readonly family?: AddressFamily | undefined;
  /** Interface index. */
  readonly index?: number | undefined;
}

/** Which routes to list. */
export interface RouteFilter {
  readonly family?: AddressFamily | undefined;
  /** A table that is not there is an error, `ENOENT`, if a family is given. */
  readonly table?: number | undefined;
  readonly protocol?: RouteProtocol | undefined;
  readonly type?: RouteType | undefined;
  /** Interface index of where packets go. */
  readonly oif?: number | undefined;
}

/** The packet whose route is asked for. */
export interface RouteLookup {
  readonly dst: string;
  readonly src?: string | undefined;
  /** Interface index of where it goes. */
  readonly oif?: number | undefined;
  /** Interface index of where it came from: the route of a packet that passes through. */
  readonly iif?: number | undefined;
  readonly mark?: number | undefined;
  /** The user who sends it. */
  readonly uid?: number | undefined;
  /** Gives the route in the table that matches, and not what is made of it for this packet. */
  readonly match?: boolean | undefined;
}

/** Which neighbours to list. */
export interface NeighbourFilter {
  /** `bridge` lists the forwarding tables of bridges and tunnels. Default: all but those. */
  readonly family?: AddressFamily | undefined;
  /** Interface index. */
  readonly index?: number | undefined;
  /** Interface index of the bridge they are on. */
  readonly master?: number | undefined;
}

/** Which next hop objects to list. */
export interface NexthopFilter {
  /** Interface index of where packets go. */
  readonly oif?: number | undefined;
  /** Interface index of the bridge or VRF. */
  readonly master?: number | undefined;
  /** Groups only. */
  readonly groups?: boolean | undefined;
}

/** A network namespace: by a process in it, an open file of it, or its id here. */
export type NamespaceKey =
  | { readonly pid: number }
  | { readonly fd: number }
  | { readonly nsid: number };

/**
 * Requests to the kernel's rtnetlink, over a socket of their own. Listing needs no privilege.
 *
 * Every method returns when the kernel has answered, and throws
 * - EncodeError for a value that is none, before anything is sent; it names the value's path,
 * - KernelError for a refusal, with the kernel's words, the attribute, and a hint,
 * - SystemError where no socket can be had.
 *
 * A list is whole: it is asked for again if it was interrupted, and says so if it stays so.
 *
 * @example
 * await using client = new RouteClient();
 * await client.addLink({ name: 'ipsec0', info: { kind: 'xfrm', xfrm: { ifId: 7 } } });
 * await client.setUp({ name: 'ipsec0' });
 */
export class RouteClient implements AsyncDisposable {
  readonly #conversation = new Conversation();

  /** All links, or those a filter names. */
  listLinks(filter: LinkFilter = {}, options?: RequestOptions): Promise<Listing<Link>> {
    const { kind, master } = filter;
    const info = kind === undefined ? undefined : { kind };
    return this.#conversation.list(
      { message: 'GETLINK', about: 'link', value: { info, master } },
      options,
    );
  }

  /** One link. @throws KernelError `ENODEV` if there is none */
  async getLink(key: LinkKey, options?: RequestOptions): Promise<Link> {
    return this.#conversation.one(
      { message: 'GETLINK', about: 'link', value: linkKey(key, 'GETLINK') },
      options,
    );
  }

  /**
   * Makes a link: its `name` and `info.kind`, and what the kind asks for. A veth pair is one link
   * whose `info.veth.peer` is the other.
   * @throws KernelError `EEXIST`, or `ENOTSUP` for a kind the kernel lacks
   */
  async addLink(link: Input<Link>, options?: RequestOptions): Promise<void> {
    const complete = completeLink(link, 'NEWLINK');
    const flags = NLM_F_CREATE | NLM_F_EXCL;
    await this.#conversation.ask(
      { message: 'NEWLINK', about: 'link', value: complete, flags },
      options,
    );
  }

  /**
   * Changes a link: what is given. `flags` are set as they are, all others cleared, unless
   * `change` says which count.
   */
  async changeLink(key: LinkKey, changes: Input<Link>, options?: RequestOptions): Promise<void> {
    const complete = completeLink(changes, 'NEWLINK');
    const { index } = await this.#identify(key, 'NEWLINK', options);
    const change = changes.flags === undefined ? {} : { change: changes.change ?? 0xffffffff };
    await this.#conversation.ask(
      { message: 'NEWLINK', about: 'link', value: { ...complete, ...change, index } },
      options,
    );
  }

  /** Switches a link on. */
  async setUp(key: LinkKey, options?: RequestOptions): Promise<void> {
    const link = { ...linkKey(key, 'NEWLINK'), flags: ['up'], change: ['up'] } as const;
    await this.#conversation.ask({ message: 'NEWLINK', about: 'link', value: link }, options);
  }

  /** Switches a link off. */
  async setDown(key: LinkKey, options?: RequestOptions): Promise<void> {
    const link = { ...linkKey(key, 'NEWLINK'), flags: [], change: ['up'] } as const;
    await this.#conversation.ask({ message: 'NEWLINK', about: 'link', value: link }, options);
  }

  /** Moves a link into another network namespace, under another name if `name` is given. */
  async moveLink(
    key: LinkKey,
    to: Extract<NamespaceKey, { pid: number } | { fd: number }> & { readonly name?: string },
    options?: RequestOptions,
  ): Promise<void> {
    const namespace = 'pid' in to ? { netNsPid: to.pid } : { netNsFd: to.fd };
    if (to.name !== undefined) checkName(to.name, ['NEWLINK', 'name']);
    const { index } = await this.#identify(key, 'NEWLINK', options);
    const link = { index, name: to.name, ...namespace };
    await this.#conversation.ask({ message: 'NEWLINK', about: 'link', value: link }, options);
  }

  /** Deletes a link; of a veth pair, both. @throws KernelError `ENODEV` if there is none */
  async deleteLink(key: LinkKey, options?: RequestOptions): Promise<void> {
    await this.#conversation.ask(
      { message: 'DELLINK', about: 'link', value: linkKey(key, 'DELLINK') },
      options,
    );
  }

  /** The ports of bridges. */
  listPorts(options?: RequestOptions): Promise<Listing<BridgePort>> {
    const value = { family: 'bridge' } as const;
    return this.#conversation.list({ message: 'GETLINK', about: 'port', value }, options);
  }

  /** All addresses, or those a filter names. */
  listAddresses(
    filter: IpAddressFilter = {},
    options?: RequestOptions,
  ): Promise<Listing<IpAddress>> {
    const { family, index } = filter;
    return this.#conversation.list(
      { message: 'GETADDR', about: 'address', value: { family, index } },
      options,
    );
  }

  /** The address of an interface, from the list; undefined if it has it not. */
  async getAddress(
    index: number,
    address: string,
    options?: RequestOptions,
  ): Promise<IpAddress | undefined> {
    const family = familyNamed(address, ['GETADDR', 'address']);
    const { items } = await this.listAddresses({ family, index }, options);
    return items.find((one) => (one.local ?? one.address) === address);
  }

  /**
   * Adds an address to the interface `index`. The prefix is all of it unless `prefixLength` says so;
   * `address` is the other end's where `local` is one's own.
   * @throws KernelError `EEXIST` if the interface has it
   */
  async addAddress(address: Input<IpAddress>, options?: RequestOptions): Promise<void> {
    const complete = completeAddress(address, 'NEWADDR');
    await this.#conversation.ask(
      { message: 'NEWADDR', about: 'address', value: complete, flags: NLM_F_CREATE | NLM_F_EXCL },
      options,
    );
  }

  /** Adds an address, or changes the times and flags of the one that is there. */
  async changeAddress(address: Input<IpAddress>, options?: RequestOptions): Promise<void> {
    const complete = completeAddress(address, 'NEWADDR');
    await this.#conversation.ask(
      {
        message: 'NEWADDR',
        about: 'address',
        value: complete,
        flags: NLM_F_CREATE | NLM_F_REPLACE,
      },
      options,
    );
  }

  /** Removes an address. @throws KernelError `EADDRNOTAVAIL` if the interface has it not */
  async deleteAddress(address: Input<IpAddress>, options?: RequestOptions): Promise<void> {
    await this.#conversation.ask(
      { message: 'DELADDR', about: 'address', value: completeAddress(address, 'DELADDR') },
      options,
    );
  }

  /** All routes, or those a filter names. */
  listRoutes(filter: RouteFilter = {}, options?: RequestOptions): Promise<Listing<Route>> {
    return this.#conversation.list(
      { message: 'GETROUTE', about: 'route', value: { ...filter } },
      options,
    );
  }

  /** The route that a packet takes. @throws KernelError `ENETUNREACH` if there is none */
  async getRoute(packet: RouteLookup, options?: RequestOptions): Promise<Route> {
    const { dst, src, match = false, ...more } = packet;
    const family = familyNamed(dst, ['GETROUTE', 'dst']);
    const bits = family === 'inet' ? 32 : 128;
    const srcLength = src === undefined ? 0 : bits;
    const flags = RTM_F_LOOKUP_TABLE | (match ? RTM_F_FIB_MATCH : 0);
    const value = { ...more, family, dst, dstLength: bits, src, srcLength, flags };
    return this.#conversation.one({ message: 'GETROUTE', about: 'route', value }, options);
  }

  /**
   * Adds a route. Left out, it is unicast, static, in table main, and `dstLength` is all of `dst`;
   * without `dst` it is the default route.
   * @throws KernelError `EEXIST` if there is one with its destination and metric
   */
  async addRoute(route: Input<Route>, options?: RequestOptions): Promise<void> {
    const complete = completeRoute(route, 'NEWROUTE');
    await this.#conversation.ask(
      { message: 'NEWROUTE', about: 'route', value: complete, flags: NLM_F_CREATE | NLM_F_EXCL },
      options,
    );
  }

  /** Adds a route, or replaces the one with its destination and metric. */
  async replaceRoute(route: Input<Route>, options?: RequestOptions): Promise<void> {
    const complete = completeRoute(route, 'NEWROUTE');
    const flags = NLM_F_CREATE | NLM_F_REPLACE;
    await this.#conversation.ask(
      { message: 'NEWROUTE', about: 'route', value: complete, flags },
      options,
    );
  }

  /**
   * Removes a route: the first that has what is given; the table is main unless given.
   * @throws KernelError `ESRCH` if there is none
   */
  async deleteRoute(route: Input<Route>, options?: RequestOptions): Promise<void> {
    await this.#conversation.ask(
      { message: 'DELROUTE', about: 'route', value: routeKey(route, 'DELROUTE') },
      options,
    );
  }

  /** All neighbours, or those a filter names. */
  listNeighbours(
    filter: NeighbourFilter = {},
    options?: RequestOptions,
  ): Promise<Listing<Neighbour>> {
    const { family, index, master } = filter;
    // Forwarding tables are chosen by the struct, neighbours by an attribute (net/core: rtnetlink.c
    // valid_fdb_dump_strict, neighbour.c neigh_valid_dump_req).
    const by = family === 'bridge' ? { index } : { viaIndex: index };
    return this.#conversation.list(
      { message: 'GETNEIGH', about: 'neighbour', value: { family, master, ...by } },
      options,
    );
  }

  /** One neighbour. @throws KernelError `ENOENT` if there is none */
  async getNeighbour(index: number, dst: string, options?: RequestOptions): Promise<Neighbour> {
    const family = familyNamed(dst, ['GETNEIGH', 'dst']);
    return this.#conversation.one(
      { message: 'GETNEIGH', about: 'neighbour', value: { family, index, dst } },
      options,
    );
  }

  /** All rules, or those of a family. */
  listRules(
    filter: { readonly family?: AddressFamily | undefined } = {},
    options?: RequestOptions,
  ): Promise<Listing<Rule>> {
    return this.#conversation.list(
      { message: 'GETRULE', about: 'rule', value: { family: filter.family } },
      options,
    );
  }

  /** The first rule of a priority, from the list; undefined if there is none. */
  async getRule(
    family: AddressFamily,
    priority: number,
    options?: RequestOptions,
  ): Promise<Rule | undefined> {
    const { items } = await this.listRules({ family }, options);
    return items.find((one) => (one.priority ?? 0) === priority);
  }

  /** Adds a rule. It leads to table main unless `table` or `action` say something else. */
  async addRule(rule: Input<Rule>, options?: RequestOptions): Promise<void> {
    const complete = completeRule(rule, 'NEWRULE');
    await this.#conversation.ask(
      { message: 'NEWRULE', about: 'rule', value: complete, flags: NLM_F_CREATE | NLM_F_EXCL },
      options,
    );
  }

  /**
   * Removes a rule: the first that has what is given. (A rule cannot be changed: remove it and add
   * another.)
   * @throws KernelError `ENOENT` if there is none
   */
  async deleteRule(rule: Input<Rule>, options?: RequestOptions): Promise<void> {
    const { action = 'unspec', table = 0 } = rule;
    const complete = completeRule({ ...rule, action, table }, 'DELRULE');
    await this.#conversation.ask({ message: 'DELRULE', about: 'rule', value: complete }, options);
  }

  /** All next hop objects, or those a filter names. */
  listNexthops(filter: NexthopFilter = {}, options?: RequestOptions): Promise<Listing<Nexthop>> {
    const { oif, master, groups } = filter;
    return this.#conversation.list(
      {
        message: 'GETNEXTHOP',
        about: 'nexthop',
        value: { oif, master, ...(groups ? { groups } : {}) },
      },
      options,
    );
  }

  /** One next hop object. @throws KernelError `ENOENT` if there is none */
  async getNexthop(id: number, options?: RequestOptions): Promise<Nexthop> {
    return this.#conversation.one(
      { message: 'GETNEXTHOP', about: 'nexthop', value: { id } },
      options,
    );
  }

  /** The ids that other network namespaces have here. */
  listNamespaceIds(options?: RequestOptions): Promise<Listing<NamespaceId>> {
    return this.#conversation.list({ message: 'GETNSID', about: 'nsid', value: {} }, options);
  }

  /** The id of a network namespace here; -1 if it has none. */
  async getNamespaceId(key: NamespaceKey, options?: RequestOptions): Promise<NamespaceId> {
    return this.#conversation.one({ message: 'GETNSID', about: 'nsid', value: key }, options);
  }

  /** Settings of IP on all links, and of `all` (-1) and `default` (-2). */
  listNetconfs(
    filter: { readonly family?: AddressFamily | undefined } = {},
    options?: RequestOptions,
  ): Promise<Listing<Netconf>> {
    return this.#conversation.list(
      { message: 'GETNETCONF', about: 'netconf', value: { family: filter.family } },
      options,
    );
  }

  /** Settings of IP on a link. @param index -1 for all, -2 for new ones */
  async getNetconf(
    family: AddressFamily,
    index: number,
    options?: RequestOptions,
  ): Promise<Netconf> {
    return this.#conversation.one(
      { message: 'GETNETCONF', about: 'netconf', value: { family, index } },
      options,
    );
  }

  /** Closes the sockets; requests under way are rejected. Can be called twice. */
  close(): Promise<void> {
    return this.#conversation.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A link’s index: a request that renames it can’t have its old name too. */
  async #identify(key: LinkKey, message: string, options: RequestOptions | undefined) {
    const { index } = linkKey(key, message);
    return index === undefined ? await this.getLink(key, options) : { index: Number(index) };
  }
}

function familyNamed(address: string, path: readonly string[]): 'inet' | 'inet6' {
  const family = addressFamily(address);
  if (family === undefined) throw new EncodeError(`${shown(address)} is no address`, path);
  return family === AddressFamily.numbers.inet ? 'inet' : 'inet6';
}
