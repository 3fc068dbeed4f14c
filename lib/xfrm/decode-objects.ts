/**
 * The bodies of XFRM messages, from bytes to objects: what events, answers and requests share.
 * Each takes the offset after the message's header (`body`) and that of its end.
 * @module
 */
import type { DecodeInput } from '../netlink/event.ts';
import { align4, attributeLength, NLA_HDRLEN, NLA_TYPE_MASK } from '../wire/attribute.ts';
import type { Part } from '../wire/attribute-table.ts';
import { LE } from '../wire/endian.ts';
import { DecodeError, tooShort } from '../wire/error.ts';
import type { Truth } from '../wire/names.ts';
import { readTruth } from '../wire/names.ts';
import type { Struct } from '../wire/struct.ts';
import * as codec from './codec.ts';
import * as X from './constants.ts';
import {
  ACQUIRE_SELECTOR,
  attributesAfter,
  offsetOf,
  selectorFamily,
  stateFamily,
  stateIdFamily,
} from './messages.ts';
import type { Acquire, Aevent, StateMigration, XfrmPolicy, XfrmState } from './objects.ts';
import { parts } from './parts.ts';
import * as S from './structs.ts';

const EXPIRE_HARD = offsetOf(S.xfrm_user_expire, 'hard');
const POLEXPIRE_HARD = offsetOf(S.xfrm_user_polexpire, 'hard');

/** Reads into `into` the attributes that belong there; `part` says which. */
export function readAttributes<Into extends object>(
  { view, bytes, keys }: DecodeInput,
  from: number,
  end: number,
  { use }: Part,
  family: number,
  into: Into,
): Into {
  // The part decides which properties come: those of the type `into` has.
  codec.readXfrmAttributes(view, bytes, from, end, use, family, keys, into);
  return into;
}

/** An SA whose fixed part is the first field of `header`. */
export function readState(
  input: DecodeInput,
  body: number,
  end: number,
  header: Struct = S.xfrm_usersa_info,
): XfrmState {
  const from = attributesAfter(header, body, end);
  const state: XfrmState = codec.readStateInfo(input.view, input.bytes, body, 0);
  return readAttributes(input, from, end, parts.state, stateFamily(input.view, body), state);
}

/** A policy whose fixed part is the first field of `header`. */
export function readPolicy(
  input: DecodeInput,
  body: number,
  end: number,
  header: Struct = S.xfrm_userpolicy_info,
): XfrmPolicy {
  const from = attributesAfter(header, body, end);
  const policy: XfrmPolicy = codec.readPolicyInfo(input.view, input.bytes, body);
  return readAttributes(input, from, end, parts.policy, selectorFamily(input.view, body), policy);
}

export function readExpire(input: DecodeInput, body: number, end: number) {
  const state = readState(input, body, end, S.xfrm_user_expire);
  return { hard: hardAt(input, body + EXPIRE_HARD), state };
}

export function readPolicyExpire(input: DecodeInput, body: number, end: number) {
  const policy = readPolicy(input, body, end, S.xfrm_user_polexpire);
  return { hard: hardAt(input, body + POLEXPIRE_HARD), policy };
}

const hardAt = ({ bytes }: DecodeInput, at: number): Truth => readTruth(bytes[at] as number);

/** DELSA as an event: the SA is in an attribute. */
export function readDeletedState(input: DecodeInput, body: number, end: number) {
  const { view, bytes } = input;
  const from = attributesAfter(S.xfrm_usersa_id, body, end);
  const id = codec.readStateId(view, bytes, body, 0);
  const info = find(view, from, end, X.XFRMA_SA, 'XFRMA_SA', S.xfrm_usersa_info);
  const state: XfrmState = codec.readStateInfo(view, bytes, info, 0);
  readAttributes(input, from, end, parts.deletedState, stateFamily(view, info), state);
  return { id, state };
}

/** DELPOLICY as an event: the policy is in an attribute. */
export function readDeletedPolicy(input: DecodeInput, body: number, end: number) {
  const { view, bytes } = input;
  const from = attributesAfter(S.xfrm_userpolicy_id, body, end);
  const id = codec.readPolicyId(view, bytes, body);
  const info = find(view, from, end, X.XFRMA_POLICY, 'XFRMA_POLICY', S.xfrm_userpolicy_info);
  const policy: XfrmPolicy = codec.readPolicyInfo(view, bytes, info);
  readAttributes(input, from, end, parts.deletedPolicy, selectorFamily(view, info), policy);
  return { id, policy };
}

export function readAcquire(input: DecodeInput, body: number, end: number): Acquire {
  const from = attributesAfter(S.xfrm_user_acquire, body, end);
  const acquire: Acquire = codec.readAcquireInfo(input.view, input.bytes, body, 0);
  const family = selectorFamily(input.view, body + ACQUIRE_SELECTOR);
  return readAttributes(input, from, end, parts.acquire, family, acquire);
}

export function readAevent(input: DecodeInput, body: number, end: number): Aevent {
  const from = attributesAfter(S.xfrm_aevent_id, body, end);
  const aevent: Aevent = codec.readAeventId(input.view, input.bytes, body, 0);
  return readAttributes(input, from, end, parts.aevent, stateIdFamily(input.view, body), aevent);
}

export function readMigrate(input: DecodeInput, body: number, end: number) {
  const { view, bytes } = input;
  const from = attributesAfter(S.xfrm_userpolicy_id, body, end);
  const id = codec.readPolicyId(view, bytes, body);
  const read: codec.XfrmAttributes = {};
  readAttributes(input, from, end, parts.migrate, selectorFamily(view, body), read);
  const { migrations = [], ...attributes } = read;
  return { id, migrations, attributes };
}

export function readMigrateState(input: DecodeInput, body: number, end: number): StateMigration {
  const from = attributesAfter(S.xfrm_user_migrate_state, body, end);
  const migration: StateMigration = codec.readMigrateStateInfo(input.view, input.bytes, body);
  const family = stateIdFamily(input.view, body);
  return readAttributes(input, from, end, parts.migrateState, family, migration);
}

export function readFlushState(input: DecodeInput, body: number, end: number) {
  const from = attributesAfter(S.xfrm_usersa_flush, body, end);
  const flush: codec.FlushInfo & Pick<codec.XfrmAttributes, 'unknown'> = codec.readFlushInfo(
    input.view,
    input.bytes,
    body,
  );
  return readAttributes(input, from, end, parts.none, 0, flush);
}

export function readFlushPolicy(input: DecodeInput, body: number, end: number) {
  const flush: Pick<codec.XfrmAttributes, 'policyType' | 'unknown'> = {};
  return readAttributes(input, body, end, parts.flushPolicy, 0, flush);
}

export function readDefaults(input: DecodeInput, body: number, end: number) {
  const from = attributesAfter(S.xfrm_userpolicy_default, body, end);
  const defaults = codec.readPolicyDefaults(input.view, input.bytes, body);
  const read: { defaults: codec.PolicyDefaults } & Pick<codec.XfrmAttributes, 'unknown'> = {
    defaults,
  };
  return readAttributes(input, from, end, parts.none, 0, read);
}

/** Offset of the payload of the last attribute of a type; the last one wins, as in the kernel. */
function find(
  view: DataView,
  from: number,
  end: number,
  type: number,
  name: string,
  payload: Struct,
): number {
  let found: number | undefined;
  for (let at = from; at < end; ) {
    const length = attributeLength(view, at, end);
    if ((view.getUint16(at + 2, LE) & NLA_TYPE_MASK) === type) {
      if (length - NLA_HDRLEN < payload.size) {
        tooShort(name, at, payload.size, length - NLA_HDRLEN);
      }
      found = at + NLA_HDRLEN;
    }
    at += align4(length);
  }
  if (found === undefined) throw new DecodeError('is missing', { path: [name], offset: end });
  return found;
}
