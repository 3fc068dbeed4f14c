/**
 * The content of requests for routes and rules.
 * @module
 */

import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/constants.ts';
import { checkProperties } from '../wire/check.ts';
import type { Encodable } from '../wire/encodable.ts';
import { withLengths } from '../wire/network.ts';
import { type Member, shapeWith } from '../wire/shape.ts';
import { NO_LIMIT } from '../wire/time.ts';
import {
  RT_TABLE_COMPAT,
  RT_TABLE_MAIN,
  RTM_F_FIB_MATCH,
  RTM_F_LOOKUP_TABLE,
} from './constants.ts';
import { bits, familyFrom, familyNamed, ofFamily } from './families.ts';
import { AddressFamily, type RouteProtocol, RouteType } from './names.ts';
import type { Route, RoutingRule } from './objects.ts';
import { checkObject, type Question } from './question.ts';

/** Which routes to list. */
export interface RouteFilter {
  readonly family?: AddressFamily | undefined;
  /** If a family is given, a table that does not exist is an error: `ENOENT`. */
  readonly table?: number | undefined;
  readonly protocol?: RouteProtocol | undefined;
  readonly type?: RouteType | undefined;
  /** Interface index of the outgoing link. */
  readonly oif?: number | undefined;
}

/** The packet whose route to look up. */
export interface RouteLookup {
  readonly dst: string;
  readonly src?: string | undefined;
  /** Interface index of the outgoing link. */
  readonly oif?: number | undefined;
  /** Interface index of the incoming link, to look up the route of a forwarded packet. */
  readonly iif?: number | undefined;
  readonly mark?: number | undefined;
  /** The user that sends it. */
  readonly uid?: number | undefined;
  /** Type of service. */
  readonly tos?: number | undefined;
  /** IP protocol: 1 or 58 (ICMP), 6 (TCP) or 17 (UDP); the latter two with ports. */
  readonly ipProto?: number | undefined;
  readonly sport?: number | undefined;
  readonly dport?: number | undefined;
  /** Returns the matching route of the table, instead of the result for this packet. */
  readonly match?: boolean | undefined;
}

/** Which rules to list. */
export interface RuleFilter {
  readonly family?: AddressFamily | undefined;
}

type Holds = Member['holds'];

const FILTER = shapeWith({
  family: 'other',
  table: 'other',
  protocol: 'other',
  type: 'other',
  oif: 'other',
} satisfies Record<keyof RouteFilter, Holds>);
const LOOKUP = shapeWith(
  {
    dst: 'text',
    src: 'text',
    oif: 'other',
    iif: 'other',
    mark: 'other',
    uid: 'other',
    tos: 'other',
    ipProto: 'other',
    sport: 'other',
    dport: 'other',
    match: 'other',
  } satisfies Record<keyof RouteLookup, Holds>,
  ['dst'],
);
const RULE_FILTER = shapeWith({ family: 'other' } satisfies Record<keyof RuleFilter, Holds>);

/**
 * The one-byte table field, if the table fits into it. What is not a number is refused by the
 * encoder.
 */
const tableByte = (table: number) =>
  typeof table === 'number' && (table & 0xff) === table ? table : RT_TABLE_COMPAT;

/** Networks may include their prefix lengths. */
const NETWORKS = [
  ['dst', 'dstLength'],
  ['src', 'srcLength'],
] as const;

/**
 * Completes a route: unicast, static, table main, with the scope that its type and gateway require.
 */
function complete(given: Encodable<Route>, message: 'NEWROUTE' | 'DELROUTE'): Encodable<Route> {
  const route = withLengths(given, NETWORKS, [message]);
  checkObject('route', route, message);
  const { dst, src, gateway, prefSrc, nexthops = [], via } = route;
  const type = route.type ?? 'unicast';
  const table = route.table ?? route.tableByte ?? RT_TABLE_MAIN;
  const ways = nexthops.map((one, i) => [`nexthops[${i}].gateway`, one.gateway]);
  const addresses = { dst, src, gateway, prefSrc, ...Object.fromEntries(ways) };
  const found = familyFrom(route.family, [message], addresses);
  const leads =
    gateway !== undefined ||
    via !== undefined ||
    nexthops.length > 0 ||
    route.nexthopId !== undefined;
  const isInet = found === 'inet' || found === AddressFamily.numbers.inet;
  return {
    protocol: 'static',
    scope: isInet ? defaultScope(type, leads) : 'universe',
    ...(route.nexthopId === undefined ? route : withoutWays(route)),
    family: found,
    type,
    dstLength: route.dstLength ?? bits(dst),
    srcLength: route.srcLength ?? bits(src),
    tableByte: tableByte(table),
    table,
  };
}

/**
 * A route that uses a next hop object is listed together with the object's next hops, but a request
 * with both is refused ("Nexthop specification and nexthop id are mutually exclusive", seen: 6.18).
 */
function withoutWays(route: Encodable<Route>): Encodable<Route> {
  const { gateway, via, oif, nexthops, encap, encapType, ...rest } = route;
  const { encapMpls, encapIp, encapIp6, encapXfrm, ...bare } = rest;
  return bare;
}

/**
 * The lifetime of an IPv6 route (net/ipv6/route.c, rtm_ipv6_policy). In a dump, the cache holds
 * what is left of it.
 */
function withExpiry(route: Encodable<Route>): Encodable<Route> {
  const { expiresSeconds, cache, ...rest } = route;
  if (route.family !== 'inet6' && route.family !== AddressFamily.numbers.inet6) return route;
  const left = cache?.expiresMs ?? 0;
  // The remaining time of a route that has expired but is not yet removed is negative.
  const listed = left === 0 ? 0 : Math.max(1, Math.ceil(left / 1000));
  const seconds = expiresSeconds ?? listed;
  return seconds === 0 || seconds === NO_LIMIT ? rest : { ...rest, expiresSeconds: seconds };
}

/** IPv4 checks that the scope fits the route type (net/ipv4/fib_semantics.c). */
function defaultScope(type: RouteType, leads: boolean): Route['scope'] {
  // What is neither a name nor a number is refused by the encoder.
  switch (typeof type === 'number' ? RouteType.name(type) : type) {
    case 'local':
    case 'nat':
      return 'host';
    case 'broadcast':
    case 'multicast':
    case 'anycast':
      return 'link';
    case 'unicast':
      return leads ? 'universe' : 'link';
    default:
      return 'universe';
  }
}

export function listRoutes(filter: RouteFilter): Question<'route'> {
  checkProperties(filter, FILTER, ['filter']);
  const keep = ofFamily(filter.family);
  return { message: 'GETROUTE', about: 'route', value: { ...filter }, keep };
}

export function lookUpRoute(packet: RouteLookup): Question<'route'> {
  checkProperties(packet, LOOKUP, ['GETROUTE']);
  const { dst, src, match = false, ...more } = packet;
  const family = familyNamed(dst, ['GETROUTE', 'dst']);
  const dstLength = bits(dst);
  const srcLength = src === undefined ? 0 : dstLength;
  // Without the flag, IPv4 reports table main for every route (net/ipv4/route.c); IPv6 refuses the
  // flag (inet6_rtm_valid_getroute_req of net/ipv6/route.c).
  const table = family === 'inet' ? RTM_F_LOOKUP_TABLE : 0;
  const flags = table | (match ? RTM_F_FIB_MATCH : 0);
  const value = { ...more, family, dst, dstLength, src, srcLength, flags };
  return { message: 'GETROUTE', about: 'route', value };
}

const set = (route: Encodable<Route>, flags: number): Question<'route'> => ({
  message: 'NEWROUTE',
  about: 'route',
  value: withExpiry(complete(route, 'NEWROUTE')),
  flags: NLM_F_CREATE | flags,
});
export const addRoute = (route: Encodable<Route>) => set(route, NLM_F_EXCL);
export const replaceRoute = (route: Encodable<Route>) => set(route, NLM_F_REPLACE);

/** Omitted properties match anything, except the table. */
export function deleteRoute(route: Encodable<Route>): Question<'route'> {
  const value = complete(route, 'DELROUTE');
  const { scope = 'nowhere', type = 'unspec', protocol = 'unspec' } = route;
  return { message: 'DELROUTE', about: 'route', value: { ...value, scope, type, protocol } };
}

/** Completes a rule: it looks up table main unless it says otherwise. */
function completeRule(
  given: Encodable<RoutingRule>,
  message: 'NEWRULE' | 'DELRULE',
): Encodable<RoutingRule> {
  const rule = withLengths(given, NETWORKS, [message]);
  const { action = 'to-table' } = rule;
  const leads = action === 'to-table' || action === 1;
  const table = rule.table ?? (leads && !rule.l3mdev ? RT_TABLE_MAIN : 0);
  return {
    ...rule,
    family: familyFrom(rule.family, [message], { dst: rule.dst, src: rule.src }),
    action,
    dstLength: rule.dstLength ?? bits(rule.dst),
    srcLength: rule.srcLength ?? bits(rule.src),
    table,
    tableByte: tableByte(table),
  };
}

export function listRules(filter: RuleFilter): Question<'rule'> {
  checkProperties(filter, RULE_FILTER, ['filter']);
  return { message: 'GETRULE', about: 'rule', value: { family: filter.family } };
}

export function addRule(rule: Encodable<RoutingRule>): Question<'rule'> {
  checkObject('rule', rule, 'NEWRULE');
  const value = completeRule(rule, 'NEWRULE');
  return { message: 'NEWRULE', about: 'rule', value, flags: NLM_F_CREATE | NLM_F_EXCL };
}

/** Omitted properties match anything. */
export function deleteRule(rule: Encodable<RoutingRule>): Question<'rule'> {
  checkObject('rule', rule, 'DELRULE');
  const { action = 'unspec', table = 0 } = rule;
  const value = completeRule({ ...rule, action, table }, 'DELRULE');
  return { message: 'DELRULE', about: 'rule', value };
}
