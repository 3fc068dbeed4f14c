/**
 * Ask and act: links, addresses, routes, rules and the rest listed, and the first four added,
 * changed and removed, with the types in which the events tell of them. What the requests say is in
 * link-requests.ts, address-requests.ts, route-requests.ts and other-requests.ts.
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
 * Requests to the kernel's rtnetlink, over a socket of their own. Listing and getting need no privilege; what changes
 * something needs CAP_NET_ADMIN over the network namespace (net/core/rtnetlink.c, rtnetlink_rcv_msg).
 *
 * Every method returns when the kernel has answered, and throws
 * - EncodeError for a value that is none, before anything is sent; it names the value's path,
 * - KernelError for a refusal, with the kernel's words, the attribute, and a hint,
 * - SystemError where no socket can be had.
 *
 * A list is asked for again if the kernel says that it was interrupted, and says so if it stays so.
 *
 * @example
 * await using client = new RouteClient();
 * await client.addLink({ name: 'ipsec0', info: { kind: 'xfrm', xfrm: { ifId: 7 } } });
 * await client.setLinkUp({ name: 'ipsec0' });
 */
export class RouteClient implements AsyncDisposable {
  readonly #conversation: Conversation;

  /**
   * Opens no socket yet: that is done by the first request.
   *
   * @throws TypeError or RangeError for a wrong option, which it names; SystemError for a namespace
   *   that is missing (`open ENOENT`), is none (`setns EINVAL`), or may not be entered (`setns EPERM`)
   */
  constructor(options: ClientOptions = {}) {
    this.#conversation = new Conversation(options);
  }

  /** All links, or those a filter names. */
  listLinks(filter: link.LinkFilter = {}, options?: RequestOptions): Dump<Link> {
    return this.#conversation.list(({ link }) => link.listLinks, [filter], options);
  }

  /** One link. @throws KernelError `ENODEV` if there is none */
  async getLink(key: link.LinkKey, options?: RequestOptions): Promise<Link> {
    return this.#conversation.one(({ link }) => link.getLink, [key], options);
  }

  /**
   * Makes a link: its `name` and `info.kind`, and what the kind asks for. A veth pair is one link
   * whose `info.veth.peer` is the other. Needs CAP_NET_ADMIN.
   * @throws KernelError `EEXIST`, or `ENOTSUP` for a kind the kernel lacks
   */
  async addLink(given: Encodable<Link>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ link }) => link.addLink, [given], options);
  }

  /**
   * Changes a link: what is given. `flags` are set as they are, all others cleared, unless
   * `change` says which count. Needs CAP_NET_ADMIN.
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
   * Adds alternative names, of up to 127 bytes each: {@link getLink} and the rest find the link by them. Needs CAP_NET_ADMIN.
   * @throws KernelError `EEXIST` for a name that a link has; those before it have been added
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
   * Takes alternative names away. Needs CAP_NET_ADMIN.
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

  /**
   * Switches a link on. Needs CAP_NET_ADMIN.
   */
  async setLinkUp(key: link.LinkKey, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ link }) => link.switchLink, [key, true], options);
  }

  /**
   * Switches a link off. Needs CAP_NET_ADMIN.
   */
  async setLinkDown(key: link.LinkKey, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ link }) => link.switchLink, [key, false], options);
  }

  /**
   * Moves a link into another network namespace, under another name if `name` is given. Needs CAP_NET_ADMIN, also over the other namespace.
   * @throws SystemError where the path of a namespace leads nowhere
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
   * Deletes a link; of a veth pair, both. Needs CAP_NET_ADMIN.
   * @throws KernelError `ENODEV` if there is none
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

  /** All addresses, or those a filter names. */
  listAddresses(filter: address.IpAddressFilter = {}, options?: RequestOptions): Dump<IpAddress> {
    return this.#conversation.list(({ address }) => address.listAddresses, [filter], options);
  }

  /** The address of an interface, from the list. @throws KernelError `EADDRNOTAVAIL` if it has it not */
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
   * Adds an address to the interface `index`. The prefix is all of it unless `prefixLength` says so;
   * `address` is the other end's where `local` is one's own. Needs CAP_NET_ADMIN.
   * @throws KernelError `EEXIST` if the interface has it
   */
  async addAddress(given: Encodable<IpAddress>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ address }) => address.addAddress, [given], options);
  }

  /**
   * Adds an address, or changes the times and flags of the one that is there. Needs CAP_NET_ADMIN.
   */
  async replaceAddress(given: Encodable<IpAddress>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ address }) => address.replaceAddress, [given], options);
  }

  /**
   * Removes an address; `prefixLength` is as in {@link addAddress}. Needs CAP_NET_ADMIN.
   * @throws KernelError `EADDRNOTAVAIL` if the interface has it not, or with another prefix length
   */
  async deleteAddress(given: Encodable<IpAddress>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ address }) => address.deleteAddress, [given], options);
  }

  /** All routes, or those a filter names. */
  listRoutes(filter: route.RouteFilter = {}, options?: RequestOptions): Dump<Route> {
    return this.#conversation.list(({ route }) => route.listRoutes, [filter], options);
  }

  /** The route that a packet takes. @throws KernelError `ENETUNREACH` if there is none */
  async getRoute(packet: route.RouteLookup, options?: RequestOptions): Promise<Route> {
    return this.#conversation.one(({ route }) => route.lookUpRoute, [packet], options);
  }

  /**
   * Adds a route. Left out, it is unicast, static, in table main, and `dstLength` is all of `dst`;
   * without `dst` it is the default route. An IPv6 route can end after `expiresSeconds`. What is said
   * beside `nexthopId` of where packets go does not count: that is the object's. Needs CAP_NET_ADMIN.
   * @throws KernelError `EEXIST` if there is one with its destination and metric
   */
  async addRoute(given: Encodable<Route>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.addRoute, [given], options);
  }

  /**
   * Adds a route, or replaces the one with its destination and metric. Needs CAP_NET_ADMIN.
   */
  async replaceRoute(given: Encodable<Route>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.replaceRoute, [given], options);
  }

  /**
   * Removes a route: the first that has what is given; the table is main unless given. Needs CAP_NET_ADMIN.
   * @throws KernelError `ESRCH` if there is none
   */
  async deleteRoute(given: Encodable<Route>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.deleteRoute, [given], options);
  }

  /** All neighbours, or those a filter names. Proxies are listed apart: `{ proxy: true }`. */
  listNeighbours(filter: other.NeighbourFilter = {}, options?: RequestOptions): Dump<Neighbour> {
    return this.#conversation.list(({ other }) => other.listNeighbours, [filter], options);
  }

  /** One neighbour. @throws KernelError `ENOENT` if there is none */
  async getNeighbour(index: number, dst: string, options?: RequestOptions): Promise<Neighbour> {
    return this.#conversation.one(({ other }) => other.getNeighbour, [index, dst], options);
  }

  /** All rules, or those of a family. */
  listRules(filter: route.RuleFilter = {}, options?: RequestOptions): Dump<RoutingRule> {
    return this.#conversation.list(({ route }) => route.listRules, [filter], options);
  }

  /** The first rule of a priority, from the list. @throws KernelError `ENOENT` if there is none */
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
   * Adds a rule. It leads to table main unless `table` or `action` say something else. Needs CAP_NET_ADMIN.
   */
  async addRule(rule: Encodable<RoutingRule>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.addRule, [rule], options);
  }

  /**
   * Removes a rule: the first that has what is given. (A rule cannot be changed: remove it and add
   * another.) Needs CAP_NET_ADMIN.
   * @throws KernelError `ENOENT` if there is none
   */
  async deleteRule(rule: Encodable<RoutingRule>, options?: RequestOptions): Promise<void> {
    return this.#conversation.act(({ route }) => route.deleteRule, [rule], options);
  }

  /** All next hop objects, or those a filter names. */
  listNexthops(filter: other.NexthopFilter = {}, options?: RequestOptions): Dump<Nexthop> {
    return this.#conversation.list(({ other }) => other.listNexthops, [filter], options);
  }

  /** One next hop object. @throws KernelError `ENOENT` if there is none */
  async getNexthop(id: number, options?: RequestOptions): Promise<Nexthop> {
    return this.#conversation.one(({ other }) => other.getNexthop, [id], options);
  }

  /** The ids that other network namespaces have here. */
  listNamespaceIds(options?: RequestOptions): Dump<NamespaceId> {
    return this.#conversation.list(({ other }) => other.namespaceIds, [{}], options);
  }

  /** The id of a network namespace here; -1 if it has none. */
  async getNamespaceId(key: other.NamespaceKey, options?: RequestOptions): Promise<NamespaceId> {
    return this.#conversation.one(({ other }) => other.namespaceIds, [key], options);
  }

  /** Settings of IP on all links, and of `all` (-1) and `default` (-2). */
  listNetconfs(filter: other.NetconfFilter = {}, options?: RequestOptions): Dump<Netconf> {
    return this.#conversation.list(({ other }) => other.listNetconfs, [filter], options);
  }

  /** Settings of IP on a link. @param index -1 for all, -2 for new ones */
  async getNetconf(
    family: AddressFamily,
    index: number,
    options?: RequestOptions,
  ): Promise<Netconf> {
    return this.#conversation.one(({ other }) => other.getNetconf, [family, index], options);
  }

  /** Closes the sockets; requests under way are rejected. Can be called twice. */
  close(): Promise<void> {
    return this.#conversation.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A link’s index. */
  async #identify(
    { linkKey }: Rtnetlink['link'],
    key: link.LinkKey,
    options: RequestOptions | undefined,
  ): Promise<number> {
    const { index } = linkKey(key, 'NEWLINK');
    return index ?? (await this.getLink(key, options)).index;
  }
}

/** The kernel lists these and has no request for one: the error is the one that deleting it would get. */
function missing(request: string, code: 'EADDRNOTAVAIL' | 'ENOENT', object: string): never {
  throw new KernelError({ request, object, ack: { errno: system.errno[code] } });
}
