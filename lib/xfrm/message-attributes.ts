/**
 * Which attributes belong to which message, in the order in which the kernel sends them
 * (copy_to_user_state_extra and the other builders of net/xfrm/xfrm_user.c, 7.3). Each list
 * determines the type of the decoded object (objects.ts), the order of encoding, and what a decoder
 * reads: an attribute in a message where it does not belong is kept raw.
 * @module
 */
import { type MessageAttributes, messageAttributes } from '../wire/attribute-table.ts';
import { attributes } from './attributes.ts';
import type { XfrmAttributes } from './types.ts';

type Names = readonly (keyof XfrmAttributes)[];

/** NEWSA, UPDSA; after them, in EXPIRE: mark, ifId, pcpu, dir. The last three: in requests only. */
export const STATE = [
  'extraFlags',
  'coaddr',
  'lastUsedAt',
  'aead',
  'auth',
  'authTrunc',
  'crypt',
  'comp',
  'encap',
  'tfcPad',
  'mark',
  'setMark',
  'setMarkMask',
  'replayEsn',
  'replay',
  'offload',
  'ifId',
  'securityContext',
  'iptfsDropUs',
  'iptfsReorderWindow',
  'iptfsDontFrag',
  'iptfsInitDelayUs',
  'iptfsMaxQsize',
  'iptfsPktSize',
  'mappingMaxAgeSeconds',
  'pcpu',
  'dir',
  'natKeepaliveSeconds',
  'lifetimeCurrent',
  'replayThreshold',
  'timerThreshold',
] as const satisfies Names;

/** NEWPOLICY, UPDPOLICY, POLEXPIRE. */
export const POLICY = [
  'templates',
  'securityContext',
  'policyType',
  'mark',
  'ifId',
  'offload',
] as const satisfies Names;

export const ACQUIRE = [...POLICY, 'pcpu'] as const satisfies Names;

/** NEWAE, GETAE. */
export const AEVENT = [
  'replayEsn',
  'replay',
  'lifetimeCurrent',
  'replayThreshold',
  'timerThreshold',
  'mark',
  'ifId',
  'pcpu',
  'dir',
] as const satisfies Names;

/** MIGRATE; the last two: in requests only. */
export const MIGRATE = [
  'kmAddress',
  'encap',
  'policyType',
  'migrations',
  'ifId',
  'offload',
] as const satisfies Names;

export const MIGRATE_STATE = [
  'encap',
  'offload',
  'mark',
  'setMark',
  'setMarkMask',
  'mappingMaxAgeSeconds',
  'natKeepaliveSeconds',
  'dir',
] as const satisfies Names;

export const REPORT = ['coaddr'] as const satisfies Names;
export const FLUSHPOLICY = ['policyType'] as const satisfies Names;

/** Requests that identify an SA: GETSA, DELSA. The last two: in dump requests. */
export const STATE_ID = [
  'mark',
  'srcaddr',
  'filterProto',
  'addressFilter',
] as const satisfies Names;

/** Requests that identify a policy: GETPOLICY, DELPOLICY. */
export const POLICY_ID = ['securityContext', 'policyType', 'mark', 'ifId'] as const satisfies Names;

export const ALLOCSPI = ['mark', 'ifId', 'pcpu', 'dir'] as const satisfies Names;

/** The lists in the form readers and writers use. */
export const parts = {
  state: messageAttributes(attributes, STATE),
  /** DELSA: the SA itself is in an attribute, which is read separately. */
  deletedState: messageAttributes(attributes, STATE, ['state']),
  policy: messageAttributes(attributes, POLICY),
  /** DELPOLICY: the same. */
  deletedPolicy: messageAttributes(attributes, POLICY, ['policy']),
  acquire: messageAttributes(attributes, ACQUIRE),
  aevent: messageAttributes(attributes, AEVENT),
  migrate: messageAttributes(attributes, MIGRATE),
  migrateState: messageAttributes(attributes, MIGRATE_STATE),
  report: messageAttributes(attributes, REPORT),
  flushPolicy: messageAttributes(attributes, FLUSHPOLICY),
  stateId: messageAttributes(attributes, STATE_ID),
  policyId: messageAttributes(attributes, POLICY_ID),
  allocSpi: messageAttributes(attributes, ALLOCSPI),
  /** Messages without attributes of their own. */
  none: messageAttributes(attributes, []),
} as const satisfies Record<string, MessageAttributes>;
