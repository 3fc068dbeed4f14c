/**
 * `netlink-xfrm/socket`: netlink for protocols that this library has no client for: raw sockets,
 * requests with acknowledgements and dumps, and attribute readers and writers. See
 * docs/protocols.md for examples.
 * @module
 */
import './monitor/trace.ts';

export type { RequestOptions } from './netlink/connection.ts';
export type { Dump, DumpEnd, DumpResult } from './netlink/dump.ts';
export {
  type FakeAnswer,
  type FakeHandler,
  FakeKernel,
  type FakeMessage,
  type FakeRefusal,
  type FakeRequest,
} from './netlink/fake-kernel.ts';
export { KernelError } from './netlink/kernel-error.ts';
export {
  type NetlinkAnswer,
  NetlinkConnection,
  type NetlinkConnectionOptions,
  NetlinkMessage,
  type NetlinkRequest,
  readMessages,
} from './netlink/netlink-connection.ts';
export type { TracedAttribute, TracedMessage } from './netlink/trace.ts';
export * from './socket/index.ts';
export { formatIp } from './wire/address.ts';
export type { OpaqueAttribute, RawAttribute } from './wire/attribute.ts';
export {
  type AttributeNames,
  NetlinkAttribute,
  NetlinkAttributes,
} from './wire/attribute-reader.ts';
export { AttributeWriter } from './wire/attribute-writer.ts';
export { DecodeError, type DecodeErrorDetails, EncodeError } from './wire/error.ts';
export type { MessageHeader } from './wire/message.ts';
export { MessageWriter } from './wire/message-writer.ts';
export { OpaqueBytes } from './wire/opaque.ts';
export { printable } from './wire/text.ts';
