/**
 * Requests to rtnetlink. The answer to a GET is a NEW of the same object, with the same type as the
 * event (events.ts).
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { MessageHeader } from '../wire/message.ts';
import type { RouteEvent } from './events.ts';
import type {
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

interface Base<Name extends string> {
  readonly kind: 'request';
  /** The kernel's name of the message type, without `RTM_`. */
  readonly message: Name;
  readonly protocol: 'route';
  /** The message's header; its flags include NLM_F_REQUEST, and NLM_F_DUMP for a dump. */
  readonly header: MessageHeader;
  readonly time: EventTime;
}

type LinkMessage = 'NEWLINK' | 'DELLINK' | 'GETLINK' | 'SETLINK';
type LinkPropertyMessage = 'NEWLINKPROP' | 'DELLINKPROP' | 'GETLINKPROP';

/** Create, change, delete or get links. */
export interface LinkRequest extends Base<LinkMessage | LinkPropertyMessage> {
  readonly link: Link;
}
/** Change or get a bridge port (family AF_BRIDGE). */
export interface PortRequest extends Base<LinkMessage> {
  readonly port: BridgePort;
}
/** Get the IPv6 settings of links (family AF_INET6). */
export interface IfinfoRequest extends Base<LinkMessage> {
  readonly ifinfo: Inet6Interface;
}
/** Add, remove or get addresses. */
export interface AddressRequest
  extends Base<'NEWADDR' | 'DELADDR' | 'GETADDR' | 'GETMULTICAST' | 'GETANYCAST'> {
  readonly address: IpAddress;
}
/** Add, remove or get routes. */
export interface RouteRequest extends Base<'NEWROUTE' | 'DELROUTE' | 'GETROUTE'> {
  readonly route: Route;
}
/** Add, remove or get neighbours. */
export interface NeighbourRequest extends Base<'NEWNEIGH' | 'DELNEIGH' | 'GETNEIGH'> {
  readonly neighbour: Neighbour;
}
/** Add, remove or get rules. */
export interface RuleRequest extends Base<'NEWRULE' | 'DELRULE' | 'GETRULE'> {
  readonly rule: RoutingRule;
}
/** Add, remove or get next hop objects. */
export interface NexthopRequest extends Base<'NEWNEXTHOP' | 'DELNEXTHOP' | 'GETNEXTHOP'> {
  readonly nexthop: Nexthop;
}
/** Give a namespace an id, or get it. */
export interface NsidRequest extends Base<'NEWNSID' | 'GETNSID'> {
  readonly nsid: NamespaceId;
}
/** Get the IP settings of links. */
export interface NetconfRequest extends Base<'GETNETCONF'> {
  readonly netconf: Netconf;
}

export type RtnetlinkRequest =
  | LinkRequest
  | PortRequest
  | IfinfoRequest
  | AddressRequest
  | RouteRequest
  | NeighbourRequest
  | RuleRequest
  | NexthopRequest
  | NsidRequest
  | NetconfRequest;

/**
 * Any rtnetlink message; one that is decoded neither as event nor as request has kind `rtnetlink`.
 */
export type RouteMessage = RouteEvent | RtnetlinkRequest;
