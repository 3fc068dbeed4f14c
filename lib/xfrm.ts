/**
 * `netlink-xfrm/xfrm`: decodes and encodes XFRM messages; the types of all messages, objects and
 * attributes. See docs/messages.md for examples.
 * @module
 */
import './monitor/trace.ts';

export type { DecodeInput, EventTime } from './netlink/event.ts';
export type { OpaqueAttribute, RawAttribute } from './wire/attribute.ts';
export type { Encodable } from './wire/encodable.ts';
export { DecodeError, type DecodeErrorDetails, EncodeError } from './wire/error.ts';
export type { MessageHeader } from './wire/message.ts';
export { MessageWriter } from './wire/message-writer.ts';
export type { FlagSet, KernelBool } from './wire/names.ts';
export { OpaqueBytes } from './wire/opaque.ts';
export { type ExactDigits, NO_LIMIT } from './wire/time.ts';
export { decodeXfrmMessage } from './xfrm/decode-message.ts';
export { type EncodableXfrmMessage, type EncodeOptions, encodeXfrm } from './xfrm/encode.ts';
export type * from './xfrm/events.ts';
export { KeyMaterial } from './xfrm/key-material.ts';
export type * from './xfrm/names.ts';
export type * from './xfrm/objects.ts';
export type * from './xfrm/requests.ts';
export type * from './xfrm/types.ts';
