/**
 * The changes of tunnels in the namespaces whose events are followed too.
 * @module
 */
import { aborted } from 'node:util';
import { MultiNamespaceTunnelMonitor } from '../../tunnel/multi-namespace-tunnel-monitor.ts';
import type { TunnelChange, TunnelSnapshot } from '../../tunnel/tunnel-changes.ts';
import type { TunnelMonitorOptions } from '../../tunnel/tunnel-monitor.ts';
import type { CompanionStreams, Origin } from '../events/event-streams.ts';

/** What they tell. */
export interface TunnelListener {
  change(change: TunnelChange, origin: Origin): void;
  /** Changes were told too fast: where things stand now. What follows starts from it. */
  again(snapshot: TunnelSnapshot, origin: Origin): void;
  error(error: Error): void;
}

/** Monitors that come and go with the namespaces of {@link Streams}. */
export class TunnelStreams implements CompanionStreams {
  readonly #monitors: Promise<MultiNamespaceTunnelMonitor>;
  /** By a label of their own: two of one name may be there for a moment, the one that goes and the one that came. */
  readonly #origins = new Map<string, Origin>();
  readonly #left = new Set<Origin>();
  readonly #opening = new Set<Promise<unknown>>();
  #count = 0;
  #listener: TunnelListener | undefined;
  #paused: { readonly until: Promise<void>; readonly end: () => void } | undefined;

  constructor({ expected, netns: _, monitor: __, ...options }: TunnelMonitorOptions) {
    this.#monitors = MultiNamespaceTunnelMonitor.open({ ...options, expected: () => expected });
  }

  joined(origin: Origin): void {
    const label = String(++this.#count);
    this.#origins.set(label, origin);
    const opening = this.#monitors.then((monitors) => monitors.add(label, origin.netns));
    this.#opening.add(opening);
    // Until it begins to tell, ready() does; a namespace that went while its tunnels were being listed has been told of.
    opening
      .catch((error) => {
        this.#origins.delete(label);
        if (!this.#left.has(origin)) this.#listener?.error(error);
      })
      .finally(() => this.#listener && this.#opening.delete(opening));
  }

  left(origin: Origin): void {
    this.#left.add(origin);
    for (const [label, one] of this.#origins) {
      if (one === origin) this.#monitors.then((monitors) => monitors.remove(label));
    }
  }

  /** Until all tunnels are known. @throws what TunnelMonitor.open throws; the signal's reason */
  async ready(signal: AbortSignal): Promise<void> {
    await Promise.race([Promise.all(this.#opening), aborted(signal, signal)]);
    signal.throwIfAborted();
  }

  /** Begins to tell. */
  start(listener: TunnelListener): void {
    this.#listener = listener;
    this.#opening.clear();
    this.#follow();
  }

  pause(): void {
    if (this.#paused) return;
    let end = () => {};
    const until = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#paused = { until, end };
  }

  resume(): void {
    this.#paused?.end();
    this.#paused = undefined;
  }

  async close(): Promise<void> {
    this.#listener = undefined;
    this.resume();
    await (await this.#monitors).close();
  }

  /** Tells changes as fast as they are taken: a loop that is slow is told that it missed some. */
  async #follow(): Promise<void> {
    const begun = new Set<string>();
    for await (const { label, ...change } of await this.#monitors) {
      await this.#paused?.until;
      const origin = this.#origins.get(label);
      if (origin === undefined) continue;
      if (change.kind === 'closed') {
        this.#origins.delete(label);
        begun.delete(label);
        if (change.error && !this.#left.delete(origin)) {
          this.#listener?.error(change.error as Error);
        }
      } else if (change.kind !== 'synced') this.#listener?.change(change, origin);
      else if (begun.has(label)) this.#listener?.again(change.snapshot, origin);
      else begun.add(label);
    }
  }
}
