/**
 * The messages of rtnetlink's multicast groups, as one union: switch over `kind`. docs/route.md
 * lists which group delivers which message.
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
  /**
   * The message's header. Its `seq` and `portId` are claims of the requester; 0 if the kernel acted
   * by itself.
   */
  readonly header: MessageHeader;
  readonly time: EventTime;
}

/** A link was created or changed: `link.change` holds the flags that changed. */
export interface NewLinkEvent extends Base<'NEWLINK'> {
  readonly link: Link;
}
/**
 * A link was deleted, or moved to another namespace, in which case it has newIndex or newNetnsId.
 */
export interface DelLinkEvent extends Base<'DELLINK'> {
  readonly link: Link;
}
/** A link joined a bridge, or its bridge port changed (RTM_NEWLINK of family AF_BRIDGE). */
export interface NewBridgePortEvent extends Base<'NEWPORT'> {
  readonly port: BridgePort;
}
/** A link left its bridge (RTM_DELLINK of family AF_BRIDGE). The link itself still exists. */
export interface DelBridgePortEvent extends Base<'DELPORT'> {
  readonly port: BridgePort;
}
/** The IPv6 settings of a link changed (RTM_NEWLINK of family AF_INET6). */
export interface NewIfinfoEvent extends Base<'NEWIFINFO'> {
  readonly ifinfo: Inet6Interface;
}
/** IPv6 was stopped on a link (RTM_DELLINK of family AF_INET6). The link itself may still exist. */
export interface DelIfinfoEvent extends Base<'DELIFINFO'> {
  readonly ifinfo: Inet6Interface;
}
/** An address was added or changed. */
export interface NewAddrEvent extends Base<'NEWADDR'> {
  readonly address: IpAddress;
}
/** An address was removed. */
export interface DelAddrEvent extends Base<'DELADDR'> {
  readonly address: IpAddress;
}
/** A route was added, or replaced others, in which case `header.flags` has NLM_F_REPLACE. */
export interface NewRouteEvent extends Base<'NEWROUTE'> {
  readonly route: Route;
}
/** A route was removed. Not sent for IPv4 routes of an interface that goes down. */
export interface DelRouteEvent extends Base<'DELROUTE'> {
  readonly route: Route;
}
/** A neighbour was added or changed its state; before removal, the state becomes `failed`. */
export interface NewNeighEvent extends Base<'NEWNEIGH'> {
  readonly neighbour: Neighbour;
}
/** A neighbour was removed. */
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
/** A next hop object was added or changed. */
export interface NewNexthopEvent extends Base<'NEWNEXTHOP'> {
  readonly nexthop: Nexthop;
}
/** A next hop object was removed. When its interface goes down, this is the only event about it. */
export interface DelNexthopEvent extends Base<'DELNEXTHOP'> {
  readonly nexthop: Nexthop;
}
/** A namespace was given an id in this one, for example because a link leads to it. */
export interface NewNsidEvent extends Base<'NEWNSID'> {
  readonly nsid: NamespaceId;
}
/** A namespace that had an id in this one is gone. */
export interface DelNsidEvent extends Base<'DELNSID'> {
  readonly nsid: NamespaceId;
}
/** IP settings of a link changed. */
export interface NewNetconfEvent extends Base<'NEWNETCONF'> {
  readonly netconf: Netconf;
}
/** The link that had these settings is gone. */
export interface DelNetconfEvent extends Base<'DELNETCONF'> {
  readonly netconf: Netconf;
}
/** A router announced a prefix. */
export interface NewPrefixEvent extends Base<'NEWPREFIX'> {
  readonly prefix: AnnouncedPrefix;
}
/** A link joined or left a multicast address (kernel 6.14). */
export interface MulticastEvent extends Base<'NEWMULTICAST' | 'DELMULTICAST'> {
  readonly address: IpAddress;
}
/** An anycast address was added to or removed from a link (kernel 6.14). */
export interface AnycastEvent extends Base<'NEWANYCAST' | 'DELANYCAST'> {
  readonly address: IpAddress;
}

/** Any other message of NETLINK_ROUTE, undecoded. */
export interface OtherRouteEvent extends Base<'rtnetlink'> {
  /**
   * The kernel's name of header.type, such as `RTM_NEWQDISC`; undefined if this library does not
   * know it.
   */
  readonly name: string | undefined;
  /** The struct before the attributes (struct tcmsg …), undecoded. */
  readonly fixed: Uint8Array;
  readonly attributes: readonly RawAttribute[];
}

/** The events the kernel announces on rtnetlink, discriminated by `kind`. */
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
