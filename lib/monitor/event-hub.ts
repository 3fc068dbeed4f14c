/** The life cycle of emitters that deliver events to loops and listeners. @module */
import { EventEmitter, errorMonitor } from 'node:events';
import { checkedOptions, optionalSignal } from '../base/argument.ts';
import { onAbort } from '../socket/abort.ts';
import { StateError } from '../socket/index.ts';
import type { EventQueue } from './event-queue.ts';

export interface Loop<Event> {
  push(event: Event): void;
  /** No more events follow: the reader gets those still queued, then the end or the error. */
  end(error: unknown): void;
}

/** Options of `iterator()` of subscriptions and monitors. */
export interface IteratorOptions {
  /** Ends the loop. */
  signal?: AbortSignal | undefined;
}

/** Listeners for events, by kind. */
export type ListenersByKind<Event extends { readonly kind: string }> = {
  [Kind in Event['kind']]: [event: Extract<Event, { kind: Kind }>];
};

/** The base of subscriptions and monitors: an event emitter that ends once. */
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

  /** @param release as for {@link EventHub} */
  protected constructor(release: () => Promise<unknown>) {
    super();
    this.#hub = new EventHub(this, release);
  }

  /** @internal */
  protected get hub(): EventHub<Event, L> {
    return this.#hub;
  }

  /** Whether {@link close} was called, the signal was aborted, or reading failed. */
  get closed(): boolean {
    return this.#hub.closed;
  }

  abstract [Symbol.asyncIterator](): AsyncIterableIterator<Yielded, undefined>;

  /**
   * An independent loop, like the one that `for await` makes. Leaving a loop, in any way, ends only
   * that loop; {@link close}, `await using` or the signal in the options end everything.
   *
   * @param options `signal`: ends this loop, which then throws the signal's reason
   * @throws TypeError for an invalid option; the signal's reason if it is already aborted
   * @example
   * for await (const change of monitor.iterator({ signal })) console.log(change.kind);
   */
  iterator(options: IteratorOptions = {}): AsyncIterableIterator<Yielded, undefined> {
    const { signal } = checkedOptions('options', options, { signal: optionalSignal });
    signal?.throwIfAborted();
    return (this[Symbol.asyncIterator]() as EventQueue<Yielded>).endOn(signal);
  }

  /**
   * Closes all its resources, and ends all loops once they have read what is queued.
   *
   * @returns a promise, always the same, that is fulfilled when everything is closed
   */
  close(): Promise<void> {
    return this.#hub.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function callEach(emitter: EventEmitter, name: string | symbol, values: readonly unknown[]): void {
  if (name === 'error') callEach(emitter, errorMonitor, values);
  for (const listener of emitter.rawListeners(name)) {
    try {
      listener.apply(emitter, values);
    } catch (error) {
      throwLater(error);
    }
  }
}

function throwLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/**
 * The loops and listeners of one emitter, and its end. However it ends, it ends once: the owner's
 * resources are released, loops end after what they have queued, promises of {@link wait} are
 * rejected, and `close` is emitted when everything is released.
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

  /** @param release closes the emitter's resources: called once, fulfilled when all are closed */
  constructor(emitter: object, release: () => Promise<unknown>) {
    // Without the types that tie each event name to its value.
    this.#emitter = emitter as EventEmitter;
    this.#release = release;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Why it ended: an error, the signal's reason, or a StateError if it was closed. */
  get reason(): unknown {
    return this.#error ?? new StateError('ERR_MONITOR_CLOSED', 'the monitor is closed');
  }

  /** The loops that have not ended. */
  get loops(): ReadonlySet<L> {
    return this.#loops;
  }

  /** Adds a loop, which receives events from now on; ends it if there will be none. */
  join(loop: L): L {
    if (this.closed) loop.end(this.#error);
    else this.#loops.add(loop);
    return loop;
  }

  /** Removes a loop that its reader has left. */
  leave(loop: L): void {
    this.#loops.delete(loop);
  }

  /** Delivers an event to all loops, to listeners of each name, then to {@link watch} callbacks. */
  deliver(event: Event, ...names: string[]): void {
    if (this.closed) return;
    for (const loop of this.#loops) loop.push(event);
    for (const name of names) this.emit(name, event);
    for (const look of this.#watching) look();
  }

  /**
   * Calls `look`, which must not throw, after each event. Not a listener, because Node warns of a
   * leak above ten and any number may wait.
   */
  watch(look: () => void): Disposable {
    this.#watching.add(look);
    return { [Symbol.dispose]: () => void this.#watching.delete(look) };
  }

  /** Emits an event once a promise is fulfilled, for listeners added right after awaiting it. */
  emitNext(name: string, event: () => unknown): void {
    // After all microtasks, including those that await the promise, and before anything is read.
    process.nextTick(() => {
      if (!this.closed && this.#emitter.listenerCount(name) > 0) this.emit(name, event());
    });
  }

  /**
   * Calls listeners. What one throws is an uncaught exception as usual; the others, and the caller,
   * continue.
   */
  emit(name: string, ...values: unknown[]): void {
    const emitter = this.#emitter;
    if (emitter.listenerCount(name) > 1) callEach(emitter, name, values);
    else {
      try {
        emitter.emit(name, ...values);
      } catch (error) {
        throwLater(error);
      }
    }
  }

  /**
   * A promise that `begin` settles, unless the emitter ends or the signal is aborted first.
   *
   * @throws the error that ended it or the signal's reason, even if that was earlier
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

  /** Ends it with the signal's reason when the signal is aborted. */
  endOn(signal: AbortSignal | undefined): void {
    // Weakly: a subscription that is not referenced otherwise is to be closed, too.
    const self = signal && new WeakRef(this);
    this.#signal = onAbort(signal, (reason) => {
      const hub = self?.deref();
      if (hub) hub.#end(reason);
    });
  }

  /** @returns a promise, always the same, that is fulfilled when everything is released */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  /**
   * Ends it with an error, which loops throw. The error is also emitted, unless someone received it
   * and nobody listens for `error`.
   *
   * @param heard whether someone other than a loop receives it
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
    // Before anything is released: callbacks then find it closed.
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
