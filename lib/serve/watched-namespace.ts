/** One network namespace, watched whatever happens to it. @module */
import { setTimeout as sleep } from 'node:timers/promises';
import { MetricsSource, type WatchState } from '../metrics/source.ts';
import { EVENT_KINDS as SUBJECTS } from '../monitor/filter-input.ts';
import type { NetnsReference } from '../socket/index.ts';
import type { ExpectedTunnel } from '../tunnel/expected.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import { TunnelMonitor, type TunnelMonitorOptions } from '../tunnel/tunnel-monitor.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import type { EventLog } from './event-log.ts';
import { History } from './history.ts';
import type { LifeCycle } from './life-cycle.ts';
import { noticeOf } from './tunnel-notices.ts';

/** Milliseconds until it tries again, after each failure. */
const AGAIN = [1000, 2000, 5000, 10_000, 30_000];
/** Milliseconds that a repair may take before the namespace counts as blind. */
const PATIENCE = 5000;

export type WatchOptions = Pick<
  TunnelMonitorOptions,
  'acquires' | 'thresholds' | 'refreshInterval' | 'receiveBufferSize'
>;

/** What a watched namespace needs from its surroundings. */
export interface Surroundings {
  readonly log: EventLog;
  readonly lifeCycle: LifeCycle;
  readonly options: WatchOptions;
  /** The most tunnels with series of their own. */
  readonly tunnelSeries: number;
}

/**
 * Opens a monitor, and another one when that one ends: because a privilege is gone, or the
 * namespace. Totals, histories and states go on.
 */
export class WatchedNamespace {
  /** null: the process's own. */
  readonly name: string | null;
  readonly #path: NetnsReference | undefined;
  readonly source: MetricsSource;
  readonly history = new History();
  readonly #around: Surroundings;
  readonly #ended = new AbortController();
  #expected: readonly ExpectedTunnel[];
  #told: WatchState | undefined;
  #running: Promise<void> | undefined;
  /** Called when the first attempt to open a monitor is over. */
  #tried = () => {};
  /** Settled when the first attempt is over. */
  readonly tried = new Promise<void>((resolve) => {
    this.#tried = resolve;
  });
  #check: NodeJS.Timeout | undefined;
  /** Why the last attempt to open a monitor failed. */
  failure: unknown;

  constructor(
    name: string | null,
    path: NetnsReference | undefined,
    expected: readonly ExpectedTunnel[],
    around: Surroundings,
  ) {
    this.name = name;
    this.#path = path;
    this.#expected = expected;
    this.#around = around;
    this.source = new MetricsSource(name ?? '', around.tunnelSeries);
  }

  get monitor(): TunnelMonitor | undefined {
    return this.source.monitor;
  }

  /** Its state, and why. */
  get state(): { readonly state: WatchState; readonly reason: string | undefined } {
    const { state, doubtedSince, blindReason } = this.source;
    if (state === 'blind') return { state, reason: blindReason };
    if (state === 'synced') return { state, reason: undefined };
    if (doubtedSince !== undefined && Date.now() - doubtedSince > PATIENCE) {
      return { state: 'blind', reason: 'events were lost, no resync yet' };
    }
    return { state, reason: 'events were lost' };
  }

  /** Begins to watch. */
  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#ended.abort();
    clearTimeout(this.#check);
    await this.#running;
  }

  setExpected(expected: readonly ExpectedTunnel[]): void {
    this.#expected = expected;
    this.monitor?.setExpected(expected);
    this.source.update();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    for (let failures = 0; !signal.aborted; failures++) {
      let why: string | undefined;
      try {
        await using monitor = await TunnelMonitor.open({
          ...this.#around.options,
          netns: this.#path,
          expected: this.#expected,
          signal,
        });
        failures = 0;
        this.failure = undefined;
        this.#attach(monitor);
        this.#tried();
        why = await endOf(monitor);
        this.source.detach(why);
      } catch (error) {
        if (signal.aborted) break;
        why = messageOf(error);
        this.failure = error;
        this.source.detach(why);
      }
      this.#tried();
      if (signal.aborted) break;
      this.#tell();
      const wait = AGAIN[Math.min(failures, AGAIN.length - 1)];
      await sleep(wait, undefined, { signal, ref: false }).catch(() => {});
    }
    this.#tried();
  }

  #attach(monitor: TunnelMonitor): void {
    const { log } = this.#around;
    // The list may have changed while it was being opened.
    if (this.#expected !== undefined) monitor.setExpected(this.#expected);
    this.source.attach(monitor);
    const now = Date.now();
    for (const tunnel of monitor.tunnels) this.#mark(tunnel, now, true);
    this.history.sample(this.source.tunnels, now);
    monitor.on('change', (change) => this.#changed(change));
    monitor.xfrm.on('event', (event: XfrmEvent) => {
      const kind = SUBJECTS[event.kind] === 'policy' ? 'policy' : 'sa';
      log.add(this.name, { kind, event });
    });
    this.#tell();
  }

  #changed(change: TunnelChange): void {
    const { log, lifeCycle } = this.#around;
    const notice = noticeOf(change, this.name);
    if (notice) lifeCycle.emit('notice', notice);
    switch (change.kind) {
      case 'namespace-gone':
        return;
      case 'refreshed':
      case 'resynced':
        this.history.sample(this.source.tunnels, change.time.wall);
        break;
      case 'rekeyed':
        this.history.rekeyed(change.tunnel.id, change.time.wall);
        break;
      case 'removed':
        this.history.remove(change.tunnel.id);
        break;
      case 'state':
        if (!change.rekey) this.#mark(change.tunnel, change.tunnel.since.wall);
        break;
      case 'added':
      case 'up':
      case 'down':
      case 'stalled':
        this.#mark(change.tunnel, change.tunnel.since.wall);
        break;
      default:
    }
    if (change.kind !== 'refreshed') log.add(this.name, { kind: 'tunnel', change });
    if (change.kind === 'overrun') this.#checkLater();
    if (change.kind === 'overrun' || change.kind === 'resynced') this.#tell();
  }

  #mark(tunnel: Tunnel, at: number, isFirst = false): void {
    const series = isFirst ? this.source.tunnels.get(tunnel.id) : undefined;
    const { since = at, reason = tunnel.reason } = series ?? {};
    this.history.state(tunnel.id, isFirst ? since : at, tunnel.state, reason);
  }

  /** A repair that takes too long makes it blind, and nothing else tells of that. */
  #checkLater(): void {
    clearTimeout(this.#check);
    this.#check = setTimeout(() => this.#tell(), PATIENCE + 100).unref();
  }

  /** Tells of its state, if that is new. */
  #tell(): void {
    const { state, reason } = this.state;
    if (state === this.#told) return;
    this.#told = state;
    const { log, lifeCycle } = this.#around;
    log.add(this.name, {
      kind: 'state',
      watch: { netns: this.name, state, reason, at: Date.now() },
    });
    lifeCycle.emit('watch', this.name, state, reason);
    const where =
      this.name === null ? 'this namespace' : `the namespace ${JSON.stringify(this.name)}`;
    const because = reason === undefined ? '' : `: ${reason}`;
    const level = state === 'synced' ? 'info' : state === 'blind' ? 'error' : 'warning';
    lifeCycle.notice(level, `watch-${state}`, `${where} is ${state}${because}`, {
      netns: this.name,
    });
  }
}

/** Waits until a monitor ends, or its namespace is gone. @returns why */
function endOf(monitor: TunnelMonitor): Promise<string | undefined> {
  return new Promise((resolve) => {
    monitor.once('error', (error) => resolve(messageOf(error)));
    monitor.once('close', () => resolve(undefined));
    monitor.once('namespace-gone', ({ path }) => resolve(`${path} is gone`));
  });
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
