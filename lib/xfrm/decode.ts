/**
 * One XFRM message, from bytes to an event.
 * @module
 */
import type { DecodeInput } from '../netlink/event.ts';
import { align4, attributeLength, NLA_HDRLEN, NLA_TYPE_MASK } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { DecodeError, tooShort } from '../wire/error.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import type { Struct } from '../wire/struct.ts';
import * as codec from './codec.ts';
import * as X from './constants.ts';
import type { XfrmEvent } from './events.ts';
import type { XfrmPolicy, XfrmState } from './objects.ts';
import * as S from './structs.ts';

const names = new Map<number, string>();
for (const [name, number] of Object.entries(X)) {
  if (name.startsWith('XFRM_MSG_') && name !== 'XFRM_MSG_BASE') {
    names.set(number as number, name.slice('XFRM_MSG_'.length));
  }
}

/** The kernel's name of a message type, without `XFRM_MSG_`; undefined for one it has not. */
export const messageName = (type: number): string | undefined => names.get(type);

/**
 * Decodes the message at `at`, whose nlmsg_len is `length` (see messageLength).
 * A type without decoder becomes an event of kind `unknown`.
 *
 * @throws DecodeError when a part of it does not fit; the path starts with the message's name
 */
export function decodeXfrm(input: DecodeInput, at: number, length: number): XfrmEvent {
  const type = messageType(input.view, at);
  try {
    return decode(input, type, at, at + length);
  } catch (error) {
    if (error instanceof DecodeError) throw error.within(names.get(type) ?? `message ${type}`);
    throw error;
  }
}

function decode(input: DecodeInput, type: number, at: number, end: number): XfrmEvent {
  const { view, bytes, time } = input;
  const header = readHeader(view, at);
  const protocol = 'xfrm';
  const body = at + NLMSG_HDRLEN;
  switch (type) {
    case X.XFRM_MSG_NEWSA: {
      const state = readState(input, S.xfrm_usersa_info, body, end);
      return { kind: 'NEWSA', protocol, header, time, state };
    }
    case X.XFRM_MSG_UPDSA: {
      const state = readState(input, S.xfrm_usersa_info, body, end);
      return { kind: 'UPDSA', protocol, header, time, state };
    }
    case X.XFRM_MSG_DELSA: {
      const from = attributesAfter(S.xfrm_usersa_id, body, end);
      const id = codec.readStateId(view, bytes, body, 0);
      const info = find(view, from, end, X.XFRMA_SA, 'XFRMA_SA', S.xfrm_usersa_info);
      const { state: _, ...more } = readAttributes(input, from, end, stateFamily(view, info));
      const state = Object.assign(codec.readStateInfo(view, bytes, info, 0), more);
      return { kind: 'DELSA', protocol, header, time, id, state };
    }
    case X.XFRM_MSG_EXPIRE: {
      const state = readState(input, S.xfrm_user_expire, body, end);
      const hard = bytes[body + EXPIRE_HARD] !== 0;
      return { kind: 'EXPIRE', protocol, header, time, hard, state };
    }
    case X.XFRM_MSG_FLUSHSA: {
      attributesAfter(S.xfrm_usersa_flush, body, end);
      const { proto } = codec.readFlushInfo(view, bytes, body);
      return { kind: 'FLUSHSA', protocol, header, time, proto };
    }
    case X.XFRM_MSG_NEWPOLICY: {
      const policy = readPolicy(input, S.xfrm_userpolicy_info, body, end);
      return { kind: 'NEWPOLICY', protocol, header, time, policy };
    }
    case X.XFRM_MSG_UPDPOLICY: {
      const policy = readPolicy(input, S.xfrm_userpolicy_info, body, end);
      return { kind: 'UPDPOLICY', protocol, header, time, policy };
    }
    case X.XFRM_MSG_DELPOLICY: {
      const from = attributesAfter(S.xfrm_userpolicy_id, body, end);
      const id = codec.readPolicyId(view, bytes, body);
      const info = find(view, from, end, X.XFRMA_POLICY, 'XFRMA_POLICY', S.xfrm_userpolicy_info);
      const { policy: _, ...more } = readAttributes(input, from, end, selectorFamily(view, info));
      const policy = Object.assign(codec.readPolicyInfo(view, bytes, info), more);
      return { kind: 'DELPOLICY', protocol, header, time, id, policy };
    }
    case X.XFRM_MSG_POLEXPIRE: {
      const policy = readPolicy(input, S.xfrm_user_polexpire, body, end);
      const hard = bytes[body + POLEXPIRE_HARD] !== 0;
      return { kind: 'POLEXPIRE', protocol, header, time, hard, policy };
    }
    case X.XFRM_MSG_FLUSHPOLICY: {
      const attributes = readAttributes(input, body, end, 0);
      return { kind: 'FLUSHPOLICY', protocol, header, time, ...attributes };
    }
    case X.XFRM_MSG_GETDEFAULT: {
      attributesAfter(S.xfrm_userpolicy_default, body, end);
      const defaults = codec.readPolicyDefaults(view, bytes, body);
      return { kind: 'GETDEFAULT', protocol, header, time, defaults };
    }
    case X.XFRM_MSG_ACQUIRE: {
      const from = attributesAfter(S.xfrm_user_acquire, body, end);
      const attributes = readAttributes(input, from, end, selectorFamily(view, body + ACQUIRE_SEL));
      const acquire = Object.assign(codec.readAcquireInfo(view, bytes, body, 0), attributes);
      return { kind: 'ACQUIRE', protocol, header, time, acquire };
    }
    case X.XFRM_MSG_NEWAE: {
      const from = attributesAfter(S.xfrm_aevent_id, body, end);
      const attributes = readAttributes(input, from, end, stateIdFamily(view, body));
      const aevent = Object.assign(codec.readAeventId(view, bytes, body, 0), attributes);
      return { kind: 'NEWAE', protocol, header, time, aevent };
    }
    case X.XFRM_MSG_REPORT: {
      const from = attributesAfter(S.xfrm_user_report, body, end);
      const attributes = readAttributes(input, from, end, selectorFamily(view, body + REPORT_SEL));
      const report = Object.assign(codec.readReportInfo(view, bytes, body), attributes);
      return { kind: 'REPORT', protocol, header, time, report };
    }
    case X.XFRM_MSG_MIGRATE: {
      const from = attributesAfter(S.xfrm_userpolicy_id, body, end);
      const id = codec.readPolicyId(view, bytes, body);
      const { migrations = [], ...attributes } = readAttributes(
        input,
        from,
        end,
        selectorFamily(view, body),
      );
      return { kind: 'MIGRATE', protocol, header, time, id, migrations, attributes };
    }
    case X.XFRM_MSG_MIGRATE_STATE: {
      const from = attributesAfter(S.xfrm_user_migrate_state, body, end);
      const attributes = readAttributes(input, from, end, stateIdFamily(view, body));
      const migration = Object.assign(codec.readMigrateStateInfo(view, bytes, body), attributes);
      return { kind: 'MIGRATE_STATE', protocol, header, time, migration };
    }
    case X.XFRM_MSG_MAPPING: {
      const from = attributesAfter(S.xfrm_user_mapping, body, end);
      const attributes = readAttributes(input, from, end, stateIdFamily(view, body));
      const mapping = Object.assign(codec.readMappingInfo(view, bytes, body, 0), attributes);
      return { kind: 'MAPPING', protocol, header, time, mapping };
    }
    default:
      return { kind: 'unknown', protocol, header, time, payload: bytes.slice(body, end) };
  }
}

/** An SA whose fixed part is the first field of `header`. */
function readState(input: DecodeInput, header: Struct, body: number, end: number): XfrmState {
  const { view, bytes, keys } = input;
  const from = attributesAfter(header, body, end);
  const state: XfrmState = codec.readStateInfo(view, bytes, body, 0);
  const family = stateFamily(view, body);
  codec.readXfrmAttributes(view, bytes, from, end, family, keys, state as codec.XfrmAttributes);
  return state;
}

/** A policy whose fixed part is the first field of `header`. */
function readPolicy(input: DecodeInput, header: Struct, body: number, end: number): XfrmPolicy {
  const { view, bytes, keys } = input;
  const from = attributesAfter(header, body, end);
  const policy: XfrmPolicy = codec.readPolicyInfo(view, bytes, body);
  const family = selectorFamily(view, body);
  codec.readXfrmAttributes(view, bytes, from, end, family, keys, policy as codec.XfrmAttributes);
  return policy;
}

function readAttributes(
  { view, bytes, keys }: DecodeInput,
  from: number,
  end: number,
  family: number,
): codec.XfrmAttributes {
  const attributes: codec.XfrmAttributes = {};
  codec.readXfrmAttributes(view, bytes, from, end, family, keys, attributes);
  return attributes;
}

/** Checks that a message's fixed part is there, and gives the offset of its first attribute. */
function attributesAfter(header: Struct, body: number, end: number): number {
  if (end - body < header.size) tooShort(`struct ${header.kernel}`, body, header.size, end - body);
  return body + align4(header.size);
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

function offsetOf(of: Struct, kernel: string): number {
  const field = of.fields.find((one) => one.kernel === kernel);
  if (field === undefined) throw new Error(`struct ${of.kernel} has no ${kernel}`);
  return field.offset;
}

const STATE_FAMILY = offsetOf(S.xfrm_usersa_info, 'family');
const STATE_ID_FAMILY = offsetOf(S.xfrm_usersa_id, 'family');
const SELECTOR_FAMILY = offsetOf(S.xfrm_selector, 'family');
const EXPIRE_HARD = offsetOf(S.xfrm_user_expire, 'hard');
const POLEXPIRE_HARD = offsetOf(S.xfrm_user_polexpire, 'hard');
const ACQUIRE_SEL = offsetOf(S.xfrm_user_acquire, 'sel');
const REPORT_SEL = offsetOf(S.xfrm_user_report, 'sel');

// The address family of a message, which the addresses in its attributes follow.
const stateFamily = (view: DataView, at: number) => view.getUint16(at + STATE_FAMILY, LE);
const stateIdFamily = (view: DataView, at: number) => view.getUint16(at + STATE_ID_FAMILY, LE);
const selectorFamily = (view: DataView, at: number) => view.getUint16(at + SELECTOR_FAMILY, LE);
