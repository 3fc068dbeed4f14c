/**
 * What goes over the wire, described for people who debug: names, numbers and bytes, but no bytes
 * that could be a key. It is what the diagnostics channel `netlink-xfrm:message` carries as
 * `messages`, and is made only while somebody subscribes to that.
 * @module
 */
import { describeMessages } from '../socket/channels.ts';
import { align4, attributeLength, NLA_HDRLEN, NLA_TYPE_MASK } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { DecodeError } from '../wire/error.ts';
import {
  type MessageHeader,
  messageLength,
  NLMSG_HDRLEN,
  nextMessage,
  readHeader,
} from '../wire/message.ts';
import { readAck } from './ack.ts';
import * as N from './constants.ts';

/** An attribute on the wire. */
export interface TracedAttribute {
  readonly type: number;
  /** The kernel's name; undefined where it is not known. */
  readonly name: string | undefined;
  /** Bytes of its payload. */
  readonly length: number;
  /** Its payload in hexadecimal; undefined if that could hold a key. */
  readonly hex: string | undefined;
}

/** A message on the wire. */
export interface TracedMessage {
  readonly header: MessageHeader;
  /** The kernel's name; undefined where it is not known. */
  readonly name: string | undefined;
  /** nlmsg_len. */
  readonly length: number;
  /** The struct before the attributes in hexadecimal, where the protocol is known. */
  readonly fixed?: string;
  readonly attributes?: readonly TracedAttribute[];
  /** An acknowledgement: 0, or the error as a positive number. */
  readonly errno?: number;
  /** The kernel's words in an acknowledgement. */
  readonly text?: string;
  /** What does not hold together. */
  readonly malformed?: string;
}

/** What a protocol tells of its messages. What it does not know is not shown. */
export interface TracedProtocol {
  messageName(type: number): string | undefined;
  /** Undefined for a message whose content is not to be shown. */
  contentOf(type: number, flags: number): TracedContent | undefined;
}

/** What may be shown of what follows the header. */
export interface TracedContent {
  /** Bytes before the attributes. */
  readonly size: number;
  attributeName(type: number): string | undefined;
  /** Whether the `length` bytes at `at` may be shown, which are the payload of an attribute. */
  showable(type: number, view: DataView, at: number, length: number): boolean;
}

const protocols = new Map<number, TracedProtocol>();

const CONTROL = new Map([
  [N.NLMSG_NOOP, 'NLMSG_NOOP'],
  [N.NLMSG_ERROR, 'NLMSG_ERROR'],
  [N.NLMSG_DONE, 'NLMSG_DONE'],
  [N.NLMSG_OVERRUN, 'NLMSG_OVERRUN'],
]);

/** From now on messages of a protocol are described by what `traced` says. */
export function traceProtocol(protocol: number, traced: TracedProtocol): void {
  protocols.set(protocol, traced);
  describeMessages(describeDatagram);
}

const hex = (bytes: Uint8Array, from: number, to: number) =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('hex');

/** The messages of the datagram of `length` bytes at `offset`; undefined for an unknown protocol. */
export function describeDatagram(
  protocol: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
): TracedMessage[] | undefined {
  const traced = protocols.get(protocol);
  if (traced === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: TracedMessage[] = [];
  const end = offset + length;
  for (let at = offset; end - at >= NLMSG_HDRLEN; ) {
    const header = readHeader(view, at);
    const name = CONTROL.get(header.type) ?? traced.messageName(header.type);
    const said = { header, name, length: view.getUint32(at, LE) };
    try {
      const size = messageLength(view, at, end);
      messages.push({ ...said, ...describeBody(traced, view, bytes, at, size) });
      at = nextMessage(at, size);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      messages.push({ ...said, malformed: error.reason });
      break;
    }
  }
  return messages;
}

function describeBody(
  traced: TracedProtocol,
  view: DataView,
  bytes: Uint8Array,
  at: number,
  length: number,
): Partial<TracedMessage> {
  const { type, flags } = readHeader(view, at);
  if (type === N.NLMSG_ERROR || type === N.NLMSG_DONE) {
    // Not what follows: an error can hold a copy of the request, keys and all.
    const { errno, message } = readAck(view, bytes, at, length);
    return message === undefined ? { errno } : { errno, text: message };
  }
  const content = traced.contentOf(type, flags);
  if (content === undefined) return {};
  const { size } = content;
  const body = at + NLMSG_HDRLEN;
  const end = at + length;
  // What stands in a struct's place is not the struct: it may be an attribute, and that a key.
  if (end < body + size) return { malformed: `is shorter than its struct of ${size} bytes` };
  const fixed = hex(bytes, body, body + size);
  const attributes: TracedAttribute[] = [];
  for (let from = body + align4(size); from < end; ) {
    const next = from + attributeLength(view, from, end);
    const number = view.getUint16(from + 2, LE) & NLA_TYPE_MASK;
    const payload = from + NLA_HDRLEN;
    const length = next - payload;
    attributes.push({
      type: number,
      name: content.attributeName(number),
      length,
      hex: content.showable(number, view, payload, length) ? hex(bytes, payload, next) : undefined,
    });
    from += align4(next - from);
  }
  return { fixed, attributes };
}
