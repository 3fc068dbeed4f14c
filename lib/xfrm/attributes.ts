/**
 * The attributes of XFRM messages (XFRMA_ of `linux/xfrm.h`, kernel 7.3): number, payload, and the
 * property of the decoded message. One table serves all messages, because XFRM has a single
 * attribute space, except for the SAD and SPD statistics. message-attributes.ts lists the
 * attributes of each message.
 * @module
 */
import type { Attribute, AttributeTable, Payload } from '../wire/attribute-table.ts';
import type { Struct } from '../wire/struct.ts';
import * as X from './constants.ts';
import * as N from './names.ts';
import * as S from './structs.ts';

/** Maximum number of templates in a policy, and of migrations in a message (include/net/xfrm.h). */
export const XFRM_MAX_DEPTH = 6;

type Constant = Extract<keyof typeof X, `XFRMA_${string}`>;

const attribute = (kernel: Constant, name: string, payload: Payload, doc: string): Attribute => ({
  ...payload,
  kernel,
  number: X[kernel],
  name,
  doc,
});

const struct = (of: Struct): Payload => ({ type: 'struct', struct: of });
const u32: Payload = { type: 'u32' };

const all: readonly Attribute[] = [
  attribute(
    'XFRMA_ALG_AUTH',
    'auth',
    struct(S.xfrm_algo),
    'Integrity algorithm (always with authTrunc).',
  ),
  attribute('XFRMA_ALG_CRYPT', 'crypt', struct(S.xfrm_algo), 'Encryption algorithm.'),
  attribute('XFRMA_ALG_COMP', 'comp', struct(S.xfrm_algo), 'Compression algorithm.'),
  attribute('XFRMA_ENCAP', 'encap', struct(S.xfrm_encap_tmpl), 'Encapsulation in UDP or TCP.'),
  attribute(
    'XFRMA_TMPL',
    'templates',
    { type: 'list', struct: S.xfrm_user_tmpl },
    'The SAs that the policy asks for, in order.',
  ),
  attribute('XFRMA_SA', 'state', struct(S.xfrm_usersa_info), 'The SA that was deleted.'),
  attribute(
    'XFRMA_POLICY',
    'policy',
    struct(S.xfrm_userpolicy_info),
    'The policy that was deleted.',
  ),
  attribute('XFRMA_SEC_CTX', 'securityContext', struct(S.xfrm_user_sec_ctx), 'Security label.'),
  attribute('XFRMA_LTIME_VAL', 'lifetimeCurrent', struct(S.xfrm_lifetime_cur), 'Usage so far.'),
  attribute('XFRMA_REPLAY_VAL', 'replay', struct(S.xfrm_replay_state), 'Sequence numbers.'),
  attribute('XFRMA_REPLAY_THRESH', 'replayThreshold', u32, 'Packets between two async events.'),
  attribute(
    'XFRMA_ETIMER_THRESH',
    'timerThreshold',
    u32,
    'Time between two async events: as reported, in 100 ms; as set, in jiffies.',
  ),
  attribute('XFRMA_SRCADDR', 'srcaddr', { type: 'address' }, 'Source address, in requests.'),
  attribute('XFRMA_COADDR', 'coaddr', { type: 'address' }, 'Care-of address (Mobile IPv6).'),
  attribute(
    'XFRMA_LASTUSED',
    'lastUsedAt',
    { type: 'u64', unit: 'moment' },
    'When it was last used, in ms since 1970.',
  ),
  attribute(
    'XFRMA_POLICY_TYPE',
    'policyType',
    struct(S.xfrm_userpolicy_type),
    'Type of the policy.',
  ),
  attribute(
    'XFRMA_MIGRATE',
    'migrations',
    { type: 'list', struct: S.xfrm_user_migrate, repeated: true },
    'What moves where; in requests one attribute holds all, in events each has its own.',
  ),
  attribute(
    'XFRMA_ALG_AEAD',
    'aead',
    struct(S.xfrm_algo_aead),
    'Algorithm that encrypts and protects.',
  ),
  attribute(
    'XFRMA_KMADDRESS',
    'kmAddress',
    struct(S.xfrm_user_kmaddress),
    'Addresses the key managers talk over.',
  ),
  attribute(
    'XFRMA_ALG_AUTH_TRUNC',
    'authTrunc',
    struct(S.xfrm_algo_auth),
    'Integrity algorithm, with the length of its check value.',
  ),
  attribute('XFRMA_MARK', 'mark', struct(S.xfrm_mark), 'Which packets: their mark.'),
  attribute('XFRMA_TFCPAD', 'tfcPad', u32, 'Packets are padded to this many bytes.'),
  attribute(
    'XFRMA_REPLAY_ESN_VAL',
    'replayEsn',
    struct(S.xfrm_replay_state_esn),
    'Sequence numbers, in the large form.',
  ),
  attribute(
    'XFRMA_SA_EXTRA_FLAGS',
    'extraFlags',
    { type: 'u32', names: N.StateExtraFlags },
    'Further flags.',
  ),
  attribute(
    'XFRMA_PROTO',
    'filterProto',
    { type: 'u8', names: N.IpsecProto },
    'Which SAs a dump is asked for.',
  ),
  attribute(
    'XFRMA_ADDRESS_FILTER',
    'addressFilter',
    struct(S.xfrm_address_filter),
    'Which SAs a dump is asked for.',
  ),
  attribute('XFRMA_PAD', 'pad', { type: 'pad' }, ''),
  attribute(
    'XFRMA_OFFLOAD_DEV',
    'offload',
    struct(S.xfrm_user_offload),
    'The device that does the work.',
  ),
  attribute('XFRMA_SET_MARK', 'setMark', u32, 'Mark given to packets.'),
  attribute('XFRMA_SET_MARK_MASK', 'setMarkMask', u32, 'Bits of setMark that count.'),
  attribute('XFRMA_IF_ID', 'ifId', u32, 'Id of the xfrm interface.'),
  attribute(
    'XFRMA_MTIMER_THRESH',
    'mappingMaxAgeSeconds',
    u32,
    'Seconds between two MAPPING events.',
  ),
  attribute('XFRMA_SA_DIR', 'dir', { type: 'u8', names: N.StateDir }, 'Direction (kernel 6.10).'),
  attribute(
    'XFRMA_NAT_KEEPALIVE_INTERVAL',
    'natKeepaliveSeconds',
    u32,
    'Seconds between two keep-alive packets (kernel 6.11).',
  ),
  attribute('XFRMA_SA_PCPU', 'pcpu', u32, 'The processor it belongs to (kernel 6.13).'),
  attribute(
    'XFRMA_IPTFS_DROP_TIME',
    'iptfsDropUs',
    u32,
    'IP-TFS: µs to wait for a missing packet.',
  ),
  attribute(
    'XFRMA_IPTFS_REORDER_WINDOW',
    'iptfsReorderWindow',
    { type: 'u16' },
    'IP-TFS: packets that may come out of order.',
  ),
  attribute(
    'XFRMA_IPTFS_DONT_FRAG',
    'iptfsDontFrag',
    { type: 'flag' },
    'IP-TFS: inner packets are not split.',
  ),
  attribute('XFRMA_IPTFS_INIT_DELAY', 'iptfsInitDelayUs', u32, 'IP-TFS: µs to gather packets.'),
  attribute('XFRMA_IPTFS_MAX_QSIZE', 'iptfsMaxQsize', u32, 'IP-TFS: bytes that may wait.'),
  attribute(
    'XFRMA_IPTFS_PKT_SIZE',
    'iptfsPktSize',
    u32,
    'IP-TFS: size of the outer packets in bytes; 0 for the path’s.',
  ),
];

/** Attributes of every message except the SAD and SPD statistics. */
export const attributes: AttributeTable = {
  name: 'XfrmAttributes',
  doc: 'The attributes of a message; those that were present.',
  attributes: all,
  shared: true,
  opaque: true,
};

/** Attributes of NEWSADINFO. */
export const sadAttributes: AttributeTable = {
  name: 'SadAttributes',
  doc: 'The content of NEWSADINFO.',
  opaque: true,
  attributes: [
    attribute('XFRMA_SAD_CNT', 'count', u32, 'Number of SAs.'),
    attribute('XFRMA_SAD_HINFO', 'hash', struct(S.xfrmu_sadhinfo), 'Their hash table.'),
  ],
};

/** Attributes of NEWSPDINFO; a request may set the thresholds. */
export const spdAttributes: AttributeTable = {
  name: 'SpdAttributes',
  doc: 'The content of NEWSPDINFO.',
  opaque: true,
  attributes: [
    attribute('XFRMA_SPD_INFO', 'counts', struct(S.xfrmu_spdinfo), 'Numbers of policies.'),
    attribute('XFRMA_SPD_HINFO', 'hash', struct(S.xfrmu_spdhinfo), 'Their hash table.'),
    attribute(
      'XFRMA_SPD_IPV4_HTHRESH',
      'ipv4Threshold',
      struct(S.xfrmu_spdhthresh),
      'Which IPv4 policies are hashed.',
    ),
    attribute(
      'XFRMA_SPD_IPV6_HTHRESH',
      'ipv6Threshold',
      struct(S.xfrmu_spdhthresh),
      'Which IPv6 policies are hashed.',
    ),
  ],
};
