/**
 * rtnetlink events as lines of text, in the style of the XFRM ones (event.ts). Interfaces appear
 * by index if the kernel sends no name.
 * @module
 */
import { NLM_F_DUMP } from '../../netlink/constants.ts';
import type { RouteEvent } from '../../route/events.ts';
import type {
  BridgePort,
  Inet6Interface,
  IpAddress,
  Link,
  Neighbour,
  Netconf,
  Nexthop,
  Route,
  RoutingRule,
} from '../../route/objects.ts';
import type { RtnetlinkRequest } from '../../route/requests.ts';
import { printable } from '../../wire/text.ts';
import { NO_LIMIT } from '../../wire/time.ts';
import type { Colors } from '../terminal/colors.ts';

/** The details of an event, without time and kind. */
export function describeRouteEvent(event: RouteEvent, colors: Colors): string {
  switch (event.kind) {
    case 'NEWLINK':
    case 'DELLINK':
      return describeLink(event.link, colors);
    case 'NEWPORT':
    case 'DELPORT':
      return describePort(event.port, event.kind === 'DELPORT', colors);
    case 'NEWIFINFO':
    case 'DELIFINFO':
      return describeIfinfo(event.ifinfo, colors);
    case 'NEWADDR':
    case 'DELADDR':
      return describeAddress(event.address, colors);
    case 'NEWMULTICAST':
    case 'DELMULTICAST':
    case 'NEWANYCAST':
    case 'DELANYCAST': {
      const { multicast, anycast, index } = event.address;
      return `${colors.cyan(multicast ?? anycast ?? '-')} ifindex ${index}`;
    }
    case 'NEWROUTE':
    case 'DELROUTE':
      return describeRoute(event.route, colors);
    case 'NEWNEIGH':
    case 'DELNEIGH':
      return describeNeighbour(event.neighbour, colors);
    case 'NEWRULE':
    case 'DELRULE':
      return describeRule(event.rule, colors);
    case 'NEWNEXTHOP':
    case 'DELNEXTHOP':
      return describeNexthop(event.nexthop, colors);
    case 'NEWNSID':
    case 'DELNSID':
      return `id ${event.nsid.nsid ?? '-'}`;
    case 'NEWNETCONF':
    case 'DELNETCONF':
      return describeNetconf(event.netconf);
    case 'NEWPREFIX': {
      const { address, length, index, times } = event.prefix;
      return `${colors.cyan(`${address ?? '::'}/${length}`)} ifindex ${index}${times ? ` valid ${times.validSeconds === NO_LIMIT ? 'for ever' : `${times.validSeconds}s`}` : ''}`;
    }
    case 'rtnetlink': {
      const name = event.name ?? `message ${event.header.type}`;
      return `${name} ${event.attributes.length} attributes`;
    }
  }
}

/** The details of a request, without its name. */
export function describeRouteRequest(request: RtnetlinkRequest, colors: Colors): string {
  if ((request.header.flags & NLM_F_DUMP) === NLM_F_DUMP) return 'all';
  if ('link' in request) return describeLink(request.link, colors);
  if ('port' in request) return describePort(request.port, false, colors);
  if ('ifinfo' in request) return describeIfinfo(request.ifinfo, colors);
  if ('address' in request) return describeAddress(request.address, colors);
  if ('route' in request) return describeRoute(request.route, colors);
  if ('neighbour' in request) return describeNeighbour(request.neighbour, colors);
  if ('rule' in request) return describeRule(request.rule, colors);
  if ('nexthop' in request) return describeNexthop(request.nexthop, colors);
  if ('nsid' in request) return `id ${request.nsid.nsid ?? '-'}`;
  return describeNetconf(request.netconf);
}

/** Joins words, leaving out absent ones. */
const join = (...words: (string | false | undefined)[]): string =>
  words.filter((word) => word !== undefined && word !== false).join(' ');

const hex = (value: number): string => `0x${value.toString(16)}`;

const unlessAbsent = <T>(
  value: T | undefined,
  text: (value: T) => string | undefined,
): string | undefined => (value === undefined ? undefined : text(value));

const nameOf = ({ name, index }: { name?: string; index: number }, colors: Colors) =>
  `${colors.bold(printable(name ?? '-'))} index ${index}`;

function describeLink(link: Link, colors: Colors): string {
  const { info, flags } = link;
  return join(
    nameOf(link, colors),
    printable(info?.kind ?? String(link.type)),
    flags.names.includes('up') ? 'up' : 'down',
    link.operState !== undefined && `operstate ${link.operState}`,
    unlessAbsent(link.mtu, (mtu) => `mtu ${mtu}`),
    unlessAbsent(link.address, (address) => `address ${address}`),
    unlessAbsent(link.master, (master) => `master ifindex ${master}`),
    unlessAbsent(link.linkIndex || undefined, (index) => `link ifindex ${index}`),
    unlessAbsent(link.linkNetnsId, (id) => `in namespace ${id}`),
    unlessAbsent(info?.xfrm?.ifId, (id) => `if_id ${hex(id)}`),
    unlessAbsent(info?.vlan?.id, (id) => `vlan ${id}`),
    ...tunnelEnds(info?.vti ?? info?.tunnel ?? info?.gre),
    // Marks of the SAs behind a vti; 0 for none.
    unlessAbsent(info?.vti?.ikey || undefined, (key) => `ikey ${hex(key)}`),
    unlessAbsent(info?.vti?.okey || undefined, (key) => `okey ${hex(key)}`),
    ...(link.properties?.altNames ?? []).map((name) => `altname ${printable(name)}`),
    unlessAbsent(link.newNetnsId, (id) => `moved to namespace ${id}`),
    unlessAbsent(link.newIndex, (index) => `there index ${index}`),
  );
}

function tunnelEnds(ends: { local?: string; remote?: string } | undefined): string[] {
  if (ends === undefined) return [];
  return [`local ${ends.local ?? 'any'} remote ${ends.remote ?? 'any'}`];
}

function describePort(port: BridgePort, left: boolean, colors: Colors): string {
  const bridge = port.master === undefined ? 'its bridge' : `bridge ifindex ${port.master}`;
  return join(
    nameOf(port, colors),
    `${left ? 'left' : 'in'} ${bridge}`,
    unlessAbsent(port.port?.state, (state) => `${state}`),
  );
}

function describeIfinfo(ifinfo: Inet6Interface, colors: Colors): string {
  return join(
    nameOf(ifinfo, colors),
    'IPv6',
    unlessAbsent(ifinfo.mtu, (mtu) => `mtu ${mtu}`),
    unlessAbsent(ifinfo.inet6?.flags, (flags) => `flags ${hex(flags)}`),
  );
}

function describeAddress(address: IpAddress, colors: Colors): string {
  const own = address.local ?? address.address ?? '-';
  const peer = address.address !== undefined && address.address !== own;
  return join(
    peer
      ? `${colors.cyan(own)} peer ${colors.cyan(`${address.address}/${address.prefixLength}`)}`
      : colors.cyan(`${own}/${address.prefixLength}`),
    `ifindex ${address.index}`,
    unlessAbsent(address.label, (label) => `label ${printable(label)}`),
    `scope ${address.scope}`,
    ...(address.flags ?? address.flagsByte).names,
    unlessAbsent(address.times, ({ validSeconds }) =>
      validSeconds === NO_LIMIT ? undefined : `valid ${validSeconds}s`,
    ),
  );
}

/** Where a route leads: a gateway, an interface, or both. */
const way = (of: {
  gateway?: string;
  via?: { family: unknown; address: string };
  index?: number | undefined;
}): string[] => [
  ...(of.gateway === undefined ? [] : [`via ${of.gateway}`]),
  ...(of.via === undefined ? [] : [`via ${of.via.family} ${of.via.address}`]),
  ...(of.index === undefined ? [] : [`ifindex ${of.index}`]),
];

/** Encapsulation; for XFRM with its interface ID. */
const encap = (of: { encapType?: unknown; encapXfrm?: { ifId?: number } }) =>
  join(
    unlessAbsent(of.encapType, (type) => `encap ${type}`),
    unlessAbsent(of.encapXfrm?.ifId, (id) => `if_id ${hex(id)}`),
  ) || undefined;

function describeRoute(route: Route, colors: Colors): string {
  const all = route.dstLength === 0 && route.dst === undefined;
  return join(
    route.type !== 'unicast' && String(route.type),
    colors.cyan(all ? 'default' : `${route.dst ?? '-'}/${route.dstLength}`),
    route.family !== 'inet' && String(route.family),
    unlessAbsent(route.src, (src) => `from ${src}/${route.srcLength}`),
    unlessAbsent(route.iif, (index) => `iif ifindex ${index}`),
    route.tos !== 0 && `tos ${hex(route.tos)}`,
    unlessAbsent(route.mark, (mark) => `mark ${hex(mark)}`),
    unlessAbsent(route.uid, (uid) => `uid ${uid}`),
    unlessAbsent(route.ipProto, (proto) => `ipproto ${proto}`),
    unlessAbsent(route.sport, (port) => `sport ${port}`),
    unlessAbsent(route.dport, (port) => `dport ${port}`),
    unlessAbsent(route.flowLabel, (label) => `flowlabel ${hex(label)}`),
    ...way({ ...route, index: route.oif }),
    ...(route.nexthops ?? []).map(
      (one) => `[${join(...way(one), encap(one), `weight ${one.hops + 1}`, ...one.flags.names)}]`,
    ),
    unlessAbsent(route.nexthopId, (id) => `nhid ${id}`),
    `table ${route.table ?? route.tableByte}`,
    unlessAbsent(route.priority, (metric) => `metric ${metric}`),
    `protocol ${route.protocol}`,
    unlessAbsent(route.prefSrc, (src) => `src ${src}`),
    encap(route),
    unlessAbsent(route.metrics?.mtu, (mtu) => `mtu ${mtu}`),
    ...route.flags.names,
  );
}

function describeNeighbour(neighbour: Neighbour, colors: Colors): string {
  return join(
    colors.cyan(neighbour.dst ?? neighbour.lladdr ?? '-'),
    neighbour.dst !== undefined && unlessAbsent(neighbour.lladdr, (address) => `at ${address}`),
    `ifindex ${neighbour.index}`,
    neighbour.family === 'bridge' && 'forwarding table',
    unlessAbsent(neighbour.vlan, (id) => `vlan ${id}`),
    unlessAbsent(neighbour.master, (index) => `bridge ifindex ${index}`),
    ...neighbour.state.names,
    ...neighbour.flags.names,
  );
}

/** What a rule does with matching packets. */
function targetOf(rule: RoutingRule): string {
  if (rule.action !== 'to-table') {
    return `${rule.action}${rule.goto === undefined ? '' : ` ${rule.goto}`}`;
  }
  return rule.l3mdev ? 'table of the VRF' : `table ${rule.table ?? rule.tableByte}`;
}

const range = ({ start, end }: { start: number; end: number }): string =>
  start === end ? `${start}` : `${start}-${end}`;

/** A condition, with its mask unless that covers all bits. */
const masked = (name: string, value: string, mask: number | undefined, all: number): string =>
  `${name} ${value}${mask === undefined || mask === all ? '' : `/${hex(mask)}`}`;

function describeRule(rule: RoutingRule, colors: Colors): string {
  const mask = rule.markMask === undefined ? '' : `/${hex(rule.markMask)}`;
  const { mark = 0 } = rule;
  return join(
    `priority ${rule.priority ?? 0}`,
    String(rule.family),
    rule.flags.names.includes('invert') && 'not',
    `from ${colors.cyan(rule.src === undefined ? 'all' : `${rule.src}/${rule.srcLength}`)}`,
    unlessAbsent(rule.dst, (dst) => `to ${colors.cyan(`${dst}/${rule.dstLength}`)}`),
    rule.tos !== 0 && `tos ${hex(rule.tos)}`,
    unlessAbsent(rule.dscp, (dscp) => masked('dscp', hex(dscp), rule.dscpMask, 0x3f)),
    unlessAbsent(rule.flowLabel, (label) =>
      masked('flowlabel', hex(label), rule.flowLabelMask, 0xfffff),
    ),
    unlessAbsent(rule.iifName, (name) => `iif ${printable(name)}`),
    unlessAbsent(rule.oifName, (name) => `oif ${printable(name)}`),
    (mark !== 0 || rule.markMask !== undefined) && `mark ${hex(mark)}${mask}`,
    unlessAbsent(rule.uidRange, (uids) => `uidrange ${uids.start}-${uids.end}`),
    unlessAbsent(rule.ipProto, (proto) => `ipproto ${proto}`),
    unlessAbsent(rule.sportRange, (of) => masked('sport', range(of), rule.sportMask, 0xffff)),
    unlessAbsent(rule.dportRange, (of) => masked('dport', range(of), rule.dportMask, 0xffff)),
    unlessAbsent(rule.tunnelId, (id) => `tun_id ${id}`),
    targetOf(rule),
    // All bits set: there is no such limit (net/core/fib_rules.c).
    unlessAbsent(rule.suppressPrefixLength, (length) =>
      length === 0xffffffff ? undefined : `suppress_prefixlength ${length}`,
    ),
    unlessAbsent(rule.suppressGroup, (group) =>
      group === 0xffffffff ? undefined : `suppress_ifgroup ${group}`,
    ),
    ...rule.flags.names.filter((name) => name !== 'invert' && name !== 'permanent'),
  );
}

function describeNexthop(nexthop: Nexthop, colors: Colors): string {
  return join(
    `id ${colors.bold(String(nexthop.id ?? '-'))}`,
    nexthop.blackhole && 'blackhole',
    ...way({ ...nexthop, index: nexthop.oif }),
    encap(nexthop),
    ...(nexthop.group ?? []).map(
      ({ id, weight, weightHigh }) => `[id ${id} weight ${((weightHigh << 8) | weight) + 1}]`,
    ),
    nexthop.groupType !== 'multipath' && unlessAbsent(nexthop.groupType, (type) => `type ${type}`),
    nexthop.fdb && 'fdb',
    ...nexthop.flags.names,
  );
}

function describeNetconf(netconf: Netconf): string {
  const { family, index, unknown: _, ...settings } = netconf;
  const who = index === -1 ? 'all' : index === -2 ? 'default' : `ifindex ${index ?? '-'}`;
  return join(
    String(family),
    who,
    ...Object.entries(settings).map(([name, value]) => `${name} ${value}`),
  );
}
