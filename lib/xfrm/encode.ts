/**
 * XFRM messages to bytes: every event, answer and request.
 * @module
 */
import { NLM_F_REQUEST } from '../netlink/constants.ts';
import type { Encodable } from '../wire/encodable.ts';
import { EncodeError, notEncoded } from '../wire/error.ts';
import { u16, u32 } from '../wire/integer.ts';
import { type MessageHeader, NLMSG_HDRLEN } from '../wire/message.ts';
import type { MessageWriter } from '../wire/message-writer.ts';
import { disclosed } from '../wire/opaque.ts';
import type { Target } from './bodies.ts';
import { bodyOf, messageOf } from './messages.ts';
import type { XfrmMessage } from './requests.ts';

/**
 * What can be encoded: any decoded message, and looser forms of it (see {@link Encodable}). Its
 * `header` may be left out: then a request has the flag NLM_F_REQUEST, and all else is 0.
 */
export type EncodableXfrmMessage<Message extends XfrmMessage = XfrmMessage> =
  Message extends XfrmMessage
    ? Pick<Message, Extract<keyof Message, 'kind' | 'message'>> & {
        readonly header?: Partial<MessageHeader> | undefined;
      } & Encodable<Omit<Message, 'kind' | 'message' | 'protocol' | 'header' | 'time'>>
    : never;

/** How to encode. */
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
  message: EncodableXfrmMessage,
  options: EncodeOptions = {},
): void {
  const at = writer.length;
  const name = message.kind === 'request' ? message.message : message.kind;
  try {
    writer.beginMessage(headerOf(message, name));
    const zeroKeys = options.missingKeys === 'zero';
    if (message.kind === 'unknown') {
      const { payload = new Uint8Array(0) } = message;
      const content = disclosed(payload, zeroKeys);
      const from = writer.reserve(payload.length);
      if (content !== undefined) writer.bytes.set(content, from);
      // A message this library does not know ends where it ended, not at the padding.
      writer.endMessage(at, NLMSG_HDRLEN + payload.length);
    } else {
      // Of a name that there is not, there is no type either.
      const to: Target = { w: writer, zeroKeys };
      bodyOf(message)?.write(to, message);
      writer.endMessage(at, to.end === undefined ? undefined : to.end - at);
    }
  } catch (error) {
    writer.cut(at);
    throw notEncoded(error, name, message);
  }
}

function headerOf({ kind, header = {} }: EncodableXfrmMessage, name: string): MessageHeader {
  const type = kind === 'unknown' ? header.type : messageOf(name)?.type;
  if (type === undefined) throw new EncodeError('is missing', ['header', 'type']);
  return {
    type: u16(type, 'type'),
    flags: u16(header.flags ?? (kind === 'request' ? NLM_F_REQUEST : 0), 'flags'),
    seq: u32(header.seq, 'seq'),
    portId: u32(header.portId, 'portId'),
  };
}
