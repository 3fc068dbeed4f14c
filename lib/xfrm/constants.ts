/**
 * The numbers of the kernel's `linux/xfrm.h` (7.3), under the kernel's own names.
 * @module
 */

// Message types (nlmsg_type).
export const XFRM_MSG_BASE = 16;
export const XFRM_MSG_NEWSA = 16;
export const XFRM_MSG_DELSA = 17;
export const XFRM_MSG_GETSA = 18;
export const XFRM_MSG_NEWPOLICY = 19;
export const XFRM_MSG_DELPOLICY = 20;
export const XFRM_MSG_GETPOLICY = 21;
export const XFRM_MSG_ALLOCSPI = 22;
export const XFRM_MSG_ACQUIRE = 23;
export const XFRM_MSG_EXPIRE = 24;
export const XFRM_MSG_UPDPOLICY = 25;
export const XFRM_MSG_UPDSA = 26;
export const XFRM_MSG_POLEXPIRE = 27;
export const XFRM_MSG_FLUSHSA = 28;
export const XFRM_MSG_FLUSHPOLICY = 29;
export const XFRM_MSG_NEWAE = 30;
export const XFRM_MSG_GETAE = 31;
export const XFRM_MSG_REPORT = 32;
export const XFRM_MSG_MIGRATE = 33;
export const XFRM_MSG_NEWSADINFO = 34;
export const XFRM_MSG_GETSADINFO = 35;
export const XFRM_MSG_NEWSPDINFO = 36;
export const XFRM_MSG_GETSPDINFO = 37;
export const XFRM_MSG_MAPPING = 38;
export const XFRM_MSG_SETDEFAULT = 39;
export const XFRM_MSG_GETDEFAULT = 40;
export const XFRM_MSG_MIGRATE_STATE = 41;

// Attributes of every message except the SAD and SPD statistics.
export const XFRMA_UNSPEC = 0;
export const XFRMA_ALG_AUTH = 1;
export const XFRMA_ALG_CRYPT = 2;
export const XFRMA_ALG_COMP = 3;
export const XFRMA_ENCAP = 4;
export const XFRMA_TMPL = 5;
export const XFRMA_SA = 6;
export const XFRMA_POLICY = 7;
export const XFRMA_SEC_CTX = 8;
export const XFRMA_LTIME_VAL = 9;
export const XFRMA_REPLAY_VAL = 10;
export const XFRMA_REPLAY_THRESH = 11;
export const XFRMA_ETIMER_THRESH = 12;
export const XFRMA_SRCADDR = 13;
export const XFRMA_COADDR = 14;
export const XFRMA_LASTUSED = 15;
export const XFRMA_POLICY_TYPE = 16;
export const XFRMA_MIGRATE = 17;
export const XFRMA_ALG_AEAD = 18;
export const XFRMA_KMADDRESS = 19;
export const XFRMA_ALG_AUTH_TRUNC = 20;
export const XFRMA_MARK = 21;
export const XFRMA_TFCPAD = 22;
export const XFRMA_REPLAY_ESN_VAL = 23;
export const XFRMA_SA_EXTRA_FLAGS = 24;
export const XFRMA_PROTO = 25;
export const XFRMA_ADDRESS_FILTER = 26;
export const XFRMA_PAD = 27;
export const XFRMA_OFFLOAD_DEV = 28;
export const XFRMA_SET_MARK = 29;
/** The name of XFRMA_SET_MARK before 4.19. */
export const XFRMA_OUTPUT_MARK = 29;
export const XFRMA_SET_MARK_MASK = 30;
export const XFRMA_IF_ID = 31;
export const XFRMA_MTIMER_THRESH = 32;
export const XFRMA_SA_DIR = 33;
export const XFRMA_NAT_KEEPALIVE_INTERVAL = 34;
export const XFRMA_SA_PCPU = 35;
export const XFRMA_IPTFS_DROP_TIME = 36;
export const XFRMA_IPTFS_REORDER_WINDOW = 37;
export const XFRMA_IPTFS_DONT_FRAG = 38;
export const XFRMA_IPTFS_INIT_DELAY = 39;
export const XFRMA_IPTFS_MAX_QSIZE = 40;
export const XFRMA_IPTFS_PKT_SIZE = 41;

// Attributes of NEWSADINFO and NEWSPDINFO.
export const XFRMA_SAD_UNSPEC = 0;
export const XFRMA_SAD_CNT = 1;
export const XFRMA_SAD_HINFO = 2;
export const XFRMA_SPD_UNSPEC = 0;
export const XFRMA_SPD_INFO = 1;
export const XFRMA_SPD_HINFO = 2;
export const XFRMA_SPD_IPV4_HTHRESH = 3;
export const XFRMA_SPD_IPV6_HTHRESH = 4;

// Multicast groups, by number (NETLINK_ADD_MEMBERSHIP; bind takes the mask 1 << (group - 1)).
export const XFRMNLGRP_NONE = 0;
export const XFRMNLGRP_ACQUIRE = 1;
export const XFRMNLGRP_EXPIRE = 2;
export const XFRMNLGRP_SA = 3;
export const XFRMNLGRP_POLICY = 4;
export const XFRMNLGRP_AEVENTS = 5;
export const XFRMNLGRP_REPORT = 6;
export const XFRMNLGRP_MIGRATE = 7;
export const XFRMNLGRP_MAPPING = 8;

// Multicast groups, as the legacy bind masks. The header names no others.
export const XFRMGRP_ACQUIRE = 1;
export const XFRMGRP_EXPIRE = 2;
export const XFRMGRP_SA = 4;
export const XFRMGRP_POLICY = 8;
export const XFRMGRP_REPORT = 32;

// Async event flags (xfrm_aevent_id.flags).
export const XFRM_AE_UNSPEC = 0;
export const XFRM_AE_RTHR = 1;
export const XFRM_AE_RVAL = 2;
export const XFRM_AE_LVAL = 4;
export const XFRM_AE_ETHR = 8;
export const XFRM_AE_CR = 16;
export const XFRM_AE_CE = 32;
export const XFRM_AE_CU = 64;

// Modes of an SA.
export const XFRM_MODE_TRANSPORT = 0;
export const XFRM_MODE_TUNNEL = 1;
export const XFRM_MODE_ROUTEOPTIMIZATION = 2;
export const XFRM_MODE_IN_TRIGGER = 3;
export const XFRM_MODE_BEET = 4;
export const XFRM_MODE_IPTFS = 5;

// Flags of an SA (xfrm_usersa_info.flags).
export const XFRM_STATE_NOECN = 1;
export const XFRM_STATE_DECAP_DSCP = 2;
export const XFRM_STATE_NOPMTUDISC = 4;
export const XFRM_STATE_WILDRECV = 8;
export const XFRM_STATE_ICMP = 16;
export const XFRM_STATE_AF_UNSPEC = 32;
export const XFRM_STATE_ALIGN4 = 64;
export const XFRM_STATE_ESN = 128;

// Further flags of an SA (XFRMA_SA_EXTRA_FLAGS).
export const XFRM_SA_XFLAG_DONT_ENCAP_DSCP = 1;
export const XFRM_SA_XFLAG_OSEQ_MAY_WRAP = 2;

// Direction of an SA (XFRMA_SA_DIR).
export const XFRM_SA_DIR_IN = 1;
export const XFRM_SA_DIR_OUT = 2;

// Hardware offload of an SA (xfrm_user_offload.flags).
export const XFRM_OFFLOAD_IPV6 = 1;
export const XFRM_OFFLOAD_INBOUND = 2;
export const XFRM_OFFLOAD_PACKET = 4;

// Directions, actions, flags and types of a policy.
export const XFRM_POLICY_IN = 0;
export const XFRM_POLICY_OUT = 1;
export const XFRM_POLICY_FWD = 2;
/** The bits of a policy's index that are its direction. */
export const XFRM_POLICY_MASK = 3;
export const XFRM_POLICY_ALLOW = 0;
export const XFRM_POLICY_BLOCK = 1;
export const XFRM_POLICY_LOCALOK = 1;
export const XFRM_POLICY_ICMP = 2;
export const XFRM_POLICY_CPU_ACQUIRE = 4;
export const XFRM_POLICY_TYPE_MAIN = 0;
export const XFRM_POLICY_TYPE_SUB = 1;
export const XFRM_POLICY_TYPE_ANY = 255;
export const XFRM_USERPOLICY_UNSPEC = 0;
export const XFRM_USERPOLICY_BLOCK = 1;
export const XFRM_USERPOLICY_ACCEPT = 2;

// Side effects of moving one SA (xfrm_user_migrate_state.flags, kernel 7.2).
export const XFRM_MIGRATE_STATE_CLEAR_OFFLOAD = 1;
export const XFRM_MIGRATE_STATE_UPDATE_H2H_SEL = 2;
export const XFRM_MIGRATE_STATE_KNOWN_FLAGS = 3;

// Security labels (xfrm_user_sec_ctx.ctx_doi and ctx_alg).
export const XFRM_SC_DOI_RESERVED = 0;
export const XFRM_SC_DOI_LSM = 1;
export const XFRM_SC_ALG_RESERVED = 0;
export const XFRM_SC_ALG_SELINUX = 1;

// How SAs are shared.
export const XFRM_SHARE_ANY = 0;
export const XFRM_SHARE_SESSION = 1;
export const XFRM_SHARE_USER = 2;
export const XFRM_SHARE_UNIQUE = 3;

// Maximum size of a replay window in bits (net/xfrm/xfrm_user.c, verify_replay).
export const XFRMA_REPLAY_ESN_MAX = 4096;

/** "No limit" in a lifetime: 2^64 - 1 bytes or packets. (No limit in seconds is 0.) */
export const XFRM_INF = 2n ** 64n - 1n;
