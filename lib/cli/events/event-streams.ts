/**
 * The events of several network namespaces, with one subscription for each.
 * @module
 */
import { basename, dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { namespacePath } from '../../monitor/namespace-path.ts';
import {
  isOfProcess,
  type NamedNamespace,
  NamespaceWatch,
  namespaceId,
} from '../../monitor/namespace-watch.ts';
import {
  type SocketStatus,
  Subscription,
  type SubscriptionEvent,
} from '../../monitor/subscribe.ts';
import type { SubscribeOptions } from '../../monitor/subscribe-options.ts';
import type { TakeMessage } from '../../netlink/event.ts';
import type { NetnsReference } from '../../socket/index.ts';
import { HeldNamespace } from '../../socket/namespace.ts';

/** Where to listen. */
export interface WatchOptions {
  /** Network namespaces by name or path; empty for the current one. */
  readonly netns: readonly string[];
  /** The current namespace and all named ones. */
  readonly allNetns?: true;
}

/** The namespace that events come from. */
export interface Origin {
  /** Its name; null for the current namespace if there are others; undefined if it is the only one. */
  readonly label: string | null | undefined;
  readonly path: string | undefined;
  /**
   * The namespace itself, held until all its events are printed, even if its name has been reused for
   * another; undefined for the current one.
   */
  readonly netns: NetnsReference | undefined;
}

/** Receives what the streams report. */
export interface StreamListener {
  event(event: SubscriptionEvent, origin: Origin): void;
  /** Sees XFRM messages first: a message that it takes is not decoded, and does not become an event. */
  readonly take?: TakeMessage | undefined;
  /** A namespace was added or removed while running; with an error if a new one cannot be listened to. */
  namespace(origin: Origin, state: 'added' | 'removed', error?: Error): void;
  error(error: Error): void;
  /** All namespaces are gone for good: nothing more follows. */
  ended(): void;
}

/** Whether a name was removed or reassigned since it was looked at. The watch will report it. */
const hasGone = ({ path, id }: NamedNamespace): boolean => namespaceId(path) !== id;

/** Accompanies the streams: informed about each namespace that is listened to. */
export interface CompanionStreams {
  /** @throws if it cannot work there */
  joined(origin: Origin): void;
  left(origin: Origin): void;
}

/** A namespace that is listened to. */
interface Stream {
  readonly subscription: Subscription;
  readonly origin: Origin;
  readonly held: HeldNamespace;
  /** Number of events received; undefined until reading starts. */
  heard?: number;
  /** Called when its namespace is gone and all its pending events are read. */
  left?: () => void;
}

/** Events from any number of namespaces. */
export class EventStreams {
  readonly #options: SubscribeOptions;
  readonly #open = new Map<string | null | undefined, Stream>();
  /** Streams whose namespace is gone, until all pending events are read. */
  readonly #leaving = new Set<Stream>();
  readonly #past: SocketStatus[] = [];
  #listener: StreamListener | undefined;
  readonly #watches: NamespaceWatch[] = [];
  #paused = false;
  readonly #beside: CompanionStreams | undefined;

  /** Joins the groups. @throws what subscribe throws, if it cannot listen in a namespace */
  constructor(
    options: SubscribeOptions,
    { netns, allNetns }: WatchOptions,
    beside?: CompanionStreams,
  ) {
    this.#options = options;
    this.#beside = beside;
    try {
      if (allNetns) this.#addAll();
      else if (netns.length > 0) this.#addNamed(netns);
      else this.#add({ label: undefined, path: undefined });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Labels of the namespaces listened to. */
  get labels(): (string | null | undefined)[] {
    return [...this.#open.keys()];
  }

  /** The namespaces listened to, including those that are gone but have events pending. */
  get origins(): Origin[] {
    return this.#streams.map(({ origin }) => origin);
  }

  /** The sockets, including those of namespaces that are gone. */
  get sockets(): SocketStatus[] {
    return [...this.#past, ...this.#subscriptions.flatMap(({ sockets }) => sockets)];
  }

  /** Whether events wait to be read. */
  get waiting(): boolean {
    return this.#subscriptions.some(({ waiting }) => waiting);
  }

  /** Starts reading. */
  start(listener: StreamListener): void {
    this.#listener = listener;
    for (const stream of [...this.#leaving, ...this.#open.values()]) this.#read(stream);
  }

  pause(): void {
    this.#paused = true;
    for (const subscription of this.#subscriptions) subscription.pause();
  }

  resume(): void {
    this.#paused = false;
    for (const subscription of this.#subscriptions) subscription.resume();
    for (const stream of this.#leaving) this.#leave(stream);
  }

  async close(): Promise<void> {
    this.#listener = undefined;
    for (const watch of this.#watches) watch.close();
    for (const { held } of this.#streams) held.close();
    await Promise.all(this.#subscriptions.map((subscription) => subscription.close()));
  }

  get #streams(): Stream[] {
    return [...this.#open.values(), ...this.#leaving];
  }

  get #subscriptions(): Subscription[] {
    return this.#streams.map(({ subscription }) => subscription);
  }

  /** Joins the groups; reading starts later. */
  #add({ label, path }: Pick<Origin, 'label' | 'path'>): Stream {
    const take: TakeMessage = (input, at, length) => {
      if (!this.#listener?.take?.(input, at, length)) return false;
      stream.heard = Number(stream.heard) + 1;
      return true;
    };
    const held = new HeldNamespace(path);
    const { netns } = held;
    let subscription: Subscription;
    try {
      subscription = new Subscription({ ...this.#options, netns }, take);
    } catch (error) {
      held.close();
      throw error;
    }
    const origin = { label, path, netns };
    const stream: Stream = { subscription, origin, held };
    this.#open.set(label, stream);
    if (this.#paused) subscription.pause();
    this.#beside?.joined(origin);
    return stream;
  }

  #read(stream: Stream): void {
    if (stream.heard !== undefined) return;
    stream.heard = 0;
    stream.subscription.on('error', (error) => this.#listener?.error(error));
    stream.subscription.on('event', (event) => {
      stream.heard = Number(stream.heard) + 1;
      this.#listener?.event(event, stream.origin);
    });
    if (this.#leaving.has(stream)) this.#leave(stream);
  }

  /** Follows each name: stops when it is removed, and starts again when it reappears. */
  #addNamed(names: readonly string[]): void {
    const labels = new Map<string, string[]>();
    for (const name of new Set(names)) {
      const path = namespacePath(name);
      labels.set(path, [...(labels.get(path) ?? []), name]);
    }
    const labelsOf = ({ path }: NamedNamespace) => labels.get(path) ?? [];
    for (const directory of new Set([...labels.keys()].map(dirname))) {
      const here = [...labels.keys()].filter((path) => dirname(path) === directory);
      this.#follow(labelsOf, directory, new Set(here.map((path) => basename(path))));
    }
    // For names the watch did not find, subscribe throws an error that says why.
    for (const [path, all] of labels) {
      for (const label of all) if (!this.#open.has(label)) this.#add({ label, path });
    }
  }

  #addAll(): void {
    this.#add({ label: null, path: undefined });
    // The current namespace may have a name, too.
    const own = namespaceId('/proc/thread-self/ns/net');
    this.#follow(({ id, name }) => (id === own ? [] : [name]));
  }

  /**
   * Follows the namespaces of a directory.
   *
   * @param labelsOf labels of a namespace; empty if it is not wanted
   * @param names which to look at; default all
   */
  #follow(
    labelsOf: (namespace: NamedNamespace) => readonly string[],
    directory?: string,
    names?: ReadonlySet<string>,
  ): void {
    let begun = false;
    // The PID of a process that ended may be reused.
    const forGood = directory !== undefined && isOfProcess(directory);
    const watch = new NamespaceWatch(
      {
        added: (namespace) => {
          if (begun && forGood) return;
          for (const label of labelsOf(namespace)) {
            if (this.#open.has(label)) continue;
            if (begun) this.#come(namespace, label);
            else this.#begin(namespace, label);
          }
        },
        removed: (namespace) => {
          for (const label of labelsOf(namespace)) this.#remove(label);
          if (!forGood) return;
          this.#watches.splice(this.#watches.indexOf(watch), 1);
          watch.close();
        },
      },
      directory,
      names,
    );
    this.#watches.push(watch);
    watch.begin();
    begun = true;
  }

  /** Adds a namespace that existed at the start: throws if it cannot be listened to. */
  #begin(namespace: NamedNamespace, label: string): void {
    try {
      this.#add({ label, path: namespace.path });
    } catch (error) {
      if (!hasGone(namespace)) throw error;
    }
  }

  /** Adds a new namespace: listens now, and reports it once all events of its predecessor are delivered. */
  #come(namespace: NamedNamespace, label: string): void {
    const { path } = namespace;
    let begin: () => void;
    try {
      const stream = this.#add({ label, path });
      begin = () => {
        this.#listener?.namespace(stream.origin, 'added');
        if (this.#listener) this.#read(stream);
      };
    } catch (error) {
      if (hasGone(namespace)) return;
      const origin = { label, path, netns: undefined };
      begin = () => this.#listener?.namespace(origin, 'added', error as Error);
    }
    const before = [...this.#leaving].findLast((one) => one.origin.label === label);
    if (before) before.left = begin;
    else begin();
  }

  #remove(label: string): void {
    const stream = this.#open.get(label);
    if (stream === undefined) return;
    this.#open.delete(label);
    this.#leaving.add(stream);
    this.#leave(stream);
  }

  /** Closes a stream after a turn of the event loop without new events. The kernel keeps the namespace until then. */
  async #leave(stream: Stream): Promise<void> {
    for (let before = -1; before !== stream.heard; ) {
      // Resumed when it is read.
      if (stream.heard === undefined || this.#paused) return;
      before = stream.heard;
      // The first ends the current turn, so that sockets are polled between the two.
      await setImmediate();
      await setImmediate();
    }
    if (this.#paused || !this.#leaving.delete(stream)) return;
    this.#past.push(...stream.subscription.sockets);
    stream.subscription.close();
    stream.held.close();
    this.#beside?.left(stream.origin);
    this.#listener?.namespace(stream.origin, 'removed');
    stream.left?.();
    if (this.#watches.length + this.#leaving.size === 0) this.#listener?.ended();
  }
}
