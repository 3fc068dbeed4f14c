/**
 * Lists links, addresses, routes, rules and other objects, and adds, changes and deletes the first
 * four, with the same types as the events. The content of the requests is in link-requests.ts,
 * address-requests.ts, route-requests.ts and other-requests.ts.
 * @module
 */
import { constants as system } from 'node:os';
import type { ClientOptions, RequestOptions } from '../netlink/connection.ts';
import type { Dump } from '../netlink/dump.ts';
import { KernelError } from '../netlink/kernel-error.ts';
import { withOpenNamespace } from '../netlink/open-namespace.ts';
import { canonicalAddress } from '../wire/address.ts';
import type { Encodable } from '../wire/encodable.ts';
import { u32 } from '../wire/integer.ts';
import type * as address from './address-requests.ts';
import { Conversation } from './conversation.ts';
import type * as link from './link-requests.ts';
import { type Rtnetlink, rtnetlink, withRtnetlink } from './load.ts';
import type { AddressFamily } from './names.ts';
import type {
  BridgePort,
  IpAddress,
  Link,
  NamespaceId,
  Neighbour,
  Netconf,
  Nexthop,
  Route,
  RoutingRule,
} from './objects.ts';
import type * as other from './other-requests.ts';
import type * as route from './route-requests.ts';

export type { DumpEnd, DumpResult } from '../netlink/dump.ts';
export type { IpAddressFilter } from './address-requests.ts';
export type { LinkDestination, LinkFilter, LinkKey } from './link-requests.ts';
export type {
  NamespaceKey,
  NeighbourFilter,
  NetconfFilter,
  NexthopFilter,
} from './other-requests.ts';
export type { RouteFilter, RouteLookup, RuleFilter } from './route-requests.ts';
export type { Dump };

/**
 * Requests to the kernel's rtnetlink, over a socket of their own. Listing and getting need no
 * privilege; changes need CAP_NET_ADMIN over the network namespace (net/core/rtnetlink.c,
 * rtnetlink_rcv_msg).
 *
 * Every method returns once the kernel has answered, and throws
 * - EncodeError for an invalid value, before anything is sent, with the path of the value,
 * - KernelError if the kernel refuses the request, with its message, the attribute and a hint,
 * - SystemError if a socket cannot be opened.
 *
 * An awaited list is requested again if the kernel reports it as interrupted; the result says if it
 * still is.
 *
 * @example
 * await using client = new RouteClient();
 * await client.addLink({ name: 'ipsec0', info: { kind: 'xfrm', xfrm: { ifId: 7 } } });
 * await client.setLinkUp({ name: 'ipsec0' });
 */
export class RouteClient implements AsyncDisposable {
  readonly #conversation: Conversation;

  /**
   * Opens no socket yet; the first request does.
   *
   * @throws TypeError or RangeError for an invalid option, which it names; SystemError if the
   *   namespace is missing (`open ENOENT`), is not a network namespace (`setns EINVAL`), or may not
   *   be entered (`setns EPERM`)
   */
  constructor(options: ClientOptions = {}) {
    this.#conversation = new Conversation(options);
  }

  /** All links, or those that match a filter. */
  listLinks(filter: link.LinkFilter = {}, options?: RequestOptions): Dump<Link> {
    return this.#conversation.list(({ link }) => link.listLinks, [filter], options);
  }

  /** One link. @throws KernelError `ENODEV` if it does not exist */
  async getLink(key: link.LinkKey, options?: RequestOptions): Promise<Link> {
    return this.#conversation.one(({ link }) => link.getLink, [key], options);
  }

  /**
   * Creates a link from its `name`, `info.kind`, and the attributes that the kind requires. A veth
   * pair is created as one link whose `info.veth.peer` is the other. Needs CAP_NET_ADMIN.
   * @throws KernelError `EEXIST`, or `ENOTSUP` if the kernel does not support the kind
   */
  async addLink(given: Encodable<Link>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ link }) => link.addLink, [given], options);
  }

  /**
   * Changes the given properties of a link. `flags` replaces all flags, unless `change` is a mask
   * of those to change. Needs CAP_NET_ADMIN.
   */
  async updateLink(
    key: link.LinkKey,
    changes: Encodable<Link>,
    options?: RequestOptions,
  ): Promise<void> {
    return withRtnetlink([key, changes], async ({ link }, [key, changes]) => {
      const change = link.updateLink(changes);
      const index = await this.#identify(link, key, options);
      return this.#conversation.act(() => change, [index], options);
    });
  }

  /**
   * Adds alternative names of up to 127 bytes each, by which {@link getLink} and other methods find
   * the link. Needs CAP_NET_ADMIN.
   * @throws KernelError `EEXIST` for a name that is in use; the names before it have been added
   */
  async addLinkAltNames(
    key: link.LinkKey,
    names: readonly string[],
    options?: RequestOptions,
  ): Promise<void> {
    return this.#conversation.act(
      ({ link }) => link.altNames,
      ['NEWLINKPROP', key, names],
      options,
    );
  }

  /**
   * Removes alternative names. Needs CAP_NET_ADMIN.
   * @throws KernelError `ENOENT` or `EINVAL` for a name that is not one of its alternative names
   */
  async deleteLinkAltNames(
    key: link.LinkKey,
    names: readonly string[],
    options?: RequestOptions,
  ): Promise<void> {
    return this.#conversation.act(
      ({ link }) => link.altNames,
      ['DELLINKPROP', key, names],
      options,
    );
  }

  /** Sets a link up. Needs CAP_NET_ADMIN. */
  async setLinkUp(key: link.LinkKey, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ link }) => link.switchLink, [key, true], options);
  }

  /** Sets a link down. Needs CAP_NET_ADMIN. */
  async setLinkDown(key: link.LinkKey, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ link }) => link.switchLink, [key, false], options);
  }

  /**
   * Moves a link into another network namespace, and renames it if `name` is given. Needs
   * CAP_NET_ADMIN in both namespaces.
   * @throws SystemError if the path of a namespace does not exist
   */
  async moveLink(
    key: link.LinkKey,
    to: link.LinkDestination,
    options?: RequestOptions,
  ): Promise<void> {
    return withRtnetlink([key, to], async ({ link }, [key, to]) => {
      const { netns, request } = link.moveLink(to);
      const index = await this.#identify(link, key, options);
      const move = (opened?: number) =>
        this.#conversation.act(() => request, [index, opened], options);
      return netns === undefined ? move() : withOpenNamespace(netns, move);
    });
  }

  /**
   * Deletes a link; for a veth pair, both ends. Needs CAP_NET_ADMIN.
   * @throws KernelError `ENODEV` if it does not exist
   */
  async deleteLink(key: link.LinkKey, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ link }) => link.deleteLink, [key], options);
  }

  /** The ports of bridges. */
  listBridgePorts(options?: RequestOptions): Dump<BridgePort> {
    const value = { family: 'bridge' } as const;
    return this.#conversation.list(
      () => () => ({ message: 'GETLINK', about: 'port', value }),
      [],
      options,
    );
  }

  /** All addresses, or those that match a filter. */
  listAddresses(filter: address.IpAddressFilter = {}, options?: RequestOptions): Dump<IpAddress> {
    return this.#conversation.list(({ address }) => address.listAddresses, [filter], options);
  }

  /**
   * An address of an interface, found by listing them.
   * @throws KernelError `EADDRNOTAVAIL` if the interface does not have it
   */
  async getAddress(index: number, text: string, options?: RequestOptions): Promise<IpAddress> {
    const { familyNamed } = await rtnetlink();
    const family = familyNamed(text, ['GETADDR', 'address']);
    const { items } = await this.listAddresses({ family, index }, options);
    const wanted = canonicalAddress(text);
    const found = items.find((one) => (one.local ?? one.address) === wanted);
    return (
      found ?? missing('RTM_GETADDR', 'EADDRNOTAVAIL', `address ${text} of interface ${index}`)
    );
  }

  /**
   * Adds an address to the interface `index`. Without `prefixLength` it is a single host (/32 or
   * /128). For a point-to-point link, `local` is the local address and `address` the peer's. Needs
   * CAP_NET_ADMIN.
   * @throws KernelError `EEXIST` if the interface has it
   */
  async addAddress(given: Encodable<IpAddress>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ address }) => address.addAddress, [given], options);
  }

  /**
   * Adds an address, or changes the lifetimes and flags of an existing one. Needs CAP_NET_ADMIN.
   */
  async replaceAddress(given: Encodable<IpAddress>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ address }) => address.replaceAddress, [given], options);
  }

  /**
   * Removes an address; `prefixLength` is as in {@link addAddress}. Needs CAP_NET_ADMIN.
   * @throws KernelError `EADDRNOTAVAIL` if the interface does not have it with this prefix length
   */
  async deleteAddress(given: Encodable<IpAddress>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ address }) => address.deleteAddress, [given], options);
  }

  /** All routes, or those that match a filter. */
  listRoutes(filter: route.RouteFilter = {}, options?: RequestOptions): Dump<Route> {
    return this.#conversation.list(({ route }) => route.listRoutes, [filter], options);
  }

  /** The route that a packet takes. @throws KernelError `ENETUNREACH` if there is none */
  async getRoute(packet: route.RouteLookup, options?: RequestOptions): Promise<Route> {
    return this.#conversation.one(({ route }) => route.lookUpRoute, [packet], options);
  }

  /**
   * Adds a route. Defaults: unicast, static, table main, and `dstLength` the full length of `dst`;
   * without `dst` it is the default route. An IPv6 route can expire after `expiresSeconds`. With
   * `nexthopId`, the next hop object determines where packets go, and properties that say otherwise
   * are ignored. Needs CAP_NET_ADMIN.
   * @throws KernelError `EEXIST` if a route with its destination and metric exists
   */
  async addRoute(given: Encodable<Route>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.addRoute, [given], options);
  }

  /**
   * Adds a route, or replaces the one with the same destination and metric. Needs CAP_NET_ADMIN.
   */
  async replaceRoute(given: Encodable<Route>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.replaceRoute, [given], options);
  }

  /**
   * Removes the first route that matches what is given; the default table is main. Needs
   * CAP_NET_ADMIN.
   * @throws KernelError `ESRCH` if none matches
   */
  async deleteRoute(given: Encodable<Route>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.deleteRoute, [given], options);
  }

  /**
   * All neighbours, or those that match a filter. Proxy entries are listed separately:
   * `{ proxy: true }`.
   */
  listNeighbours(filter: other.NeighbourFilter = {}, options?: RequestOptions): Dump<Neighbour> {
    return this.#conversation.list(({ other }) => other.listNeighbours, [filter], options);
  }

  /** One neighbour. @throws KernelError `ENOENT` if it does not exist */
  async getNeighbour(index: number, dst: string, options?: RequestOptions): Promise<Neighbour> {
    return this.#conversation.one(({ other }) => other.getNeighbour, [index, dst], options);
  }

  /** All rules, or those of a family. */
  listRules(filter: route.RuleFilter = {}, options?: RequestOptions): Dump<RoutingRule> {
    return this.#conversation.list(({ route }) => route.listRules, [filter], options);
  }

  /**
   * The first rule with a priority, found by listing them.
   * @throws KernelError `ENOENT` if there is none
   */
  async getRule(
    family: AddressFamily,
    priority: number,
    options?: RequestOptions,
  ): Promise<RoutingRule> {
    u32(priority, 'priority');
    const { items } = await this.listRules({ family }, options);
    const found = items.find((one) => (one.priority ?? 0) === priority);
    return found ?? missing('RTM_GETRULE', 'ENOENT', `rule of priority ${priority}`);
  }

  /**
   * Adds a rule. It looks up table main unless `table` or `action` says otherwise. Needs
   * CAP_NET_ADMIN.
   */
  async addRule(rule: Encodable<RoutingRule>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.addRule, [rule], options);
  }

  /**
   * Removes the first rule that matches what is given. (A rule cannot be changed: remove it and add
   * another.) Needs CAP_NET_ADMIN.
   * @throws KernelError `ENOENT` if none matches
   */
  async deleteRule(rule: Encodable<RoutingRule>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.deleteRule, [rule], options);
  }

  /** All next hop objects, or those that match a filter. */
  listNexthops(filter: other.NexthopFilter = {}, options?: RequestOptions): Dump<Nexthop> {
    return this.#conversation.list(({ other }) => other.listNexthops, [filter], options);
  }

  /** One next hop object. @throws KernelError `ENOENT` if it does not exist */
  async getNexthop(id: number, options?: RequestOptions): Promise<Nexthop> {
    return this.#conversation.one(({ other }) => other.getNexthop, [id], options);
  }

  /** The ids of other network namespaces in this one. */
  listNamespaceIds(options?: RequestOptions): Dump<NamespaceId> {
    return this.#conversation.list(({ other }) => other.namespaceIds, [{}], options);
  }

  /** The id of a network namespace in this one; -1 if it has none. */
  async getNamespaceId(key: other.NamespaceKey, options?: RequestOptions): Promise<NamespaceId> {
    return this.#conversation.one(({ other }) => other.namespaceIds, [key], options);
  }

  /** IP settings of all links, and of `all` (-1) and `default` (-2). */
  listNetconfs(filter: other.NetconfFilter = {}, options?: RequestOptions): Dump<Netconf> {
    return this.#conversation.list(({ other }) => other.listNetconfs, [filter], options);
  }

  /** IP settings of a link. @param index -1 for all, -2 for the default of new links */
  async getNetconf(
    family: AddressFamily,
    index: number,
    options?: RequestOptions,
  ): Promise<Netconf> {
    return this.#conversation.one(({ other }) => other.getNetconf, [family, index], options);
  }

  /** Closes the sockets; pending requests are rejected. May be called more than once. */
  close(): Promise<void> {
    return this.#conversation.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The index of a link. */
  async #identify(
    { linkKey }: Rtnetlink['link'],
    key: link.LinkKey,
    options: RequestOptions | undefined,
  ): Promise<number> {
    const { index } = linkKey(key, 'NEWLINK');
    return index ?? (await this.getLink(key, options)).index;
  }
}

/**
 * The kernel can only list these, not get one: the error is the one that deleting it would give.
 */
function missing(request: string, code: 'EADDRNOTAVAIL' | 'ENOENT', object: string): never {
  throw new KernelError({ request, object, ack: { errno: system.errno[code] } });
}
