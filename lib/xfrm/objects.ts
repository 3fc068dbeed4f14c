/**
 * The objects of XFRM messages: SAs, policies and the rest, each the kernel's struct with its
 * attributes.
 * @module
 */

import type * as messageAttributes from './message-attributes.ts';
import type {
  AcquireInfo,
  AeventId,
  MigrateStateInfo,
  PolicyInfo,
  SpiRequest,
  StateInfo,
  XfrmAttributes,
} from './types.ts';

/**
 * The attributes of a list in message-attributes.ts, unknown ones, and the exact digits of times
 * too large for a number.
 */
export type AttributesOf<Names extends readonly (keyof XfrmAttributes)[]> = Pick<
  XfrmAttributes,
  Names[number] | 'unknown' | ('lastUsedAt' extends Names[number] ? 'exact' : never)
>;

/** A security association: struct xfrm_usersa_info and its attributes. */
export interface XfrmState extends StateInfo, AttributesOf<typeof messageAttributes.STATE> {}

/** A security policy: struct xfrm_userpolicy_info and its attributes. */
export interface XfrmPolicy extends PolicyInfo, AttributesOf<typeof messageAttributes.POLICY> {}

/** A packet that needs an SA: struct xfrm_user_acquire and its attributes. */
export interface XfrmAcquire extends AcquireInfo, AttributesOf<typeof messageAttributes.ACQUIRE> {}

/** An update of an SA's counters: struct xfrm_aevent_id and its attributes. */
export interface XfrmAevent extends AeventId, AttributesOf<typeof messageAttributes.AEVENT> {}

/** The move of one SA: struct xfrm_user_migrate_state and its attributes. */
export interface XfrmStateMigration
  extends MigrateStateInfo,
    AttributesOf<typeof messageAttributes.MIGRATE_STATE> {}

/** A request for an SPI: struct xfrm_userspi_info and its attributes. */
export interface SpiAllocation
  extends SpiRequest,
    AttributesOf<typeof messageAttributes.ALLOCSPI> {}
