/**
 * Live tables of several network namespaces, as one stream.
 * @module
 */
import { EventEmitter } from 'node:events';
import {
  optionalBoolean,
  optionalSignal,
  options as optionsOf,
  wrongType,
} from '../socket/argument.ts';
import type { Namespace } from '../socket/index.ts';
import { type NamedNamespace, NamespaceWatch } from './namespaces.ts';
import { tell } from './tell.ts';
import { type Synced, type XfrmChange, XfrmMonitor } from './xfrm-monitor.ts';
import {
  checked,
  OPTIONS as MONITOR_OPTIONS,
  type XfrmMonitorOptions,
} from './xfrm-monitor-options.ts';
import type { Snapshot } from './xfrm-views.ts';

/** What holds for each monitor is as in {@link XfrmMonitorOptions}. */
export interface XfrmMonitorsOptions extends Omit<XfrmMonitorOptions, 'netns' | 'label'> {
  /** Label to namespace: a path such as `/run/netns/NAME`, a descriptor, or undefined for one's own. */
  namespaces?: Readonly<Record<string, Namespace | undefined>> | undefined;
  /**
   * Whether to watch all namespaces that have a name (`ip netns`), as they come and go, labelled by
   * it. The names are others' choice: escape them before they are printed.
   */
  named?: boolean | undefined;
}

/** A namespace is not watched any more: it was removed, or could not be watched (`error`). */
export interface NamespaceClosed {
  readonly kind: 'closed';
  readonly error: unknown;
}

/** What happened in the namespace of that label. Of `synced`, the tables of that namespace alone. */
export type NamespaceChange = (XfrmChange | Synced | NamespaceClosed) & { readonly label: string };

export type XfrmMonitorsListeners = {
  [Kind in NamespaceChange['kind']]: [change: Extract<NamespaceChange, { kind: Kind }>];
} & { change: [change: NamespaceChange]; close: [] };

/** What one loop has waiting of one namespace: one change, and how to go on. */
type Waiting = { readonly change: NamespaceChange; readonly more: () => void };

interface Loop {
  join(label: string, monitor: XfrmMonitor): void;
  put(waiting: Waiting): void;
  wake(): void;
}

const nothing = () => {};

const OPTIONS: ReadonlySet<string> = new Set<string>([
  'namespaces',
  'named',
  ...[...MONITOR_OPTIONS].filter((name) => name !== 'netns' && name !== 'label'),
]);

/**
 * An {@link XfrmMonitor} for each of several namespaces. Losses, repairs and slow loops of one do not
 * touch the others. A namespace lives as long as it is watched, also when its name is gone; with
 * `named`, those whose name goes are let go.
 *
 * @example
 * await using monitors = await XfrmMonitors.open({ named: true });
 * for await (const { label, kind } of monitors) console.log(label, kind);
 */
export class XfrmMonitors
  extends EventEmitter<XfrmMonitorsListeners>
  implements AsyncIterable<NamespaceChange>, AsyncDisposable
{
  readonly #options: XfrmMonitorOptions;
  readonly #signal: AbortSignal | undefined;
  /** For one that is opening, what gives that up. */
  readonly #monitors = new Map<string, XfrmMonitor | AbortController>();
  readonly #loops = new Set<Loop>();
  readonly #named: NamespaceWatch | undefined;
  /** What is under way by itself; it never rejects. */
  readonly #busy = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  /**
   * Opens a monitor for each namespace.
   *
   * @returns a promise that is fulfilled when all tables are complete. Of a namespace with a name that
   *   goes meanwhile, or may not be entered, `closed` is told.
   * @throws as {@link XfrmMonitor.open}, for the first of `namespaces` that can't be watched
   */
  static async open(options: XfrmMonitorsOptions = {}): Promise<XfrmMonitors> {
    const monitors = new XfrmMonitors(options);
    try {
      const given = Object.entries(options.namespaces ?? {});
      await Promise.all(given.map(([label, netns]) => monitors.add(label, netns)));
      await Promise.all(monitors.#busy);
      options.signal?.throwIfAborted();
    } catch (error) {
      await monitors.close();
      throw error;
    }
    return monitors;
  }

  private constructor(options: XfrmMonitorsOptions) {
    super();
    optionsOf('options', options, OPTIONS);
    const { namespaces, named, signal, ...each } = options;
    if (namespaces !== undefined && (typeof namespaces !== 'object' || namespaces === null)) {
      throw wrongType('options.namespaces', 'an object', namespaces);
    }
    checked(each);
    this.#options = each;
    this.#signal = optionalSignal('options.signal', signal);
    const follow = optionalBoolean('options.named', named, false);
    this.#signal?.throwIfAborted();
    this.#signal?.addEventListener('abort', this.#abort, { once: true });
    if (follow) {
      this.#named = new NamespaceWatch({
        added: (namespace) => this.#byItself(this.#addNamed(namespace)),
        removed: ({ name }) => this.#byItself(this.remove(name)),
      });
      this.#named.begin();
    }
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** The labels of the namespaces whose tables are complete. */
  get labels(): string[] {
    return [...this.#open()].map(([label]) => label);
  }

  /** The monitor of a namespace, with its tables. */
  get(label: string): XfrmMonitor | undefined {
    const monitor = this.#monitors.get(label);
    return monitor instanceof XfrmMonitor ? monitor : undefined;
  }

  /** All that is known now, a namespace each, with its label. */
  snapshot(): Snapshot[] {
    return Array.from(this.#open(), ([, monitor]) => monitor.snapshot());
  }

  /**
   * Watches one more namespace.
   *
   * @returns a promise that is fulfilled when its tables are complete, which `synced` tells too
   * @throws as {@link XfrmMonitor.open}; Error if the label is taken
   */
  async add(label: string, netns?: Namespace): Promise<XfrmMonitor> {
    if (this.closed) throw new Error('the monitors are closed');
    if (this.#monitors.has(label)) {
      throw new Error(`there is a namespace ${JSON.stringify(label)} already: remove it first`);
    }
    const opening = new AbortController();
    this.#monitors.set(label, opening);
    let monitor: XfrmMonitor;
    try {
      const { signal } = opening;
      monitor = await XfrmMonitor.open({ ...this.#options, label, netns, signal });
    } catch (error) {
      if (this.#monitors.get(label) === opening) this.#monitors.delete(label);
      throw error;
    }
    this.#monitors.set(label, monitor);
    monitor.on('change', (change) => this.#tell({ ...change, label }));
    let failure: unknown;
    monitor.once('error', (error) => {
      failure = error;
    });
    monitor.once('close', () => {
      if (this.#monitors.get(label) === monitor) this.#monitors.delete(label);
      this.#tell({ kind: 'closed', error: failure, label });
    });
    this.#tell({ kind: 'synced', snapshot: monitor.snapshot(), label });
    for (const { join } of this.#loops) join(label, monitor);
    return monitor;
  }

  /** Watches a namespace no more; `closed` is told after the changes that wait. Any label will do. */
  async remove(label: string): Promise<void> {
    const monitor = this.#monitors.get(label);
    this.#monitors.delete(label);
    if (monitor instanceof XfrmMonitor) await monitor.close();
    else monitor?.abort(new Error(`the namespace ${JSON.stringify(label)} was removed`));
  }

  /**
   * For each namespace `synced` with all that is known, then its changes, in order; `closed` is its
   * last. Those of different namespaces have no order. Several loops each get all; of a namespace that
   * went before a slow loop came to its `synced`, the loop hears nothing.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<NamespaceChange, undefined> {
    const ready: Waiting[] = [];
    const running = new Set<AsyncIterator<XfrmChange | Synced, undefined>>();
    let wake = () => {};
    const put = (waiting: Waiting) => {
      ready.push(waiting);
      wake();
    };
    const join = (label: string, monitor: XfrmMonitor) => {
      const source = monitor[Symbol.asyncIterator]();
      let first: Waiting | undefined;
      running.add(source);
      const end = (error?: unknown) => {
        running.delete(source);
        put({ change: { kind: 'closed', error, label }, more: nothing });
      };
      // One at a time: what else comes waits in the monitor, which heeds its highWaterMark.
      const more = () => {
        source.next().then(({ value, done }) => {
          if (done) return end();
          const waiting = { change: { ...value, label }, more };
          first ??= waiting;
          put(waiting);
        }, end);
      };
      more();
      // A slow loop is not told of what it never heard of: else all that came and went would wait for it.
      monitor.once('close', () => {
        const at = first === undefined ? -1 : ready.indexOf(first);
        if (at < 0 || this.closed) return;
        ready.splice(at, 1);
        running.delete(source);
        source.return?.();
      });
    };
    const loop: Loop = { join, put, wake: () => wake() };
    this.#loops.add(loop);
    try {
      for (const [label, monitor] of this.#open()) join(label, monitor);
      for (;;) {
        const next = ready.shift();
        if (next) {
          next.more();
          yield next.change;
        } else if (this.closed && running.size === 0) {
          this.#signal?.throwIfAborted();
          return undefined;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      this.#loops.delete(loop);
      for (const source of running) source.return?.();
    }
  }

  /**
   * Closes all monitors, and ends all loops after what they have waiting.
   *
   * @returns a promise that is fulfilled when all is closed; the same one every time
   */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #abort = () => {
    this.close();
  };

  async #end(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#named?.close();
    const reason = this.#signal?.reason ?? new Error('the monitors were closed');
    const ends = Array.from(this.#monitors.values(), (monitor) =>
      monitor instanceof XfrmMonitor ? monitor.close() : monitor.abort(reason),
    );
    await Promise.all([...ends, ...this.#busy]);
    for (const { wake } of this.#loops) wake();
    this.emit('close');
  }

  *#open(): Generator<[string, XfrmMonitor]> {
    for (const [label, monitor] of this.#monitors) {
      if (monitor instanceof XfrmMonitor) yield [label, monitor];
    }
  }

  #byItself(work: Promise<void>): void {
    const done = work.finally(() => this.#busy.delete(done));
    this.#busy.add(done);
  }

  async #addNamed({ name, path }: NamedNamespace): Promise<void> {
    try {
      await this.add(name, path);
    } catch (error) {
      const change = { kind: 'closed', error, label: name } as const;
      for (const { put } of this.#loops) put({ change, more: nothing });
      this.#tell(change);
    }
  }

  #tell(change: NamespaceChange): void {
    tell(this, [change.kind, 'change'], change);
  }
}
