/**
 * XFRM's messages: their names, and the struct before their attributes (`linux/xfrm.h`; xfrm_msg_min
 * of net/xfrm/xfrm_user.c).
 * @module
 */
import { align4 } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { tooShort } from '../wire/error.ts';
import type { Struct } from '../wire/struct.ts';
import * as X from './constants.ts';
import * as S from './structs.ts';

type Constant = Extract<keyof typeof X, `XFRM_MSG_${string}`>;
/** The kernel's name of a message type, without `XFRM_MSG_`. */
export type MessageName = Exclude<Constant extends `XFRM_MSG_${infer Name}` ? Name : never, 'BASE'>;

const names = new Map<number, MessageName>();
const types = new Map<string, number>();
for (const [name, number] of Object.entries(X)) {
  if (name.startsWith('XFRM_MSG_') && name !== 'XFRM_MSG_BASE') {
    const short = name.slice('XFRM_MSG_'.length) as MessageName;
    names.set(number as number, short);
    types.set(short, number as number);
  }
}

/** The kernel's name of a message type, without `XFRM_MSG_`; undefined for one it has not. */
export const messageName = (type: number): MessageName | undefined => names.get(type);

/** The type of a message of that name. */
export const messageTypeOf = (name: MessageName): number => types.get(name) as number;

/** The struct before the attributes of each message that has one. */
const fixed: Partial<Record<MessageName, Struct>> = {
  NEWSA: S.xfrm_usersa_info,
  UPDSA: S.xfrm_usersa_info,
  DELSA: S.xfrm_usersa_id,
  GETSA: S.xfrm_usersa_id,
  ALLOCSPI: S.xfrm_userspi_info,
  EXPIRE: S.xfrm_user_expire,
  FLUSHSA: S.xfrm_usersa_flush,
  NEWPOLICY: S.xfrm_userpolicy_info,
  UPDPOLICY: S.xfrm_userpolicy_info,
  DELPOLICY: S.xfrm_userpolicy_id,
  GETPOLICY: S.xfrm_userpolicy_id,
  POLEXPIRE: S.xfrm_user_polexpire,
  ACQUIRE: S.xfrm_user_acquire,
  NEWAE: S.xfrm_aevent_id,
  GETAE: S.xfrm_aevent_id,
  MIGRATE: S.xfrm_userpolicy_id,
  MIGRATE_STATE: S.xfrm_user_migrate_state,
  REPORT: S.xfrm_user_report,
  MAPPING: S.xfrm_user_mapping,
  SETDEFAULT: S.xfrm_userpolicy_default,
  GETDEFAULT: S.xfrm_userpolicy_default,
};

/** Bytes before the attributes of a message. */
export function fixedSize(name: MessageName): number {
  return fixed[name]?.size ?? (/INFO$/.test(name) ? INFO_FLAGS : 0);
}

/** Checks that a message's fixed part is there, and gives the offset of its first attribute. */
export function attributesAfter(header: Struct, body: number, end: number): number {
  if (end - body < header.size) tooShort(`struct ${header.kernel}`, body, header.size, end - body);
  return body + align4(header.size);
}

/** Bytes of the number before the attributes of the SAD and SPD statistics: flags, echoed. */
export const INFO_FLAGS = 4;

/** The offset of a field in a struct. */
export function offsetOf(of: Struct, kernel: string): number {
  const field = of.fields.find((one) => one.kernel === kernel);
  if (field === undefined) throw new Error(`struct ${of.kernel} has no ${kernel}`);
  return field.offset;
}

const STATE_FAMILY = offsetOf(S.xfrm_usersa_info, 'family');
const STATE_ID_FAMILY = offsetOf(S.xfrm_usersa_id, 'family');
const SELECTOR_FAMILY = offsetOf(S.xfrm_selector, 'family');
/** Where in an ACQUIRE and a REPORT the selector is, whose family its attributes follow. */
export const ACQUIRE_SELECTOR = offsetOf(S.xfrm_user_acquire, 'sel');
export const REPORT_SELECTOR = offsetOf(S.xfrm_user_report, 'sel');

// The address family of a message, which the addresses in its attributes follow: that of the struct
// at `at`. A policy begins with its selector.
export const stateFamily = (view: DataView, at: number): number =>
  view.getUint16(at + STATE_FAMILY, LE);
export const stateIdFamily = (view: DataView, at: number): number =>
  view.getUint16(at + STATE_ID_FAMILY, LE);
export const selectorFamily = (view: DataView, at: number): number =>
  view.getUint16(at + SELECTOR_FAMILY, LE);
