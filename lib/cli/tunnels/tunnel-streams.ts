/**
 * Tunnel changes in the namespaces whose events are followed as well.
 * @module
 */
import { aborted } from 'node:util';
import { MultiNamespaceTunnelMonitor } from '../../tunnel/multi-namespace-tunnel-monitor.ts';
import type { TunnelChange, TunnelSnapshot } from '../../tunnel/tunnel-changes.ts';
import type { TunnelMonitorOptions } from '../../tunnel/tunnel-monitor.ts';
import type { CompanionStreams, Origin } from '../events/event-streams.ts';

/** Receives what the streams report. */
export interface TunnelListener {
  change(change: TunnelChange, origin: Origin): void;
  /** Changes were coalesced because they came too fast: the current state, on which the next changes are based. */
  again(snapshot: TunnelSnapshot, origin: Origin): void;
  error(error: Error): void;
}

/** Monitors that are added and removed with the namespaces of {@link Streams}. */
export class TunnelStreams implements CompanionStreams {
  readonly #monitors: Promise<MultiNamespaceTunnelMonitor>;
  /** By a unique label: an old and a new namespace of the same name may briefly coexist. */
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
    // Until started, ready() reports errors; a namespace removed during its initial dump was reported already.
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

  /** Resolves when all tunnels are known. @throws what TunnelMonitor.open throws; the signal's reason */
  async ready(signal: AbortSignal): Promise<void> {
    await Promise.race([Promise.all(this.#opening), aborted(signal, signal)]);
    signal.throwIfAborted();
  }

  /** Starts reporting. */
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

  /** Reports changes as fast as they are consumed: a slow loop gets a new snapshot in place of missed ones. */
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
