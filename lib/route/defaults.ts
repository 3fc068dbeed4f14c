/**
 * What a request says that its caller left out: families, prefix lengths, scopes, as `ip` does.
 * @module
 */
import { addressFamily, familyOf } from '../wire/address.ts';
import { EncodeError, shown } from '../wire/error.ts';
import type { Input } from '../wire/input.ts';
import { RT_TABLE_COMPAT, RT_TABLE_MAIN } from './constants.ts';
import { AddressFamily, RouteType } from './names.ts';
import type { IpAddress, Link, Route, Rule } from './objects.ts';

/** Bytes that fit into IFNAMSIZ with a NUL (`linux/if.h`). */
const NAME_LENGTH = 15;
/** Bytes of an alternative name, with a NUL (ALTIFNAMSIZ, `linux/if.h`). */
const ALT_NAME_LENGTH = 127;

/**
 * Refuses what the kernel would refuse as a name of an interface (net/core/dev.c, dev_valid_name).
 * @throws EncodeError
 */
export function checkName(name: string, path: readonly string[], most = NAME_LENGTH): void {
  const refuse = (reason: string) => {
    throw new EncodeError(`${shown(name)} ${reason}`, path);
  };
  if (typeof name !== 'string' || name === '') refuse('is no name of an interface');
  if (name.length > most)
    refuse(`has ${name.length} characters, an interface’s name at most ${most}`);
  if (name === '.' || name === '..' || /[\s/:\0]/.test(name)) {
    refuse('can’t be the name of an interface: no white space, "/" or ":"');
  }
}

/** What identifies a link: its index, or its name (an alternative name will do). */
export type LinkKey = { readonly index: number } | { readonly name: string };

/** @throws EncodeError where neither is given */
export function linkKey(key: LinkKey, message: string): Input<Link> {
  if ('index' in key && key.index !== undefined) {
    if (!Number.isInteger(key.index) || key.index < 1) {
      throw new EncodeError(`${key.index} is no interface index`, [message, 'index']);
    }
    return { index: key.index };
  }
  const { name } = key as { name: string };
  checkName(name, [message, 'name'], ALT_NAME_LENGTH);
  return name.length <= NAME_LENGTH ? { name } : { altName: name };
}

/** A link to be made or changed; flags that are given are the ones that count. */
export function completeLink(link: Input<Link>, message: string): Input<Link> {
  if (link.name !== undefined) checkName(link.name, [message, 'name']);
  const peer = link.info?.veth?.peer?.name;
  if (peer !== undefined) checkName(peer, [message, 'info', 'veth', 'peer', 'name']);
  return link.flags === undefined ? link : { change: link.flags, ...link };
}

const isInet = (family: Input<{ family: AddressFamily }>['family']) =>
  family === 'inet' || family === AddressFamily.numbers.inet;

/** The family given, or that of the first address that is. */
function family(
  given: AddressFamily | undefined,
  path: readonly string[],
  ...addresses: (string | undefined)[]
): AddressFamily {
  if (given !== undefined) return given;
  const found = familyOf(...addresses);
  if (found === 0) throw new EncodeError('is missing, and no address says it', [...path, 'family']);
  return AddressFamily.name(found);
}

const bits = (address: string | undefined) =>
  address === undefined ? 0 : addressFamily(address) === AddressFamily.numbers.inet ? 32 : 128;

/** An address: IPv4 has it twice (local and address), and its prefix is all of it unless given. */
export function completeAddress(address: Input<IpAddress>, message: string): Input<IpAddress> {
  const own = address.local ?? address.address;
  if (own === undefined) throw new EncodeError('is missing', [message, 'address']);
  if (address.index === undefined) throw new EncodeError('is missing', [message, 'index']);
  return {
    ...address,
    family: family(address.family, [message], own),
    local: own,
    address: address.address ?? own,
    prefixLength: address.prefixLength ?? bits(own),
  };
}

/** A route: unicast, static, in table main, with the scope its kind and its gateway ask for. */
export function completeRoute(route: Input<Route>, message: string): Input<Route> {
  const { dst, src, gateway, prefSrc, nexthops = [], via } = route;
  const type = route.type ?? 'unicast';
  const table = route.table ?? route.tableByte ?? RT_TABLE_MAIN;
  const found = family(
    route.family,
    [message],
    ...[dst, src, gateway, prefSrc, ...nexthops.map((one) => one.gateway)],
  );
  const leads =
    gateway !== undefined ||
    via !== undefined ||
    nexthops.length > 0 ||
    route.nexthopId !== undefined;
  return {
    protocol: 'static',
    scope: isInet(found) ? defaultScope(type, leads) : 'universe',
    ...route,
    family: found,
    type,
    dstLength: route.dstLength ?? bits(dst),
    srcLength: route.srcLength ?? bits(src),
    tableByte: table < 256 ? table : RT_TABLE_COMPAT,
    table,
  };
}

/** IPv4 checks that the scope fits the kind (net/ipv4/fib_semantics.c). */
function defaultScope(type: RouteType, leads: boolean): Route['scope'] {
  switch (RouteType.name(RouteType.number(type, 'type'))) {
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

/** What identifies a route to be removed: what is left out may be anything, but for the table. */
export function routeKey(route: Input<Route>, message: string): Input<Route> {
  const { scope = 'nowhere', type = 'unspec', protocol = 'unspec' } = route;
  return { ...completeRoute(route, message), scope, type, protocol };
}

/** A rule: it leads to table main unless it says something else. */
export function completeRule(rule: Input<Rule>, message: string): Input<Rule> {
  const { action = 'to-table' } = rule;
  const leads = action === 'to-table' || action === 1;
  const table = rule.table ?? (leads && !rule.l3mdev ? RT_TABLE_MAIN : 0);
  return {
    ...rule,
    family: family(rule.family, [message], rule.dst, rule.src),
    action,
    dstLength: rule.dstLength ?? bits(rule.dst),
    srcLength: rule.srcLength ?? bits(rule.src),
    table,
    tableByte: table < 256 ? table : RT_TABLE_COMPAT,
  };
}
