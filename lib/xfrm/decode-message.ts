/**
 * Any XFRM message, from bytes: events, but also requests and answers, as a capture of an nlmon
 * device holds them.
 * @module
 */
import { NLM_F_REQUEST } from '../netlink/constants.ts';
import type { DecodeInput } from '../netlink/event.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import { decodeXfrm } from './decode.ts';
import { bodyOnWire, inMessage, messageName, messageOf } from './messages.ts';
import type { XfrmMessage } from './requests.ts';

/**
 * Decodes the message at `at`, whose nlmsg_len is `length`: with NLM_F_REQUEST as a request, else
 * as an answer or an event (which are never sent with that flag). What has no decoder becomes an
 * event of kind `unknown`.
 *
 * @throws DecodeError when a part of it does not fit; the path starts with the message's name
 */
export function decodeXfrmMessage(input: DecodeInput, at: number, length: number): XfrmMessage {
  const { view, time } = input;
  const type = messageType(view, at);
  const header = readHeader(view, at);
  const isRequest = (header.flags & NLM_F_REQUEST) !== 0;
  const body = bodyOnWire(type, header.flags);
  if (body === undefined || (!isRequest && messageOf(type)?.event))
    return decodeXfrm(input, at, length);
  const name = messageName(type);
  const common = { protocol: 'xfrm', header, time };
  const decoded = isRequest
    ? { message: name, kind: 'request', ...common }
    : { kind: name, ...common };
  try {
    body.read(input, at + NLMSG_HDRLEN, at + length, decoded);
    // The table holds a message's name together with what it says.
    return decoded as unknown as XfrmMessage;
  } catch (error) {
    throw inMessage(error, type);
  }
}
