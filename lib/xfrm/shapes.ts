/**
 * Which properties the objects have that callers pass to the client, and which must be there.
 * @module
 */
import { spdAttributes } from './attributes.ts';
import { shape } from './check.ts';
import * as parts from './parts.ts';
import * as S from './structs.ts';

export const STATE = shape(S.xfrm_usersa_info, parts.STATE, ['daddr', 'proto']);
export const POLICY = shape(S.xfrm_userpolicy_info, parts.POLICY, ['dir', 'selector']);
export const ALLOCATION = shape(S.xfrm_userspi_info, parts.ALLOCSPI, [
  'daddr',
  'proto',
  'min',
  'max',
]);
export const AEVENT = shape(S.xfrm_aevent_id, parts.AEVENT, ['daddr', 'spi', 'proto']);
export const MIGRATION = shape(S.xfrm_user_migrate, []);
export const STATE_MIGRATION = shape(S.xfrm_user_migrate_state, parts.MIGRATE_STATE, ['id']);
export const DEFAULTS = shape(S.xfrm_userpolicy_default, []);
export const THRESHOLDS = shape(undefined, ['ipv4Threshold', 'ipv6Threshold'], [], spdAttributes);
