/**
 * Requests to rtnetlink: one answer, or a list that is whole.
 * @module
 */
import {
  type ClientOptions,
  Connection,
  type RequestOptions,
  withoutAnswer,
} from '../netlink/connection.ts';
import { NETLINK_ROUTE } from '../netlink/constants.ts';
import type { RouteEvent } from './events.ts';
import { type Rtnetlink, withRtnetlink } from './load.ts';
import type { Objects, Question } from './question.ts';

/** What makes a question of arguments, out of what was loaded for it. */
export type Ask<Property extends keyof Objects, Args extends readonly unknown[]> = (
  by: Rtnetlink,
) => (...args: Args) => Question<Property>;

/** A list as the kernel gave it. */
export interface DumpResult<T> {
  readonly items: readonly T[];
  /**
   * What was listed changed while it was, each time it was asked for: something may be missing, or
   * there twice. The kernel tells of it for links, addresses and next hops only (docs/route.md).
   */
  readonly interrupted: boolean;
}

/** How often a list is asked for before an interrupted one is handed out. */
const ATTEMPTS = 5;

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

  /** Asks for something to be done. */
  act<Property extends keyof Objects, const Args extends readonly unknown[]>(
    ask: Ask<Property, Args>,
    args: Args,
    options?: RequestOptions,
  ): Promise<void> {
    return withRtnetlink(args, async (by, args) => {
      const request = by.requestOf(ask(by)(...args));
      await this.#connection.request(request, undefined, options);
    });
  }

  /** Asks for one object. */
  one<Property extends keyof Objects, const Args extends readonly unknown[]>(
    ask: Ask<Property, Args>,
    args: Args,
    options?: RequestOptions,
  ): Promise<Objects[Property]> {
    return withRtnetlink(args, async (by, args) => {
      const question = ask(by)(...args);
      const { replies } = await this.#connection.request<RouteEvent>(
        by.requestOf(question),
        by.decodeRoute,
        options,
      );
      for (const reply of replies) {
        const object = objectOf(reply, question.about);
        if (object !== undefined) return object;
      }
      throw withoutAnswer(question.message);
    });
  }

  /** Asks for a list, again when it was interrupted (NLM_F_DUMP_INTR), up to five times in all. */
  list<Property extends keyof Objects, const Args extends readonly unknown[]>(
    ask: Ask<Property, Args>,
    args: Args,
    options?: RequestOptions,
  ): Promise<DumpResult<Objects[Property]>> {
    return withRtnetlink(args, async (by, args) => {
      const question = ask(by)(...args);
      const request = by.requestOf(question);
      const { about, keep = () => true } = question;
      for (let attempt = 1; ; attempt++) {
        const items: Objects[Property][] = [];
        const replies = this.#connection.dump<RouteEvent>(request, by.decodeRoute, options);
        let next = await replies.next();
        for (; !next.done; next = await replies.next()) {
          const object = objectOf(next.value, about);
          if (object !== undefined && keep(object)) items.push(object);
        }
        const { interrupted } = next.value;
        if (!interrupted || attempt === ATTEMPTS) return { items, interrupted };
      }
    });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
