/**
 * The attributes of links (IFLA_ of `linux/if_link.h`), in the kernel's order (rtnl_fill_ifinfo of
 * net/core/rtnetlink.c, 7.3). The meaning of a number depends on the message's family: a link, a
 * bridge port, or the IPv6 settings of a link.
 * @module
 */
import type { AttributeTable } from '../wire/attribute-table.ts';
import {
  bytes,
  ipv6,
  lladdr,
  named,
  pad,
  s32,
  space,
  struct,
  text,
  u8,
  u16,
  u32,
} from './attribute.ts';
import { linkInfo, portData } from './link-kinds.ts';
import * as N from './names.ts';
import * as S from './structs.ts';

const link = space('IFLA_');
const prop = space('IFLA_');
const reason = space('IFLA_PROTO_DOWN_REASON_');
const xdp = space('IFLA_XDP_');
const inet = space('IFLA_INET_');
const inet6 = space('IFLA_INET6_');
const bridge = space('IFLA_BRIDGE_');
const devlink = space('DEVLINK_ATTR_');
const dpll = space('DPLL_A_PIN_');

const propList: AttributeTable = {
  name: 'LinkProperties',
  doc: 'Further names of a link.',
  attributes: [
    prop('ALT_IFNAME', { type: 'string', repeated: true }, 'Alternative names.', 'altNames'),
  ],
};

const downReason: AttributeTable = {
  name: 'ProtoDownReason',
  doc: 'Why a link is held down.',
  attributes: [
    reason('MASK', u32, 'In a request: the bits that count.'),
    reason('VALUE', u32, 'The reasons, one bit each.'),
  ],
};

const xdpInfo: AttributeTable = {
  name: 'XdpInfo',
  doc: 'Programs attached to a link.',
  attributes: [
    xdp('FD', s32, 'In a request: the program, as a descriptor.'),
    xdp(
      'ATTACHED',
      u8,
      'Attached to: 0 nothing, 1 the driver, 2 generic, 3 the device, 4 several.',
    ),
    xdp('FLAGS', u32, 'Flags.'),
    xdp('PROG_ID', u32, 'Id of the program.'),
    xdp('SKB_PROG_ID', u32, 'Id of the generic one.'),
    xdp('DRV_PROG_ID', u32, 'Id of the one in the driver.'),
    xdp('HW_PROG_ID', u32, 'Id of the one in the device.'),
  ],
};

const inetInfo: AttributeTable = {
  name: 'InetLink',
  doc: 'IPv4 settings of a link.',
  attributes: [inet('CONF', { type: 'numbers', of: 'u32' }, 'Settings, IPV4_DEVCONF_ 1 first.')],
};

const inet6Info: AttributeTable = {
  name: 'Inet6Link',
  doc: 'IPv6 settings of a link.',
  attributes: [
    inet6('FLAGS', u32, 'State of autoconfiguration (IF_).'),
    inet6('CACHEINFO', struct(S.ifla_cacheinfo), 'Times.', 'times'),
    inet6('CONF', { type: 'numbers', of: 'u32' }, 'Settings, DEVCONF_ 0 first.'),
    inet6('STATS', { type: 'numbers', of: 'u64' }, 'Counters, the first is how many follow.'),
    inet6('MCAST', bytes, 'No longer sent.'),
    inet6(
      'ICMP6STATS',
      { type: 'numbers', of: 'u64' },
      'Counters of ICMPv6, likewise.',
      'icmpStats',
    ),
    inet6('TOKEN', ipv6, 'The lower half of addresses it makes.'),
    inet6('ADDR_GEN_MODE', u8, 'How they are generated.'),
    inet6('RA_MTU', u32, 'Largest packet, as a router announced it.'),
  ],
};

const families: AttributeTable = {
  name: 'LinkFamilies',
  doc: 'Settings of a link, by protocol.',
  attributes: [
    {
      type: 'nest',
      table: inetInfo,
      kernel: 'AF_INET',
      number: 2,
      name: 'inet',
      doc: 'IPv4.',
    },
    {
      type: 'nest',
      table: inet6Info,
      kernel: 'AF_INET6',
      number: 10,
      name: 'inet6',
      doc: 'IPv6.',
    },
  ],
};

const bridgeFamily: AttributeTable = {
  name: 'BridgeFamily',
  doc: 'VLANs and modes of a bridge or its port.',
  attributes: [
    bridge('FLAGS', u16, 'In a request: 1 the bridge’s port, 2 the device itself.'),
    bridge('MODE', u16, 'How a device bridges.'),
    bridge(
      'VLAN_INFO',
      { type: 'list', struct: S.bridge_vlan_info, repeated: true },
      'VLANs.',
      'vlans',
    ),
  ],
};

/** Empty if the link has none (seen: 6.18); the same holds for the next table. */
const devlinkPort: AttributeTable = {
  name: 'DevlinkPort',
  doc: 'The port of a device that a link is, as devlink names it.',
  attributes: [
    devlink('BUS_NAME', text, 'Name of the bus its device is on.'),
    devlink('DEV_NAME', text, 'Name of its device.', 'deviceName'),
    devlink('PORT_INDEX', u32, 'Its number.'),
  ],
};

const dpllPin: AttributeTable = {
  name: 'DpllPin',
  doc: 'The clock pin of a link.',
  attributes: [dpll('ID', u32, 'Its id.')],
};

/** Links: messages of family AF_UNSPEC. */
export const linkAttributes: AttributeTable = {
  name: 'LinkAttributes',
  doc: 'The attributes of a link; those that were present.',
  attributes: [
    link('IFNAME', text, 'Its name; may hold any character but white space, / and NUL.', 'name'),
    link('TXQLEN', u32, 'Length of its send queue, in packets.', 'txQueueLength'),
    link('OPERSTATE', named('u8', N.LinkOperState), 'Its state.', 'operState'),
    link('LINKMODE', u8, 'Whether it waits for a program before it is up: 1.', 'linkMode'),
    link('NETNS_IMMUTABLE', u8, 'Whether it can’t leave its namespace (kernel 6.15).'),
    link('MTU', u32, 'Largest packet, in bytes.'),
    link('MIN_MTU', u32, 'Least that can be set, in bytes.'),
    link('MAX_MTU', u32, 'Most that can be set, in bytes; 0 for no limit.'),
    link('GROUP', u32, 'Its group.'),
    link('PROMISCUITY', u32, 'Users of promiscuous mode.'),
    link('ALLMULTI', u32, 'Users of all-multicast mode (kernel 6.0).'),
    link('NUM_TX_QUEUES', u32, 'Send queues.'),
    link('GSO_MAX_SEGS', u32, 'Most segments the network layer hands it at once.'),
    link('GSO_MAX_SIZE', u32, 'Most bytes that the network layer hands it at once.'),
    link('GRO_MAX_SIZE', u32, 'Largest packet aggregated on receive (GRO), in bytes.'),
    link('GSO_IPV4_MAX_SIZE', u32, 'Most bytes, of IPv4 (kernel 6.3).'),
    link(
      'GRO_IPV4_MAX_SIZE',
      u32,
      'Largest IPv4 packet aggregated on receive (GRO), in bytes (kernel 6.3).',
    ),
    link('TSO_MAX_SIZE', u32, 'Most bytes the device can split.'),
    link('TSO_MAX_SEGS', u32, 'Most segments the device can split into.'),
    link(
      'MAX_PACING_OFFLOAD_HORIZON',
      bytes,
      'How far ahead it takes packets, in ns, 4 or 8 bytes.',
    ),
    link('NUM_RX_QUEUES', u32, 'Receive queues.'),
    link('MASTER', u32, 'Interface index of the link it is a part of.'),
    link('CARRIER', u8, 'Whether there is a carrier.'),
    link('IFALIAS', text, 'A description.', 'alias'),
    link('CARRIER_CHANGES', u32, 'How often the carrier changed.'),
    link('CARRIER_UP_COUNT', u32, 'How often the carrier came up.'),
    link('CARRIER_DOWN_COUNT', u32, 'How often the carrier went down.'),
    link('HEADROOM', u16, 'Bytes it needs before a packet (kernel 6.18).'),
    link('TAILROOM', u16, 'Bytes it needs after a packet (kernel 6.18).'),
    link('PROTO_DOWN', u8, 'Whether a program holds it down.'),
    link('PROTO_DOWN_REASON', { type: 'nest', table: downReason, flag: true }, 'Why.'),
    link('EVENT', named('u32', N.LinkEventType), 'Why the message was sent.'),
    link('ADDRESS', lladdr, 'Link-layer address; on tunnels an IP address, a byte each.'),
    link('BROADCAST', lladdr, 'Link-layer broadcast address; on tunnels the other end.'),
    link('PHYS_PORT_ID', bytes, 'Id of the port on the device.'),
    link('PHYS_PORT_NAME', text, 'Name of the port on the device.'),
    link('PHYS_SWITCH_ID', bytes, 'Id of the switch it is a port of.'),
    link('STATS64', struct(S.rtnl_link_stats64), 'Counters.', 'stats'),
    link('STATS', struct(S.rtnl_link_stats), 'Counters of 32 bits.', 'stats32'),
    link('NUM_VF', u32, 'Virtual functions.'),
    link('XDP', { type: 'nest', table: xdpInfo }, 'Programs attached.'),
    link(
      'LINKINFO',
      { type: 'nest', table: linkInfo },
      'Its kind, and the settings of that kind.',
      'info',
    ),
    link('NEW_NETNSID', s32, 'In a DELLINK: the namespace it moved to, its id here.', 'newNetnsId'),
    link('NEW_IFINDEX', s32, 'In a DELLINK: its index there.', 'newIndex'),
    link('PERM_ADDRESS', lladdr, 'The link-layer address the device came with.'),
    link(
      'LINK',
      u32,
      'Interface index of the device below, or of a veth’s other end.',
      'linkIndex',
    ),
    link(
      'LINK_NETNSID',
      s32,
      'The namespace of linkIndex, if it is another: its id here.',
      'linkNetnsId',
    ),
    link('QDISC', text, 'Its queueing discipline.'),
    link('AF_SPEC', { type: 'nest', table: families }, 'Settings by protocol.', 'families'),
    link('MAP', struct(S.rtnl_link_ifmap), 'Resources of the device.'),
    link(
      'PROP_LIST',
      { type: 'nest', table: propList, flag: true },
      'Further names.',
      'properties',
    ),
    link('PARENT_DEV_NAME', text, 'Name of the device it is on.'),
    link('PARENT_DEV_BUS_NAME', text, 'Name of the bus it is on.'),
    link(
      'DEVLINK_PORT',
      { type: 'nest', table: devlinkPort, flag: true },
      'The port of a device that it is (kernel 6.2).',
    ),
    link('DPLL_PIN', { type: 'nest', table: dpllPin, flag: true }, 'Its clock pin (kernel 6.7).'),
    link('TARGET_NETNSID', s32, 'The namespace asked for, its id here.', 'targetNetnsId'),
    link('ALT_IFNAME', text, 'In a request: an alternative name.', 'altName'),
    link('WEIGHT', u32, 'Packets received at once.'),
    link('NET_NS_PID', u32, 'In a request: move it to this process’s namespace.', 'netNsPid'),
    link('NET_NS_FD', u32, 'In a request: move it to this open namespace file.', 'netNsFd'),
    link('EXT_MASK', u32, 'In a request: additional information to include (RTEXT_FILTER_).'),
    link('PAD', pad, ''),
  ],
};

/** Bridge ports: messages of family AF_BRIDGE. */
export const portAttributes: AttributeTable = {
  name: 'PortAttributes',
  doc: 'The attributes of a port; those that were present.',
  attributes: [
    link('IFNAME', text, 'Its name.', 'name'),
    link('MASTER', u32, 'Interface index of its bridge.'),
    link('MTU', u32, 'Largest packet, in bytes.'),
    link('OPERSTATE', named('u8', N.LinkOperState), 'Its state.', 'operState'),
    link('ADDRESS', lladdr, 'Link-layer address.'),
    link('LINK', u32, 'Interface index of the device below.', 'linkIndex'),
    link('PROTINFO', { type: 'nest', table: portData, flag: true }, 'As a port.', 'port'),
    link('AF_SPEC', { type: 'nest', table: bridgeFamily }, 'VLANs.', 'bridge'),
  ],
};

/** IPv6 on links: messages of family AF_INET6. */
export const inet6Attributes: AttributeTable = {
  name: 'Inet6Attributes',
  doc: 'The IPv6 attributes of a link; those that were present.',
  attributes: [
    link('IFNAME', text, 'Its name.', 'name'),
    link('ADDRESS', lladdr, 'Link-layer address.'),
    link('MTU', u32, 'Largest IPv6 packet, in bytes.'),
    link('LINK', u32, 'Interface index of the device below.', 'linkIndex'),
    link('OPERSTATE', named('u8', N.LinkOperState), 'Its state.', 'operState'),
    link('PROTINFO', { type: 'nest', table: inet6Info }, 'Its IPv6 settings.', 'inet6'),
  ],
};
