/**
 * The events of several network namespaces: a subscription for each, one of them for one's own; and
 * beside it, where that is asked for, a monitor of its tunnels.
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
import type { TunnelChange } from '../tunnel/changes.ts';
import { TunnelMonitor, type TunnelMonitorOptions } from '../tunnel/tunnel-monitor.ts';

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
  change(change: TunnelChange, origin: Origin): void;
  /** A namespace came or went while they ran; with an error, if it came but cannot be heard. */
  namespace(origin: Origin, state: 'added' | 'removed', error?: Error): void;
  error(error: Error): void;
}

/** Where a namespace is that was named on the command line: a name, or a path. */
export const namespacePath = (name: string): string =>
  name.includes('/') ? name : `/run/netns/${name}`;

interface Open {
  readonly subscription: Subscription;
  readonly origin: Origin;
  /** undefined where tunnels are not asked for. */
  readonly tunnels: Promise<TunnelMonitor> | undefined;
}

/** A stream of events from any number of namespaces. */
export class Streams {
  readonly #options: SubscribeOptions;
  readonly #tunnels: TunnelMonitorOptions | undefined;
  readonly #open = new Map<string | null | undefined, Open>();
  readonly #past: SocketStatus[] = [];
  #listener: StreamListener | undefined;
  #watch: NamespaceWatch | undefined;
  #paused: { readonly until: Promise<void>; readonly end: () => void } | undefined;

  /**
   * Joins the groups.
   *
   * @param tunnels if changes of tunnels are asked for
   * @throws what subscribe throws, if a namespace cannot be heard
   */
  constructor(
    options: SubscribeOptions,
    { netns, allNetns }: Where,
    tunnels?: TunnelMonitorOptions,
  ) {
    this.#options = options;
    this.#tunnels = tunnels;
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

  /** Until all tunnels are known. @throws what TunnelMonitor.open throws */
  async ready(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ tunnels }) => tunnels));
  }

  /** Begins to read. */
  start(listener: StreamListener): void {
    this.#listener = listener;
    for (const one of this.#open.values()) this.#read(one);
  }

  pause(): void {
    if (this.#paused) return;
    let end = () => {};
    const until = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#paused = { until, end };
    for (const subscription of this.#subscriptions) subscription.pause();
  }

  resume(): void {
    this.#paused?.end();
    this.#paused = undefined;
    for (const subscription of this.#subscriptions) subscription.resume();
  }

  async close(): Promise<void> {
    this.#watch?.close();
    this.#paused?.end();
    await Promise.all([...this.#open.values()].map((one) => this.#close(one)));
  }

  async #close({ subscription, tunnels }: Open): Promise<void> {
    await subscription.close();
    // One that could not be opened has been told of.
    const monitor = await tunnels?.catch(() => undefined);
    await monitor?.close();
  }

  get #subscriptions(): Subscription[] {
    return [...this.#open.values()].map(({ subscription }) => subscription);
  }

  #add(origin: Origin): void {
    const netns = origin.path;
    const subscription = subscribe({ ...this.#options, netns });
    const tunnels = this.#tunnels && TunnelMonitor.open({ ...this.#tunnels, netns });
    // Who waits for it is told: ready(), or #read().
    tunnels?.catch(() => {});
    const open = { subscription, origin, tunnels };
    this.#open.set(origin.label, open);
    if (this.#paused) subscription.pause();
    if (this.#listener) this.#read(open);
  }

  #read({ subscription, origin, tunnels }: Open): void {
    subscription.on('error', (error) => this.#listener?.error(error));
    subscription.on('event', (event) => this.#listener?.event(event, origin));
    if (tunnels) this.#follow(tunnels, origin).catch((error) => this.#listener?.error(error));
  }

  /** Tells changes as fast as they are taken: a loop that is slow is told that it missed some. */
  async #follow(tunnels: Promise<TunnelMonitor>, origin: Origin): Promise<void> {
    for await (const change of await tunnels) {
      await this.#paused?.until;
      // Where it begins, and where it begins again after a loss that is told.
      if (change.kind !== 'synced') this.#listener?.change(change, origin);
    }
  }

  /** One given by name is followed: when the name goes it is left, when it comes again heard. */
  #addNamed(names: readonly string[]): void {
    for (const name of new Set(names)) this.#add({ label: name, path: namespacePath(name) });
    if (names.some((name) => !name.includes('/')))
      this.#watchNames(({ name }) => names.includes(name));
  }

  #addAll(): void {
    this.#add({ label: null, path: undefined });
    // One's own may have a name too.
    const own = namespaceId('/proc/thread-self/ns/net');
    this.#watchNames(({ id }) => id !== own);
  }

  #watchNames(wanted: (namespace: NamedNamespace) => boolean): void {
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
        const open = this.#open.get(name);
        if (open === undefined) return;
        this.#open.delete(name);
        // After what is queued has been read. The kernel keeps the namespace until then.
        setImmediate(() => {
          this.#past.push(...open.subscription.sockets);
          this.#close(open);
        });
        this.#listener?.namespace(open.origin, 'removed');
      },
    });
    begun = true;
  }
}
