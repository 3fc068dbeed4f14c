/**
 * What rtnetlink's messages are about: links, addresses, routes and the rest, each the kernel's
 * struct with the attributes that belong to it.
 * @module
 */
import type * as codec from './codec.ts';

/** An interface: struct ifinfomsg and its attributes. */
export interface Link extends codec.LinkHeader, codec.LinkAttributes {}

/** A port of a bridge: struct ifinfomsg of family `bridge` and its attributes. */
export interface BridgePort extends codec.LinkHeader, codec.PortAttributes {}

/** IPv6 on an interface: struct ifinfomsg of family `inet6` and its attributes. */
export interface Inet6Interface extends codec.LinkHeader, codec.Inet6Attributes {}

/** An address of an interface: struct ifaddrmsg and its attributes. */
export interface IpAddress extends codec.AddressHeader, codec.AddressAttributes {}

/** A route: struct rtmsg and its attributes. */
export interface Route extends codec.RouteHeader, codec.RouteAttributes {}

/** A neighbour, or an entry of a forwarding table: struct ndmsg and its attributes. */
export interface Neighbour extends codec.NeighbourHeader, codec.NeighbourAttributes {}

/** A rule, which leads packets to a table of routes: struct fib_rule_hdr and its attributes. */
export interface RoutingRule extends codec.RuleHeader, codec.RuleAttributes {}

/** A next hop object: struct nhmsg and its attributes. */
export interface Nexthop extends codec.NexthopHeader, codec.NexthopAttributes {}

/** The id of another network namespace: struct rtgenmsg and its attributes. */
export interface NamespaceId extends codec.RtGenMsg, codec.NsidAttributes {}

/** Settings of IP on an interface: struct netconfmsg and its attributes. */
export interface Netconf extends codec.NetconfHeader, codec.NetconfAttributes {}

/** A prefix that a router announced: struct prefixmsg and its attributes. */
export interface AnnouncedPrefix extends codec.PrefixHeader, codec.PrefixAttributes {}
