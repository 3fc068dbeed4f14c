/**
 * A question to rtnetlink: a message about one object.
 * @module
 */
import type { Request } from '../netlink/request.ts';
import { checkProperties } from '../wire/check.ts';
import type { Encodable } from '../wire/encodable.ts';
import { type Shape, shape } from '../wire/shape.ts';
import * as bodies from './bodies.ts';
import { encodeRoute, type RouteInput } from './encode.ts';
import { hintFor } from './hints.ts';
import type { MessageName } from './messages.ts';
import type {
  BridgePort,
  IpAddress,
  Link,
  NamespaceId,
  Neighbour,
  Netconf,
  Nexthop,
  Route,
  RoutingRule,
} from './objects.ts';
import type { RtnetlinkRequest } from './requests.ts';
import { describeObject } from './text.ts';

/** The objects of requests, by the property that holds them in messages. */
export interface Objects {
  link: Link;
  port: BridgePort;
  address: IpAddress;
  route: Route;
  neighbour: Neighbour;
  rule: RoutingRule;
  nexthop: Nexthop;
  nsid: NamespaceId;
  netconf: Netconf;
}

/** A request: the message, the property of its object, and the object. */
export interface Question<Property extends keyof Objects> {
  readonly message: MessageName;
  readonly about: Property;
  readonly value: Encodable<Objects[Property]>;
  /** nlmsg_flags beyond those every request has. */
  readonly flags?: number;
  /** For a dump: which objects to keep, if the kernel may send more than requested. */
  readonly keep?: ((object: Objects[Property]) => boolean) | undefined;
}

const shapes = new Map<keyof Objects, Shape>();

/**
 * Refuses an invalid object before it is completed: defaults depend on the other properties.
 *
 * @throws EncodeError that names the property and what it should be
 */
export function checkObject(about: keyof Objects, value: unknown, message: MessageName): void {
  const { header, table } = bodies[about];
  const of = shapes.get(about) ?? shape(header, table);
  shapes.set(about, of);
  checkProperties(value, of, [message]);
}

/** A message in the form the connection sends. @throws EncodeError for an unknown property */
export function requestOf<Property extends keyof Objects>(question: Question<Property>): Request {
  const { message, about, value, flags = 0 } = question;
  checkObject(about, value, message);
  const { header, table } = bodies[about];
  const name = `RTM_${message}`;
  return {
    name,
    flags,
    fixed: header.size,
    write(writer, header) {
      // A question guarantees that message, property and value belong together.
      const input = { kind: 'request', message, header, [about]: value };
      encodeRoute(writer, input as RouteInput<RtnetlinkRequest>);
    },
    attributes: table,
    object: () => describeObject(about, value),
    hint: (ack) => hintFor(name, ack),
  };
}
