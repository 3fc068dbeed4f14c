/**
 * Encodes rtnetlink messages: every event, answer and request. Attributes are written in the
 * kernel's order (attributes.ts), followed by unknown ones; padding is zero.
 * @module
 */
import { NLM_F_REQUEST } from '../netlink/constants.ts';
import type { Encodable } from '../wire/encodable.ts';
import { EncodeError, notEncoded } from '../wire/error.ts';
import { u16, u32 } from '../wire/integer.ts';
import type { MessageHeader } from '../wire/message.ts';
import type { MessageWriter } from '../wire/message-writer.ts';
import * as bodies from './bodies.ts';
import * as R from './constants.ts';
import type { MessageName } from './messages.ts';
import { AddressFamily } from './names.ts';
import type { RouteMessage } from './requests.ts';

/**
 * What can be encoded: any decoded message, or a looser form of it (see {@link Encodable}).
 * `header` is optional: by default a request has the flag NLM_F_REQUEST, and everything else is 0.
 */
export type RouteInput<Message extends RouteMessage = RouteMessage> = Message extends RouteMessage
  ? Pick<Message, Extract<keyof Message, 'kind' | 'message'>> & {
      readonly header?: Partial<MessageHeader> | undefined;
    } & Encodable<Omit<Message, 'kind' | 'message' | 'protocol' | 'header' | 'time' | 'name'>>
  : never;

/**
 * Appends a message to the writer.
 *
 * @throws EncodeError for an invalid value, with its path; the writer is left unchanged
 */
export function encodeRoute(writer: MessageWriter, message: RouteInput): void {
  const at = writer.length;
  const name = message.kind === 'request' ? message.message : message.kind;
  try {
    writer.beginMessage(headerOf(message));
    const end = encode(writer, message);
    writer.endMessage(at, end === undefined ? undefined : end - at);
  } catch (error) {
    writer.cut(at);
    throw notEncoded(error, name, message);
  }
}

/** The message types whose `kind` has a different name. */
const TYPES: Readonly<Record<string, number>> = {
  NEWPORT: R.RTM_NEWLINK,
  DELPORT: R.RTM_DELLINK,
  NEWIFINFO: R.RTM_NEWLINK,
  DELIFINFO: R.RTM_DELLINK,
};

function headerOf({ kind, header = {}, ...message }: RouteInput): MessageHeader {
  const name = 'message' in message ? message.message : kind;
  const type =
    kind === 'rtnetlink' ? header.type : (TYPES[name] ?? R[`RTM_${name as MessageName}`]);
  if (type === undefined) throw new EncodeError('is missing', ['header', 'type']);
  return {
    type: u16(type, 'type'),
    flags: u16(header.flags ?? (kind === 'request' ? NLM_F_REQUEST : 0), 'flags'),
    seq: u32(header.seq, 'seq'),
    portId: u32(header.portId, 'portId'),
  };
}

/** Writes the body. @returns where the message ends, if that is before its padding */
function encode(writer: MessageWriter, message: RouteInput): number | undefined {
  if (message.kind === 'rtnetlink') {
    const { fixed = new Uint8Array(0), attributes = [] } = message;
    const at = writer.reserve(fixed.length);
    writer.bytes.set(fixed, at);
    for (const raw of attributes) writer.raw(raw);
    // A message that is only its struct ends without padding.
    return attributes.length === 0 ? at + fixed.length : undefined;
  }
  // Each message has one object, in the property that its kind determines.
  if ('link' in message) bodies.link.write(writer, message.link ?? {});
  else if ('port' in message) {
    bodies.port.write(writer, { family: AddressFamily.numbers.bridge, ...message.port });
  } else if ('ifinfo' in message) {
    bodies.inet6.write(writer, { family: AddressFamily.numbers.inet6, ...message.ifinfo });
  } else if ('address' in message) bodies.address.write(writer, message.address ?? {});
  else if ('route' in message) bodies.route.write(writer, message.route ?? {});
  else if ('neighbour' in message) bodies.neighbour.write(writer, message.neighbour ?? {});
  else if ('rule' in message) bodies.rule.write(writer, message.rule ?? {});
  else if ('nexthop' in message) bodies.nexthop.write(writer, message.nexthop ?? {});
  else if ('nsid' in message) bodies.nsid.write(writer, message.nsid ?? {});
  else if ('netconf' in message) bodies.netconf.write(writer, message.netconf ?? {});
  else if ('prefix' in message) bodies.prefix.write(writer, message.prefix ?? {});
  else throw new EncodeError('has no body', []);
  return undefined;
}
