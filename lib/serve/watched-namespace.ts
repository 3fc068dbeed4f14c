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
import { absentTunnels, changesBetween } from './unwatched.ts';

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
  /** Its state when that was last logged, and whether it existed. */
  #told: string | undefined;
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
  #isAbsent = false;
  /** Its expected tunnels, all down, while it does not exist. */
  #absent: readonly Tunnel[] = [];
  /** While nobody watches, what clients were told last; undefined: nothing yet. */
  #shown: readonly Tunnel[] | undefined;
  #pause = new AbortController();

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
    this.source.read = (wall) => this.history.sample(this.source.tunnels, wall);
  }

  get monitor(): TunnelMonitor | undefined {
    return this.source.monitor;
  }

  /** Its tunnels, as far as anything is known about them. */
  get tunnels(): Iterable<Tunnel> {
    return this.monitor?.tunnels ?? this.#absent;
  }

  /** What clients were told last of its tunnels. */
  get shown(): Iterable<Tunnel> {
    return this.#shown ?? this.tunnels;
  }

  /** Whether it does not exist. */
  get isAbsent(): boolean {
    return this.#isAbsent;
  }

  tunnel(id: string): Tunnel | undefined {
    return this.monitor ? this.monitor.tunnels.get(id) : this.#absent.find((one) => one.id === id);
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

  /** What it is called in notices. */
  get words(): string {
    return this.name === null ? 'this namespace' : `the namespace ${JSON.stringify(this.name)}`;
  }

  /** Begins to watch. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** It may have come back: does not wait for the next attempt. */
  retry(): void {
    this.#pause.abort();
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
    if (this.#isAbsent) this.#showAbsent();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    for (let failures = 0; !signal.aborted; failures++) {
      let why: string | undefined;
      this.#pause = new AbortController();
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
        const end = await endOf(monitor);
        why = end.why;
        this.#isAbsent = end.isGone;
        this.#shown = [...monitor.tunnels];
        this.source.detach(why);
      } catch (error) {
        if (signal.aborted) break;
        why = messageOf(error);
        this.failure = error;
        this.#isAbsent = isAbsence(error);
        this.source.detach(why);
      }
      if (signal.aborted) break;
      if (this.#isAbsent) this.#showAbsent();
      else this.#absent = [];
      this.#tried();
      this.#tell();
      const wait = AGAIN[Math.min(failures, AGAIN.length - 1)];
      const ended = AbortSignal.any([signal, this.#pause.signal]);
      await sleep(wait, undefined, { signal: ended, ref: false }).catch(() => {});
    }
    this.#tried();
  }

  /** It does not exist: what is expected in it is not there, which is known. */
  #showAbsent(): void {
    this.#absent = absentTunnels(this.#expected);
    this.source.absent(this.#absent);
    this.#show(this.#absent);
  }

  /** Tells clients what changed while nobody watched. */
  #show(tunnels: Iterable<Tunnel>): void {
    const all = [...tunnels];
    const now = Date.now();
    for (const change of changesBetween(this.#shown ?? all, all)) {
      this.#changed(change);
      if (change.kind === 'down') this.source.tunnels.down(change.tunnel, change.reason.kind);
    }
    for (const tunnel of all) this.#mark(tunnel, now, true);
    this.#shown = all;
  }

  #attach(monitor: TunnelMonitor): void {
    const { log } = this.#around;
    // The list may have changed while it was being opened.
    monitor.setExpected(this.#expected);
    this.source.attach(monitor);
    this.#isAbsent = false;
    this.#absent = [];
    this.#show(monitor.tunnels);
    this.#shown = undefined;
    this.history.sample(this.source.tunnels, Date.now());
    monitor.on('change', (change) => this.#changed(change));
    monitor.xfrm.on('event', (event: XfrmEvent) => {
      const kind = SUBJECTS[event.kind] === 'policy' ? 'policy' : 'sa';
      log.add(this.name, { kind, event });
    });
    this.#tell();
  }

  #changed(change: TunnelChange): void {
    // All its tunnels were reported as removed when it was closed.
    if (this.#ended.signal.aborted) return;
    const { log, lifeCycle } = this.#around;
    const notice = noticeOf(change, this.name);
    if (notice) lifeCycle.emit('notice', notice);
    switch (change.kind) {
      case 'namespace-gone':
        return;
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
    const told = this.#isAbsent ? 'absent' : state;
    if (told === this.#told) return;
    this.#told = told;
    const { log, lifeCycle } = this.#around;
    log.add(this.name, {
      kind: 'state',
      watch: { netns: this.name, state, reason, at: Date.now() },
    });
    lifeCycle.emit('watch', this.name, state, reason);
    const because = reason === undefined ? '' : `: ${reason}`;
    const level = state === 'synced' ? 'info' : state === 'blind' ? 'error' : 'warning';
    lifeCycle.notice(level, `watch-${state}`, `${this.words} is ${state}${because}`, {
      netns: this.name,
    });
  }
}

/** How a monitor ended. */
interface End {
  readonly why: string | undefined;
  /** Whether its namespace is gone. */
  readonly isGone: boolean;
}

/** Waits until a monitor ends, or its namespace is gone. */
function endOf(monitor: TunnelMonitor): Promise<End> {
  return new Promise((resolve) => {
    monitor.once('error', (error) => resolve({ why: messageOf(error), isGone: false }));
    monitor.once('close', () => resolve({ why: undefined, isGone: false }));
    monitor.once('namespace-gone', ({ path }) => resolve({ why: `${path} is gone`, isGone: true }));
  });
}

/** Whether an attempt to open a namespace says that there is none, or none any more. */
const isAbsence = (error: unknown): boolean => {
  const { syscall, code = '' } = error as NodeJS.ErrnoException;
  return syscall === 'open' && ['ENOENT', 'ENOTDIR', 'ESRCH'].includes(code);
};

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
