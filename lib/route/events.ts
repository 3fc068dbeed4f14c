/**
 * What rtnetlink's multicast groups deliver, as one union: switch over `kind`.
 * Which message comes on which group is in docs/route.md.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { RawAttribute } from '../wire/attribute.ts';
import type { MessageHeader } from '../wire/message.ts';
import type {
  AnnouncedPrefix,
  BridgePort,
  Inet6Interface,
  IpAddress,
  Link,
  NamespaceId,
  Neighbour,
  Netconf,
  Nexthop,
  Route,
  RoutingRule,
} from './objects.ts';

interface Base<Kind extends string> {
  readonly kind: Kind;
  readonly protocol: 'route';
  /** The message's header. Its `seq` and `portId` are the requester's claims, 0 for the kernel's own. */
  readonly header: MessageHeader;
  readonly time: EventTime;
}

/** A link was made, or changed: `link.change` has the flags that did. */
export interface NewLinkEvent extends Base<'NEWLINK'> {
  readonly link: Link;
}
/** A link was deleted, or left for another namespace: then it has newIndex or newNetnsId. */
export interface DelLinkEvent extends Base<'DELLINK'> {
  readonly link: Link;
}
/** A link joined a bridge, or changed as its port (RTM_NEWLINK of family AF_BRIDGE). */
export interface NewBridgePortEvent extends Base<'NEWPORT'> {
  readonly port: BridgePort;
}
/** A link left its bridge (RTM_DELLINK of family AF_BRIDGE). The link itself is still there. */
export interface DelBridgePortEvent extends Base<'DELPORT'> {
  readonly port: BridgePort;
}
/** IPv6 on a link changed (RTM_NEWLINK of family AF_INET6). */
export interface NewIfinfoEvent extends Base<'NEWIFINFO'> {
  readonly ifinfo: Inet6Interface;
}
/** IPv6 on a link ended (RTM_DELLINK of family AF_INET6). The link itself may still be there. */
export interface DelIfinfoEvent extends Base<'DELIFINFO'> {
  readonly ifinfo: Inet6Interface;
}
/** An address was added, or changed. */
export interface NewAddrEvent extends Base<'NEWADDR'> {
  readonly address: IpAddress;
}
/** An address was removed. */
export interface DelAddrEvent extends Base<'DELADDR'> {
  readonly address: IpAddress;
}
/** A route was added, or replaced others: `header.flags` has NLM_F_REPLACE then. */
export interface NewRouteEvent extends Base<'NEWROUTE'> {
  readonly route: Route;
}
/** A route was removed. IPv4 routes of an interface that goes down bring none. */
export interface DelRouteEvent extends Base<'DELROUTE'> {
  readonly route: Route;
}
/** A neighbour was added, or changed its state; before it goes, to `failed`. */
export interface NewNeighEvent extends Base<'NEWNEIGH'> {
  readonly neighbour: Neighbour;
}
/** A neighbour went. */
export interface DelNeighEvent extends Base<'DELNEIGH'> {
  readonly neighbour: Neighbour;
}
/** A rule was added. */
export interface NewRuleEvent extends Base<'NEWRULE'> {
  readonly rule: RoutingRule;
}
/** A rule was removed. */
export interface DelRuleEvent extends Base<'DELRULE'> {
  readonly rule: RoutingRule;
}
/** A next hop object was added, or changed. */
export interface NewNexthopEvent extends Base<'NEWNEXTHOP'> {
  readonly nexthop: Nexthop;
}
/** A next hop object was removed. When its interface goes down, that is all that tells of it. */
export interface DelNexthopEvent extends Base<'DELNEXTHOP'> {
  readonly nexthop: Nexthop;
}
/** A namespace got an id here, perhaps because a link leads there. */
export interface NewNsidEvent extends Base<'NEWNSID'> {
  readonly nsid: NamespaceId;
}
/** A namespace that had an id here is gone. */
export interface DelNsidEvent extends Base<'DELNSID'> {
  readonly nsid: NamespaceId;
}
/** Settings of IP on a link changed. */
export interface NewNetconfEvent extends Base<'NEWNETCONF'> {
  readonly netconf: Netconf;
}
/** The link whose settings these were is gone. */
export interface DelNetconfEvent extends Base<'DELNETCONF'> {
  readonly netconf: Netconf;
}
/** A router announced a prefix. */
export interface NewPrefixEvent extends Base<'NEWPREFIX'> {
  readonly prefix: AnnouncedPrefix;
}
/** A link listens to a multicast address, or no longer (kernel 6.14). */
export interface MulticastEvent extends Base<'NEWMULTICAST' | 'DELMULTICAST'> {
  readonly address: IpAddress;
}
/** A link has an anycast address, or no longer (kernel 6.14). */
export interface AnycastEvent extends Base<'NEWANYCAST' | 'DELANYCAST'> {
  readonly address: IpAddress;
}

/** Any other message of NETLINK_ROUTE, as it came. */
export interface OtherRouteEvent extends Base<'rtnetlink'> {
  /** The kernel's name of header.type, as `RTM_NEWQDISC`; undefined for one this library has not. */
  readonly name: string | undefined;
  /** The family's struct before the attributes (struct tcmsg …), as it came. */
  readonly fixed: Uint8Array;
  readonly attributes: readonly RawAttribute[];
}

/** What the kernel announces of rtnetlink, told apart by `kind`. */
export type RouteEvent =
  | NewLinkEvent
  | DelLinkEvent
  | NewBridgePortEvent
  | DelBridgePortEvent
  | NewIfinfoEvent
  | DelIfinfoEvent
  | NewAddrEvent
  | DelAddrEvent
  | NewRouteEvent
  | DelRouteEvent
  | NewNeighEvent
  | DelNeighEvent
  | NewRuleEvent
  | DelRuleEvent
  | NewNexthopEvent
  | DelNexthopEvent
  | NewNsidEvent
  | DelNsidEvent
  | NewNetconfEvent
  | DelNetconfEvent
  | NewPrefixEvent
  | MulticastEvent
  | AnycastEvent
  | OtherRouteEvent;
