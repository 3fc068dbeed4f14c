/**
 * Requests to rtnetlink, with one answer or a whole dump.
 * @module
 */
import {
  type ClientOptions,
  Connection,
  type RequestOptions,
  withoutAnswer,
} from '../netlink/connection.ts';
import { NETLINK_ROUTE } from '../netlink/constants.ts';
import { Dump } from '../netlink/dump.ts';
import type { RouteEvent } from './events.ts';
import { copyOf, type Rtnetlink, withRtnetlink } from './load.ts';
import type { Objects, Question } from './question.ts';

/** Makes a question from arguments, using the lazily loaded modules. */
export type Ask<Property extends keyof Objects, Args extends readonly unknown[]> = (
  by: Rtnetlink,
) => (...args: Args) => Question<Property>;

/** The object of an answer; undefined if the message is about something else. */
const objectOf = <Property extends keyof Objects>(
  reply: RouteEvent,
  about: Property,
): Objects[Property] | undefined => (reply as Partial<Objects>)[about];

/** A conversation with rtnetlink. The kernel is asked to check requests strictly, and to filter. */
export class Conversation implements AsyncDisposable {
  readonly #connection: Connection;

  constructor(options: ClientOptions) {
    this.#connection = new Connection(NETLINK_ROUTE, options, ['strictCheck']);
  }

  /** Sends a request that has no answer but its acknowledgement. */
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

  /** Requests one object. */
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

  /** A dump that is requested when it is read. */
  list<Property extends keyof Objects, const Args extends readonly unknown[]>(
    ask: Ask<Property, Args>,
    args: Args,
    options?: RequestOptions,
  ): Dump<Objects[Property]> {
    const connection = this.#connection;
    // Copied: the caller may change them before reading.
    const given = copyOf(args);
    return new Dump(async function* () {
      return yield* await withRtnetlink(given, async (by, args) => {
        const question = ask(by)(...args);
        const { about, keep = () => true } = question;
        return connection.dumpBatches(
          by.requestOf(question),
          (input, at, length) => {
            const object = objectOf(by.decodeRoute(input, at, length), about);
            return object !== undefined && keep(object) ? object : undefined;
          },
          options,
        );
      });
    });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
