/**
 * XFRM messages to bytes: every event, answer and request. Attributes go out in the kernel's order
 * (parts.ts), unknown ones after them; padding is zero.
 * @module
 */
import { NLM_F_REQUEST } from '../netlink/constants.ts';
import { EncodeError, notEncoded } from '../wire/error.ts';
import type { Input } from '../wire/input.ts';
import { u16, u32 } from '../wire/integer.ts';
import { type MessageHeader, NLMSG_HDRLEN } from '../wire/message.ts';
import type { MessageWriter } from '../wire/writer.ts';
import * as codec from './codec.ts';
import * as write from './encode-objects.ts';
import { type MessageName, messageTypeOf } from './messages.ts';
import { parts } from './parts.ts';
import type { XfrmMessage } from './requests.ts';

/**
 * What can be encoded: any decoded message, and looser forms of it (see {@link Input}). Its
 * `header` may be left out: then a request has the flag NLM_F_REQUEST, and all else is 0.
 */
export type XfrmInput<Message extends XfrmMessage = XfrmMessage> = Message extends XfrmMessage
  ? Pick<Message, Extract<keyof Message, 'kind' | 'message'>> & {
      readonly header?: Partial<MessageHeader> | undefined;
    } & Input<Omit<Message, 'kind' | 'message' | 'protocol' | 'header' | 'time'>>
  : never;

export interface EncodeOptions {
  /**
   * An algorithm that has a key, of which only the length is known: `refuse` it (the default; what
   * is sent to the kernel must not quietly get a key of zeros), or write zeros (`zero`), which gives
   * the message as it was but for its keys.
   */
  readonly missingKeys?: 'refuse' | 'zero' | undefined;
}

/**
 * Appends a message to what the writer holds.
 *
 * @throws EncodeError for a value that does not fit; it names the path, and the writer is as before
 */
export function encodeXfrm(
  writer: MessageWriter,
  message: XfrmInput,
  options: EncodeOptions = {},
): void {
  const at = writer.length;
  const name = message.kind === 'request' ? message.message : message.kind;
  try {
    writer.beginMessage(headerOf(message, name));
    encode({ w: writer, zeroKeys: options.missingKeys === 'zero' }, message);
    // A message this library does not know ends where it ended, not at the padding.
    const payload = message.kind === 'unknown' ? message.payload : undefined;
    writer.endMessage(at, payload === undefined ? undefined : NLMSG_HDRLEN + payload.length);
  } catch (error) {
    writer.cut(at);
    throw notEncoded(error, name, message);
  }
}

function headerOf({ kind, header = {} }: XfrmInput, name: string): MessageHeader {
  const type = kind === 'unknown' ? header.type : messageTypeOf(name as MessageName);
  if (type === undefined) throw new EncodeError('is missing', ['header', 'type']);
  return {
    type: u16(type, 'type'),
    flags: u16(header.flags ?? (kind === 'request' ? NLM_F_REQUEST : 0), 'flags'),
    seq: u32(header.seq, 'seq'),
    portId: u32(header.portId, 'portId'),
  };
}

/** Writes what follows the header. */
function encode(to: write.Target, message: XfrmInput): void {
  switch (message.kind) {
    case 'NEWSA':
    case 'UPDSA':
      write.writeState(to, message.state);
      break;
    case 'DELSA':
      write.writeDeletedState(to, message);
      break;
    case 'EXPIRE':
      write.writeExpire(to, message);
      break;
    case 'FLUSHSA':
      write.writeFlushState(to, message);
      break;
    case 'NEWPOLICY':
    case 'UPDPOLICY':
      write.writePolicy(to, message.policy);
      break;
    case 'DELPOLICY':
      write.writeDeletedPolicy(to, message);
      break;
    case 'POLEXPIRE':
      write.writePolicyExpire(to, message);
      break;
    case 'FLUSHPOLICY':
      write.writeAttributes(to, parts.flushPolicy, 0, message);
      break;
    case 'GETDEFAULT':
      write.writeDefaults(to, message);
      break;
    case 'ACQUIRE':
      write.writeAcquire(to, message.acquire);
      break;
    case 'NEWAE':
      write.writeAevent(to, message.aevent);
      break;
    case 'REPORT':
      write.writeReport(to, message.report);
      break;
    case 'MIGRATE':
      write.writeMigrate(to, message, false);
      break;
    case 'MIGRATE_STATE':
      write.writeMigrateState(to, message.migration);
      break;
    case 'MAPPING':
      write.writeMapping(to, message.mapping);
      break;
    case 'NEWSADINFO':
      write.writeInfoFlags(to, message.flags);
      codec.writeSadAttributes(to.w, message.sad ?? {});
      break;
    case 'NEWSPDINFO':
      write.writeInfoFlags(to, message.flags);
      codec.writeSpdAttributes(to.w, message.spd ?? {});
      break;
    case 'unknown': {
      const { payload = new Uint8Array(0) } = message;
      const at = to.w.reserve(payload.length);
      to.w.bytes.set(payload, at);
      break;
    }
    case 'request':
      encodeRequest(to, message);
      break;
  }
}

function encodeRequest(to: write.Target, request: Extract<XfrmInput, { kind: 'request' }>): void {
  switch (request.message) {
    case 'NEWSA':
    case 'UPDSA':
      write.writeState(to, request.state);
      break;
    case 'DELSA':
      write.writeNamedState(to, { ...request, id: request.id ?? {} });
      break;
    case 'GETSA':
      write.writeNamedState(to, request);
      break;
    case 'ALLOCSPI':
      write.writeSpiAllocation(to, request.allocation);
      break;
    case 'EXPIRE':
      write.writeExpire(to, request);
      break;
    case 'FLUSHSA':
      write.writeFlushState(to, request);
      break;
    case 'NEWPOLICY':
    case 'UPDPOLICY':
      write.writePolicy(to, request.policy);
      break;
    case 'DELPOLICY':
      write.writeNamedPolicy(to, { ...request, id: request.id ?? {} });
      break;
    case 'GETPOLICY':
      write.writeNamedPolicy(to, request);
      break;
    case 'POLEXPIRE':
      write.writePolicyExpire(to, request);
      break;
    case 'FLUSHPOLICY':
      write.writeAttributes(to, parts.flushPolicy, 0, request);
      break;
    case 'ACQUIRE':
      write.writeAcquire(to, request.acquire);
      break;
    case 'NEWAE':
    case 'GETAE':
      write.writeAevent(to, request.aevent);
      break;
    case 'MIGRATE':
      write.writeMigrate(to, request, true);
      break;
    case 'MIGRATE_STATE':
      write.writeMigrateState(to, request.migration);
      break;
    case 'GETSADINFO':
    case 'GETSPDINFO':
      write.writeInfoFlags(to, request.flags);
      write.writeAttributes(to, parts.none, 0, request);
      break;
    case 'NEWSPDINFO':
      write.writeInfoFlags(to, request.flags);
      codec.writeSpdAttributes(to.w, request.spd ?? {});
      break;
    case 'SETDEFAULT':
    case 'GETDEFAULT':
      write.writeDefaults(to, request);
      break;
  }
}
