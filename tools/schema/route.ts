/**
 * The rtnetlink part of the JSON Schema: objects, events and requests.
 * @module
 */
import * as bodies from '../../lib/route/bodies.ts';
import type { RouteEvent } from '../../lib/route/events.ts';
import type { RtnetlinkRequest } from '../../lib/route/requests.ts';
import * as structs from '../../lib/route/structs.ts';
import { withNested } from '../codec/shape.ts';
import {
  type AnyMembers,
  array,
  bytes,
  joined,
  type Members,
  rawAttribute,
  reference,
  type Schema,
  string,
  struct,
  table,
} from './types.ts';

/** Each object, by the name of its type. */
const OBJECTS = {
  Link: bodies.link,
  BridgePort: bodies.port,
  Inet6Interface: bodies.inet6,
  IpAddress: bodies.address,
  Route: bodies.route,
  Neighbour: bodies.neighbour,
  Rule: bodies.rule,
  Nexthop: bodies.nexthop,
  NamespaceId: bodies.nsid,
  Netconf: bodies.netconf,
  AnnouncedPrefix: bodies.prefix,
} as const;

const definitions = (entries: readonly (readonly [string, Schema])[]) =>
  Object.fromEntries(entries) as Readonly<Record<string, Schema>>;

const tables = Object.values(OBJECTS).map((one) => one.table);

/** Definitions that rtnetlink's lines may refer to. */
export const routeDefinitions: Readonly<Record<string, Schema>> = {
  ...definitions(Object.values(structs).map((one) => [one.name, struct(one)])),
  ...definitions(withNested(tables).map((one) => [one.name, table(one)])),
  ...definitions(
    Object.entries(OBJECTS).map(([name, one]) => [name, joined(one.header, one.table)]),
  ),
};

const header = reference('Header');
const the = (name: keyof typeof OBJECTS): Schema => reference(name);
const link = { header, link: the('Link') };
const port = { header, port: the('BridgePort') };
const ifinfo = { header, ifinfo: the('Inet6Interface') };
const address = { header, address: the('IpAddress') };
const route = { header, route: the('Route') };
const neighbour = { header, neighbour: the('Neighbour') };
const rule = { header, rule: the('Rule') };
const nexthop = { header, nexthop: the('Nexthop') };
const nsid = { header, nsid: the('NamespaceId') };
const netconf = { header, netconf: the('Netconf') };

type Kind = RouteEvent['kind'];
/** The event of a kind, where several kinds share a type. */
type EventOf<K extends Kind, E = RouteEvent> = E extends { kind: infer Kinds }
  ? K extends Kinds
    ? E
    : never
  : never;

export const routeKinds: { [K in Kind]: Members<EventOf<K>> } = {
  NEWLINK: { doc: 'A link was made, or changed.', always: link },
  DELLINK: { doc: 'A link was deleted, or left for another namespace.', always: link },
  NEWPORT: { doc: 'A link joined a bridge, or changed as its port.', always: port },
  DELPORT: { doc: 'A link left its bridge; it is still there.', always: port },
  NEWIFINFO: { doc: 'IPv6 on a link changed.', always: ifinfo },
  DELIFINFO: { doc: 'IPv6 on a link ended.', always: ifinfo },
  NEWADDR: { doc: 'An address was added, or changed.', always: address },
  DELADDR: { doc: 'An address was removed.', always: address },
  NEWROUTE: { doc: 'A route was added, or replaced others.', always: route },
  DELROUTE: { doc: 'A route was removed.', always: route },
  NEWNEIGH: { doc: 'A neighbour was added, or changed.', always: neighbour },
  DELNEIGH: { doc: 'A neighbour went.', always: neighbour },
  NEWRULE: { doc: 'A rule was added.', always: rule },
  DELRULE: { doc: 'A rule was removed.', always: rule },
  NEWNEXTHOP: { doc: 'A next hop object was added, or changed.', always: nexthop },
  DELNEXTHOP: { doc: 'A next hop object was removed.', always: nexthop },
  NEWNSID: { doc: 'A namespace got an id here.', always: nsid },
  DELNSID: { doc: 'A namespace that had an id here is gone.', always: nsid },
  NEWNETCONF: { doc: 'Settings of IP on a link changed.', always: netconf },
  DELNETCONF: { doc: 'The link whose settings these were is gone.', always: netconf },
  NEWPREFIX: {
    doc: 'A router announced a prefix.',
    always: { header, prefix: the('AnnouncedPrefix') },
  },
  NEWMULTICAST: { doc: 'A link listens to a multicast address.', always: address },
  DELMULTICAST: { doc: 'It does so no longer.', always: address },
  NEWANYCAST: { doc: 'A link has an anycast address.', always: address },
  DELANYCAST: { doc: 'It has it no longer.', always: address },
  rtnetlink: {
    doc: 'Another message of rtnetlink.',
    always: { header, fixed: bytes, attributes: array(rawAttribute) },
    sometimes: { name: string },
  },
};

/** A request about a link may concern the link, a bridge port, or IPv6. */
const ofLink = (doc: string): AnyMembers => ({
  doc,
  always: { header },
  sometimes: { link: link.link, port: port.port, ifinfo: ifinfo.ifinfo },
});

/** Requests, found in recordings. */
export const routeRequests: Readonly<Record<RtnetlinkRequest['message'], AnyMembers>> = {
  NEWLINK: ofLink('Make or change a link.'),
  SETLINK: ofLink('Change a link.'),
  DELLINK: ofLink('Delete a link.'),
  GETLINK: ofLink('Show links.'),
  NEWLINKPROP: { doc: 'Give a link further names.', always: link },
  DELLINKPROP: { doc: 'Take further names of a link away.', always: link },
  GETLINKPROP: { doc: 'Show further names of a link.', always: link },
  NEWADDR: { doc: 'Add or change an address.', always: address },
  DELADDR: { doc: 'Remove an address.', always: address },
  GETADDR: { doc: 'Show addresses.', always: address },
  GETMULTICAST: { doc: 'Show multicast addresses.', always: address },
  GETANYCAST: { doc: 'Show anycast addresses.', always: address },
  NEWROUTE: { doc: 'Add or replace a route.', always: route },
  DELROUTE: { doc: 'Remove a route.', always: route },
  GETROUTE: { doc: 'Show routes.', always: route },
  NEWNEIGH: { doc: 'Add or change a neighbour.', always: neighbour },
  DELNEIGH: { doc: 'Remove a neighbour.', always: neighbour },
  GETNEIGH: { doc: 'Show neighbours.', always: neighbour },
  NEWRULE: { doc: 'Add a rule.', always: rule },
  DELRULE: { doc: 'Remove a rule.', always: rule },
  GETRULE: { doc: 'Show rules.', always: rule },
  NEWNEXTHOP: { doc: 'Add or change a next hop object.', always: nexthop },
  DELNEXTHOP: { doc: 'Remove a next hop object.', always: nexthop },
  GETNEXTHOP: { doc: 'Show next hop objects.', always: nexthop },
  NEWNSID: { doc: 'Give a namespace an id.', always: nsid },
  GETNSID: { doc: 'Show the id of a namespace.', always: nsid },
  GETNETCONF: { doc: 'Show settings of IP on links.', always: netconf },
};
