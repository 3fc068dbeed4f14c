/** The life cycle of what delivers events to loops and listeners, until it ends. @module */
import { EventEmitter } from 'node:events';
import { onAbort } from '../socket/abort.ts';
import { checkedOptions, optionalSignal } from '../socket/argument.ts';
import { StateError } from '../socket/index.ts';
import type { EventQueue } from './event-queue.ts';

export interface Loop<Event> {
  push(event: Event): void;
  /** No more events will come: the reader gets those that wait, then the end or the error. */
  end(error: unknown): void;
}

/** What `iterator()` of subscriptions and monitors can be told. */
export interface IteratorOptions {
  /** Ends the loop. */
  signal?: AbortSignal | undefined;
}

/** Listeners to what is delivered, by its kind. */
export type ListenersByKind<Event extends { readonly kind: string }> = {
  [Kind in Event['kind']]: [event: Extract<Event, { kind: Kind }>];
};

/** What subscriptions and monitors are: an emitter of events that ends once. */
export abstract class LiveEmitter<
    Listeners extends Record<keyof Listeners, unknown[]>,
    Event,
    L extends Loop<Event> = EventQueue<Event>,
    Yielded = Event,
  >
  extends EventEmitter<Listeners>
  implements AsyncIterable<Yielded, undefined>, AsyncDisposable
{
  readonly #hub: EventHub<Event, L>;

  /** @param release as of {@link EventHub} */
  protected constructor(release: () => Promise<unknown>) {
    super();
    this.#hub = new EventHub(this, release);
  }

  /** @internal */
  protected get hub(): EventHub<Event, L> {
    return this.#hub;
  }

  /** Whether {@link close} was called, the signal aborted, or reading failed. */
  get closed(): boolean {
    return this.#hub.closed;
  }

  abstract [Symbol.asyncIterator](): AsyncIterableIterator<Yielded, undefined>;

  /**
   * A loop of its own, as `for await` over this makes one. Leaving a loop, in whatever way, ends that loop and nothing else:
   * {@link close}, `await using` or the signal of the options end all.
   *
   * @param options `signal`: ends this loop, which throws the signal's reason
   * @throws TypeError for a wrong option; the signal's reason, if it is aborted already
   * @example
   * for await (const change of monitor.iterator({ signal })) console.log(change.kind);
   */
  iterator(options: IteratorOptions = {}): AsyncIterableIterator<Yielded, undefined> {
    const { signal } = checkedOptions('options', options, { signal: optionalSignal });
    signal?.throwIfAborted();
    return (this[Symbol.asyncIterator]() as EventQueue<Yielded>).endOn(signal);
  }

  /**
   * Closes what it has open, and ends all loops, after what they have waiting.
   *
   * @returns a promise that is fulfilled when all is closed; the same one every time
   */
  close(): Promise<void> {
    return this.#hub.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * The loops and listeners of one emitter, and its end. Whatever ends it, that happens once: the owner's
 * resources are released, loops end after what they have waiting, promises of {@link wait} are rejected,
 * and `close` is emitted when all is released.
 */
export class EventHub<Event, L extends Loop<Event> = EventQueue<Event>> {
  readonly #emitter: EventEmitter;
  readonly #release: () => Promise<unknown>;
  readonly #loops = new Set<L>();
  readonly #waiting = new Set<(error: unknown) => void>();
  readonly #watching = new Set<() => void>();
  #signal: Disposable | undefined;
  #error: unknown;
  #closing: Promise<void> | undefined;

  /** @param release closes what the emitter has open: called once, fulfilled when all is closed */
  constructor(emitter: object, release: () => Promise<unknown>) {
    // Without the types that tie each event's name to its value.
    this.#emitter = emitter as EventEmitter;
    this.#release = release;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** What it ended with: an error, the signal's reason, or that it was closed. */
  get reason(): unknown {
    return this.#error ?? new StateError('ERR_MONITOR_CLOSED', 'the monitor is closed');
  }

  /** Those that have not ended. */
  get loops(): ReadonlySet<L> {
    return this.#loops;
  }

  /** Adds a loop, which gets what is pushed from now on, or ends it if there will be nothing. */
  join(loop: L): L {
    if (this.closed) loop.end(this.#error);
    else this.#loops.add(loop);
    return loop;
  }

  /** Removes a loop that its reader has left. */
  leave(loop: L): void {
    this.#loops.delete(loop);
  }

  /** Gives an event to all loops, then to the listeners to each of the names; then calls what {@link watch}es. */
  deliver(event: Event, ...names: string[]): void {
    if (this.closed) return;
    for (const loop of this.#loops) loop.push(event);
    for (const name of names) this.emit(name, event);
    for (const look of this.#watching) look();
  }

  /**
   * Calls `look`, which throws nothing, after each event, as a listener would: but Node takes more than ten listeners for
   * a leak, and any number may wait.
   */
  watch(look: () => void): Disposable {
    this.#watching.add(look);
    return { [Symbol.dispose]: () => void this.#watching.delete(look) };
  }

  /** Tells of what is right when a promise is fulfilled: to listeners that are added as soon as it is. */
  emitNext(name: string, event: () => unknown): void {
    // After all microtasks, those that wait for the promise included, and before anything is read.
    process.nextTick(() => {
      if (!this.closed && this.#emitter.listenerCount(name) > 0) this.emit(name, event());
    });
  }

  /** Calls listeners. What one throws is an uncaught exception, as ever, but the caller goes on. */
  emit(name: string, ...values: unknown[]): void {
    try {
      this.#emitter.emit(name, ...values);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }

  /**
   * A promise that `begin` settles, unless the end or the signal comes first.
   *
   * @throws the error that ended it or the signal's reason, also if that was before
   */
  async wait(
    signal: AbortSignal | undefined,
    begin: (done: () => void, failed: (error: unknown) => void) => void,
  ): Promise<void> {
    signal?.throwIfAborted();
    if (this.closed) throw this.reason;
    let giveUp = (_: unknown) => {};
    const done = new Promise<void>((resolve, reject) => {
      giveUp = reject;
      this.#waiting.add(giveUp);
      begin(resolve, reject);
    });
    using _ = onAbort(signal, giveUp);
    try {
      await done;
    } finally {
      this.#waiting.delete(giveUp);
    }
  }

  /** Ends it when the signal is aborted, with the reason. */
  endOn(signal: AbortSignal | undefined): void {
    this.#signal = onAbort(signal, (reason) => this.#end(reason));
  }

  /** @returns a promise that is fulfilled when all is released; the same one every time */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  /**
   * Ends it with an error, which loops throw. It is emitted too, unless somebody got it and nobody
   * listens to `error`.
   *
   * @param heard whether somebody gets it apart from loops
   */
  fail(error: unknown, heard = false): void {
    if (this.closed) return;
    const got = heard || this.#loops.size > 0;
    this.#end(error);
    if (!got || this.#emitter.listenerCount('error') > 0) this.emit('error', error);
  }

  #end(error: unknown): Promise<void> {
    if (this.#closing) return this.#closing;
    this.#error = error;
    let released = (_: Promise<unknown>) => {};
    // Before anything is released: what calls back then finds it closed.
    this.#closing = new Promise((resolve) => {
      released = resolve;
    }).then(() => this.emit('close'));
    this.#signal?.[Symbol.dispose]();
    released(this.#release());
    for (const loop of this.#loops) loop.end(error);
    this.#loops.clear();
    for (const giveUp of this.#waiting) giveUp(this.reason);
    return this.#closing;
  }
}
