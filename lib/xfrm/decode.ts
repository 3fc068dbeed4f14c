/**
 * Decodes one XFRM message into an event, or a message of a dump into what is listed.
 * @module
 */
import type { DecodeInput, DecodeMessage } from '../netlink/event.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import { opaque } from '../wire/opaque.ts';
import { policy, state } from './bodies.ts';
import type { XfrmEvent } from './events.ts';
import { inMessage, messageOf } from './messages.ts';

/**
 * Decodes the message at `at`, whose nlmsg_len is `length` (see messageLength). A type without a
 * decoder becomes an event of kind `unknown`.
 *
 * @throws DecodeError if a part of it is malformed; the path starts with the message's name
 */
export function decodeXfrm(input: DecodeInput, at: number, length: number): XfrmEvent {
  const { view, bytes, time, keys } = input;
  const type = messageType(view, at);
  const header = readHeader(view, at);
  const from = at + NLMSG_HDRLEN;
  const message = messageOf(type);
  if (message?.event === undefined) {
    const payload = opaque(bytes, from, length - NLMSG_HDRLEN, keys);
    return { kind: 'unknown', protocol: 'xfrm', header, time, payload };
  }
  const event = { kind: message.name, protocol: 'xfrm', header, time };
  try {
    message.event.read(input, from, at + length, event);
    // The table keeps the message name and its content type in step.
    return event as unknown as XfrmEvent;
  } catch (error) {
    throw inMessage(error, type);
  }
}

/**
 * Decodes the object of a message alone: the message would be a quarter of what a dump allocates.
 *
 * @param into has the object for a moment, and no other
 * @throws DecodeError as {@link decodeXfrm}
 */
const listed =
  <Key extends 'state' | 'policy', Value>(
    key: Key,
    body: { read(input: DecodeInput, from: number, end: number, into: Record<Key, Value>): void },
    into = {} as Record<Key, Value | undefined>,
  ): DecodeMessage<Value> =>
  (input, at, length) => {
    try {
      body.read(input, at + NLMSG_HDRLEN, at + length, into as Record<Key, Value>);
      const value = into[key] as Value;
      into[key] = undefined;
      return value;
    } catch (error) {
      throw inMessage(error, messageType(input.view, at));
    }
  };

/** Of a NEWSA message. */
export const decodeListedState = listed('state', state);
/** Of a NEWPOLICY message. */
export const decodeListedPolicy = listed('policy', policy);
