/**
 * What XFRM messages are about: SAs, policies and the rest, each the kernel's struct with the
 * attributes that belong to it.
 * @module
 */
import type {
  AcquireInfo,
  AeventId,
  MigrateStateInfo,
  PolicyInfo,
  StateInfo,
  XfrmAttributes,
} from './codec.ts';

/** A security association: struct xfrm_usersa_info and its attributes. */
export interface XfrmState
  extends StateInfo,
    Pick<
      XfrmAttributes,
      | 'auth'
      | 'authTrunc'
      | 'crypt'
      | 'aead'
      | 'comp'
      | 'encap'
      | 'replay'
      | 'replayEsn'
      | 'mark'
      | 'setMark'
      | 'setMarkMask'
      | 'ifId'
      | 'dir'
      | 'pcpu'
      | 'coaddr'
      | 'lastUsed'
      | 'tfcPad'
      | 'extraFlags'
      | 'offload'
      | 'securityContext'
      | 'mappingMaxAge'
      | 'natKeepaliveInterval'
      | 'iptfsDropTime'
      | 'iptfsReorderWindow'
      | 'iptfsDontFrag'
      | 'iptfsInitDelay'
      | 'iptfsMaxQsize'
      | 'iptfsPktSize'
      | 'unknown'
    > {}

/** A security policy: struct xfrm_userpolicy_info and its attributes. */
export interface XfrmPolicy
  extends PolicyInfo,
    Pick<
      XfrmAttributes,
      'templates' | 'policyType' | 'mark' | 'ifId' | 'offload' | 'securityContext' | 'unknown'
    > {}

/** A packet that needs an SA: struct xfrm_user_acquire and its attributes. */
export interface Acquire
  extends AcquireInfo,
    Pick<
      XfrmAttributes,
      | 'templates'
      | 'policyType'
      | 'mark'
      | 'ifId'
      | 'offload'
      | 'securityContext'
      | 'pcpu'
      | 'unknown'
    > {}

/** News of an SA's counters: struct xfrm_aevent_id and its attributes. */
export interface Aevent
  extends AeventId,
    Pick<
      XfrmAttributes,
      | 'current'
      | 'replay'
      | 'replayEsn'
      | 'replayThreshold'
      | 'timerThreshold'
      | 'mark'
      | 'ifId'
      | 'dir'
      | 'pcpu'
      | 'unknown'
    > {}

/** One SA's move: struct xfrm_user_migrate_state and its attributes. */
export interface StateMigration
  extends MigrateStateInfo,
    Pick<
      XfrmAttributes,
      | 'encap'
      | 'offload'
      | 'mark'
      | 'setMark'
      | 'setMarkMask'
      | 'mappingMaxAge'
      | 'natKeepaliveInterval'
      | 'dir'
      | 'unknown'
    > {}
