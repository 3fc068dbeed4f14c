/**
 * Names for rtnetlink's enumerations and flag words: the kernel's own name in lower case where that
 * is clear.
 * @module
 */
import { Enumeration, Flags, type FlagsOf, type NameOf } from '../wire/names.ts';
import * as R from './constants.ts';

/**
 * Address families (`linux/socket.h`), including those of multicast routing (`linux/rtnetlink.h`).
 */
export const AddressFamily = new Enumeration('AddressFamily', {
  unspec: 0,
  inet: 2,
  bridge: 7,
  inet6: 10,
  mpls: 28,
  mctp: 45,
  ipmr: 128,
  ip6mr: 129,
});
/** A name of {@link AddressFamily}, or a number without one. */
export type AddressFamily = NameOf<typeof AddressFamily>;

/** The link-layer type of a link: ARPHRD_ (`linux/if_arp.h`). */
export const LinkType = new Enumeration('LinkType', {
  ether: 1,
  infiniband: 32,
  ppp: 512,
  tunnel: 768,
  tunnel6: 769,
  loopback: 772,
  sit: 776,
  ipgre: 778,
  ip6gre: 823,
  netlink: 824,
  none: 0xfffe,
});
/** A name of {@link LinkType}, or a number without one. */
export type LinkType = NameOf<typeof LinkType>;

/** Flags of a link (IFF_ of `linux/if.h`). */
export const LinkFlags = new Flags('LinkFlags', {
  up: R.IFF_UP,
  broadcast: R.IFF_BROADCAST,
  debug: R.IFF_DEBUG,
  loopback: R.IFF_LOOPBACK,
  pointopoint: R.IFF_POINTOPOINT,
  notrailers: R.IFF_NOTRAILERS,
  running: R.IFF_RUNNING,
  noarp: R.IFF_NOARP,
  promisc: R.IFF_PROMISC,
  allmulti: R.IFF_ALLMULTI,
  master: R.IFF_MASTER,
  slave: R.IFF_SLAVE,
  multicast: R.IFF_MULTICAST,
  portsel: R.IFF_PORTSEL,
  automedia: R.IFF_AUTOMEDIA,
  dynamic: R.IFF_DYNAMIC,
  'lower-up': R.IFF_LOWER_UP,
  dormant: R.IFF_DORMANT,
  echo: R.IFF_ECHO,
});
/** A mask with its {@link LinkFlags} names. */
export type LinkFlags = FlagsOf<typeof LinkFlags>;

/** The operational state of a link (RFC 2863). */
export const LinkOperState = new Enumeration('LinkOperState', {
  unknown: R.IF_OPER_UNKNOWN,
  'not-present': R.IF_OPER_NOTPRESENT,
  down: R.IF_OPER_DOWN,
  'lower-layer-down': R.IF_OPER_LOWERLAYERDOWN,
  testing: R.IF_OPER_TESTING,
  dormant: R.IF_OPER_DORMANT,
  up: R.IF_OPER_UP,
});
/** A name of {@link LinkOperState}, or a number without one. */
export type LinkOperState = NameOf<typeof LinkOperState>;

/** Why a NEWLINK was sent, if no attribute shows it. */
export const LinkEventType = new Enumeration('LinkEventType', {
  none: R.IFLA_EVENT_NONE,
  reboot: R.IFLA_EVENT_REBOOT,
  features: R.IFLA_EVENT_FEATURES,
  'bonding-failover': R.IFLA_EVENT_BONDING_FAILOVER,
  'notify-peers': R.IFLA_EVENT_NOTIFY_PEERS,
  'igmp-resend': R.IFLA_EVENT_IGMP_RESEND,
  'bonding-options': R.IFLA_EVENT_BONDING_OPTIONS,
});
/** A name of {@link LinkEventType}, or a number without one. */
export type LinkEventType = NameOf<typeof LinkEventType>;

/** State of a bridge port (BR_STATE_ of `linux/if_bridge.h`). */
export const BridgePortState = new Enumeration('BridgePortState', {
  disabled: 0,
  listening: 1,
  learning: 2,
  forwarding: 3,
  blocking: 4,
});
/** A name of {@link BridgePortState}, or a number without one. */
export type BridgePortState = NameOf<typeof BridgePortState>;

/** The scope of a destination or an address. */
export const RouteScope = new Enumeration('RouteScope', {
  universe: R.RT_SCOPE_UNIVERSE,
  site: R.RT_SCOPE_SITE,
  link: R.RT_SCOPE_LINK,
  host: R.RT_SCOPE_HOST,
  nowhere: R.RT_SCOPE_NOWHERE,
});
/** A name of {@link RouteScope}, or a number without one. */
export type RouteScope = NameOf<typeof RouteScope>;

/** Flags of an address (IFA_F_). */
export const AddressFlags = new Flags('AddressFlags', {
  /** For an IPv6 address: temporary. */
  secondary: R.IFA_F_SECONDARY,
  nodad: R.IFA_F_NODAD,
  optimistic: R.IFA_F_OPTIMISTIC,
  dadfailed: R.IFA_F_DADFAILED,
  homeaddress: R.IFA_F_HOMEADDRESS,
  deprecated: R.IFA_F_DEPRECATED,
  tentative: R.IFA_F_TENTATIVE,
  permanent: R.IFA_F_PERMANENT,
  managetempaddr: R.IFA_F_MANAGETEMPADDR,
  noprefixroute: R.IFA_F_NOPREFIXROUTE,
  mcautojoin: R.IFA_F_MCAUTOJOIN,
  'stable-privacy': R.IFA_F_STABLE_PRIVACY,
});
/** A mask with its {@link AddressFlags} names. */
export type AddressFlags = FlagsOf<typeof AddressFlags>;

/** The origin of an address. */
export const AddressProtocol = new Enumeration('AddressProtocol', {
  unspec: R.IFAPROT_UNSPEC,
  'kernel-lo': R.IFAPROT_KERNEL_LO,
  'kernel-ra': R.IFAPROT_KERNEL_RA,
  'kernel-ll': R.IFAPROT_KERNEL_LL,
});
/** A name of {@link AddressProtocol}, or a number without one. */
export type AddressProtocol = NameOf<typeof AddressProtocol>;

/** What a route does with its packets. */
export const RouteType = new Enumeration('RouteType', {
  unspec: R.RTN_UNSPEC,
  unicast: R.RTN_UNICAST,
  local: R.RTN_LOCAL,
  broadcast: R.RTN_BROADCAST,
  anycast: R.RTN_ANYCAST,
  multicast: R.RTN_MULTICAST,
  blackhole: R.RTN_BLACKHOLE,
  unreachable: R.RTN_UNREACHABLE,
  prohibit: R.RTN_PROHIBIT,
  throw: R.RTN_THROW,
  nat: R.RTN_NAT,
  xresolve: R.RTN_XRESOLVE,
});
/** A name of {@link RouteType}, or a number without one. */
export type RouteType = NameOf<typeof RouteType>;

/** The origin of a route, a rule or a next hop. */
export const RouteProtocol = new Enumeration('RouteProtocol', {
  unspec: R.RTPROT_UNSPEC,
  redirect: R.RTPROT_REDIRECT,
  kernel: R.RTPROT_KERNEL,
  boot: R.RTPROT_BOOT,
  static: R.RTPROT_STATIC,
  gated: R.RTPROT_GATED,
  ra: R.RTPROT_RA,
  mrt: R.RTPROT_MRT,
  zebra: R.RTPROT_ZEBRA,
  bird: R.RTPROT_BIRD,
  dnrouted: R.RTPROT_DNROUTED,
  xorp: R.RTPROT_XORP,
  ntk: R.RTPROT_NTK,
  dhcp: R.RTPROT_DHCP,
  mrouted: R.RTPROT_MROUTED,
  keepalived: R.RTPROT_KEEPALIVED,
  babel: R.RTPROT_BABEL,
  openr: R.RTPROT_OPENR,
  bgp: R.RTPROT_BGP,
  isis: R.RTPROT_ISIS,
  ospf: R.RTPROT_OSPF,
  rip: R.RTPROT_RIP,
  eigrp: R.RTPROT_EIGRP,
});
/** A name of {@link RouteProtocol}, or a number without one. */
export type RouteProtocol = NameOf<typeof RouteProtocol>;

/** Flags of a route; the low byte holds those of its next hop, if it has only one. */
export const RouteFlags = new Flags('RouteFlags', {
  dead: R.RTNH_F_DEAD,
  pervasive: R.RTNH_F_PERVASIVE,
  onlink: R.RTNH_F_ONLINK,
  'nexthop-offload': R.RTNH_F_OFFLOAD,
  linkdown: R.RTNH_F_LINKDOWN,
  unresolved: R.RTNH_F_UNRESOLVED,
  'nexthop-trap': R.RTNH_F_TRAP,
  notify: R.RTM_F_NOTIFY,
  cloned: R.RTM_F_CLONED,
  equalize: R.RTM_F_EQUALIZE,
  prefix: R.RTM_F_PREFIX,
  'lookup-table': R.RTM_F_LOOKUP_TABLE,
  'fib-match': R.RTM_F_FIB_MATCH,
  offload: R.RTM_F_OFFLOAD,
  trap: R.RTM_F_TRAP,
  'offload-failed': R.RTM_F_OFFLOAD_FAILED,
});
/** A mask with its {@link RouteFlags} names. */
export type RouteFlags = FlagsOf<typeof RouteFlags>;

/** Flags of a next hop (RTNH_F_). */
export const NexthopFlags = new Flags('NexthopFlags', {
  dead: R.RTNH_F_DEAD,
  pervasive: R.RTNH_F_PERVASIVE,
  onlink: R.RTNH_F_ONLINK,
  offload: R.RTNH_F_OFFLOAD,
  linkdown: R.RTNH_F_LINKDOWN,
  unresolved: R.RTNH_F_UNRESOLVED,
  trap: R.RTNH_F_TRAP,
});
/** A mask with its {@link NexthopFlags} names. */
export type NexthopFlags = FlagsOf<typeof NexthopFlags>;

/** How a route encapsulates packets. */
export const RouteEncapType = new Enumeration('RouteEncapType', {
  none: R.LWTUNNEL_ENCAP_NONE,
  mpls: R.LWTUNNEL_ENCAP_MPLS,
  ip: R.LWTUNNEL_ENCAP_IP,
  ila: R.LWTUNNEL_ENCAP_ILA,
  ip6: R.LWTUNNEL_ENCAP_IP6,
  seg6: R.LWTUNNEL_ENCAP_SEG6,
  bpf: R.LWTUNNEL_ENCAP_BPF,
  'seg6-local': R.LWTUNNEL_ENCAP_SEG6_LOCAL,
  rpl: R.LWTUNNEL_ENCAP_RPL,
  ioam6: R.LWTUNNEL_ENCAP_IOAM6,
  xfrm: R.LWTUNNEL_ENCAP_XFRM,
});
/** A name of {@link RouteEncapType}, or a number without one. */
export type RouteEncapType = NameOf<typeof RouteEncapType>;

/** State of a neighbour: it has one at a time, but a request may name several. */
export const NeighbourState = new Flags('NeighbourState', {
  incomplete: R.NUD_INCOMPLETE,
  reachable: R.NUD_REACHABLE,
  stale: R.NUD_STALE,
  delay: R.NUD_DELAY,
  probe: R.NUD_PROBE,
  failed: R.NUD_FAILED,
  noarp: R.NUD_NOARP,
  permanent: R.NUD_PERMANENT,
});
/** A mask with its {@link NeighbourState} names. */
export type NeighbourState = FlagsOf<typeof NeighbourState>;

/** Flags of a neighbour (NTF_). */
export const NeighbourFlags = new Flags('NeighbourFlags', {
  use: R.NTF_USE,
  self: R.NTF_SELF,
  master: R.NTF_MASTER,
  proxy: R.NTF_PROXY,
  'ext-learned': R.NTF_EXT_LEARNED,
  offloaded: R.NTF_OFFLOADED,
  sticky: R.NTF_STICKY,
  router: R.NTF_ROUTER,
});
/** A mask with its {@link NeighbourFlags} names. */
export type NeighbourFlags = FlagsOf<typeof NeighbourFlags>;

/** More flags of a neighbour (NTF_EXT_). */
export const NeighbourExtFlags = new Flags('NeighbourExtFlags', {
  managed: R.NTF_EXT_MANAGED,
  locked: R.NTF_EXT_LOCKED,
  'ext-validated': R.NTF_EXT_EXT_VALIDATED,
});
/** A mask with its {@link NeighbourExtFlags} names. */
export type NeighbourExtFlags = FlagsOf<typeof NeighbourExtFlags>;

/** What a rule does with matching packets. */
export const RuleAction = new Enumeration('RuleAction', {
  unspec: R.FR_ACT_UNSPEC,
  'to-table': R.FR_ACT_TO_TBL,
  goto: R.FR_ACT_GOTO,
  nop: R.FR_ACT_NOP,
  blackhole: R.FR_ACT_BLACKHOLE,
  unreachable: R.FR_ACT_UNREACHABLE,
  prohibit: R.FR_ACT_PROHIBIT,
});
/** A name of {@link RuleAction}, or a number without one. */
export type RuleAction = NameOf<typeof RuleAction>;

/** Flags of a rule (FIB_RULE_). */
export const RuleFlags = new Flags('RuleFlags', {
  permanent: R.FIB_RULE_PERMANENT,
  invert: R.FIB_RULE_INVERT,
  unresolved: R.FIB_RULE_UNRESOLVED,
  'iif-detached': R.FIB_RULE_IIF_DETACHED,
  'oif-detached': R.FIB_RULE_OIF_DETACHED,
  'find-saddr': R.FIB_RULE_FIND_SADDR,
});
/** A mask with its {@link RuleFlags} names. */
export type RuleFlags = FlagsOf<typeof RuleFlags>;

/** Types of next hop groups. */
export const NexthopGroupType = new Enumeration('NexthopGroupType', {
  multipath: R.NEXTHOP_GRP_TYPE_MPATH,
  resilient: R.NEXTHOP_GRP_TYPE_RES,
});
/** A name of {@link NexthopGroupType}, or a number without one. */
export type NexthopGroupType = NameOf<typeof NexthopGroupType>;
