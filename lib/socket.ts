/**
 * `netlink-xfrm/socket`: netlink sockets of any protocol, bytes in and bytes out; whose a port id is; and what
 * messages are written and read with. docs/sockets.md has examples.
 * @module
 */
import './monitor/trace.ts';

export type { TracedAttribute, TracedMessage } from './netlink/trace.ts';
export * from './socket/index.ts';
export type { OpaqueAttribute, RawAttribute } from './wire/attribute.ts';
export type { MessageHeader } from './wire/message.ts';
export { OpaqueBytes } from './wire/opaque.ts';
export { MessageWriter } from './wire/writer.ts';
