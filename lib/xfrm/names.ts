/**
 * Names for XFRM's enumerations and flag words: the kernel's own name in lower case where that is
 * clear.
 * @module
 */
import { Enumeration, Flags, type FlagsOf, type NameOf } from '../wire/names.ts';
import * as X from './constants.ts';

/** Address families of SAs, selectors and templates (`linux/socket.h`). */
export const XfrmFamily = new Enumeration('XfrmFamily', { unspec: 0, inet: 2, inet6: 10 });
/** A name of {@link XfrmFamily}, or a number without one. */
export type XfrmFamily = NameOf<typeof XfrmFamily>;

/** IPsec protocols of SAs, by IP protocol number (net/xfrm: xfrm_id_proto_valid). */
export const IpsecProto = new Enumeration('IpsecProto', {
  any: 0,
  routing: 43,
  esp: 50,
  ah: 51,
  dstopts: 60,
  comp: 108,
});
/** A name of {@link IpsecProto}, or a number without one. */
export type IpsecProto = NameOf<typeof IpsecProto>;

/** How an SA encapsulates (XFRM_MODE_ of `linux/xfrm.h`). */
export const XfrmMode = new Enumeration('XfrmMode', {
  transport: X.XFRM_MODE_TRANSPORT,
  tunnel: X.XFRM_MODE_TUNNEL,
  'route-optimization': X.XFRM_MODE_ROUTEOPTIMIZATION,
  'in-trigger': X.XFRM_MODE_IN_TRIGGER,
  beet: X.XFRM_MODE_BEET,
  iptfs: X.XFRM_MODE_IPTFS,
});
/** A name of {@link XfrmMode}, or a number without one. */
export type XfrmMode = NameOf<typeof XfrmMode>;

/** Flags of an SA (XFRM_STATE_). */
export const StateFlags = new Flags('StateFlags', {
  noecn: X.XFRM_STATE_NOECN,
  'decap-dscp': X.XFRM_STATE_DECAP_DSCP,
  nopmtudisc: X.XFRM_STATE_NOPMTUDISC,
  wildrecv: X.XFRM_STATE_WILDRECV,
  icmp: X.XFRM_STATE_ICMP,
  'af-unspec': X.XFRM_STATE_AF_UNSPEC,
  align4: X.XFRM_STATE_ALIGN4,
  esn: X.XFRM_STATE_ESN,
});
/** A mask with its {@link StateFlags} names. */
export type StateFlags = FlagsOf<typeof StateFlags>;

/** More flags of an SA (XFRM_SA_XFLAG_). */
export const StateExtraFlags = new Flags('StateExtraFlags', {
  'dont-encap-dscp': X.XFRM_SA_XFLAG_DONT_ENCAP_DSCP,
  'oseq-may-wrap': X.XFRM_SA_XFLAG_OSEQ_MAY_WRAP,
});
/** A mask with its {@link StateExtraFlags} names. */
export type StateExtraFlags = FlagsOf<typeof StateExtraFlags>;

/** The direction of an SA (XFRM_SA_DIR_, since kernel 6.10). */
export const StateDir = new Enumeration('StateDir', {
  in: X.XFRM_SA_DIR_IN,
  out: X.XFRM_SA_DIR_OUT,
});
/** A name of {@link StateDir}, or a number without one. */
export type StateDir = NameOf<typeof StateDir>;

/** How an SA is offloaded to a device (XFRM_OFFLOAD_). */
export const OffloadFlags = new Flags('OffloadFlags', {
  ipv6: X.XFRM_OFFLOAD_IPV6,
  inbound: X.XFRM_OFFLOAD_INBOUND,
  packet: X.XFRM_OFFLOAD_PACKET,
});
/** A mask with its {@link OffloadFlags} names. */
export type OffloadFlags = FlagsOf<typeof OffloadFlags>;

/** The direction of a policy (XFRM_POLICY_). */
export const PolicyDir = new Enumeration('PolicyDir', {
  in: X.XFRM_POLICY_IN,
  out: X.XFRM_POLICY_OUT,
  fwd: X.XFRM_POLICY_FWD,
});
/** A name of {@link PolicyDir}, or a number without one. */
export type PolicyDir = NameOf<typeof PolicyDir>;

/** What a policy does with its packets (XFRM_POLICY_). */
export const PolicyAction = new Enumeration('PolicyAction', {
  allow: X.XFRM_POLICY_ALLOW,
  block: X.XFRM_POLICY_BLOCK,
});
/** A name of {@link PolicyAction}, or a number without one. */
export type PolicyAction = NameOf<typeof PolicyAction>;

/** Flags of a policy (XFRM_POLICY_). */
export const PolicyFlags = new Flags('PolicyFlags', {
  localok: X.XFRM_POLICY_LOCALOK,
  icmp: X.XFRM_POLICY_ICMP,
  'cpu-acquire': X.XFRM_POLICY_CPU_ACQUIRE,
});
/** A mask with its {@link PolicyFlags} names. */
export type PolicyFlags = FlagsOf<typeof PolicyFlags>;

/** Policy types (XFRM_POLICY_TYPE_). */
export const PolicyType = new Enumeration('PolicyType', {
  main: X.XFRM_POLICY_TYPE_MAIN,
  sub: X.XFRM_POLICY_TYPE_SUB,
  any: X.XFRM_POLICY_TYPE_ANY,
});
/** A name of {@link PolicyType}, or a number without one. */
export type PolicyType = NameOf<typeof PolicyType>;

/** The default for traffic that matches no policy. */
export const PolicyDefault = new Enumeration('PolicyDefault', {
  unspec: X.XFRM_USERPOLICY_UNSPEC,
  block: X.XFRM_USERPOLICY_BLOCK,
  accept: X.XFRM_USERPOLICY_ACCEPT,
});
/** A name of {@link PolicyDefault}, or a number without one. */
export type PolicyDefault = NameOf<typeof PolicyDefault>;

/** How SAs are shared among users of a policy (XFRM_SHARE_). */
export const PolicyShare = new Enumeration('PolicyShare', {
  any: X.XFRM_SHARE_ANY,
  session: X.XFRM_SHARE_SESSION,
  user: X.XFRM_SHARE_USER,
  unique: X.XFRM_SHARE_UNIQUE,
});
/** A name of {@link PolicyShare}, or a number without one. */
export type PolicyShare = NameOf<typeof PolicyShare>;

/** Encapsulation types (UDP_ENCAP_ of `linux/udp.h`, TCP_ENCAP_ESPINTCP). */
export const EncapType = new Enumeration('EncapType', {
  none: 0,
  'espinudp-nonike': 1,
  espinudp: 2,
  espintcp: 7,
});
/** A name of {@link EncapType}, or a number without one. */
export type EncapType = NameOf<typeof EncapType>;

/** What an async event reports or requests. */
export const AeventFlags = new Flags('AeventFlags', {
  'replay-threshold': X.XFRM_AE_RTHR,
  'replay-value': X.XFRM_AE_RVAL,
  'lifetime-value': X.XFRM_AE_LVAL,
  'timer-threshold': X.XFRM_AE_ETHR,
  'replay-update': X.XFRM_AE_CR,
  'timer-expired': X.XFRM_AE_CE,
  'policy-updated': X.XFRM_AE_CU,
});
/** A mask with its {@link AeventFlags} names. */
export type AeventFlags = FlagsOf<typeof AeventFlags>;

/** Side effects of moving one SA (kernel 7.2). */
export const MigrateStateFlags = new Flags('MigrateStateFlags', {
  'clear-offload': X.XFRM_MIGRATE_STATE_CLEAR_OFFLOAD,
  'update-h2h-sel': X.XFRM_MIGRATE_STATE_UPDATE_H2H_SEL,
});
/** A mask with its {@link MigrateStateFlags} names. */
export type MigrateStateFlags = FlagsOf<typeof MigrateStateFlags>;
