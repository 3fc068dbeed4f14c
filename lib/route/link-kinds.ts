/**
 * The attributes of each kind of link (IFLA_LINKINFO), in the kernel's order. Other kinds are kept
 * as bytes. A veth has attributes in requests only, a wireguard interface has none.
 * @module
 */
import type { AttributeTable } from '../wire/attribute-table.ts';
import {
  be16,
  be32,
  bytes,
  flag,
  ip,
  ipv4,
  ipv6,
  lladdr,
  named,
  pad,
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

const link = space('IFLA_');
const vethInfo = space('VETH_INFO_');
const vlan = space('IFLA_VLAN_');
const bridge = space('IFLA_BR_');
const port = space('IFLA_BRPORT_');
const xfrm = space('IFLA_XFRM_');
const vti = space('IFLA_VTI_');
const tunnel = space('IFLA_IPTUN_');
const gre = space('IFLA_GRE_');
const info = space('IFLA_INFO_');

/** The other end of a veth pair, in the request that creates both. */
const peer: AttributeTable = {
  name: 'VethPeerAttributes',
  doc: 'The other end of a veth pair.',
  attributes: [
    link('IFNAME', text, 'Its name.', 'name'),
    link('ADDRESS', lladdr, 'Its link-layer address.'),
    link('MTU', u32, 'Its largest packet, in bytes.'),
    link('TXQLEN', u32, 'Length of its send queue, in packets.', 'txQueueLength'),
    link('NUM_TX_QUEUES', u32, 'Send queues.'),
    link('NUM_RX_QUEUES', u32, 'Receive queues.'),
    link('GROUP', u32, 'Its group.'),
    link('NET_NS_PID', u32, 'The process whose network namespace it is made in.', 'netNsPid'),
    link('NET_NS_FD', u32, 'The open namespace file it is made in.', 'netNsFd'),
  ],
};

const veth: AttributeTable = {
  name: 'VethData',
  doc: 'A veth pair.',
  attributes: [
    vethInfo('PEER', { type: 'nest', table: peer, header: S.ifinfomsg }, 'Its other end.'),
  ],
};

const qosEntry: AttributeTable = {
  name: 'VlanQos',
  doc: 'A mapping of priorities.',
  attributes: [
    {
      type: 'list',
      struct: S.ifla_vlan_qos_mapping,
      repeated: true,
      kernel: 'IFLA_VLAN_QOS_MAPPING',
      number: 1,
      name: 'mappings',
      doc: 'Each priority that changes.',
    },
  ],
};

const vlanData: AttributeTable = {
  name: 'VlanData',
  doc: 'A VLAN.',
  attributes: [
    vlan('PROTOCOL', be16, 'Ethernet type: 0x8100 (802.1Q) or 0x88a8 (802.1ad).'),
    vlan('ID', u16, 'VLAN id.'),
    vlan('FLAGS', struct(S.ifla_vlan_flags), 'Flags.'),
    vlan('INGRESS_QOS', { type: 'nest', table: qosEntry }, 'Priorities of received packets.'),
    vlan('EGRESS_QOS', { type: 'nest', table: qosEntry }, 'Priorities of sent packets.'),
  ],
};

const bridgeData: AttributeTable = {
  name: 'BridgeData',
  doc: 'A bridge.',
  attributes: [
    bridge('HELLO_TIMER', ticks64, 'Until the next hello.'),
    bridge('TCN_TIMER', ticks64, 'Until the next notice of a change.'),
    bridge('TOPOLOGY_CHANGE_TIMER', ticks64, 'Until a change is over.'),
    bridge('GC_TIMER', ticks64, 'Until old entries are looked for.'),
    bridge('FORWARD_DELAY', ticks32, 'Time in the states listening and learning.'),
    bridge('HELLO_TIME', ticks32, 'Between two hellos.'),
    bridge('MAX_AGE', ticks32, 'How long received information is valid.'),
    bridge('AGEING_TIME', ticks32, 'How long a learned address is kept.'),
    bridge('STP_STATE', u32, 'Spanning tree: 0 off, 1 in the kernel, 2 by a program.'),
    bridge('PRIORITY', u16, 'Its priority.'),
    bridge('VLAN_FILTERING', u8, 'Whether VLANs are filtered.'),
    bridge('GROUP_FWD_MASK', u16, 'Reserved addresses that are passed on, a bit each.'),
    bridge('BRIDGE_ID', bytes, 'Its id: priority and address.'),
    bridge('ROOT_ID', bytes, 'The id of the root bridge.'),
    bridge('ROOT_PORT', u16, 'The port towards the root.'),
    bridge('ROOT_PATH_COST', u32, 'Path cost to the root.'),
    bridge('TOPOLOGY_CHANGE', u8, 'Whether a change is under way.'),
    bridge('TOPOLOGY_CHANGE_DETECTED', u8, 'Whether it saw one.'),
    bridge('GROUP_ADDR', lladdr, 'The address of the spanning tree protocol.'),
    bridge('FDB_FLUSH', flag, 'In a request: forget all addresses.'),
    bridge('MULTI_BOOLOPT', bytes, 'Switches: their values, and those that count.'),
    bridge('FDB_N_LEARNED', u32, 'Addresses learned (kernel 6.7).'),
    bridge('FDB_MAX_LEARNED', u32, 'Most addresses it learns; 0 for any number (kernel 6.7).'),
    bridge('STP_MODE', u32, 'How the spanning tree is chosen.'),
    bridge('VLAN_PROTOCOL', be16, 'Ethernet type of its VLANs.'),
    bridge('VLAN_DEFAULT_PVID', u16, 'VLAN of untagged packets.'),
    bridge('VLAN_STATS_ENABLED', u8, 'Whether VLANs are counted.'),
    bridge('VLAN_STATS_PER_PORT', u8, 'Whether they are counted by port.'),
    bridge('MCAST_ROUTER', u8, 'Whether it counts as a multicast router.'),
    bridge('MCAST_SNOOPING', u8, 'Whether it snoops multicast membership.'),
    bridge('MCAST_QUERY_USE_IFADDR', u8, 'Whether queries use its own address as source.'),
    bridge('MCAST_QUERIER', u8, 'Whether it sends queries.'),
    bridge('MCAST_STATS_ENABLED', u8, 'Whether multicast is counted.'),
    bridge('MCAST_HASH_ELASTICITY', u32, 'No longer used.'),
    bridge('MCAST_HASH_MAX', u32, 'Most entries of the multicast table.'),
    bridge('MCAST_LAST_MEMBER_CNT', u32, 'Queries before a group ends.'),
    bridge('MCAST_STARTUP_QUERY_CNT', u32, 'Queries at the start.'),
    bridge('MCAST_IGMP_VERSION', u8, 'Version of IGMP.'),
    bridge('MCAST_MLD_VERSION', u8, 'Version of MLD.'),
    bridge('MCAST_QUERIER_STATE', bytes, 'Who asks; a nest.'),
    bridge('MCAST_LAST_MEMBER_INTVL', ticks64, 'Between the queries before a group ends.'),
    bridge('MCAST_MEMBERSHIP_INTVL', ticks64, 'Until a group ends.'),
    bridge('MCAST_QUERIER_INTVL', ticks64, 'Time until another querier counts as gone.'),
    bridge('MCAST_QUERY_INTVL', ticks64, 'Between two queries.'),
    bridge('MCAST_QUERY_RESPONSE_INTVL', ticks64, 'Time for the answer.'),
    bridge('MCAST_STARTUP_QUERY_INTVL', ticks64, 'Between the queries at the start.'),
    bridge('NF_CALL_IPTABLES', u8, 'Whether iptables sees its packets.'),
    bridge('NF_CALL_IP6TABLES', u8, 'Whether ip6tables sees them.'),
    bridge('NF_CALL_ARPTABLES', u8, 'Whether arptables sees them.'),
    bridge('PAD', pad, ''),
  ],
};

/** A bridge port: in IFLA_INFO_SLAVE_DATA, and in messages of family AF_BRIDGE. */
export const portData: AttributeTable = {
  name: 'BridgePortData',
  doc: 'A port of a bridge.',
  attributes: [
    port('STATE', named('u8', N.BridgePortState), 'Its state.'),
    port('PRIORITY', u16, 'Its priority.'),
    port('COST', u32, 'Path cost of the port.'),
    port('MODE', u8, 'Whether packets may go back where they came from.'),
    port('GUARD', u8, 'Whether spanning tree packets close it.'),
    port('PROTECT', u8, 'Whether it may become the root port.'),
    port('FAST_LEAVE', u8, 'Whether a group ends at once.'),
    port('MCAST_TO_UCAST', u8, 'Whether multicast is sent as unicast.'),
    port('LEARNING', u8, 'Whether it learns addresses.'),
    port('UNICAST_FLOOD', u8, 'Whether packets to unknown addresses go out.'),
    port('MCAST_FLOOD', u8, 'Whether unregistered multicast is flooded to it.'),
    port('BCAST_FLOOD', u8, 'Whether broadcasts are flooded to it.'),
    port('PROXYARP', u8, 'Whether ARP is answered for others.'),
    port('PROXYARP_WIFI', u8, 'The same, for wireless networks.'),
    port('ROOT_ID', bytes, 'The id of the root bridge.'),
    port('BRIDGE_ID', bytes, 'The id of the bridge it leads to.'),
    port('DESIGNATED_PORT', u16, 'The port it leads to.'),
    port('DESIGNATED_COST', u16, 'Path cost from there to the root.'),
    port('ID', u16, 'Its id.'),
    port('NO', u16, 'Its number.'),
    port('TOPOLOGY_CHANGE_ACK', u8, 'Whether a change is acknowledged.'),
    port('CONFIG_PENDING', u8, 'Whether its configuration is being sent.'),
    port('VLAN_TUNNEL', u8, 'Whether VLANs are mapped to tunnel ids.'),
    port('GROUP_FWD_MASK', u16, 'Reserved addresses that are passed on, a bit each.'),
    port('NEIGH_SUPPRESS', u8, 'Whether ARP and neighbour discovery are answered here.'),
    port('MRP_RING_OPEN', u8, 'Whether its ring is open (MRP).'),
    port('MRP_IN_OPEN', u8, 'Whether its inner ring is open (MRP).'),
    port('ISOLATED', u8, 'Whether it is cut off from other isolated ports.'),
    port('LOCKED', u8, 'Whether unknown senders are refused.'),
    port('MAB', u8, 'Whether their addresses are noted (kernel 6.2).'),
    port('NEIGH_VLAN_SUPPRESS', u8, 'The same as neighSuppress, by VLAN (kernel 6.4).'),
    port('NEIGH_FORWARD_GRAT', u8, 'Whether unasked answers are passed on.'),
    port('MESSAGE_AGE_TIMER', ticks64, 'Time until received information is too old.'),
    port('FORWARD_DELAY_TIMER', ticks64, 'Until its next state.'),
    port('HOLD_TIMER', ticks64, 'Until it may send again.'),
    port('MULTICAST_ROUTER', u8, 'Whether a multicast router is behind it.'),
    port('MCAST_EHT_HOSTS_LIMIT', u32, 'Most hosts that are tracked.'),
    port('MCAST_EHT_HOSTS_CNT', u32, 'Hosts that are tracked.'),
    port('MCAST_N_GROUPS', u32, 'Groups (kernel 6.3).'),
    port('MCAST_MAX_GROUPS', u32, 'Most groups; 0 for any number (kernel 6.3).'),
    port('BACKUP_PORT', u32, 'Interface index of the port that takes over.'),
    port('BACKUP_NHID', u32, 'Next hop that takes over (kernel 6.6).'),
    port('FLUSH', flag, 'In a request: forget its addresses.'),
    port('PAD', pad, ''),
  ],
};

const xfrmData: AttributeTable = {
  name: 'XfrmLinkData',
  doc: 'An xfrm interface: its packets pass through SAs with its id.',
  attributes: [
    xfrm('LINK', u32, 'Interface index of the device below; 0 for none.'),
    xfrm('IF_ID', u32, 'The id that SAs and policies carry as if_id.'),
    xfrm('COLLECT_METADATA', flag, 'The id is set by each packet’s metadata, not here.'),
  ],
};

const vtiData: AttributeTable = {
  name: 'VtiData',
  doc: 'A VTI: a tunnel whose packets are protected by SAs with its mark.',
  attributes: [
    vti('LINK', u32, 'Interface index of the device below; 0 for none.'),
    vti('IKEY', be32, 'Mark of received packets.'),
    vti('OKEY', be32, 'Mark of sent packets.'),
    vti('LOCAL', ip, 'Its own address.'),
    vti('REMOTE', ip, 'The address of the other end.'),
    vti('FWMARK', u32, 'Mark its own packets get.'),
  ],
};

const tunnelData: AttributeTable = {
  name: 'IpTunnelData',
  doc: 'A tunnel of IP in IP.',
  attributes: [
    tunnel('LINK', u32, 'Interface index of the device below; 0 for none.'),
    tunnel('LOCAL', ip, 'Its own address.'),
    tunnel('REMOTE', ip, 'The address of the other end.'),
    tunnel('TTL', u8, 'Hop limit; 0 for the inner packet’s.'),
    tunnel('TOS', u8, 'Type of service; 1 for the inner packet’s.'),
    tunnel('ENCAP_LIMIT', u8, 'Most tunnels in tunnels (IPv6).'),
    tunnel('FLOWINFO', be32, 'Flow label and traffic class (IPv6).'),
    // IFLA_IPTUN_FLAGS has 16 bits for sit and 32 for ip6tnl, so it is kept as bytes.
    tunnel('FLAGS', bytes, 'Flags: 2 bytes for sit, 4 for ip6tnl.'),
    tunnel('PROTO', u8, 'What is inside: 4 IPv4, 41 IPv6, 137 MPLS, 0 any.'),
    tunnel('PMTUDISC', u8, 'Whether the path’s largest packet is looked for.'),
    tunnel('6RD_PREFIX', ipv6, '6rd: prefix.', 'sixRdPrefix'),
    tunnel('6RD_RELAY_PREFIX', ipv4, '6rd: IPv4 prefix.', 'sixRdRelayPrefix'),
    tunnel('6RD_PREFIXLEN', u16, '6rd: prefix length in bits.', 'sixRdPrefixLength'),
    tunnel('6RD_RELAY_PREFIXLEN', u16, '6rd: its length in bits.', 'sixRdRelayPrefixLength'),
    tunnel('FWMARK', u32, 'Mark its own packets get.'),
    tunnel('ENCAP_TYPE', u16, 'Further encapsulation: 0 none, 1 FOU, 2 GUE.'),
    tunnel('ENCAP_SPORT', be16, 'Its source port.'),
    tunnel('ENCAP_DPORT', be16, 'Its destination port.'),
    tunnel('ENCAP_FLAGS', u16, 'Its flags.'),
    tunnel('COLLECT_METADATA', flag, 'The endpoints are set by each packet’s metadata.'),
  ],
};

const greData: AttributeTable = {
  name: 'GreData',
  doc: 'A GRE tunnel.',
  attributes: [
    gre('LINK', u32, 'Interface index of the device below; 0 for none.'),
    gre('IFLAGS', be16, 'Flags of received packets, as in the GRE header.'),
    gre('OFLAGS', be16, 'Flags of sent packets, as in the GRE header.'),
    gre('IKEY', be32, 'Key of received packets.'),
    gre('OKEY', be32, 'Key of sent packets.'),
    gre('LOCAL', ip, 'Its own address.'),
    gre('REMOTE', ip, 'The address of the other end.'),
    gre('TTL', u8, 'Hop limit; 0 for the inner packet’s.'),
    gre('TOS', u8, 'Type of service; 1 for the inner packet’s.'),
    gre('ENCAP_LIMIT', u8, 'Most tunnels in tunnels (IPv6).'),
    gre('FLOWINFO', be32, 'Flow label and traffic class (IPv6).'),
    gre('FLAGS', u32, 'Flags (IPv6).'),
    gre('PMTUDISC', u8, 'Whether the path’s largest packet is looked for.'),
    gre('FWMARK', u32, 'Mark its own packets get.'),
    gre('ENCAP_TYPE', u16, 'Further encapsulation: 0 none, 1 FOU, 2 GUE.'),
    gre('ENCAP_SPORT', be16, 'Its source port.'),
    gre('ENCAP_DPORT', be16, 'Its destination port.'),
    gre('ENCAP_FLAGS', u16, 'Its flags.'),
    gre('IGNORE_DF', u8, 'Whether inner packets that must not be split may be.'),
    gre('COLLECT_METADATA', flag, 'The endpoints are set by each packet’s metadata.'),
    gre('ERSPAN_INDEX', u32, 'ERSPAN: index.'),
    gre('ERSPAN_VER', u8, 'ERSPAN: version.'),
    gre('ERSPAN_DIR', u8, 'ERSPAN: direction.'),
    gre('ERSPAN_HWID', u16, 'ERSPAN: hardware id.'),
  ],
};

/** IFLA_LINKINFO. */
export const linkInfo: AttributeTable = {
  name: 'LinkInfo',
  doc: 'Its kind, and the settings of that kind.',
  attributes: [
    info('KIND', text, 'Its kind, as veth or xfrm; physical devices have none.'),
    info('XSTATS', bytes, 'Counters of its kind.'),
    info(
      'DATA',
      {
        type: 'choice',
        by: R.IFLA_INFO_KIND,
        of: 'string',
        options: [
          { values: ['veth'], name: 'veth', doc: 'Of a request for a veth pair.', table: veth },
          { values: ['vlan'], name: 'vlan', doc: 'Of a VLAN.', table: vlanData },
          { values: ['bridge'], name: 'bridge', doc: 'Of a bridge.', table: bridgeData },
          { values: ['xfrm'], name: 'xfrm', doc: 'Of an xfrm interface.', table: xfrmData },
          {
            values: ['vti', 'vti6'],
            inet6: ['vti6'],
            name: 'vti',
            doc: 'Of a vti or vti6.',
            table: vtiData,
          },
          {
            values: ['ipip', 'sit', 'ip6tnl'],
            inet6: ['ip6tnl'],
            name: 'tunnel',
            doc: 'Of an ipip, sit or ip6tnl tunnel.',
            table: tunnelData,
          },
          {
            values: ['gre', 'gretap', 'ip6gre', 'ip6gretap', 'erspan', 'ip6erspan'],
            inet6: ['ip6gre', 'ip6gretap', 'ip6erspan'],
            name: 'gre',
            doc: 'Of a gre, gretap, ip6gre, ip6gretap or erspan tunnel.',
            table: greData,
          },
        ],
      },
      'Of other kinds: what it says of itself, as it came.',
    ),
    info('SLAVE_KIND', text, 'The kind of the link it is a part of.'),
    info(
      'SLAVE_DATA',
      {
        type: 'choice',
        by: R.IFLA_INFO_SLAVE_KIND,
        of: 'string',
        options: [
          { values: ['bridge'], name: 'port', doc: 'As a port of a bridge.', table: portData },
        ],
      },
      'As a part of another kind: as it came.',
    ),
  ],
};
