/**
 * The attributes of rtnetlink's objects, except links (see link-attributes.ts): number, payload,
 * and the property of a decoded object; one table for each kind of object, in the kernel's order.
 * @module
 */
import type { AttributeTable, Payload } from '../wire/attribute-table.ts';
import {
  be16,
  be32,
  be64,
  bytes,
  flag,
  ip,
  ipv4,
  ipv6,
  lladdr,
  named,
  pad,
  s32,
  space,
  struct,
  text,
  ticks32,
  ticks64,
  u8,
  u16,
  u32,
} from './attribute.ts';
import * as R from './constants.ts';
import * as N from './names.ts';
import * as S from './structs.ts';

const address = space('IFA_');
const route = space('RTA_');
const metric = space('RTAX_');
const neighbour = space('NDA_');
const rule = space('FRA_');
const nexthop = space('NHA_');
const resilient = space('NHA_RES_GROUP_');
const bucket = space('NHA_RES_BUCKET_');
const netns = space('NETNSA_');
const netconf = space('NETCONFA_');
const prefix = space('PREFIX_');
const lwtIp = space('LWTUNNEL_IP_');
const lwtIp6 = space('LWTUNNEL_IP6_');
const lwtXfrm = space('LWT_XFRM_');
const lwtMpls = space('MPLS_IPTUNNEL_');

/**
 * Addresses, including the multicast and anycast addresses of a link. The order is that of IPv4;
 * for an IPv6 address, flags and protocol come last (net/ipv6/addrconf.c).
 */
export const addressAttributes: AttributeTable = {
  name: 'AddressAttributes',
  doc: 'The attributes of an address; those that were present.',
  attributes: [
    address('ADDRESS', ip, 'The address; on a point-to-point link that of the other end.'),
    address('LOCAL', ip, 'The local address; absent for an IPv6 address without a peer.'),
    address('BROADCAST', ip, 'Broadcast address.'),
    address('LABEL', text, 'A label: the interface’s name, or that and more.'),
    address('ANYCAST', ip, 'An anycast address.'),
    address('MULTICAST', ip, 'A multicast address.'),
    address('PROTO', named('u8', N.AddressProtocol), 'Who made it (kernel 5.18).', 'protocol'),
    address('FLAGS', named('u32', N.AddressFlags), 'Flags.'),
    address('RT_PRIORITY', u32, 'Metric of the route to its network.', 'metric'),
    address('CACHEINFO', struct(S.ifa_cacheinfo), 'Its lifetime.', 'times'),
    address('MC_USERS', u32, 'Users of it (kernel 7.3).', 'multicastUsers'),
    address('TARGET_NETNSID', s32, 'The namespace asked for, its id here.', 'targetNetnsId'),
  ],
};

const metrics: AttributeTable = {
  name: 'RouteMetrics',
  doc: 'Metrics of a route.',
  attributes: [
    metric('LOCK', u32, 'Metrics that must not be changed, one bit each.'),
    metric('MTU', u32, 'Largest packet, in bytes.'),
    metric('WINDOW', u32, 'Largest TCP window, in bytes.'),
    metric('RTT', { type: 'u32', unit: '1/8 ms' }, 'Round trip time.'),
    metric(
      'RTTVAR',
      { type: 'u32', unit: '1/4 ms' },
      'Variance of the round trip time.',
      'rttVarMs',
    ),
    metric('SSTHRESH', u32, 'Slow start threshold, in packets.'),
    metric('CWND', u32, 'Congestion window, in packets.'),
    metric('ADVMSS', u32, 'Segment size announced to the peer, in bytes.', 'advMss'),
    metric('REORDERING', u32, 'Packets that may arrive out of order.'),
    metric('HOPLIMIT', u32, 'Hop limit.', 'hopLimit'),
    metric('INITCWND', u32, 'Congestion window at the start, in packets.', 'initCwnd'),
    metric('FEATURES', u32, 'Features (RTAX_FEATURE_).'),
    metric('RTO_MIN', u32, 'Least time until a packet is sent again.', 'rtoMinMs'),
    metric('INITRWND', u32, 'Receive window at the start, in packets.', 'initRwnd'),
    metric('QUICKACK', u32, 'Whether acknowledgements are sent at once.', 'quickAck'),
    metric('CC_ALGO', text, 'Congestion control algorithm.', 'congestionControl'),
    metric('FASTOPEN_NO_COOKIE', u32, 'Whether TCP Fast Open needs no cookie.'),
  ],
};

const encapMpls: AttributeTable = {
  name: 'RouteMplsEncap',
  doc: 'Wrapping in MPLS.',
  attributes: [
    lwtMpls('DST', bytes, 'Labels, outermost first, four bytes each as in the packet.', 'labels'),
    lwtMpls('TTL', u8, 'Hop limit.'),
  ],
};

const encapIp: AttributeTable = {
  name: 'RouteIpEncap',
  doc: 'Wrapping in IPv4, by a tunnel that takes its ends from the route.',
  attributes: [
    lwtIp('ID', be64, 'Tunnel id.'),
    lwtIp('DST', ipv4, 'The other end.'),
    lwtIp('SRC', ipv4, 'The local end.'),
    lwtIp('TOS', u8, 'Type of service.'),
    lwtIp('TTL', u8, 'Hop limit.'),
    lwtIp('FLAGS', be16, 'Flags (TUNNEL_).'),
    lwtIp('OPTS', bytes, 'Options; a nest.'),
    lwtIp('PAD', pad, ''),
  ],
};

const encapIp6: AttributeTable = {
  name: 'RouteIp6Encap',
  doc: 'Wrapping in IPv6, by a tunnel that takes its ends from the route.',
  attributes: [
    lwtIp6('ID', be64, 'Tunnel id.'),
    lwtIp6('DST', ipv6, 'The other end.'),
    lwtIp6('SRC', ipv6, 'The local end.'),
    lwtIp6('TC', u8, 'Traffic class.', 'trafficClass'),
    lwtIp6('HOPLIMIT', u8, 'Hop limit.', 'hopLimit'),
    lwtIp6('FLAGS', be16, 'Flags (TUNNEL_).'),
    lwtIp6('OPTS', bytes, 'Options; a nest.'),
    lwtIp6('PAD', pad, ''),
  ],
};

const encapXfrm: AttributeTable = {
  name: 'RouteXfrmEncap',
  doc: 'The way through an xfrm interface that takes its id from the route.',
  attributes: [
    lwtXfrm('IF_ID', u32, 'The id that SAs and policies carry as if_id.'),
    lwtXfrm('LINK', u32, 'Interface index of the device below.'),
  ],
};

/** RTA_ENCAP and NHA_ENCAP: the encapsulation type attribute determines the content. */
const encap = (by: number): Payload => ({
  type: 'choice',
  by,
  of: 'u16',
  options: [
    {
      values: [R.LWTUNNEL_ENCAP_MPLS],
      name: 'encapMpls',
      doc: 'Encapsulation in MPLS.',
      table: encapMpls,
    },
    {
      values: [R.LWTUNNEL_ENCAP_IP],
      name: 'encapIp',
      doc: 'Encapsulation in IPv4.',
      table: encapIp,
    },
    {
      values: [R.LWTUNNEL_ENCAP_IP6],
      name: 'encapIp6',
      doc: 'Encapsulation in IPv6.',
      table: encapIp6,
    },
    {
      values: [R.LWTUNNEL_ENCAP_XFRM],
      name: 'encapXfrm',
      doc: 'Encapsulation by an xfrm interface.',
      table: encapXfrm,
    },
  ],
});

/** One next hop of a multipath route. */
const nexthopOfRoute: AttributeTable = {
  name: 'RouteNexthopAttributes',
  doc: 'The attributes of one next hop of a multipath route.',
  attributes: [
    route('GATEWAY', ip, 'The next router.'),
    route('VIA', struct(S.rtvia), 'The next router, of another family.'),
    route('FLOW', u32, 'Realm.'),
    route('NEWDST', ip, 'Labels packets get (MPLS).'),
    route('ENCAP', encap(R.RTA_ENCAP_TYPE), 'Encapsulation, undecoded.'),
    route('ENCAP_TYPE', named('u16', N.RouteEncapType), 'Encapsulation of packets.'),
  ],
};

export const routeAttributes: AttributeTable = {
  name: 'RouteAttributes',
  doc: 'The attributes of a route; those that were present.',
  attributes: [
    route('TABLE', u32, 'Its table.'),
    route('NH_ID', u32, 'Id of the next hop object it uses.', 'nexthopId'),
    route('DST', ip, 'Destination network; absent for all.'),
    route('SRC', ip, 'Source network; absent for any.'),
    route('IIF', u32, 'Interface index of the incoming link.'),
    route('PRIORITY', u32, 'Its metric: the lowest is preferred.'),
    route('METRICS', { type: 'nest', table: metrics }, 'Metrics.'),
    route('PREFSRC', ip, 'Source address of what this host sends.', 'prefSrc'),
    route('GATEWAY', ip, 'The next router.'),
    route('VIA', struct(S.rtvia), 'The next router, of another family.'),
    route('OIF', u32, 'Interface index of the outgoing link.'),
    route('FLOW', u32, 'Realm.'),
    route('ENCAP', encap(R.RTA_ENCAP_TYPE), 'Encapsulation, undecoded.'),
    route('ENCAP_TYPE', named('u16', N.RouteEncapType), 'Encapsulation of packets.'),
    route(
      'MULTIPATH',
      { type: 'records', struct: S.rtnexthop, table: nexthopOfRoute },
      'Several ways.',
      'nexthops',
    ),
    route('MARK', u32, 'Mark of the packet asked about.'),
    route('UID', u32, 'User whose packet is asked about.'),
    route('CACHEINFO', struct(S.rta_cacheinfo), 'Use.', 'cache'),
    route('PREF', u8, 'Preference a router announced (IPv6): 0 medium, 1 high, 3 low.'),
    route(
      'MFC_STATS',
      struct(S.rta_mfc_stats),
      'Traffic, of a multicast route.',
      'multicastCounts',
    ),
    route(
      'EXPIRES',
      {
        type: 'u32 or u64',
        wide: { name: 'expiresMs', unit: 'ticks', doc: 'Time until a multicast route is removed.' },
      },
      'Time until it is removed, in a request for an IPv6 route; otherwise see cache.',
      'expiresSeconds',
    ),
    route('NEWDST', ip, 'Labels packets get (MPLS).'),
    route('TTL_PROPAGATE', u8, 'Whether labels get the packet’s hop limit (MPLS).'),
    route('IP_PROTO', u8, 'Protocol of the packet asked about.'),
    route('SPORT', be16, 'Source port of the packet asked about.'),
    route('DPORT', be16, 'Destination port of the packet asked about.'),
    route('FLOWLABEL', be32, 'Flow label of the packet asked about (kernel 6.14).', 'flowLabel'),
    route('DEL_REASON', u32, 'In a DELROUTE: 1 expired, 2 withdrawn by a router (kernel 7.3).'),
    route('PAD', pad, ''),
  ],
};

export const neighbourAttributes: AttributeTable = {
  name: 'NeighbourAttributes',
  doc: 'The attributes of a neighbour; those that were present.',
  attributes: [
    neighbour('DST', ip, 'Its address; in a forwarding table, where its packets are sent.'),
    neighbour('LLADDR', lladdr, 'Its link-layer address.', 'lladdr'),
    neighbour('MASTER', u32, 'Interface index of the bridge.'),
    neighbour('FLAGS_EXT', named('u32', N.NeighbourExtFlags), 'Further flags (NTF_EXT_).'),
    neighbour('PROBES', u32, 'How often it was requested.'),
    neighbour('CACHEINFO', struct(S.nda_cacheinfo), 'Use.', 'times'),
    neighbour('VLAN', u16, 'VLAN id.'),
    neighbour('PORT', be16, 'UDP port of its tunnel.'),
    neighbour('VNI', u32, 'Network of its tunnel.'),
    neighbour('IFINDEX', u32, 'Interface index its tunnel uses.', 'viaIndex'),
    neighbour('LINK_NETNSID', s32, 'The namespace of viaIndex, its id here.', 'linkNetnsId'),
    neighbour('SRC_VNI', u32, 'Network of the tunnel it was learned on.'),
    neighbour('PROTOCOL', named('u8', N.RouteProtocol), 'Who made it.'),
    neighbour('NH_ID', u32, 'Id of the next hop object it uses.', 'nexthopId'),
    neighbour('FDB_EXT_ATTRS', bytes, 'More of a forwarding table; a nest.'),
    neighbour('NDM_STATE_MASK', u16, 'In a request: states that count.', 'stateMask'),
    neighbour('NDM_FLAGS_MASK', u8, 'In a request: flags that count.', 'flagsMask'),
  ],
};

export const ruleAttributes: AttributeTable = {
  name: 'RuleAttributes',
  doc: 'The attributes of a rule; those that were present.',
  attributes: [
    rule('TABLE', u32, 'The table it leads to.'),
    rule(
      'SUPPRESS_PREFIXLEN',
      u32,
      'Routes this short or shorter do not count; 0xffffffff: all do.',
      'suppressPrefixLength',
    ),
    rule('PROTOCOL', named('u8', N.RouteProtocol), 'Who made it.'),
    rule('IIFNAME', text, 'Name of the incoming interface.', 'iifName'),
    rule('OIFNAME', text, 'Name of the outgoing interface.', 'oifName'),
    rule('PRIORITY', u32, 'Its priority: the lowest is evaluated first.'),
    rule('FWMARK', u32, 'Mark of the packets.', 'mark'),
    rule('FWMASK', u32, 'Bits of mark that count.', 'markMask'),
    rule('GOTO', u32, 'Priority of the rule to continue with.'),
    rule('TUN_ID', be64, 'Id of the tunnel packets came through.', 'tunnelId'),
    rule('L3MDEV', u8, 'Whether the table is that of the interface’s VRF.', 'l3mdev'),
    rule('UID_RANGE', struct(S.fib_rule_uid_range), 'Users whose packets it is for.'),
    rule(
      'SUPPRESS_IFGROUP',
      u32,
      'Routes to interfaces of this group do not count.',
      'suppressGroup',
    ),
    rule('IP_PROTO', u8, 'IP protocol of the packets.'),
    rule('SPORT_RANGE', struct(S.fib_rule_port_range), 'Their source ports.'),
    rule('DPORT_RANGE', struct(S.fib_rule_port_range), 'Their destination ports.'),
    rule('SPORT_MASK', u16, 'Bits of the source port that count (kernel 6.15).'),
    rule('DPORT_MASK', u16, 'Bits of the destination port that count (kernel 6.15).'),
    rule('DSCP', u8, 'Their DSCP (kernel 6.13).'),
    rule('DSCP_MASK', u8, 'Bits of it that count (kernel 6.15).'),
    rule('DST', ip, 'Destination network.'),
    rule('SRC', ip, 'Source network.'),
    rule('FLOW', u32, 'Realm.'),
    rule('FLOWLABEL', be32, 'Their flow label (kernel 6.14).', 'flowLabel'),
    rule('FLOWLABEL_MASK', be32, 'Bits of it that count.', 'flowLabelMask'),
    rule('PAD', pad, ''),
  ],
};

const resilientGroup: AttributeTable = {
  name: 'NexthopResilientGroup',
  doc: 'A resilient group.',
  attributes: [
    resilient('BUCKETS', u16, 'Buckets.'),
    resilient('IDLE_TIMER', ticks32, 'A bucket this long unused may move.'),
    resilient('UNBALANCED_TIMER', ticks32, 'Out of balance this long, buckets are moved.'),
    resilient('UNBALANCED_TIME', ticks64, 'How long it has been out of balance.'),
    resilient('PAD', pad, ''),
  ],
};

const resilientBucket: AttributeTable = {
  name: 'NexthopResilientBucket',
  doc: 'A bucket of a resilient group.',
  attributes: [
    bucket('INDEX', u16, 'Its number.'),
    bucket('IDLE_TIME', ticks64, 'How long it has been unused.'),
    bucket('NH_ID', u32, 'Id of its next hop.', 'nexthopId'),
    bucket('PAD', pad, ''),
  ],
};

export const nexthopAttributes: AttributeTable = {
  name: 'NexthopAttributes',
  doc: 'The attributes of a next hop object; those that were present.',
  attributes: [
    nexthop('ID', u32, 'Its id.'),
    nexthop('GROUP', { type: 'list', struct: S.nexthop_grp }, 'Of a group: its members.'),
    nexthop('GROUP_TYPE', named('u16', N.NexthopGroupType), 'Of a group: its kind.'),
    nexthop(
      'RES_GROUP',
      { type: 'nest', table: resilientGroup, flag: true },
      'Of a resilient group.',
      'resilient',
    ),
    nexthop(
      'RES_BUCKET',
      { type: 'nest', table: resilientBucket, flag: true },
      'A bucket.',
      'bucket',
    ),
    nexthop('BLACKHOLE', flag, 'Packets are dropped.'),
    nexthop('OIF', u32, 'Interface index of the outgoing link.'),
    nexthop('GATEWAY', ip, 'The next router.'),
    nexthop('ENCAP', encap(R.NHA_ENCAP_TYPE), 'Encapsulation, undecoded.'),
    nexthop('ENCAP_TYPE', named('u16', N.RouteEncapType), 'Encapsulation of packets.'),
    nexthop('FDB', flag, 'For forwarding tables.'),
    nexthop('OP_FLAGS', u32, 'Which counters it has (kernel 6.9).'),
    nexthop('GROUP_STATS', bytes, 'Counters of its members (kernel 6.9); a nest.'),
    nexthop('HW_STATS_ENABLE', u32, 'Whether the device counts (kernel 6.9).'),
    nexthop('HW_STATS_USED', u32, 'Whether its counts are in use (kernel 6.9).'),
    nexthop('GROUPS', flag, 'In a request: groups only.'),
    nexthop('MASTER', u32, 'In a request: only those of this bridge or VRF.'),
  ],
};

export const nsidAttributes: AttributeTable = {
  name: 'NsidAttributes',
  doc: 'The attributes of a namespace; those that were present.',
  attributes: [
    netns('NSID', s32, 'Its id here; -1 for none.'),
    netns('CURRENT_NSID', s32, 'Its id in the namespace of the asker.', 'currentNsid'),
    netns('PID', u32, 'In a request: the namespace of this process.'),
    netns('FD', u32, 'In a request: the open namespace file.'),
    netns('TARGET_NSID', s32, 'In a request: the namespace whose ids are meant.', 'targetNsid'),
  ],
};

export const netconfAttributes: AttributeTable = {
  name: 'NetconfAttributes',
  doc: 'IP settings of a link; those that were present.',
  attributes: [
    netconf('IFINDEX', s32, 'Interface index; -1 for all, -2 for new ones.', 'index'),
    netconf('FORWARDING', s32, 'Whether packets for others are passed on.'),
    netconf('RP_FILTER', s32, 'How sources are checked: 0 not, 1 strict, 2 loose.'),
    netconf('MC_FORWARDING', s32, 'Whether multicast is routed.'),
    netconf('BC_FORWARDING', s32, 'Whether broadcasts are passed on.'),
    netconf('PROXY_NEIGH', s32, 'Whether neighbours are answered for.'),
    netconf('IGNORE_ROUTES_WITH_LINKDOWN', s32, 'Whether routes without carrier do not count.'),
    netconf('INPUT', s32, 'Whether packets are taken at all (MPLS).'),
  ],
};

export const prefixAttributes: AttributeTable = {
  name: 'PrefixAttributes',
  doc: 'A router’s announcement.',
  attributes: [
    prefix('ADDRESS', ipv6, 'The prefix.'),
    prefix('CACHEINFO', struct(S.prefix_cacheinfo), 'Its lifetime.', 'times'),
  ],
};
