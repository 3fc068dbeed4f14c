/**
 * The structs of `linux/xfrm.h` (kernel 7.3), each defined once. Their layout has not changed since
 * 6.1; xfrm_user_migrate_state was added in 7.2.
 * @module
 */
import {
  address,
  inline,
  key,
  length,
  name,
  nested,
  number,
  reserved,
  struct,
  text,
  truth,
  words,
} from '../wire/struct.ts';
import * as N from './names.ts';

export const xfrm_selector = struct(
  'xfrm_selector',
  'XfrmSelector',
  'Which packets an SA or a policy is for.',
  [
    address('daddr', 'Destination network.'),
    address('saddr', 'Source network.'),
    number(
      'be16',
      'dport',
      'Destination port; with a type, the ICMP type is the source port and this the code.',
    ),
    number('be16', 'dport_mask', 'Bits of dport that count; 0 for any port.'),
    number('be16', 'sport', 'Source port.'),
    number('be16', 'sport_mask', 'Bits of sport that count; 0 for any port.'),
    number('u16', 'family', 'Family of both networks; unspec for any.', { names: N.XfrmFamily }),
    number('u8', 'prefixlen_d', 'Prefix length of daddr, in bits.'),
    number('u8', 'prefixlen_s', 'Prefix length of saddr, in bits.'),
    number('u8', 'proto', 'IP protocol number; 0 for any.'),
    number('s32', 'ifindex', 'Interface index; 0 for any.'),
    number('u32', 'user', 'User id (__kernel_uid32_t); 0 for any.'),
  ],
  { family: 'family', recurs: true },
);

export const xfrm_id = struct(
  'xfrm_id',
  'XfrmId',
  'What identifies an SA to the receiver.',
  [
    address('daddr', 'Destination address.'),
    number('be32', 'spi', 'Security parameters index.'),
    number('u8', 'proto', 'IPsec protocol.', { names: N.IpsecProto }),
  ],
  { family: 'outer' },
);

export const xfrm_usersa_id = struct(
  'xfrm_usersa_id',
  'StateId',
  'What identifies an SA in requests and in DELSA.',
  [
    address('daddr', 'Destination address.'),
    number('be32', 'spi', 'Security parameters index.'),
    number('u16', 'family', 'Family of the addresses.', { names: N.XfrmFamily }),
    number('u8', 'proto', 'IPsec protocol.', { names: N.IpsecProto }),
  ],
  { family: 'family' },
);

export const xfrm_lifetime_cfg = struct(
  'xfrm_lifetime_cfg',
  'LifetimeLimits',
  'Limits: at a soft one the key manager is notified (EXPIRE, hard false), at a hard one the SA is deleted.',
  [
    number('u64', 'soft_byte_limit', 'Bytes; NO_LIMIT for none.', {
      name: 'softBytes',
      none: 'ones',
    }),
    number('u64', 'hard_byte_limit', 'Bytes; NO_LIMIT for none.', {
      name: 'hardBytes',
      none: 'ones',
    }),
    number('u64', 'soft_packet_limit', 'Packets; NO_LIMIT for none.', {
      name: 'softPackets',
      none: 'ones',
    }),
    number('u64', 'hard_packet_limit', 'Packets; NO_LIMIT for none.', {
      name: 'hardPackets',
      none: 'ones',
    }),
    number('u64', 'soft_add_expires_seconds', 'Seconds since it was added; NO_LIMIT for none.', {
      name: 'softAddSeconds',
      unit: 'seconds',
      none: 'zero',
    }),
    number('u64', 'hard_add_expires_seconds', 'Seconds since it was added; NO_LIMIT for none.', {
      name: 'hardAddSeconds',
      unit: 'seconds',
      none: 'zero',
    }),
    number('u64', 'soft_use_expires_seconds', 'Seconds since its first use; NO_LIMIT for none.', {
      name: 'softUseSeconds',
      unit: 'seconds',
      none: 'zero',
    }),
    number('u64', 'hard_use_expires_seconds', 'Seconds since its first use; NO_LIMIT for none.', {
      name: 'hardUseSeconds',
      unit: 'seconds',
      none: 'zero',
    }),
  ],
  { recurs: true },
);

export const xfrm_lifetime_cur = struct(
  'xfrm_lifetime_cur',
  'LifetimeUsage',
  'Usage so far.',
  [
    number('u64', 'bytes', 'Bytes carried.'),
    number('u64', 'packets', 'Packets carried.'),
    number(
      'u64',
      'add_time',
      'When it was added, in ms since 1970 (the kernel has whole seconds).',
      {
        name: 'addedAt',
        unit: 'moment',
      },
    ),
    number('u64', 'use_time', 'When it was first used, in ms since 1970; undefined for never.', {
      name: 'firstUsedAt',
      unit: 'moment',
      none: 'zero',
    }),
  ],
  { recurs: true },
);

export const xfrm_stats = struct(
  'xfrm_stats',
  'StateStats',
  'Packets that an SA refused.',
  [
    number('u32', 'replay_window', 'Packets outside the replay window.'),
    number('u32', 'replay', 'Packets seen before.'),
    number('u32', 'integrity_failed', 'Packets whose integrity check failed.'),
  ],
  { recurs: true },
);

export const xfrm_usersa_info = struct(
  'xfrm_usersa_info',
  'StateInfo',
  'The fixed part of an SA.',
  [
    nested(xfrm_selector, 'sel', 'selector', 'Which packets it is for.'),
    inline(xfrm_id, 'id'),
    address('saddr', 'Source address.'),
    nested(xfrm_lifetime_cfg, 'lft', 'lifetime', 'Its limits.'),
    nested(xfrm_lifetime_cur, 'curlft', 'current', 'Usage so far.'),
    nested(xfrm_stats, 'stats', 'stats', 'Packets that it refused.'),
    number('u32', 'seq', 'The id of the ACQUIRE it answers; 0 for none.'),
    number('u32', 'reqid', 'The id by which policies ask for it; 0 for none.'),
    number('u16', 'family', 'Family of the addresses.', { names: N.XfrmFamily }),
    number('u8', 'mode', 'Mode.', { names: N.XfrmMode }),
    number(
      'u8',
      'replay_window',
      'Size of the replay window in packets; larger ones are in replayEsn.',
    ),
    number('u8', 'flags', 'Flags.', { names: N.StateFlags }),
  ],
  { family: 'family' },
);

export const xfrm_userspi_info = struct(
  'xfrm_userspi_info',
  'SpiRequest',
  'A request for an SPI in a range.',
  [
    inline(xfrm_usersa_info, 'info'),
    number('u32', 'min', 'Lowest SPI to choose.'),
    number('u32', 'max', 'Highest SPI to choose.'),
  ],
  { family: 'info.family' },
);

export const xfrm_aevent_id = struct(
  'xfrm_aevent_id',
  'AeventId',
  'The SA an async event is about.',
  [
    inline(xfrm_usersa_id, 'sa_id'),
    address('saddr', 'Source address.'),
    number('u32', 'flags', 'What the event concerns.', { names: N.AeventFlags }),
    number('u32', 'reqid', 'The id by which policies ask for the SA; 0 for none.'),
  ],
  { family: 'sa_id.family' },
);

export const xfrm_userpolicy_info = struct(
  'xfrm_userpolicy_info',
  'PolicyInfo',
  'The fixed part of a policy.',
  [
    nested(xfrm_selector, 'sel', 'selector', 'Which packets it is for.'),
    nested(xfrm_lifetime_cfg, 'lft', 'lifetime', 'Its limits.'),
    nested(xfrm_lifetime_cur, 'curlft', 'current', 'Usage so far.'),
    number('u32', 'priority', 'The lower value takes precedence.'),
    number(
      'u32',
      'index',
      'The number the kernel gave it; its lowest three bits are the direction.',
    ),
    number('u8', 'dir', 'Direction.', { names: N.PolicyDir }),
    number('u8', 'action', 'What to do with the packets.', { names: N.PolicyAction }),
    number('u8', 'flags', 'Flags.', { names: N.PolicyFlags }),
    number('u8', 'share', 'Who shares an SA; the kernel always reports any.', {
      names: N.PolicyShare,
    }),
  ],
);

export const xfrm_userpolicy_id = struct(
  'xfrm_userpolicy_id',
  'PolicyId',
  'What a request named a policy by: its index, or (index 0) its selector.',
  [
    nested(xfrm_selector, 'sel', 'selector', 'Selector; all zero when named by index.'),
    number('u32', 'index', 'Index; 0 when named by selector.'),
    number('u8', 'dir', 'Direction.', { names: N.PolicyDir }),
  ],
);

export const xfrm_userpolicy_type = struct(
  'xfrm_userpolicy_type',
  'PolicyTypeInfo',
  'The type of a policy.',
  [
    number('u8', 'type', 'Type.', { names: N.PolicyType }),
    reserved('u16', 'reserved1'),
    reserved('u8', 'reserved2'),
  ],
  { recurs: true },
);

export const xfrm_userpolicy_default = struct(
  'xfrm_userpolicy_default',
  'PolicyDefaults',
  'What happens to packets that no policy matches, by direction.',
  [
    number('u8', 'in', 'For packets to this host.', { names: N.PolicyDefault }),
    number('u8', 'fwd', 'For packets passing through.', { names: N.PolicyDefault }),
    number('u8', 'out', 'For packets from this host.', { names: N.PolicyDefault }),
  ],
);

export const xfrm_user_tmpl = struct(
  'xfrm_user_tmpl',
  'PolicyTemplate',
  'An SA that a policy asks for.',
  [
    inline(xfrm_id, 'id'),
    number('u16', 'family', 'Family of the addresses.', { names: N.XfrmFamily }),
    address('saddr', 'Source address.'),
    number('u32', 'reqid', 'The id the SA must have; 0 for any.'),
    number('u8', 'mode', 'Mode.', { names: N.XfrmMode }),
    number('u8', 'share', 'Who shares the SA.', { names: N.PolicyShare }),
    truth('optional', 'Whether packets may pass without it.'),
    number('u32', 'aalgos', 'Allowed authentication algorithms, one bit each.'),
    number('u32', 'ealgos', 'Allowed encryption algorithms, one bit each.'),
    number('u32', 'calgos', 'Allowed compression algorithms, one bit each.'),
  ],
  { family: 'family', recurs: true },
);

export const xfrm_user_acquire = struct(
  'xfrm_user_acquire',
  'AcquireInfo',
  'A packet needs an SA that is not there.',
  [
    inline(xfrm_id, 'id'),
    address('saddr', 'Source address.'),
    nested(xfrm_selector, 'sel', 'selector', 'The packet.'),
    nested(xfrm_userpolicy_info, 'policy', 'policy', 'The policy that asks for it.'),
    number('u32', 'aalgos', 'Allowed authentication algorithms, one bit each.'),
    number('u32', 'ealgos', 'Allowed encryption algorithms, one bit each.'),
    number('u32', 'calgos', 'Allowed compression algorithms, one bit each.'),
    number('u32', 'seq', 'Id of this ACQUIRE; the SA that answers it carries it as seq.'),
  ],
  { family: 'sel.family' },
);

export const xfrm_user_expire = struct('xfrm_user_expire', 'ExpireInfo', 'An SA reached a limit.', [
  nested(xfrm_usersa_info, 'state', 'state', 'The SA.'),
  truth('hard', 'Whether the limit was a hard one: the SA is gone.'),
]);

export const xfrm_user_polexpire = struct(
  'xfrm_user_polexpire',
  'PolicyExpireInfo',
  'A policy reached a limit.',
  [
    nested(xfrm_userpolicy_info, 'pol', 'policy', 'The policy.'),
    truth('hard', 'Whether the limit was a hard one: the policy is gone.'),
  ],
);

export const xfrm_usersa_flush = struct(
  'xfrm_usersa_flush',
  'FlushInfo',
  'Which SAs were flushed.',
  [number('u8', 'proto', 'IPsec protocol; any for all.', { names: N.IpsecProto })],
);

export const xfrm_user_report = struct(
  'xfrm_user_report',
  'ReportInfo',
  'A Mobile IPv6 packet was refused.',
  [
    number('u8', 'proto', 'Protocol.', { names: N.IpsecProto }),
    nested(xfrm_selector, 'sel', 'selector', 'The packet.'),
  ],
);

export const xfrm_user_mapping = struct(
  'xfrm_user_mapping',
  'MappingInfo',
  'Packets of an SA in UDP now come from another address or port.',
  [
    inline(xfrm_usersa_id, 'id'),
    number('u32', 'reqid', 'The id by which policies ask for the SA; 0 for none.'),
    address('old_saddr', 'Source address so far.'),
    address('new_saddr', 'Source address now.'),
    number('be16', 'old_sport', 'Source port so far.'),
    number('be16', 'new_sport', 'Source port now.'),
  ],
  { family: 'id.family' },
);

export const xfrm_user_migrate = struct(
  'xfrm_user_migrate',
  'XfrmMigration',
  'An SA and its templates move to other addresses.',
  [
    address('old_daddr', 'Destination so far.', { family: 'old_family' }),
    address('old_saddr', 'Source so far.', { family: 'old_family' }),
    address('new_daddr', 'Destination from now on.', { family: 'new_family' }),
    address('new_saddr', 'Source from now on.', { family: 'new_family' }),
    number('u8', 'proto', 'IPsec protocol.', { names: N.IpsecProto }),
    number('u8', 'mode', 'Mode.', { names: N.XfrmMode }),
    reserved('u16', 'reserved'),
    number('u32', 'reqid', 'The id by which policies ask for the SA; 0 for none.'),
    number('u16', 'old_family', 'Family so far.', { names: N.XfrmFamily }),
    number('u16', 'new_family', 'Family from now on.', { names: N.XfrmFamily }),
  ],
);

export const xfrm_mark = struct(
  'xfrm_mark',
  'XfrmMark',
  'A mark and the bits of it that count.',
  [number('u32', 'v', 'Value.', { name: 'value' }), number('u32', 'm', 'Mask.', { name: 'mask' })],
  // A mark without a mask would match every packet or none.
  { whole: true },
);

export const xfrm_user_migrate_state = struct(
  'xfrm_user_migrate_state',
  'MigrateStateInfo',
  'One SA moves to other addresses (kernel 7.2).',
  [
    nested(xfrm_usersa_id, 'id', 'id', 'The SA as it was.'),
    address('new_daddr', 'Destination from now on.', { family: 'new_family' }),
    address('new_saddr', 'Source from now on.', { family: 'new_family' }),
    nested(xfrm_mark, 'old_mark', 'oldMark', 'Mark of the SA as it was.'),
    nested(xfrm_selector, 'new_sel', 'newSelector', 'Selector from now on.'),
    number('u32', 'new_reqid', 'Reqid from now on.'),
    number('u32', 'flags', 'Its flags.', { names: N.MigrateStateFlags }),
    number('u16', 'new_family', 'Family from now on.', { names: N.XfrmFamily }),
    reserved('u16', 'reserved'),
  ],
);

export const xfrm_user_kmaddress = struct(
  'xfrm_user_kmaddress',
  'KeyManagerAddress',
  'Addresses the key managers talk over.',
  [
    address('local', 'Ours.'),
    address('remote', 'The peer’s.'),
    reserved('u32', 'reserved'),
    number('u16', 'family', 'Family of both.', { names: N.XfrmFamily }),
  ],
  { family: 'family' },
);

export const xfrm_algo = struct(
  'xfrm_algo',
  'XfrmAlgorithm',
  'An algorithm and its key.',
  [
    name('alg_name', 'The kernel’s name of it.'),
    number('u32', 'alg_key_len', 'Length of the key in bits.', { name: 'keyBits' }),
    key('alg_key', 'alg_key_len'),
  ],
  { recurs: true },
);

export const xfrm_algo_auth = struct(
  'xfrm_algo_auth',
  'AuthAlgorithm',
  'An integrity algorithm and its key.',
  [
    name('alg_name', 'The kernel’s name of it.'),
    number('u32', 'alg_key_len', 'Length of the key in bits.', { name: 'keyBits' }),
    number('u32', 'alg_trunc_len', 'Length of the check value in the packet, in bits.', {
      name: 'truncBits',
    }),
    key('alg_key', 'alg_key_len'),
  ],
  { recurs: true },
);

export const xfrm_algo_aead = struct(
  'xfrm_algo_aead',
  'AeadAlgorithm',
  'An algorithm that encrypts and protects.',
  [
    name('alg_name', 'The kernel’s name of it.'),
    number('u32', 'alg_key_len', 'Length of the key in bits, salt included.', { name: 'keyBits' }),
    number('u32', 'alg_icv_len', 'Length of the check value in bits.', { name: 'icvBits' }),
    key('alg_key', 'alg_key_len'),
  ],
  { recurs: true },
);

export const xfrm_encap_tmpl = struct(
  'xfrm_encap_tmpl',
  'EncapTemplate',
  'ESP inside UDP or TCP, to pass address translation.',
  [
    number('u16', 'encap_type', 'Kind.', { name: 'type', names: N.EncapType }),
    number('be16', 'encap_sport', 'Source port.', { name: 'sport' }),
    number('be16', 'encap_dport', 'Destination port.', { name: 'dport' }),
    address('encap_oa', 'Original address.', { name: 'oa' }),
  ],
  { family: 'outer', recurs: true },
);

export const xfrm_replay_state = struct(
  'xfrm_replay_state',
  'ReplayState',
  'Sequence numbers, 32 bits.',
  [
    number('u32', 'oseq', 'Last number sent.'),
    number('u32', 'seq', 'Highest number received.'),
    number('u32', 'bitmap', 'Which of the last 32 numbers were received.'),
  ],
  { recurs: true },
);

export const xfrm_replay_state_esn = struct(
  'xfrm_replay_state_esn',
  'ReplayStateEsn',
  'Sequence numbers with a large replay window, or of 64 bits (flag esn).',
  [
    length('u32', 'bmp_len', 'words'),
    number('u32', 'oseq', 'Last number sent, low half.'),
    number('u32', 'seq', 'Highest number received, low half.'),
    number('u32', 'oseq_hi', 'Last number sent, high half.'),
    number('u32', 'seq_hi', 'Highest number received, high half.'),
    number('u32', 'replay_window', 'Size of the replay window in packets.'),
    words('bmp', 'bmp_len', 'bitmap', 'Which numbers in the window were received, 32 a word.'),
  ],
);

export const xfrm_address_filter = struct(
  'xfrm_address_filter',
  'XfrmAddressFilter',
  'Which SAs a dump is asked for.',
  [
    address('saddr', 'Source network.'),
    address('daddr', 'Destination network.'),
    number('u16', 'family', 'Family of both.', { names: N.XfrmFamily }),
    number('u8', 'splen', 'Prefix length of saddr, in bits.'),
    number('u8', 'dplen', 'Prefix length of daddr, in bits.'),
  ],
  { family: 'family' },
);

export const xfrm_user_offload = struct(
  'xfrm_user_offload',
  'XfrmOffload',
  'The device that does the work.',
  [
    number('s32', 'ifindex', 'Interface index.'),
    number('u8', 'flags', 'Flags.', { names: N.OffloadFlags }),
  ],
);

export const xfrm_user_sec_ctx = struct(
  'xfrm_user_sec_ctx',
  'SecurityContext',
  'The security label of an SA or a policy.',
  [
    length('u16', 'len', 'whole'),
    number('u16', 'exttype', 'PF_KEY extension type.', { name: 'extensionType' }),
    number('u8', 'ctx_alg', 'Security module (1 SELinux).', { name: 'algorithm' }),
    number('u8', 'ctx_doi', 'Domain of interpretation (1 LSM).', { name: 'doi' }),
    number('u16', 'ctx_len', 'Length of the label in bytes, its NUL included.', {
      name: 'labelLength',
    }),
    text('ctx', 'ctx_len', 'label', 'The label.'),
  ],
);

export const xfrmu_sadhinfo = struct('xfrmu_sadhinfo', 'SadHashInfo', 'Hash table of the SAs.', [
  number('u32', 'sadhcnt', 'Buckets.', { name: 'buckets' }),
  number('u32', 'sadhmcnt', 'Most buckets there may be.', { name: 'maxBuckets' }),
]);

export const xfrmu_spdinfo = struct('xfrmu_spdinfo', 'SpdCounts', 'Numbers of policies.', [
  number('u32', 'incnt', 'Inbound.', { name: 'in' }),
  number('u32', 'outcnt', 'Outbound.', { name: 'out' }),
  number('u32', 'fwdcnt', 'Forward.', { name: 'fwd' }),
  number('u32', 'inscnt', 'Inbound, of sockets.', { name: 'inSocket' }),
  number('u32', 'outscnt', 'Outbound, of sockets.', { name: 'outSocket' }),
  number('u32', 'fwdscnt', 'Forward, of sockets.', { name: 'fwdSocket' }),
]);

export const xfrmu_spdhinfo = struct(
  'xfrmu_spdhinfo',
  'SpdHashInfo',
  'Hash table of the policies.',
  [
    number('u32', 'spdhcnt', 'Buckets.', { name: 'buckets' }),
    number('u32', 'spdhmcnt', 'Most buckets there may be.', { name: 'maxBuckets' }),
  ],
);

export const xfrmu_spdhthresh = struct(
  'xfrmu_spdhthresh',
  'SpdHashThreshold',
  'Prefix lengths from which a policy is hashed.',
  [
    number('u8', 'lbits', 'Of the local network.', { name: 'local' }),
    number('u8', 'rbits', 'Of the remote network.', { name: 'remote' }),
  ],
);
