/**
 * The events of several network namespaces: a subscription for each, one of them for one's own.
 * @module
 */
import { type NamedNamespace, NamespaceWatch, namespaceId } from '../monitor/namespaces.ts';
import {
  type SocketStatus,
  type SubscribeOptions,
  type Subscription,
  type SubscriptionEvent,
  subscribe,
} from '../monitor/subscribe.ts';

/** Where events come from. */
export interface Origin {
  /** The namespace's name; null for one's own beside others; undefined if there is only that. */
  readonly label: string | null | undefined;
  readonly path: string | undefined;
}

/** What the streams tell. */
export interface StreamListener {
  event(event: SubscriptionEvent, origin: Origin): void;
  /** A namespace came or went while they ran; with an error, if it came but cannot be heard. */
  namespace(origin: Origin, state: 'added' | 'removed', error?: Error): void;
  error(error: Error): void;
}

/** Where a namespace is that was named on the command line: a name, or a path. */
export const namespacePath = (name: string): string =>
  name.includes('/') ? name : `/run/netns/${name}`;

/** A stream of events from any number of namespaces. */
export class Streams {
  readonly #options: SubscribeOptions;
  readonly #listener: StreamListener;
  readonly #open = new Map<string | null | undefined, Subscription>();
  readonly #past: SocketStatus[] = [];
  #watch: NamespaceWatch | undefined;
  #paused = false;

  constructor(options: SubscribeOptions, listener: StreamListener) {
    this.#options = options;
    this.#listener = listener;
  }

  /** The names of the namespaces listened to. */
  get labels(): (string | null | undefined)[] {
    return [...this.#open.keys()];
  }

  /** The sockets, also of namespaces that have gone. */
  get sockets(): SocketStatus[] {
    return [...this.#past, ...[...this.#open.values()].flatMap(({ sockets }) => sockets)];
  }

  /** Begins to listen. @throws what subscribe throws */
  add(origin: Origin): void {
    const subscription = subscribe({ ...this.#options, netns: origin.path });
    this.#open.set(origin.label, subscription);
    if (this.#paused) subscription.pause();
    subscription.on('event', (event) => this.#listener.event(event, origin));
    subscription.on('error', (error) => this.#listener.error(error));
  }

  /**
   * Listens to namespaces by name or path. One given by name is followed: when the name goes it is
   * left, when the name comes again it is heard again.
   *
   * @throws what subscribe throws, if one of them is not there now
   */
  addNamed(names: readonly string[]): void {
    for (const name of names) this.add({ label: name, path: namespacePath(name) });
    if (names.some((name) => !name.includes('/'))) this.#follow((name) => names.includes(name));
  }

  /** Listens to one's own namespace and to all that have a name, now and later. */
  addAll(): void {
    const own = namespaceId('/proc/self/ns/net');
    const named = this.#follow(() => true);
    if (!named.some(({ id }) => id === own)) this.add({ label: null, path: undefined });
  }

  /** @returns the namespaces there are */
  #follow(wanted: (name: string) => boolean): NamedNamespace[] {
    let begun = false;
    const watch = new NamespaceWatch({
      added: ({ name, path }) => {
        if (!wanted(name) || this.#open.has(name)) return;
        const origin = { label: name, path };
        let failure: Error | undefined;
        try {
          this.add(origin);
        } catch (error) {
          failure = error as Error;
        }
        if (begun || failure) this.#listener.namespace(origin, 'added', failure);
      },
      removed: ({ name, path }) => {
        const subscription = this.#open.get(name);
        if (subscription === undefined) return;
        this.#open.delete(name);
        // After what is queued has been read. The kernel keeps the namespace until then.
        setImmediate(() => {
          this.#past.push(...subscription.sockets);
          subscription.close();
        });
        this.#listener.namespace({ label: name, path }, 'removed');
      },
    });
    begun = true;
    this.#watch = watch;
    return [...watch.namespaces.values()];
  }

  pause(): void {
    this.#paused = true;
    for (const subscription of this.#open.values()) subscription.pause();
  }

  resume(): void {
    this.#paused = false;
    for (const subscription of this.#open.values()) subscription.resume();
  }

  async close(): Promise<void> {
    this.#watch?.close();
    await Promise.all([...this.#open.values()].map((subscription) => subscription.close()));
  }
}
