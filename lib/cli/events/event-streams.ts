/**
 * The events of several network namespaces: a subscription for each, one of them for one's own.
 * @module
 */
import { basename, dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
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
import { namespacePath } from './namespace-path.ts';

/** Where to listen. */
export interface WatchOptions {
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
  /**
   * The namespace itself, also when its name is another's by now, until all its events are told;
   * undefined for one's own.
   */
  readonly netns: NetnsReference | undefined;
}

/** What the streams tell. */
export interface StreamListener {
  event(event: SubscriptionEvent, origin: Origin): void;
  /** Sees the messages of XFRM first: those it takes are not decoded, and become no event. */
  readonly take?: TakeMessage | undefined;
  /** A namespace came or went while they ran; with an error, if it came but cannot be heard. */
  namespace(origin: Origin, state: 'added' | 'removed', error?: Error): void;
  error(error: Error): void;
  /** All namespaces have gone for good: nothing comes any more. */
  ended(): void;
}

/** Whether a name went, or was given to another namespace, since it was looked at. The watch tells. */
const hasGone = ({ path, id }: NamedNamespace): boolean => namespaceId(path) !== id;

/** What else happens in each namespace that is listened to. */
export interface CompanionStreams {
  /** @throws if that cannot be done there */
  joined(origin: Origin): void;
  left(origin: Origin): void;
}

/** A namespace that is listened to. */
interface Stream {
  readonly subscription: Subscription;
  readonly origin: Origin;
  readonly held: HeldNamespace;
  /** How many events came; undefined until it is read. */
  heard?: number;
  /** Is done when its namespace has gone, and all that waited was read. */
  left?: () => void;
}

/** A stream of events from any number of namespaces. */
export class EventStreams {
  readonly #options: SubscribeOptions;
  readonly #open = new Map<string | null | undefined, Stream>();
  /** Those whose namespace has gone, until all that waits has been read. */
  readonly #leaving = new Set<Stream>();
  readonly #past: SocketStatus[] = [];
  #listener: StreamListener | undefined;
  readonly #watches: NamespaceWatch[] = [];
  #paused = false;
  readonly #beside: CompanionStreams | undefined;

  /** Joins the groups. @throws what subscribe throws, if a namespace cannot be heard */
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

  /** The names of the namespaces listened to. */
  get labels(): (string | null | undefined)[] {
    return [...this.#open.keys()];
  }

  /** The namespaces listened to, also those that have gone and have something waiting. */
  get origins(): Origin[] {
    return this.#streams.map(({ origin }) => origin);
  }

  /** The sockets, also of namespaces that have gone. */
  get sockets(): SocketStatus[] {
    return [...this.#past, ...this.#subscriptions.flatMap(({ sockets }) => sockets)];
  }

  /** Begins to read. */
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

  /** Joins; reading comes later. */
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

  /** Each is followed: when what it names goes it is left, when it comes again heard. */
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
    // What the watch did not find: subscribe says why.
    for (const [path, all] of labels) {
      for (const label of all) if (!this.#open.has(label)) this.#add({ label, path });
    }
  }

  #addAll(): void {
    this.#add({ label: null, path: undefined });
    // One's own may have a name too.
    const own = namespaceId('/proc/thread-self/ns/net');
    this.#follow(({ id, name }) => (id === own ? [] : [name]));
  }

  /**
   * Follows the namespaces of a directory.
   *
   * @param labelsOf what a namespace is called here; nothing if it is not wanted
   * @param names which to look at; all if left out
   */
  #follow(
    labelsOf: (namespace: NamedNamespace) => readonly string[],
    directory?: string,
    names?: ReadonlySet<string>,
  ): void {
    let begun = false;
    // The number of a process that ended may become another's.
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

  /** A namespace was there before: what cannot be heard is told by throwing. */
  #begin(namespace: NamedNamespace, label: string): void {
    try {
      this.#add({ label, path: namespace.path });
    } catch (error) {
      if (!hasGone(namespace)) throw error;
    }
  }

  /** A namespace came: heard from now on, told when nothing of its predecessor is left to tell. */
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

  /** Closes a stream when a turn of the event loop brings nothing more. The kernel keeps it till then. */
  async #leave(stream: Stream): Promise<void> {
    for (let before = -1; before !== stream.heard; ) {
      // Until it is read, or read on.
      if (stream.heard === undefined || this.#paused) return;
      before = stream.heard;
      // The first ends the turn that is under way, so that sockets are polled between the two.
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
