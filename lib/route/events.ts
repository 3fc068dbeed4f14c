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
  Rule,
} from './objects.ts';

interface Base<Kind extends string> {
  readonly kind: Kind;
  readonly protocol: 'route';
  /** The message's header. Its `seq` and `portId` are the requester's claims, 0 for the kernel's own. */
  readonly header: MessageHeader;
  readonly time: EventTime;
}

/** A link was made, or changed: `link.change` has the flags that did. */
export interface NewLink extends Base<'NEWLINK'> {
  readonly link: Link;
}
/** A link was deleted, or left for another namespace: then it has newIndex or newNetnsId. */
export interface DelLink extends Base<'DELLINK'> {
  readonly link: Link;
}
/** A link joined a bridge, or changed as its port (RTM_NEWLINK of family AF_BRIDGE). */
export interface NewPort extends Base<'NEWPORT'> {
  readonly port: BridgePort;
}
/** A link left its bridge (RTM_DELLINK of family AF_BRIDGE). The link itself is still there. */
export interface DelPort extends Base<'DELPORT'> {
  readonly port: BridgePort;
}
/** IPv6 on a link changed (RTM_NEWLINK of family AF_INET6). */
export interface NewIfinfo extends Base<'NEWIFINFO'> {
  readonly ifinfo: Inet6Interface;
}
/** IPv6 on a link ended (RTM_DELLINK of family AF_INET6). The link itself may still be there. */
export interface DelIfinfo extends Base<'DELIFINFO'> {
  readonly ifinfo: Inet6Interface;
}
/** An address was added, or changed. */
export interface NewAddr extends Base<'NEWADDR'> {
  readonly address: IpAddress;
}
/** An address was removed. */
export interface DelAddr extends Base<'DELADDR'> {
  readonly address: IpAddress;
}
/** A route was added, or replaced others: `header.flags` has NLM_F_REPLACE then. */
export interface NewRoute extends Base<'NEWROUTE'> {
  readonly route: Route;
}
/** A route was removed. IPv4 routes of an interface that goes down bring none. */
export interface DelRoute extends Base<'DELROUTE'> {
  readonly route: Route;
}
/** A neighbour was added, or changed its state; before it goes, to `failed`. */
export interface NewNeigh extends Base<'NEWNEIGH'> {
  readonly neighbour: Neighbour;
}
/** A neighbour went. */
export interface DelNeigh extends Base<'DELNEIGH'> {
  readonly neighbour: Neighbour;
}
/** A rule was added. */
export interface NewRule extends Base<'NEWRULE'> {
  readonly rule: Rule;
}
/** A rule was removed. */
export interface DelRule extends Base<'DELRULE'> {
  readonly rule: Rule;
}
/** A next hop object was added, or changed. */
export interface NewNexthop extends Base<'NEWNEXTHOP'> {
  readonly nexthop: Nexthop;
}
/** A next hop object was removed. When its interface goes down, that is all that tells of it. */
export interface DelNexthop extends Base<'DELNEXTHOP'> {
  readonly nexthop: Nexthop;
}
/** A namespace got an id here, perhaps because a link leads there. */
export interface NewNsid extends Base<'NEWNSID'> {
  readonly nsid: NamespaceId;
}
/** A namespace that had an id here is gone. */
export interface DelNsid extends Base<'DELNSID'> {
  readonly nsid: NamespaceId;
}
/** Settings of IP on a link changed. */
export interface NewNetconf extends Base<'NEWNETCONF'> {
  readonly netconf: Netconf;
}
/** The link whose settings these were is gone. */
export interface DelNetconf extends Base<'DELNETCONF'> {
  readonly netconf: Netconf;
}
/** A router announced a prefix. */
export interface NewPrefix extends Base<'NEWPREFIX'> {
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

export type RouteEvent =
  | NewLink
  | DelLink
  | NewPort
  | DelPort
  | NewIfinfo
  | DelIfinfo
  | NewAddr
  | DelAddr
  | NewRoute
  | DelRoute
  | NewNeigh
  | DelNeigh
  | NewRule
  | DelRule
  | NewNexthop
  | DelNexthop
  | NewNsid
  | DelNsid
  | NewNetconf
  | DelNetconf
  | NewPrefix
  | MulticastEvent
  | AnycastEvent
  | OtherRouteEvent;
