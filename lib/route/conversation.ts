/**
 * Requests to rtnetlink: one answer, or a list that is whole.
 * @module
 */
import { type ClientOptions, Connection, type RequestOptions } from '../netlink/connection.ts';
import { NETLINK_ROUTE } from '../netlink/constants.ts';
import type { Request } from '../netlink/request.ts';
import { checkProperties } from '../wire/check.ts';
import type { Input } from '../wire/input.ts';
import { type Shape, shape } from '../wire/shape.ts';
import * as bodies from './bodies.ts';
import { decodeRoute } from './decode.ts';
import { encodeRoute, type RouteInput } from './encode.ts';
import type { RouteEvent } from './events.ts';
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
  Rule,
} from './objects.ts';
import type { RtnetlinkRequest } from './requests.ts';

/** A list as the kernel gave it. */
export interface Listing<T> {
  readonly items: readonly T[];
  /**
   * What was listed changed while it was, each time it was asked for: something may be missing, or
   * there twice. The kernel tells of it for links, addresses and next hops only (docs/route.md).
   */
  readonly interrupted: boolean;
}

/** How often a list is asked for before an interrupted one is handed out. */
const ATTEMPTS = 5;

/** What requests are about: each object under the property that messages have it under. */
export interface Objects {
  link: Link;
  port: BridgePort;
  address: IpAddress;
  route: Route;
  neighbour: Neighbour;
  rule: Rule;
  nexthop: Nexthop;
  nsid: NamespaceId;
  netconf: Netconf;
}

/** A request: the message, the property of its object, and that. */
export interface Question<Property extends keyof Objects> {
  readonly message: MessageName;
  readonly about: Property;
  readonly value: Input<Objects[Property]>;
  /** nlmsg_flags beyond those every request has. */
  readonly flags?: number;
}

const shapes = new Map<keyof Objects, Shape>();

function shapeOf(about: keyof Objects): Shape {
  const { header, table } = bodies[about];
  const of = shapes.get(about) ?? shape(header, table);
  shapes.set(about, of);
  return of;
}

/** A message as the connection sends it. @throws EncodeError for a property there is not */
function requestOf<Property extends keyof Objects>(question: Question<Property>): Request {
  const { message, about, value, flags = 0 } = question;
  checkProperties(value, shapeOf(about), [message]);
  const { header, table } = bodies[about];
  const name = `RTM_${message}`;
  return {
    name,
    flags,
    fixed: header.size,
    write(writer, header) {
      // Message, property and value belong together: that is what a question states.
      const input = { kind: 'request', message, header, [about]: value };
      encodeRoute(writer, input as RouteInput<RtnetlinkRequest>);
    },
    attributes: table,
    hint: (ack) => hintFor(name, ack),
  };
}

/** The object of an answer; undefined if it is about something else. */
const objectOf = <Property extends keyof Objects>(
  reply: RouteEvent,
  about: Property,
): Objects[Property] | undefined => (reply as Partial<Objects>)[about];

/** A conversation with rtnetlink. The kernel is made to check requests strictly, and to filter. */
export class Conversation implements AsyncDisposable {
  readonly #connection: Connection;

  constructor(options: ClientOptions) {
    this.#connection = new Connection(NETLINK_ROUTE, options, ['strictCheck']);
  }

  /** Sends a request. @returns the objects of the answers */
  async ask<Property extends keyof Objects>(
    question: Question<Property>,
    options?: RequestOptions,
  ): Promise<Objects[Property][]> {
    const request = requestOf(question);
    const { replies } = await this.#connection.request<RouteEvent>(request, decodeRoute, options);
    return replies.flatMap((reply) => objectOf(reply, question.about) ?? []);
  }

  /** Asks for one object. */
  async one<Property extends keyof Objects>(
    question: Question<Property>,
    options?: RequestOptions,
  ): Promise<Objects[Property]> {
    const [object] = await this.ask(question, options);
    if (object !== undefined) return object;
    throw new Error(`the kernel acknowledged ${question.message} without an answer`);
  }

  /** Asks for a list, again when it was interrupted (NLM_F_DUMP_INTR), up to five times in all. */
  async list<Property extends keyof Objects>(
    question: Question<Property>,
    options?: RequestOptions,
  ): Promise<Listing<Objects[Property]>> {
    const request = requestOf(question);
    for (let attempt = 1; ; attempt++) {
      const items: Objects[Property][] = [];
      const replies = this.#connection.dump<RouteEvent>(request, decodeRoute, options);
      let next = await replies.next();
      for (; !next.done; next = await replies.next()) {
        const object = objectOf(next.value, question.about);
        if (object !== undefined) items.push(object);
      }
      const { interrupted } = next.value;
      if (!interrupted || attempt === ATTEMPTS) return { items, interrupted };
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
