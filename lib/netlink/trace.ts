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
export interface WireAttribute {
  readonly type: number;
  /** The kernel's name; undefined where it is not known. */
  readonly name: string | undefined;
  /** Bytes of its payload. */
  readonly length: number;
  /** Its payload in hexadecimal; undefined if that could hold a key. */
  readonly hex: string | undefined;
}

/** A message on the wire. */
export interface WireMessage {
  readonly header: MessageHeader;
  /** The kernel's name; undefined where it is not known. */
  readonly name: string | undefined;
  /** nlmsg_len. */
  readonly length: number;
  /** The struct before the attributes in hexadecimal, where the protocol is known. */
  readonly fixed?: string;
  readonly attributes?: readonly WireAttribute[];
  /** An acknowledgement: 0, or the error as a positive number. */
  readonly errno?: number;
  /** The kernel's words in an acknowledgement. */
  readonly text?: string;
  /** What does not hold together. */
  readonly malformed?: string;
}

/** What a protocol tells of its messages. What it does not know is not shown. */
export interface Family {
  messageName(type: number): string | undefined;
  /** Bytes before the attributes; undefined for a message whose content is not to be shown. */
  fixedSize(type: number, flags: number): number | undefined;
  attributeName(messageType: number, type: number): string | undefined;
  /** Whether the bytes of an attribute may be shown. */
  showable(messageType: number, type: number): boolean;
}

const families = new Map<number, Family>();

const CONTROL = new Map([
  [N.NLMSG_NOOP, 'NLMSG_NOOP'],
  [N.NLMSG_ERROR, 'NLMSG_ERROR'],
  [N.NLMSG_DONE, 'NLMSG_DONE'],
  [N.NLMSG_OVERRUN, 'NLMSG_OVERRUN'],
]);

/** From now on messages of a protocol are described by what `family` says. */
export function traceFamily(protocol: number, family: Family): void {
  families.set(protocol, family);
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
): WireMessage[] | undefined {
  const family = families.get(protocol);
  if (family === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: WireMessage[] = [];
  const end = offset + length;
  for (let at = offset; end - at >= NLMSG_HDRLEN; ) {
    const header = readHeader(view, at);
    const name = CONTROL.get(header.type) ?? family.messageName(header.type);
    const said = { header, name, length: view.getUint32(at, LE) };
    try {
      const size = messageLength(view, at, end);
      messages.push({ ...said, ...describeBody(family, view, bytes, at, size) });
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
  family: Family,
  view: DataView,
  bytes: Uint8Array,
  at: number,
  length: number,
): Partial<WireMessage> {
  const { type, flags } = readHeader(view, at);
  if (type === N.NLMSG_ERROR || type === N.NLMSG_DONE) {
    // Not what follows: an error can hold a copy of the request, keys and all.
    const { errno, message } = readAck(view, bytes, at, length);
    return message === undefined ? { errno } : { errno, text: message };
  }
  const size = family.fixedSize(type, flags);
  if (size === undefined) return {};
  const body = at + NLMSG_HDRLEN;
  const end = at + length;
  // What stands in a struct's place is not the struct: it may be an attribute, and that a key.
  if (end < body + size) return { malformed: `ends within its struct of ${size} bytes` };
  const fixed = hex(bytes, body, body + size);
  const attributes: WireAttribute[] = [];
  for (let from = body + align4(size); from < end; ) {
    const size = attributeLength(view, from, end);
    const number = view.getUint16(from + 2, LE) & NLA_TYPE_MASK;
    const payload = from + NLA_HDRLEN;
    attributes.push({
      type: number,
      name: family.attributeName(type, number),
      length: size - NLA_HDRLEN,
      hex: family.showable(type, number) ? hex(bytes, payload, from + size) : undefined,
    });
    from += align4(size);
  }
  return { fixed, attributes };
}
