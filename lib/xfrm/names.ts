/**
 * Names for XFRM's enumerations and flag words. Where the kernel's own name says it, ours is
 * that name in lower case.
 * @module
 */
import { Enumeration, Flags, type FlagsOf, type NameOf } from '../wire/names.ts';
import * as X from './constants.ts';

/** Address families of SAs, selectors and templates (`linux/socket.h`). */
export const XfrmFamily = new Enumeration('XfrmFamily', { unspec: 0, inet: 2, inet6: 10 });
export type XfrmFamily = NameOf<typeof XfrmFamily>;

/** IPsec protocols an SA can have, by IP protocol number (net/xfrm: xfrm_id_proto_valid). */
export const IpsecProto = new Enumeration('IpsecProto', {
  any: 0,
  routing: 43,
  esp: 50,
  ah: 51,
  dstopts: 60,
  comp: 108,
});
export type IpsecProto = NameOf<typeof IpsecProto>;

export const XfrmMode = new Enumeration('XfrmMode', {
  transport: X.XFRM_MODE_TRANSPORT,
  tunnel: X.XFRM_MODE_TUNNEL,
  'route-optimization': X.XFRM_MODE_ROUTEOPTIMIZATION,
  'in-trigger': X.XFRM_MODE_IN_TRIGGER,
  beet: X.XFRM_MODE_BEET,
  iptfs: X.XFRM_MODE_IPTFS,
});
export type XfrmMode = NameOf<typeof XfrmMode>;

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
export type StateFlags = FlagsOf<typeof StateFlags>;

export const StateExtraFlags = new Flags('StateExtraFlags', {
  'dont-encap-dscp': X.XFRM_SA_XFLAG_DONT_ENCAP_DSCP,
  'oseq-may-wrap': X.XFRM_SA_XFLAG_OSEQ_MAY_WRAP,
});
export type StateExtraFlags = FlagsOf<typeof StateExtraFlags>;

export const StateDir = new Enumeration('StateDir', {
  in: X.XFRM_SA_DIR_IN,
  out: X.XFRM_SA_DIR_OUT,
});
export type StateDir = NameOf<typeof StateDir>;

export const OffloadFlags = new Flags('OffloadFlags', {
  ipv6: X.XFRM_OFFLOAD_IPV6,
  inbound: X.XFRM_OFFLOAD_INBOUND,
  packet: X.XFRM_OFFLOAD_PACKET,
});
export type OffloadFlags = FlagsOf<typeof OffloadFlags>;

export const PolicyDir = new Enumeration('PolicyDir', {
  in: X.XFRM_POLICY_IN,
  out: X.XFRM_POLICY_OUT,
  fwd: X.XFRM_POLICY_FWD,
});
export type PolicyDir = NameOf<typeof PolicyDir>;

export const PolicyAction = new Enumeration('PolicyAction', {
  allow: X.XFRM_POLICY_ALLOW,
  block: X.XFRM_POLICY_BLOCK,
});
export type PolicyAction = NameOf<typeof PolicyAction>;

export const PolicyFlags = new Flags('PolicyFlags', {
  localok: X.XFRM_POLICY_LOCALOK,
  icmp: X.XFRM_POLICY_ICMP,
  'cpu-acquire': X.XFRM_POLICY_CPU_ACQUIRE,
});
export type PolicyFlags = FlagsOf<typeof PolicyFlags>;

export const PolicyType = new Enumeration('PolicyType', {
  main: X.XFRM_POLICY_TYPE_MAIN,
  sub: X.XFRM_POLICY_TYPE_SUB,
  any: X.XFRM_POLICY_TYPE_ANY,
});
export type PolicyType = NameOf<typeof PolicyType>;

/** What happens to traffic that no policy matches. */
export const PolicyDefault = new Enumeration('PolicyDefault', {
  unspec: X.XFRM_USERPOLICY_UNSPEC,
  block: X.XFRM_USERPOLICY_BLOCK,
  accept: X.XFRM_USERPOLICY_ACCEPT,
});
export type PolicyDefault = NameOf<typeof PolicyDefault>;

export const PolicyShare = new Enumeration('PolicyShare', {
  any: X.XFRM_SHARE_ANY,
  session: X.XFRM_SHARE_SESSION,
  user: X.XFRM_SHARE_USER,
  unique: X.XFRM_SHARE_UNIQUE,
});
export type PolicyShare = NameOf<typeof PolicyShare>;

/** Kinds of encapsulation (UDP_ENCAP_ of `linux/udp.h`, TCP_ENCAP_ESPINTCP). */
export const EncapType = new Enumeration('EncapType', {
  none: 0,
  'espinudp-nonike': 1,
  espinudp: 2,
  espintcp: 7,
});
export type EncapType = NameOf<typeof EncapType>;

/** What an async event is about, or asks for. */
export const AeventFlags = new Flags('AeventFlags', {
  'replay-threshold': X.XFRM_AE_RTHR,
  'replay-value': X.XFRM_AE_RVAL,
  'lifetime-value': X.XFRM_AE_LVAL,
  'timer-threshold': X.XFRM_AE_ETHR,
  'replay-update': X.XFRM_AE_CR,
  'timer-expired': X.XFRM_AE_CE,
  'policy-updated': X.XFRM_AE_CU,
});
export type AeventFlags = FlagsOf<typeof AeventFlags>;

/** What one SA's move does beside (kernel 7.2). */
export const MigrateStateFlags = new Flags('MigrateStateFlags', {
  'clear-offload': X.XFRM_MIGRATE_STATE_CLEAR_OFFLOAD,
  'update-h2h-sel': X.XFRM_MIGRATE_STATE_UPDATE_H2H_SEL,
});
export type MigrateStateFlags = FlagsOf<typeof MigrateStateFlags>;
