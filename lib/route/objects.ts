/**
 * The objects of rtnetlink's messages: links, addresses, routes and the rest, each the kernel's
 * struct with its attributes.
 * @module
 */
import type * as types from './types.ts';

/** An interface: struct ifinfomsg and its attributes. */
export interface Link extends types.LinkHeader, types.LinkAttributes {}

/** A bridge port: struct ifinfomsg of family `bridge` and its attributes. */
export interface BridgePort extends types.LinkHeader, types.PortAttributes {}

/** IPv6 settings of an interface: struct ifinfomsg of family `inet6` and its attributes. */
export interface Inet6Interface extends types.LinkHeader, types.Inet6Attributes {}

/** An address of an interface: struct ifaddrmsg and its attributes. */
export interface IpAddress extends types.AddressHeader, types.AddressAttributes {}

/** A route: struct rtmsg and its attributes. */
export interface Route extends types.RouteHeader, types.RouteAttributes {}

/** A neighbour, or an entry of a forwarding table: struct ndmsg and its attributes. */
export interface Neighbour extends types.NeighbourHeader, types.NeighbourAttributes {}

/** A routing policy rule: struct fib_rule_hdr and its attributes. */
export interface RoutingRule extends types.RuleHeader, types.RuleAttributes {}

/** A next hop object: struct nhmsg and its attributes. */
export interface Nexthop extends types.NexthopHeader, types.NexthopAttributes {}

/** The id of another network namespace: struct rtgenmsg and its attributes. */
export interface NamespaceId extends types.RtGenMsg, types.NsidAttributes {}

/** IP settings of an interface: struct netconfmsg and its attributes. */
export interface Netconf extends types.NetconfHeader, types.NetconfAttributes {}

/** A prefix that a router announced: struct prefixmsg and its attributes. */
export interface AnnouncedPrefix extends types.PrefixHeader, types.PrefixAttributes {}
