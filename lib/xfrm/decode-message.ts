/**
 * Decodes any XFRM message: events, and also requests and answers, as captured from an nlmon
 * device.
 * @module
 */
import { bytes, integer, object, wrongType } from '../base/argument.ts';
import { NLM_F_REQUEST } from '../netlink/constants.ts';
import type { DecodeInput } from '../netlink/event.ts';
import { messageType, NLMSG_HDRLEN, readHeader } from '../wire/message.ts';
import { decodeXfrm } from './decode.ts';
import { bodyOnWire, inMessage, messageName, messageOf } from './messages.ts';
import type { XfrmMessage } from './requests.ts';

/**
 * Decodes the message at `at`, whose nlmsg_len is `length`: as a request if it has NLM_F_REQUEST,
 * otherwise as an answer or an event (which never have that flag). A message without a decoder
 * becomes an event of kind `unknown`.
 *
 * @throws DecodeError if a part of it is malformed; the path starts with the message's name
 */
export function decodeXfrmMessage(input: DecodeInput, at: number, length: number): XfrmMessage {
  checkInput(input, at, length);
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
    // The table keeps the message name and its content type in step.
    return decoded as unknown as XfrmMessage;
  } catch (error) {
    throw inMessage(error, type);
  }
}

function checkInput(input: DecodeInput, at: number, length: number): void {
  object('input', input);
  bytes('input.bytes', input.bytes);
  const { view } = input;
  if (!(view instanceof DataView)) throw wrongType('input.view', 'a DataView', view);
  const size = Math.min(input.bytes.length, view.byteLength);
  integer('at', at, 0, Math.max(0, size - NLMSG_HDRLEN));
  integer('length', length, NLMSG_HDRLEN, size - at);
}
