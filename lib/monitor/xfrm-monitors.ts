/** Live tables of several network namespaces, as one stream. @module */
import { checkedOptions, optionalBoolean, wrongType } from '../socket/argument.ts';
import { type NetworkNamespace, StateError } from '../socket/index.ts';
import { type ListenersByKind, LiveEmitter } from './event-hub.ts';
import { type NamespaceChange, NamespaceLoop } from './namespace-loop.ts';
import { type NamedNamespace, NamespaceWatch } from './namespaces.ts';
import { XfrmMonitor } from './xfrm-monitor.ts';
import { MONITOR_OPTIONS, type XfrmMonitorOptions } from './xfrm-monitor-options.ts';
import type { XfrmSnapshot } from './xfrm-views.ts';

/** What holds for each monitor is as in {@link XfrmMonitorOptions}. */
export interface XfrmMonitorsOptions extends Omit<XfrmMonitorOptions, 'netns' | 'label'> {
  /** Label to namespace: a path such as `/run/netns/NAME`, a descriptor, or undefined for one's own. */
  namespaces?: Readonly<Record<string, NetworkNamespace | undefined>> | undefined;
  /**
   * Whether to watch all namespaces that have a name (`ip netns`), as they come and go, labelled by
   * it. The names are others' choice: escape them before they are printed.
   */
  named?: boolean | undefined;
}

/** What {@link XfrmMonitors} emits, and with which arguments. */
export type XfrmMonitorsListeners = ListenersByKind<NamespaceChange> & {
  change: [change: NamespaceChange];
  close: [];
};

const { netns: _, label: __, ...EACH } = MONITOR_OPTIONS;
const OPTIONS = {
  namespaces(name: string, value: unknown) {
    if (value !== undefined && (typeof value !== 'object' || value === null)) {
      throw wrongType(name, 'an object', value);
    }
  },
  named: (name: string, value: unknown) => optionalBoolean(name, value, false),
  ...EACH,
};

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
  extends LiveEmitter<XfrmMonitorsListeners, NamespaceChange, NamespaceLoop>
  implements AsyncIterable<NamespaceChange>
{
  readonly #options: XfrmMonitorOptions;
  /** For one that is opening, what gives that up. */
  readonly #monitors = new Map<string, XfrmMonitor | AbortController>();
  readonly #named: NamespaceWatch | undefined;
  /** What is under way: it is waited for at the end, and never rejects. */
  readonly #busy = new Set<Promise<unknown>>();

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
      options.signal?.throwIfAborted();
      throw error;
    }
    return monitors;
  }

  private constructor(options: XfrmMonitorsOptions) {
    super(() => this.#release());
    const { namespaces: _, named, signal, ...each } = checkedOptions('options', options, OPTIONS);
    this.#options = each;
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

  /** The labels of the namespaces whose tables are complete. */
  get labels(): string[] {
    return [...this.#opened()].map(([label]) => label);
  }

  /** The monitor of a namespace, with its tables. */
  get(label: string): XfrmMonitor | undefined {
    const monitor = this.#monitors.get(label);
    return monitor instanceof XfrmMonitor ? monitor : undefined;
  }

  /** All that is known now, a namespace each, with its label. */
  snapshot(): XfrmSnapshot[] {
    return Array.from(this.#opened(), ([, monitor]) => monitor.snapshot());
  }

  /**
   * Watches one more namespace.
   *
   * @returns a promise that is fulfilled when its tables are complete, which `synced` tells too
   * @throws as {@link XfrmMonitor.open}; StateError `ERR_NAMESPACE_EXISTS` if the label is taken, `ERR_MONITOR_CLOSED` after {@link close}
   */
  async add(label: string, netns?: NetworkNamespace): Promise<XfrmMonitor> {
    if (this.closed) throw new StateError('ERR_MONITOR_CLOSED', 'the monitors are closed');
    if (this.#monitors.has(label)) {
      const message = `there is a namespace ${JSON.stringify(label)} already: remove it first`;
      throw new StateError('ERR_NAMESPACE_EXISTS', message);
    }
    const opening = new AbortController();
    this.#monitors.set(label, opening);
    return this.#untilDone(this.#open(label, netns, opening));
  }

  /** Watches a namespace no more; `closed` is told after the changes that wait. Any label will do. */
  async remove(label: string): Promise<void> {
    const monitor = this.#monitors.get(label);
    this.#monitors.delete(label);
    if (monitor instanceof XfrmMonitor) await this.#untilDone(monitor.close());
    else {
      const message = `the namespace ${JSON.stringify(label)} was removed`;
      monitor?.abort(new StateError('ERR_NAMESPACE_REMOVED', message));
    }
  }

  /**
   * For each namespace `synced` with all that is known, then its changes, in order; `closed` is its
   * last. Those of different namespaces have no order. Several loops each get all; of a namespace that
   * went before a slow loop came to its `synced`, the loop hears nothing.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<NamespaceChange, undefined> {
    const loop: NamespaceLoop = new NamespaceLoop(() => this.hub.leave(loop));
    if (!this.closed) for (const [label, monitor] of this.#opened()) loop.add(label, monitor);
    return this.hub.join(loop).queue;
  }

  async #release(): Promise<void> {
    this.#named?.close();
    for (const [, monitor] of this.#monitors) {
      if (monitor instanceof XfrmMonitor) this.#untilDone(monitor.close());
      else monitor.abort(this.hub.reason);
    }
    // At least once: what is being begun on this very stack is not among them yet.
    do await Promise.all(this.#busy);
    while (this.#busy.size > 0);
  }

  async #open(
    label: string,
    netns: NetworkNamespace | undefined,
    opening: AbortController,
  ): Promise<XfrmMonitor> {
    const { signal } = opening;
    let monitor: XfrmMonitor;
    try {
      monitor = await XfrmMonitor.open({ ...this.#options, label, netns, signal });
    } catch (error) {
      if (this.#monitors.get(label) === opening) this.#monitors.delete(label);
      throw error;
    }
    // It was removed, and its label may be another's by now.
    if (signal.aborted) {
      await monitor.close();
      throw signal.reason;
    }
    this.#monitors.set(label, monitor);
    monitor.on('change', (change) => this.#tell({ ...change, label }));
    let failure: unknown;
    monitor.once('error', (error) => {
      failure = error;
    });
    monitor.once('close', () => {
      if (this.#monitors.get(label) === monitor) this.#monitors.delete(label);
      for (const loop of this.hub.loops) loop.gone(monitor);
      this.#tell({ kind: 'closed', error: failure, label });
    });
    this.#tell({ kind: 'synced', snapshot: monitor.snapshot(), label });
    for (const loop of this.hub.loops) loop.add(label, monitor);
    return monitor;
  }

  *#opened(): Generator<[string, XfrmMonitor]> {
    for (const [label, monitor] of this.#monitors) {
      if (monitor instanceof XfrmMonitor) yield [label, monitor];
    }
  }

  /** Has the end wait for something. */
  #untilDone<T>(work: Promise<T>): Promise<T> {
    const done = () => this.#busy.delete(settled);
    const settled: Promise<unknown> = work.then(done, done);
    this.#busy.add(settled);
    return work;
  }

  async #addNamed({ name, path }: NamedNamespace): Promise<void> {
    try {
      await this.add(name, path);
    } catch (error) {
      const change = { kind: 'closed', error, label: name } as const;
      for (const loop of this.hub.loops) loop.push(change);
      this.#tell(change);
    }
  }

  #tell(change: NamespaceChange): void {
    this.hub.emit(change.kind, change);
    this.hub.emit('change', change);
  }
}
