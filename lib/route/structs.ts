/**
 * The structs of rtnetlink, each defined once: `linux/rtnetlink.h`, `if_link.h`, `if_addr.h`,
 * `neighbour.h`, `fib_rules.h`, `nexthop.h`, `netconf.h` (kernel 7.3). Only the link statistics
 * have grown over time.
 *
 * A one-byte field that an attribute supersedes has a property that ends in `Byte`.
 * @module
 */
import { type Field, ip, length, number, reserved, rest, struct } from '../wire/struct.ts';
import * as N from './names.ts';

const family = (kernel: string) =>
  number('u8', kernel, 'Address family.', { name: 'family', names: N.AddressFamily });

export const rtgenmsg = struct(
  'rtgenmsg',
  'RtGenMsg',
  'What requests of no other form begin with.',
  [family('rtgen_family')],
);

export const ifinfomsg = struct('ifinfomsg', 'LinkHeader', 'The header of a link.', [
  number('u8', 'ifi_family', 'Address family: unspec for the link itself.', {
    name: 'family',
    names: N.AddressFamily,
  }),
  reserved('u8', '__ifi_pad'),
  number('u16', 'ifi_type', 'Hardware type (ARPHRD_).', {
    name: 'type',
    names: N.LinkType,
  }),
  number('s32', 'ifi_index', 'Interface index.', { name: 'index' }),
  number('u32', 'ifi_flags', 'Flags.', { name: 'flags', names: N.LinkFlags }),
  number('u32', 'ifi_change', 'In an event: the flags that changed; in a request: that count.', {
    name: 'change',
    names: N.LinkFlags,
  }),
]);

export const ifaddrmsg = struct('ifaddrmsg', 'AddressHeader', 'The header of an address.', [
  family('ifa_family'),
  number('u8', 'ifa_prefixlen', 'Prefix length in bits.', { name: 'prefixLength' }),
  number('u8', 'ifa_flags', 'The low byte of the flags; see flags.', {
    name: 'flagsByte',
    names: N.AddressFlags,
  }),
  number('u8', 'ifa_scope', 'Its scope.', { name: 'scope', names: N.RouteScope }),
  number('u32', 'ifa_index', 'Interface index.', { name: 'index' }),
]);

export const ifa_cacheinfo = struct('ifa_cacheinfo', 'AddressTimes', 'Lifetime of an address.', [
  number('u32', 'ifa_prefered', 'Seconds until it is deprecated; NO_LIMIT for never.', {
    name: 'preferredSeconds',
    unit: 'seconds',
    none: 'ones',
  }),
  number('u32', 'ifa_valid', 'Seconds until it is removed; NO_LIMIT for never.', {
    name: 'validSeconds',
    unit: 'seconds',
    none: 'ones',
  }),
  number('u32', 'cstamp', 'When it was made, in ms since boot.', {
    name: 'createdMs',
    unit: 'ticks',
  }),
  number('u32', 'tstamp', 'When it was last changed, in ms since boot.', {
    name: 'changedMs',
    unit: 'ticks',
  }),
]);

export const rtmsg = struct('rtmsg', 'RouteHeader', 'The header of a route.', [
  family('rtm_family'),
  number('u8', 'rtm_dst_len', 'Prefix length of dst, in bits.', { name: 'dstLength' }),
  number('u8', 'rtm_src_len', 'Prefix length of src, in bits.', { name: 'srcLength' }),
  number('u8', 'rtm_tos', 'Type of service; 0 for any.', { name: 'tos' }),
  number('u8', 'rtm_table', 'Table if that is below 256, else 252; see table.', {
    name: 'tableByte',
  }),
  number('u8', 'rtm_protocol', 'Who made it.', { name: 'protocol', names: N.RouteProtocol }),
  number('u8', 'rtm_scope', 'The scope of the destination.', {
    name: 'scope',
    names: N.RouteScope,
  }),
  number('u8', 'rtm_type', 'What is done with its packets.', { name: 'type', names: N.RouteType }),
  number('u32', 'rtm_flags', 'Flags.', { name: 'flags', names: N.RouteFlags }),
]);

export const rtnexthop = struct(
  'rtnexthop',
  'RouteNexthop',
  'One way of several that a route has.',
  [
    length('u16', 'rtnh_len', 'whole'),
    number('u8', 'rtnh_flags', 'Flags.', { name: 'flags', names: N.NexthopFlags }),
    number('u8', 'rtnh_hops', 'Its weight, less one.', { name: 'hops' }),
    number('s32', 'rtnh_ifindex', 'Interface index.', { name: 'index' }),
  ],
);

export const rtvia = struct('rtvia', 'RouteVia', 'A gateway of another family than the route.', [
  number('u16', 'rtvia_family', 'Its family.', { name: 'family', names: N.AddressFamily }),
  ip('rtvia_addr', 'rtvia_family', 'address', 'The gateway; of other families hexadecimal digits.'),
]);

export const rta_cacheinfo = struct('rta_cacheinfo', 'RouteCache', 'Use of a route.', [
  number('u32', 'rta_clntref', 'References.', { name: 'references' }),
  number('u32', 'rta_lastuse', 'Ms since its last use.', { name: 'unusedMs', unit: 'ticks' }),
  number('s32', 'rta_expires', 'Milliseconds until it is removed; NO_LIMIT for never.', {
    name: 'expiresMs',
    unit: 'ticks',
    none: 'zero',
  }),
  number('u32', 'rta_error', 'Error that its packets get, as errno.', { name: 'error' }),
  number('u32', 'rta_used', 'Uses.', { name: 'used' }),
  number('u32', 'rta_id', 'Unused.', { name: 'id' }),
  number('u32', 'rta_ts', 'Unused.', { name: 'ts' }),
  number('u32', 'rta_tsage', 'Unused.', { name: 'tsAge' }),
]);

export const rta_mfc_stats = struct(
  'rta_mfc_stats',
  'RouteMulticastCounts',
  'Traffic of a multicast route.',
  [
    number('u64', 'mfcs_packets', 'Packets.', { name: 'packets' }),
    number('u64', 'mfcs_bytes', 'Bytes.', { name: 'bytes' }),
    number('u64', 'mfcs_wrong_if', 'Packets that arrived on another interface.', {
      name: 'wrongInterface',
    }),
  ],
);

export const ndmsg = struct('ndmsg', 'NeighbourHeader', 'The header of a neighbour.', [
  number('u8', 'ndm_family', 'Address family; bridge for an entry of a forwarding table.', {
    name: 'family',
    names: N.AddressFamily,
  }),
  reserved('u8', 'ndm_pad1'),
  reserved('u16', 'ndm_pad2'),
  number('s32', 'ndm_ifindex', 'Interface index.', { name: 'index' }),
  number('u16', 'ndm_state', 'State.', { name: 'state', names: N.NeighbourState }),
  number('u8', 'ndm_flags', 'Flags.', { name: 'flags', names: N.NeighbourFlags }),
  number('u8', 'ndm_type', 'Type of the packets sent to it.', { name: 'type', names: N.RouteType }),
]);

export const nda_cacheinfo = struct('nda_cacheinfo', 'NeighbourTimes', 'Use of a neighbour.', [
  number('u32', 'ndm_confirmed', 'Ms since it was last reached.', {
    name: 'confirmedMs',
    unit: 'ticks',
  }),
  number('u32', 'ndm_used', 'Ms since its last use.', { name: 'usedMs', unit: 'ticks' }),
  number('u32', 'ndm_updated', 'Ms since its last change.', { name: 'updatedMs', unit: 'ticks' }),
  number('u32', 'ndm_refcnt', 'References.', { name: 'references' }),
]);

export const fib_rule_hdr = struct('fib_rule_hdr', 'RuleHeader', 'The header of a rule.', [
  family('family'),
  number('u8', 'dst_len', 'Prefix length of dst, in bits.', { name: 'dstLength' }),
  number('u8', 'src_len', 'Prefix length of src, in bits.', { name: 'srcLength' }),
  number('u8', 'tos', 'Type of service; 0 for any.'),
  number('u8', 'table', 'Table if that is below 256, else 252; see table.', { name: 'tableByte' }),
  reserved('u8', 'res1'),
  reserved('u8', 'res2'),
  number('u8', 'action', 'Its action.', { names: N.RuleAction }),
  number('u32', 'flags', 'Flags.', { names: N.RuleFlags }),
]);

export const fib_rule_uid_range = struct('fib_rule_uid_range', 'UidRange', 'User ids.', [
  number('u32', 'start', 'First.'),
  number('u32', 'end', 'Last.'),
]);

export const fib_rule_port_range = struct('fib_rule_port_range', 'PortRange', 'Ports.', [
  number('u16', 'start', 'First.'),
  number('u16', 'end', 'Last.'),
]);

export const nhmsg = struct('nhmsg', 'NexthopHeader', 'The header of a next hop object.', [
  family('nh_family'),
  number('u8', 'nh_scope', 'Its scope.', { name: 'scope', names: N.RouteScope }),
  number('u8', 'nh_protocol', 'Who made it.', { name: 'protocol', names: N.RouteProtocol }),
  reserved('u8', 'resvd'),
  number('u32', 'nh_flags', 'Flags.', { name: 'flags', names: N.NexthopFlags }),
]);

export const nexthop_grp = struct('nexthop_grp', 'NexthopMember', 'A member of a group.', [
  number('u32', 'id', 'Id of the next hop.'),
  number('u8', 'weight', 'Its weight, less one, the low byte.'),
  number('u8', 'weight_high', 'Its weight, the high byte (kernel 6.12, reserved before).'),
  reserved('u16', 'resvd2'),
]);

export const netconfmsg = struct('netconfmsg', 'NetconfHeader', 'Whose settings these are.', [
  family('ncm_family'),
]);

export const prefixmsg = struct('prefixmsg', 'PrefixHeader', 'A prefix that a router announced.', [
  family('prefix_family'),
  reserved('u8', 'prefix_pad1'),
  reserved('u16', 'prefix_pad2'),
  number('s32', 'prefix_ifindex', 'Interface index.', { name: 'index' }),
  number('u8', 'prefix_type', 'Type of the option in the announcement.', { name: 'type' }),
  number('u8', 'prefix_len', 'Prefix length in bits.', { name: 'length' }),
  // Seen on 6.1.176, 6.12, 6.18 and 7.2.
  number(
    'u8',
    'prefix_flags',
    'Flags as announced (RFC 4861): 0x80 it is on the link, 0x40 addresses may be made of it.',
    { name: 'flags' },
  ),
  reserved('u8', 'prefix_pad3'),
]);

export const prefix_cacheinfo = struct('prefix_cacheinfo', 'PrefixTimes', 'Its lifetime.', [
  number('u32', 'preferred_time', 'Seconds until it is deprecated; NO_LIMIT for never.', {
    name: 'preferredSeconds',
    unit: 'seconds',
    none: 'ones',
  }),
  number('u32', 'valid_time', 'Seconds until it is removed; NO_LIMIT for never.', {
    name: 'validSeconds',
    unit: 'seconds',
    none: 'ones',
  }),
]);

/** The counters of a link. The last ones were added in kernels 4.6 and 5.19. */
function counters(type: 'u32' | 'u64', last: readonly Field[]): Field[] {
  const count = (kernel: string, doc: string) => number(type, kernel, doc);
  return [
    count('rx_packets', 'Packets received.'),
    count('tx_packets', 'Packets sent.'),
    count('rx_bytes', 'Bytes received.'),
    count('tx_bytes', 'Bytes sent.'),
    count('rx_errors', 'Bad packets received.'),
    count('tx_errors', 'Packets that could not be sent.'),
    count('rx_dropped', 'Packets received, but dropped.'),
    count('tx_dropped', 'Packets dropped before they were sent.'),
    count('multicast', 'Multicast packets received.'),
    count('collisions', 'Collisions.'),
    count('rx_length_errors', 'Bad packets received: length.'),
    count('rx_over_errors', 'Bad packets received: overflow.'),
    count('rx_crc_errors', 'Bad packets received: check sum.'),
    count('rx_frame_errors', 'Bad packets received: alignment.'),
    count('rx_fifo_errors', 'Bad packets received: FIFO.'),
    count('rx_missed_errors', 'Packets that the device had no room for.'),
    count('tx_aborted_errors', 'Not sent: aborted.'),
    count('tx_carrier_errors', 'Not sent: no carrier.'),
    count('tx_fifo_errors', 'Not sent: FIFO.'),
    count('tx_heartbeat_errors', 'Not sent: heartbeat.'),
    count('tx_window_errors', 'Not sent: window.'),
    count('rx_compressed', 'Compressed packets received.'),
    count('tx_compressed', 'Compressed packets sent.'),
    number(type, 'rx_nohandler', 'Packets received while inactive.', { optional: true }),
    ...last,
    rest,
  ];
}

export const rtnl_link_stats = struct(
  'rtnl_link_stats',
  'LinkStats32',
  'Counters of a link, of 32 bits; they wrap.',
  counters('u32', []),
);

export const rtnl_link_stats64 = struct(
  'rtnl_link_stats64',
  'LinkStats',
  'Counters of a link.',
  counters('u64', [
    number('u64', 'rx_otherhost_dropped', 'Packets received for other hosts.', {
      optional: true,
    }),
  ]),
);

export const rtnl_link_ifmap = struct('rtnl_link_ifmap', 'LinkMap', 'Resources of a device.', [
  number('u64', 'mem_start', 'Memory, first address.'),
  number('u64', 'mem_end', 'Memory, last address.'),
  number('u64', 'base_addr', 'I/O address.'),
  number('u16', 'irq', 'Interrupt.'),
  number('u8', 'dma', 'DMA channel.'),
  number('u8', 'port', 'Kind of connector.'),
]);

export const ifla_cacheinfo = struct('ifla_cacheinfo', 'Inet6Times', 'Times of IPv6 on a link.', [
  number('u32', 'max_reasm_len', 'Largest reassembled packet, in bytes.', {
    name: 'maxReassembly',
  }),
  number('u32', 'tstamp', 'When its addresses last changed, in ms since boot.', {
    name: 'changedMs',
    unit: 'ticks',
  }),
  number('u32', 'reachable_time', 'Ms for which a neighbour counts as reached.', {
    name: 'reachableMs',
  }),
  number('u32', 'retrans_time', 'Ms between two neighbour solicitations.', {
    name: 'retransMs',
  }),
]);

export const ifla_vlan_flags = struct('ifla_vlan_flags', 'VlanFlags', 'Flags of a VLAN.', [
  number('u32', 'flags', 'VLAN_FLAG_.'),
  number('u32', 'mask', 'Those that count, in a request; all bits stand for all that there are.'),
]);

export const ifla_vlan_qos_mapping = struct(
  'ifla_vlan_qos_mapping',
  'VlanQosMapping',
  'A priority.',
  [number('u32', 'from', 'The old value.'), number('u32', 'to', 'The new value.')],
);

export const bridge_vlan_info = struct('bridge_vlan_info', 'BridgeVlan', 'A VLAN of a bridge.', [
  number('u16', 'flags', 'BRIDGE_VLAN_INFO_.'),
  number('u16', 'vid', 'VLAN id.'),
]);
