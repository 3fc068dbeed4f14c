/**
 * The changes of tunnels in several network namespaces: a monitor for each.
 * @module
 */
import type { TunnelChange, TunnelSnapshot } from '../../tunnel/changes.ts';
import { TunnelMonitor, type TunnelMonitorOptions } from '../../tunnel/tunnel-monitor.ts';
import { aborted } from '../events/ended.ts';
import type { Beside, Origin } from '../events/streams.ts';

/** What they tell. */
export interface TunnelListener {
  change(change: TunnelChange, origin: Origin): void;
  /** Changes were told too fast: where things stand now. What follows starts from it. */
  again(snapshot: TunnelSnapshot, origin: Origin): void;
  error(error: Error): void;
}

/** Monitors that come and go with the namespaces of {@link Streams}. */
export class TunnelStreams implements Beside {
  readonly #options: TunnelMonitorOptions;
  readonly #open = new Map<Origin, Promise<TunnelMonitor>>();
  #listener: TunnelListener | undefined;
  /** Gives up what is still being opened. */
  readonly #closing = new AbortController();
  #paused: { readonly until: Promise<void>; readonly end: () => void } | undefined;

  constructor(options: TunnelMonitorOptions) {
    this.#options = options;
  }

  joined(origin: Origin): void {
    const { netns } = origin;
    const monitor = TunnelMonitor.open({ ...this.#options, netns, signal: this.#closing.signal });
    // Who waits for it is told: ready(), or the listener.
    monitor.catch(() => {});
    this.#open.set(origin, monitor);
    if (this.#listener) this.#follow(origin, monitor);
  }

  left(origin: Origin): void {
    const monitor = this.#open.get(origin);
    this.#open.delete(origin);
    monitor?.then((one) => one.close()).catch(() => {});
  }

  /** Until all tunnels are known. @throws what TunnelMonitor.open throws; the signal's reason */
  async ready(signal: AbortSignal): Promise<void> {
    await Promise.race([Promise.all(this.#open.values()), aborted(signal)]);
    signal.throwIfAborted();
  }

  /** Begins to tell. */
  start(listener: TunnelListener): void {
    this.#listener = listener;
    for (const [origin, monitor] of this.#open) this.#follow(origin, monitor);
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
    this.#closing.abort();
    const monitors = await Promise.allSettled(this.#open.values());
    await Promise.all(monitors.map((one) => one.status === 'fulfilled' && one.value.close()));
  }

  /** Tells changes as fast as they are taken: a loop that is slow is told that it missed some. */
  async #follow(origin: Origin, opening: Promise<TunnelMonitor>): Promise<void> {
    let begun = false;
    try {
      for await (const change of await opening) {
        await this.#paused?.until;
        if (change.kind !== 'synced') this.#listener?.change(change, origin);
        else if (begun) this.#listener?.again(change.snapshot, origin);
        begun = true;
      }
    } catch (error) {
      // A namespace that went while its tunnels were being listed has been told of.
      if (this.#open.has(origin)) this.#listener?.error(error as Error);
    }
  }
}
