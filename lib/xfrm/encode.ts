/**
 * Encodes XFRM messages: every event, answer and request.
 * @module
 */
import { object, string, wrongType } from '../base/argument.ts';
import { isClassless, shallowCopy } from '../base/shallow-copy.ts';
import { NLM_F_REQUEST } from '../netlink/constants.ts';
import type { Encodable } from '../wire/encodable.ts';
import { EncodeError, notEncoded } from '../wire/error.ts';
import { type MessageHeader, NLMSG_HDRLEN } from '../wire/message.ts';
import { MessageWriter } from '../wire/message-writer.ts';
import { disclosed } from '../wire/opaque.ts';
import type { Target } from './bodies.ts';
import { bodyOf, messageOf } from './messages.ts';
import type { XfrmMessage } from './requests.ts';

/**
 * What can be encoded: any decoded message, or a looser form of it (see {@link Encodable}).
 * `header` is optional: by default a request has the flag NLM_F_REQUEST, and everything else is 0.
 */
export type EncodableXfrmMessage<Message extends XfrmMessage = XfrmMessage> =
  Message extends XfrmMessage
    ? Pick<Message, Extract<keyof Message, 'kind' | 'message'>> & {
        readonly header?: Partial<MessageHeader> | undefined;
      } & Encodable<Omit<Message, 'kind' | 'message' | 'protocol' | 'header' | 'time'>>
    : never;

/** Encoding options. */
export interface EncodeOptions {
  /**
   * What to do with an algorithm whose key is missing (only its length is known): `refuse` it, the
   * default, so that the kernel never silently gets a key of zeros; or write zeros (`zero`), which
   * reproduces the original message except for its keys.
   */
  readonly missingKeys?: 'refuse' | 'zero' | undefined;
}

/**
 * Appends a message to the writer.
 *
 * @throws EncodeError for an invalid value, with its path; the writer is left unchanged
 */
export function encodeXfrm(
  writer: MessageWriter,
  message: EncodableXfrmMessage,
  options: EncodeOptions = {},
): void {
  if (!(writer instanceof MessageWriter)) throw wrongType('writer', 'a MessageWriter', writer);
  object('message', message);
  object('options', options);
  const said = isClassless(message) ? shallowCopy(message) : message;
  string('message.kind', said.kind);
  const at = writer.length;
  const name = said.kind === 'request' ? said.message : said.kind;
  try {
    writer.beginMessage(headerOf(said, name));
    const zeroKeys = options.missingKeys === 'zero';
    if (said.kind === 'unknown') {
      const { payload = new Uint8Array(0) } = said;
      const content = disclosed(payload, zeroKeys);
      const from = writer.reserve(payload.length);
      if (content !== undefined) writer.bytes.set(content, from);
      // An unknown message keeps its original length, without padding.
      writer.endMessage(at, NLMSG_HDRLEN + payload.length);
    } else {
      // An unknown name has no type either.
      const to: Target = { w: writer, zeroKeys };
      bodyOf(said)?.write(to, said);
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
  // beginMessage checks them.
  const flags = header.flags ?? (kind === 'request' ? NLM_F_REQUEST : 0);
  const { seq = 0, portId = 0 } = header;
  return { type, flags, seq, portId };
}
