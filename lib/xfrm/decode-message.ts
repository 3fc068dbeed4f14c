/**
 * Any XFRM message, from bytes: events, but also requests and answers, as a capture of an nlmon
 * device holds them.
 * @module
 */
import { NLM_F_DUMP, NLM_F_REQUEST } from '../netlink/constants.ts';
import type { DecodeInput } from '../netlink/event.ts';
import { LE } from '../wire/endian.ts';
import { tooShort } from '../wire/error.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import * as codec from './codec.ts';
import * as X from './constants.ts';
import { decodeXfrm, inMessage } from './decode.ts';
import {
  readAcquire,
  readAevent,
  readAttributes,
  readDefaults,
  readExpire,
  readFlushPolicy,
  readFlushState,
  readMigrate,
  readMigrateState,
  readPolicy,
  readPolicyExpire,
  readState,
} from './decode-objects.ts';
import {
  attributesAfter,
  INFO_FLAGS,
  selectorFamily,
  stateFamily,
  stateIdFamily,
} from './messages.ts';
import { parts } from './parts.ts';
import type {
  AllocSpiRequest,
  DelPolicyRequest,
  DelSaRequest,
  InfoRequest,
  XfrmMessage,
  XfrmRequest,
} from './requests.ts';
import * as S from './structs.ts';

/**
 * Decodes the message at `at`, whose nlmsg_len is `length`: with NLM_F_REQUEST as a request, else
 * as an answer or an event (which are never sent with that flag). What has no decoder becomes an
 * event of kind `unknown`.
 *
 * @throws DecodeError when a part of it does not fit; the path starts with the message's name
 */
export function decodeXfrmMessage(input: DecodeInput, at: number, length: number): XfrmMessage {
  const type = messageType(input.view, at);
  const end = at + length;
  try {
    const { flags } = readHeader(input.view, at);
    const other =
      flags & NLM_F_REQUEST
        ? decodeRequest(input, type, at, end)
        : decodeInfo(input, type, at, end);
    if (other !== undefined) return other;
  } catch (error) {
    throw inMessage(error, type);
  }
  return decodeXfrm(input, at, length);
}

/** The answers that no group delivers; undefined for other messages. */
function decodeInfo(
  input: DecodeInput,
  type: number,
  at: number,
  end: number,
): XfrmMessage | undefined {
  const { view, bytes, time } = input;
  const answer = () => ({
    protocol: 'xfrm' as const,
    header: readHeader(view, at),
    time,
    flags: readInfoFlags(input, at + NLMSG_HDRLEN, end),
  });
  const from = at + NLMSG_HDRLEN + INFO_FLAGS;
  if (type === X.XFRM_MSG_NEWSADINFO) {
    const sad: codec.SadAttributes = {};
    const info = { kind: 'NEWSADINFO' as const, ...answer(), sad };
    codec.readSadAttributes(view, bytes, from, end, sad);
    return info;
  }
  if (type === X.XFRM_MSG_NEWSPDINFO) {
    const spd: codec.SpdAttributes = {};
    const info = { kind: 'NEWSPDINFO' as const, ...answer(), spd };
    codec.readSpdAttributes(view, bytes, from, end, spd);
    return info;
  }
  return undefined;
}

/** The number before the attributes of the statistics. */
function readInfoFlags({ view }: DecodeInput, body: number, end: number): number {
  if (end - body < INFO_FLAGS) tooShort('flags', body, INFO_FLAGS, end - body);
  return view.getUint32(body, LE);
}

/** Undefined for a type that is no request. */
function decodeRequest(
  input: DecodeInput,
  type: number,
  at: number,
  end: number,
): XfrmRequest | undefined {
  const { view, bytes, time } = input;
  const header = readHeader(view, at);
  const body = at + NLMSG_HDRLEN;
  const base = { kind: 'request', protocol: 'xfrm', header, time } as const;
  const dump = (header.flags & NLM_F_DUMP) !== 0;
  switch (type) {
    case X.XFRM_MSG_NEWSA:
      return { message: 'NEWSA', ...base, state: readState(input, body, end) };
    case X.XFRM_MSG_UPDSA:
      return { message: 'UPDSA', ...base, state: readState(input, body, end) };
    case X.XFRM_MSG_DELSA:
      return { message: 'DELSA', ...base, ...readNamedState(input, body, end) };
    case X.XFRM_MSG_GETSA: {
      if (!dump) return { message: 'GETSA', ...base, ...readNamedState(input, body, end) };
      const attributes = readAttributes(input, body, end, parts.stateId, 0, {});
      return { message: 'GETSA', ...base, attributes };
    }
    case X.XFRM_MSG_NEWPOLICY:
      return { message: 'NEWPOLICY', ...base, policy: readPolicy(input, body, end) };
    case X.XFRM_MSG_UPDPOLICY:
      return { message: 'UPDPOLICY', ...base, policy: readPolicy(input, body, end) };
    case X.XFRM_MSG_DELPOLICY:
      return { message: 'DELPOLICY', ...base, ...readNamedPolicy(input, body, end) };
    case X.XFRM_MSG_GETPOLICY:
      if (dump && body === end) return { message: 'GETPOLICY', ...base, attributes: {} };
      return { message: 'GETPOLICY', ...base, ...readNamedPolicy(input, body, end) };
    case X.XFRM_MSG_ALLOCSPI: {
      const from = attributesAfter(S.xfrm_userspi_info, body, end);
      const allocation: AllocSpiRequest['allocation'] = codec.readSpiRequest(view, bytes, body, 0);
      readAttributes(input, from, end, parts.allocSpi, stateFamily(view, body), allocation);
      return { message: 'ALLOCSPI', ...base, allocation };
    }
    case X.XFRM_MSG_ACQUIRE:
      return { message: 'ACQUIRE', ...base, acquire: readAcquire(input, body, end) };
    case X.XFRM_MSG_EXPIRE:
      return { message: 'EXPIRE', ...base, ...readExpire(input, body, end) };
    case X.XFRM_MSG_POLEXPIRE:
      return { message: 'POLEXPIRE', ...base, ...readPolicyExpire(input, body, end) };
    case X.XFRM_MSG_FLUSHSA:
      return { message: 'FLUSHSA', ...base, ...readFlushState(input, body, end) };
    case X.XFRM_MSG_FLUSHPOLICY:
      return { message: 'FLUSHPOLICY', ...base, ...readFlushPolicy(input, body, end) };
    case X.XFRM_MSG_NEWAE:
      return { message: 'NEWAE', ...base, aevent: readAevent(input, body, end) };
    case X.XFRM_MSG_GETAE:
      return { message: 'GETAE', ...base, aevent: readAevent(input, body, end) };
    case X.XFRM_MSG_MIGRATE:
      return { message: 'MIGRATE', ...base, ...readMigrate(input, body, end) };
    case X.XFRM_MSG_MIGRATE_STATE:
      return { message: 'MIGRATE_STATE', ...base, migration: readMigrateState(input, body, end) };
    case X.XFRM_MSG_GETSADINFO:
      return { message: 'GETSADINFO', ...base, ...readInfoRequest(input, body, end) };
    case X.XFRM_MSG_GETSPDINFO:
      return { message: 'GETSPDINFO', ...base, ...readInfoRequest(input, body, end) };
    case X.XFRM_MSG_NEWSPDINFO: {
      const flags = readInfoFlags(input, body, end);
      const spd: codec.SpdAttributes = {};
      codec.readSpdAttributes(view, bytes, body + INFO_FLAGS, end, spd);
      return { message: 'NEWSPDINFO', ...base, flags, spd };
    }
    case X.XFRM_MSG_SETDEFAULT:
      return { message: 'SETDEFAULT', ...base, ...readDefaults(input, body, end) };
    case X.XFRM_MSG_GETDEFAULT:
      return { message: 'GETDEFAULT', ...base, ...readDefaults(input, body, end) };
    default:
      return undefined;
  }
}

function readNamedState(
  input: DecodeInput,
  body: number,
  end: number,
): Pick<DelSaRequest, 'id' | 'attributes'> {
  const from = attributesAfter(S.xfrm_usersa_id, body, end);
  const id = codec.readStateId(input.view, input.bytes, body, 0);
  const family = stateIdFamily(input.view, body);
  return { id, attributes: readAttributes(input, from, end, parts.stateId, family, {}) };
}

function readNamedPolicy(
  input: DecodeInput,
  body: number,
  end: number,
): Pick<DelPolicyRequest, 'id' | 'attributes'> {
  const from = attributesAfter(S.xfrm_userpolicy_id, body, end);
  const id = codec.readPolicyId(input.view, input.bytes, body);
  const family = selectorFamily(input.view, body);
  return { id, attributes: readAttributes(input, from, end, parts.policyId, family, {}) };
}

function readInfoRequest(
  input: DecodeInput,
  body: number,
  end: number,
): Pick<InfoRequest, 'flags' | 'unknown'> {
  const read: { flags: number } & Pick<InfoRequest, 'unknown'> = {
    flags: readInfoFlags(input, body, end),
  };
  return readAttributes(input, body + INFO_FLAGS, end, parts.none, 0, read);
}
