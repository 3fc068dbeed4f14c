/**
 * One XFRM message, from bytes to an event.
 * @module
 */
import type { DecodeInput } from '../netlink/event.ts';
import { DecodeError } from '../wire/error.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import * as codec from './codec.ts';
import * as X from './constants.ts';
import {
  readAcquire,
  readAevent,
  readAttributes,
  readDefaults,
  readDeletedPolicy,
  readDeletedState,
  readExpire,
  readFlushPolicy,
  readFlushState,
  readMigrate,
  readMigrateState,
  readPolicy,
  readPolicyExpire,
  readState,
} from './decode-objects.ts';
import type { Mapping, Report, XfrmEvent } from './events.ts';
import {
  attributesAfter,
  messageName,
  REPORT_SELECTOR,
  selectorFamily,
  stateIdFamily,
} from './messages.ts';
import { parts } from './parts.ts';
import * as S from './structs.ts';

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
    throw inMessage(error, type);
  }
}

/** For the catch of what decodes a message: the same error, found inside it. */
export function inMessage(error: unknown, type: number): unknown {
  if (!(error instanceof DecodeError)) return error;
  return error.within(messageName(type) ?? `message ${type}`);
}

function decode(input: DecodeInput, type: number, at: number, end: number): XfrmEvent {
  const { view, bytes, time } = input;
  const header = readHeader(view, at);
  const protocol = 'xfrm';
  const body = at + NLMSG_HDRLEN;
  switch (type) {
    case X.XFRM_MSG_NEWSA:
      return { kind: 'NEWSA', protocol, header, time, state: readState(input, body, end) };
    case X.XFRM_MSG_UPDSA:
      return { kind: 'UPDSA', protocol, header, time, state: readState(input, body, end) };
    case X.XFRM_MSG_DELSA: {
      const { id, state } = readDeletedState(input, body, end);
      return { kind: 'DELSA', protocol, header, time, id, state };
    }
    case X.XFRM_MSG_EXPIRE: {
      const { hard, state } = readExpire(input, body, end);
      return { kind: 'EXPIRE', protocol, header, time, hard, state };
    }
    case X.XFRM_MSG_FLUSHSA:
      return { kind: 'FLUSHSA', protocol, header, time, ...readFlushState(input, body, end) };
    case X.XFRM_MSG_NEWPOLICY:
      return { kind: 'NEWPOLICY', protocol, header, time, policy: readPolicy(input, body, end) };
    case X.XFRM_MSG_UPDPOLICY:
      return { kind: 'UPDPOLICY', protocol, header, time, policy: readPolicy(input, body, end) };
    case X.XFRM_MSG_DELPOLICY: {
      const { id, policy } = readDeletedPolicy(input, body, end);
      return { kind: 'DELPOLICY', protocol, header, time, id, policy };
    }
    case X.XFRM_MSG_POLEXPIRE: {
      const { hard, policy } = readPolicyExpire(input, body, end);
      return { kind: 'POLEXPIRE', protocol, header, time, hard, policy };
    }
    case X.XFRM_MSG_FLUSHPOLICY:
      return { kind: 'FLUSHPOLICY', protocol, header, time, ...readFlushPolicy(input, body, end) };
    case X.XFRM_MSG_GETDEFAULT:
      return { kind: 'GETDEFAULT', protocol, header, time, ...readDefaults(input, body, end) };
    case X.XFRM_MSG_ACQUIRE:
      return { kind: 'ACQUIRE', protocol, header, time, acquire: readAcquire(input, body, end) };
    case X.XFRM_MSG_NEWAE:
      return { kind: 'NEWAE', protocol, header, time, aevent: readAevent(input, body, end) };
    case X.XFRM_MSG_REPORT: {
      const from = attributesAfter(S.xfrm_user_report, body, end);
      const report: Report['report'] = codec.readReportInfo(view, bytes, body);
      const family = selectorFamily(view, body + REPORT_SELECTOR);
      readAttributes(input, from, end, parts.report, family, report);
      return { kind: 'REPORT', protocol, header, time, report };
    }
    case X.XFRM_MSG_MIGRATE:
      return { kind: 'MIGRATE', protocol, header, time, ...readMigrate(input, body, end) };
    case X.XFRM_MSG_MIGRATE_STATE: {
      const migration = readMigrateState(input, body, end);
      return { kind: 'MIGRATE_STATE', protocol, header, time, migration };
    }
    case X.XFRM_MSG_MAPPING: {
      const from = attributesAfter(S.xfrm_user_mapping, body, end);
      const mapping: Mapping['mapping'] = codec.readMappingInfo(view, bytes, body, 0);
      readAttributes(input, from, end, parts.none, stateIdFamily(view, body), mapping);
      return { kind: 'MAPPING', protocol, header, time, mapping };
    }
    default:
      return { kind: 'unknown', protocol, header, time, payload: bytes.slice(body, end) };
  }
}
