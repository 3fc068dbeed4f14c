/** One monitor per network namespace, merged into one stream. @module */

import { checkedOptions, optionalBoolean, optionalSignal, wrongType } from '../base/argument.ts';
import { fromCaller } from '../netlink/caller.ts';
import { onAbort } from '../socket/abort.ts';
import { type NetnsReference, StateError, SystemError } from '../socket/index.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import { type ListenersByKind, LiveEmitter } from './event-hub.ts';
import { type InNamespace, NamespaceLoop } from './namespace-loop.ts';
import { type NamedNamespace, NamespaceWatch } from './namespace-watch.ts';

/** Which namespaces to watch, and until when. */
export interface MultiNamespaceOptions {
  /** By label: a path such as `/run/netns/NAME`, a descriptor, or undefined for the current one. */
  namespaces?: Readonly<Record<string, NetnsReference | undefined>> | undefined;
  /**
   * Whether to watch all named namespaces (`ip netns`) as they are added and removed, labelled by
   * name. Others choose these names: escape them before printing.
   */
  named?: boolean | undefined;
  /** Cancels opening; once open, closes all monitors, and loops throw the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** All options, each with its check and default. */
export const MULTI_NAMESPACE_OPTIONS = {
  namespaces(name: string, value: unknown): MultiNamespaceOptions['namespaces'] {
    if (value === undefined || (typeof value === 'object' && value !== null)) {
      return value as MultiNamespaceOptions['namespaces'];
    }
    throw wrongType(name, 'an object', value);
  },
  named: (name: string, value: unknown) => optionalBoolean(name, value, false),
  signal: optionalSignal,
} satisfies Record<keyof MultiNamespaceOptions, unknown>;

/** Options of `add()`. */
export interface AddNamespaceOptions {
  /** Cancels opening: the promise is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * `change`, or its kind: the same changes as in loops, including `synced` and `closed` of each
 * namespace. For the initial namespaces these reach listeners added right after awaiting `open()`.
 */
export type MultiNamespaceListeners<Change extends { readonly kind: string }> = ListenersByKind<
  InNamespace<Change>
> & {
  change: [change: InNamespace<Change>];
  close: [];
};

/** Where to open one of the monitors, and the signal that ends it. */
interface Where {
  readonly label: string;
  readonly netns: NetnsReference | undefined;
  readonly signal: AbortSignal;
}

/** The parts of a namespace's monitor that are needed here. */
interface NamespaceMonitor<Change, Snapshot> extends AsyncIterable<Change, undefined> {
  snapshot(): Snapshot;
  on(name: 'change', listener: (change: Change) => void): unknown;
  once(name: 'error', listener: (error: Error) => void): unknown;
  once(name: 'close', listener: () => void): unknown;
  close(): Promise<void>;
}

type Synced<Snapshot> = { readonly kind: 'synced'; readonly snapshot: Snapshot };

/** A monitor in {@link MultiNamespaceMonitor}, or while it is opening, what cancels that. */
type Entry<Monitor> = { readonly monitor: Monitor } | AbortController;

/**
 * The base of MultiNamespaceXfrmMonitor and MultiNamespaceTunnelMonitor: one monitor per namespace.
 * Losses, resyncs and slow loops in one namespace do not affect the others. A watched namespace
 * stays alive even after its name is removed; with `named`, namespaces whose names are removed are
 * released.
 */
export abstract class MultiNamespaceMonitor<
    Listeners extends Record<keyof Listeners, unknown[]>,
    Monitor extends NamespaceMonitor<Change, Snapshot>,
    Change extends { readonly kind: string },
    Snapshot,
  >
  extends LiveEmitter<Listeners, InNamespace<Change>, NamespaceLoop<Change>>
  implements AsyncIterable<InNamespace<Change>>
{
  readonly #openOne: (where: Where) => Promise<Monitor>;
  readonly #entries = new Map<string, Entry<Monitor>>();
  readonly #named: NamespaceWatch | undefined;
  /** While opening: namespaces that could not be watched. */
  #failed: InNamespace<Change>[] | undefined = [];
  /** Pending work: awaited at the end, never rejects. */
  readonly #busy = new Set<Promise<unknown>>();

  /** @param openOne opens the monitor for one namespace */
  protected constructor(
    { named, signal }: MultiNamespaceOptions,
    openOne: (where: Where) => Promise<Monitor>,
  ) {
    super(() => this.#release());
    this.#openOne = openOne;
    signal?.throwIfAborted();
    this.hub.endOn(signal);
    if (named) {
      this.#named = new NamespaceWatch({
        added: (namespace) => this.#untilDone(this.#addNamed(namespace)),
        removed: ({ name }) => this.remove(name),
      });
      this.#named.begin();
    }
  }

  /** Opens the initial namespaces. On failure, the monitor is closed. */
  protected async openAll({ namespaces = {}, signal }: MultiNamespaceOptions): Promise<this> {
    try {
      const given = Object.entries(namespaces);
      await Promise.all(given.map(([label, netns]) => this.add(label, netns)));
      await Promise.all(this.#busy);
      signal?.throwIfAborted();
    } catch (error) {
      await this.close();
      signal?.throwIfAborted();
      throw error instanceof SystemError ? fromCaller(error) : error;
    }
    this.#failed = this.#tellFirst(this.#failed ?? []);
    return this;
  }

  /** Reports the initial namespaces to listeners added right after awaiting `open()`. */
  #tellFirst(failed: readonly InNamespace<Change>[]): undefined {
    process.nextTick(() => {
      for (const [label, monitor] of [...this.#opened()]) {
        if (this.get(label) === monitor && !this.closed) this.#tellSynced(label, monitor);
      }
      for (const change of failed) this.#closedEarly(change);
    });
  }

  /** A namespace could not be watched. */
  #closedEarly(change: InNamespace<Change>): void {
    for (const loop of this.hub.loops) loop.push(change);
    this.#tell(change);
  }

  /** The labels of all namespaces whose tables are complete. */
  get labels(): string[] {
    return [...this.#opened()].map(([label]) => label);
  }

  /** The monitor of a namespace. */
  get(label: string): Monitor | undefined {
    const entry = this.#entries.get(label);
    return entry && 'monitor' in entry ? entry.monitor : undefined;
  }

  /** Everything known now: one snapshot per namespace, with its label. */
  snapshot(): Snapshot[] {
    return Array.from(this.#opened(), ([, monitor]) => monitor.snapshot());
  }

  /**
   * Adds a namespace.
   *
   * @param netns a path such as `/run/netns/NAME`, a descriptor, or undefined for the current one
   * @returns a promise that is fulfilled when its monitor is open, which `synced` also reports
   * @throws (the promise is rejected) what opening one monitor throws; the signal's reason;
   *   StateError `ERR_NAMESPACE_EXISTS` if the label is taken, `ERR_NAMESPACE_REMOVED` if it is
   *   removed meanwhile, `ERR_MONITOR_CLOSED` after {@link close}
   */
  async add(
    label: string,
    netns?: NetnsReference,
    options: AddNamespaceOptions = {},
  ): Promise<Monitor> {
    const { signal } = checkedOptions('options', options, { signal: optionalSignal });
    signal?.throwIfAborted();
    if (this.closed) throw new StateError('ERR_MONITOR_CLOSED', 'the monitors are closed');
    if (this.#entries.has(label)) {
      const message = `the namespace ${JSON.stringify(label)} already exists: remove it first`;
      throw new StateError('ERR_NAMESPACE_EXISTS', message);
    }
    const opening = new AbortController();
    this.#entries.set(label, opening);
    using _ = onAbort(signal, (reason) => opening.abort(reason));
    return await this.#untilDone(this.#open(label, netns, opening));
  }

  /** Stops watching a namespace; `closed` follows its queued changes. Ignores unknown labels. */
  async remove(label: string): Promise<void> {
    const entry = this.#entries.get(label);
    this.#entries.delete(label);
    if (entry === undefined) return;
    if ('monitor' in entry) await this.#untilDone(entry.monitor.close());
    else {
      const message = `the namespace ${JSON.stringify(label)} was removed`;
      entry.abort(new StateError('ERR_NAMESPACE_REMOVED', message));
    }
  }

  /**
   * For each namespace `synced` with everything known, then its changes in order; `closed` is its
   * last. There is no order between namespaces. Every loop gets all changes; if a namespace is gone
   * before a slow loop has reached its `synced`, the loop gets nothing about it.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<InNamespace<Change>, undefined> {
    const loop: NamespaceLoop<Change> = new NamespaceLoop(() => this.hub.leave(loop));
    if (!this.closed) for (const [label, monitor] of this.#opened()) loop.add(label, monitor);
    return this.hub.join(loop).queue;
  }

  async #release(): Promise<void> {
    this.#named?.close();
    for (const entry of this.#entries.values()) {
      if ('monitor' in entry) this.#untilDone(entry.monitor.close());
      else entry.abort(this.hub.reason);
    }
    // At least once: work started on the current stack is not in the set yet.
    do await Promise.all(this.#busy);
    while (this.#busy.size > 0);
  }

  async #open(
    label: string,
    netns: NetnsReference | undefined,
    opening: AbortController,
  ): Promise<Monitor> {
    const { signal } = opening;
    let monitor: Monitor;
    try {
      monitor = await this.#openOne({ label, netns, signal });
    } catch (error) {
      if (this.#entries.get(label) === opening) this.#entries.delete(label);
      throw error;
    }
    // It was removed meanwhile, and its label may already be reused.
    if (signal.aborted) {
      await monitor.close();
      if (this.#entries.get(label) === opening) this.#entries.delete(label);
      throw signal.reason;
    }
    const entry = { monitor };
    this.#entries.set(label, entry);
    monitor.on('change', (change) => this.#tell({ ...change, label }));
    let failure: unknown;
    monitor.once('error', (error) => {
      failure = error;
    });
    monitor.once('close', () => {
      if (this.#entries.get(label) === entry) this.#entries.delete(label);
      for (const loop of this.hub.loops) loop.gone(monitor);
      this.#tell({ kind: 'closed', error: failure, label });
    });
    this.#tellSynced(label, monitor);
    for (const loop of this.hub.loops) loop.add(label, monitor);
    return monitor;
  }

  *#opened(): Generator<[string, Monitor]> {
    for (const [label, entry] of this.#entries) {
      if ('monitor' in entry) yield [label, entry.monitor];
    }
  }

  /** Makes the end wait for some work. */
  #untilDone<T>(work: Promise<T>): Promise<T> {
    const done = () => this.#busy.delete(settled);
    const settled: Promise<unknown> = work.then(done, done);
    this.#busy.add(settled);
    return work;
  }

  async #addNamed({ name, path }: NamedNamespace): Promise<void> {
    try {
      // By descriptor: removal of the name is already watched here.
      const held = new HeldNamespace(path);
      try {
        await this.add(name, held.netns);
      } finally {
        held.close();
      }
    } catch (error) {
      const change: InNamespace<Change> = { kind: 'closed', error, label: name };
      if (this.#failed) this.#failed.push(change);
      else this.#closedEarly(change);
    }
  }

  #tellSynced(label: string, monitor: Monitor): void {
    const synced: Synced<Snapshot> = { kind: 'synced', snapshot: monitor.snapshot() };
    this.#tell({ ...(synced as unknown as Change), label });
  }

  #tell(change: InNamespace<Change>): void {
    // There are no listeners before it is open.
    if (this.#failed) return;
    this.hub.emit(change.kind, change);
    this.hub.emit('change', change);
  }
}
