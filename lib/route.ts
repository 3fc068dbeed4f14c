/**
 * `netlink-xfrm/route`: RouteClient, and the types of all rtnetlink events, objects and attributes.
 * See docs/route.md for examples.
 * @module
 */
import './monitor/trace.ts';

export type { ClientOptions, RequestOptions } from './netlink/connection.ts';
export type { EventTime } from './netlink/event.ts';
export * from './route/client.ts';
export type * from './route/events.ts';
export type * from './route/names.ts';
export type * from './route/objects.ts';
export type * from './route/types.ts';
export type { RawAttribute } from './wire/attribute.ts';
export type { Encodable } from './wire/encodable.ts';
export type { MessageHeader } from './wire/message.ts';
export type { FlagSet } from './wire/names.ts';
export { type ExactDigits, NO_LIMIT } from './wire/time.ts';
