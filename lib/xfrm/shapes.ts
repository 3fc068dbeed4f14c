/**
 * Which properties the objects passed to the client may have, and which are required.
 * @module
 */
import { once } from '../base/once.ts';
import { shape } from '../wire/shape.ts';
import type { Struct } from '../wire/struct.ts';
import { attributes, spdAttributes } from './attributes.ts';
import * as messageAttributes from './message-attributes.ts';
import * as S from './structs.ts';

const object = (struct: Struct, names: readonly string[], required: readonly string[] = []) =>
  once(() => shape(struct, attributes, names, required));

export const STATE = object(S.xfrm_usersa_info, messageAttributes.STATE, ['daddr', 'proto']);
export const POLICY = object(S.xfrm_userpolicy_info, messageAttributes.POLICY, ['dir', 'selector']);
export const ALLOCATION = object(S.xfrm_userspi_info, messageAttributes.ALLOCSPI, [
  'daddr',
  'proto',
  'min',
  'max',
]);
export const AEVENT = object(S.xfrm_aevent_id, messageAttributes.AEVENT, ['daddr', 'spi', 'proto']);
export const MIGRATE = once(() =>
  shape(undefined, attributes, messageAttributes.MIGRATE, ['migrations']),
);
export const STATE_MIGRATION = object(S.xfrm_user_migrate_state, messageAttributes.MIGRATE_STATE, [
  'id',
]);
export const DEFAULTS = object(S.xfrm_userpolicy_default, []);
export const THRESHOLDS = once(() =>
  shape(undefined, spdAttributes, ['ipv4Threshold', 'ipv6Threshold']),
);
