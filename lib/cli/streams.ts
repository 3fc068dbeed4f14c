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

/** Where to listen. */
export interface Where {
  /** Network namespaces by name or path; none for one's own. */
  readonly netns: readonly string[];
  /** One's own and all that have a name. */
  readonly allNetns?: true;
}

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
const namespacePath = (name: string): string => (name.includes('/') ? name : `/run/netns/${name}`);

/** A stream of events from any number of namespaces. */
export class Streams {
  readonly #options: SubscribeOptions;
  readonly #open = new Map<string | null | undefined, [Subscription, Origin]>();
  readonly #past: SocketStatus[] = [];
  #listener: StreamListener | undefined;
  #watch: NamespaceWatch | undefined;
  #paused = false;

  /** Joins the groups. @throws what subscribe throws, if a namespace cannot be heard */
  constructor(options: SubscribeOptions, { netns, allNetns }: Where) {
    this.#options = options;
    try {
      if (allNetns) this.#addAll();
      else if (netns.length > 0) this.#addNamed(netns);
      else this.#add({ label: undefined, path: undefined });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The names of the namespaces listened to. */
  get labels(): (string | null | undefined)[] {
    return [...this.#open.keys()];
  }

  /** The sockets, also of namespaces that have gone. */
  get sockets(): SocketStatus[] {
    return [...this.#past, ...this.#subscriptions.flatMap(({ sockets }) => sockets)];
  }

  /** Begins to read. */
  start(listener: StreamListener): void {
    this.#listener = listener;
    for (const [subscription, origin] of this.#open.values()) this.#read(subscription, origin);
  }

  pause(): void {
    this.#paused = true;
    for (const subscription of this.#subscriptions) subscription.pause();
  }

  resume(): void {
    this.#paused = false;
    for (const subscription of this.#subscriptions) subscription.resume();
  }

  async close(): Promise<void> {
    this.#watch?.close();
    await Promise.all(this.#subscriptions.map((subscription) => subscription.close()));
  }

  get #subscriptions(): Subscription[] {
    return [...this.#open.values()].map(([subscription]) => subscription);
  }

  #add(origin: Origin): void {
    const subscription = subscribe({ ...this.#options, netns: origin.path });
    this.#open.set(origin.label, [subscription, origin]);
    if (this.#paused) subscription.pause();
    if (this.#listener) this.#read(subscription, origin);
  }

  #read(subscription: Subscription, origin: Origin): void {
    subscription.on('error', (error) => this.#listener?.error(error));
    subscription.on('event', (event) => this.#listener?.event(event, origin));
  }

  /** One given by name is followed: when the name goes it is left, when it comes again heard. */
  #addNamed(names: readonly string[]): void {
    for (const name of new Set(names)) this.#add({ label: name, path: namespacePath(name) });
    if (names.some((name) => !name.includes('/'))) this.#follow(({ name }) => names.includes(name));
  }

  #addAll(): void {
    this.#add({ label: null, path: undefined });
    // One's own may have a name too.
    const own = namespaceId('/proc/thread-self/ns/net');
    this.#follow(({ id }) => id !== own);
  }

  #follow(wanted: (namespace: NamedNamespace) => boolean): void {
    let begun = false;
    this.#watch = new NamespaceWatch({
      added: (namespace) => {
        const { name, path } = namespace;
        if (!wanted(namespace) || this.#open.has(name)) return;
        const origin = { label: name, path };
        try {
          this.#add(origin);
        } catch (error) {
          if (!begun) throw error;
          this.#listener?.namespace(origin, 'added', error as Error);
          return;
        }
        if (begun) this.#listener?.namespace(origin, 'added');
      },
      removed: ({ name }) => {
        const [subscription, origin] = this.#open.get(name) ?? [];
        if (subscription === undefined || origin === undefined) return;
        this.#open.delete(name);
        // After what is queued has been read. The kernel keeps the namespace until then.
        setImmediate(() => {
          this.#past.push(...subscription.sockets);
          subscription.close();
        });
        this.#listener?.namespace(origin, 'removed');
      },
    });
    begun = true;
  }
}
