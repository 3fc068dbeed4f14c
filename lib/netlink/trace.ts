/**
 * Describes messages on the wire for debugging: names, numbers and bytes, but no bytes that could
 * be a key. The diagnostics channel `netlink-xfrm:message` carries the result as `messages`; it is
 * made only while the channel has subscribers.
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
  /** The kernel's name; undefined if unknown. */
  readonly name: string | undefined;
  /** Length of its payload in bytes. */
  readonly length: number;
  /** Its payload in hexadecimal; undefined if it could hold a key. */
  readonly hex: string | undefined;
}

/** A message on the wire. */
export interface TracedMessage {
  readonly header: MessageHeader;
  /** The kernel's name; undefined if unknown. */
  readonly name: string | undefined;
  /** nlmsg_len. */
  readonly length: number;
  /** The struct before the attributes in hexadecimal, if the protocol is known. */
  readonly fixed?: string;
  readonly attributes?: readonly TracedAttribute[];
  /** For an acknowledgement: 0, or the error as a positive number. */
  readonly errno?: number;
  /** For an acknowledgement: the kernel's message. */
  readonly text?: string;
  /** What is malformed. */
  readonly malformed?: string;
}

/** How to describe the messages of a protocol. Anything unknown is not shown. */
export interface TracedProtocol {
  messageName(type: number): string | undefined;
  /** Undefined for a message whose content must not be shown. */
  contentOf(type: number, flags: number): TracedContent | undefined;
}

/** What may be shown of a message's body. */
export interface TracedContent {
  /** Size of the struct before the attributes, in bytes. */
  readonly size: number;
  attributeName(type: number): string | undefined;
  /** Whether an attribute's payload, the `length` bytes at `at`, may be shown. */
  showable(type: number, view: DataView, at: number, length: number): boolean;
}

const protocols = new Map<number, TracedProtocol>();

const CONTROL = new Map([
  [N.NLMSG_NOOP, 'NLMSG_NOOP'],
  [N.NLMSG_ERROR, 'NLMSG_ERROR'],
  [N.NLMSG_DONE, 'NLMSG_DONE'],
  [N.NLMSG_OVERRUN, 'NLMSG_OVERRUN'],
]);

/** Registers how to describe the messages of a protocol. */
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
    // Nothing after that: an error can hold a copy of the request, including keys.
    const { errno, message } = readAck(view, bytes, at, length);
    return message === undefined ? { errno } : { errno, text: message };
  }
  const content = traced.contentOf(type, flags);
  if (content === undefined) return {};
  const { size } = content;
  const body = at + NLMSG_HDRLEN;
  const end = at + length;
  // Too short for the struct: the bytes in its place may be an attribute, even a key.
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
