/**
 * What is said to rtnetlink. An answer to a GET is a NEW of the same object: those are the same as
 * the events (events.ts).
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
  /** The message's header; its flags have NLM_F_REQUEST, and of a list NLM_F_DUMP. */
  readonly header: MessageHeader;
  readonly time: EventTime;
}

type LinkMessage = 'NEWLINK' | 'DELLINK' | 'GETLINK' | 'SETLINK';
type LinkPropertyMessage = 'NEWLINKPROP' | 'DELLINKPROP' | 'GETLINKPROP';

/** Make, change, delete or show a link. */
export interface LinkRequest extends Base<LinkMessage | LinkPropertyMessage> {
  readonly link: Link;
}
/** Change or show a port of a bridge (family AF_BRIDGE). */
export interface PortRequest extends Base<LinkMessage> {
  readonly port: BridgePort;
}
/** Show IPv6 on links (family AF_INET6). */
export interface IfinfoRequest extends Base<LinkMessage> {
  readonly ifinfo: Inet6Interface;
}
/** Add, remove or show addresses. */
export interface AddressRequest
  extends Base<'NEWADDR' | 'DELADDR' | 'GETADDR' | 'GETMULTICAST' | 'GETANYCAST'> {
  readonly address: IpAddress;
}
/** Add, remove or show routes. */
export interface RouteRequest extends Base<'NEWROUTE' | 'DELROUTE' | 'GETROUTE'> {
  readonly route: Route;
}
/** Add, remove or show neighbours. */
export interface NeighbourRequest extends Base<'NEWNEIGH' | 'DELNEIGH' | 'GETNEIGH'> {
  readonly neighbour: Neighbour;
}
/** Add, remove or show rules. */
export interface RuleRequest extends Base<'NEWRULE' | 'DELRULE' | 'GETRULE'> {
  readonly rule: RoutingRule;
}
/** Add, remove or show next hop objects. */
export interface NexthopRequest extends Base<'NEWNEXTHOP' | 'DELNEXTHOP' | 'GETNEXTHOP'> {
  readonly nexthop: Nexthop;
}
/** Give a namespace an id, or show it. */
export interface NsidRequest extends Base<'NEWNSID' | 'GETNSID'> {
  readonly nsid: NamespaceId;
}
/** Show settings of IP on links. */
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

/** Any message of rtnetlink; what is neither decoded as event nor as request is of kind `rtnetlink`. */
export type RouteMessage = RouteEvent | RtnetlinkRequest;
