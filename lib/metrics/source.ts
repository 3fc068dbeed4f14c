/** What the metrics of one network namespace are made from. @module */
import type { EventCount } from '../monitor/event-counts.ts';
import type { XfrmChange } from '../monitor/xfrm-monitor.ts';
import { isLarval } from '../monitor/xfrm-objects.ts';
import type { XfrmStat } from '../monitor/xfrm-stat.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import type { TunnelMonitor } from '../tunnel/tunnel-monitor.ts';
import { GAPS, type Metric } from './metric.ts';
import { SeriesLabels, SeriesReading } from './series-text.ts';
import { TunnelBook, type TunnelSeries, tunnelsOf } from './tunnel-series.ts';

/** `repairing`: events were lost, and the tables are being compared. `blind`: nobody watches. */
export type WatchState = 'synced' | 'repairing' | 'blind';

/** Milliseconds for which reading tunnels may block other work. */
const SLICE = 5;
const CORRECTIONS = ['added', 'updated', 'removed'] as const;

const zeroes = <Name extends string>(names: readonly Name[]) =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;

/**
 * Follows a monitor, and adds up what it says; goes on when another monitor of the same namespace
 * takes over.
 */
export class MetricsSource {
  /** The label `netns`: empty for the process's own namespace. */
  readonly netns: string;
  readonly tunnels: TunnelBook;
  monitor: TunnelMonitor | undefined;
  readonly gaps = zeroes(GAPS);
  /** Differences that only a comparison with a dump showed. */
  readonly corrections = zeroes(CORRECTIONS);
  overruns = 0;
  repairs = 0;
  malformed = 0;
  /** How often a monitor was opened. */
  opened = 0;
  /** How often one ended. */
  ended = 0;
  /** How often all counters were read. */
  readings = 0;
  /** Called when the tunnels have been read after the counters were. */
  read: (wall: number) => void = () => {};
  /** The reading of tunnels that is under way. */
  #reading: Generator | undefined;
  /** Up to where tunnels have been read (Tunnels.shownSince). */
  #shows = 0;
  /** When the tables were last known to be right and the counters read, in ms since 1970. */
  syncedAt: number | undefined;
  /** Why nobody watches. */
  blindReason: string | undefined;
  /** Since when the tables are in doubt, in ms since 1970. */
  doubtedSince: number | undefined;
  /** Sums of the monitors before the present one. */
  readonly #eventsBefore = new Map<string, EventCount>();
  #droppedBefore = 0;
  #stat: XfrmStat | undefined;
  readonly #labels: SeriesLabels;

  constructor(netns: string, limit: number) {
    this.netns = netns;
    this.#labels = new SeriesLabels(netns);
    this.tunnels = new TunnelBook(limit, Date.now());
  }

  /** Begins to follow a monitor that was just opened. */
  attach(monitor: TunnelMonitor): void {
    this.monitor = monitor;
    this.opened++;
    this.blindReason = undefined;
    this.doubtedSince = undefined;
    this.syncedAt = monitor.countersReadAt.wall;
    this.tunnels.suspend();
    this.#shows = tunnelsOf(monitor).shows;
    const missed = this.tunnels.read(monitor.tunnels, Date.now());
    this.gaps.restart += missed;
    this.tunnels.retain(new Set(Array.from(monitor.tunnels, ({ id }) => id)));
    monitor.on('change', this.#heard);
    monitor.xfrm.on('removed', this.#removed);
  }

  /** Stops following it: it closed, or is about to be. */
  detach(reason: string | undefined): void {
    const { monitor } = this;
    this.blindReason = reason;
    this.tunnels.suspend();
    if (monitor === undefined) return;
    this.ended++;
    monitor.off('change', this.#heard);
    monitor.xfrm.off('removed', this.#removed);
    for (const one of monitor.xfrm.eventCounts) {
      const key = `${one.kind} ${one.reason ?? ''}`;
      const before = this.#eventsBefore.get(key)?.count ?? 0;
      this.#eventsBefore.set(key, { ...one, count: before + one.count });
    }
    this.#droppedBefore += monitor.xfrm.dropped;
    this.monitor = undefined;
    this.doubtedSince = undefined;
  }

  /** While nobody watches: these tunnels are known not to exist, as their namespace does not. */
  absent(tunnels: readonly Tunnel[]): void {
    this.tunnels.suspend();
    this.gaps.missed += this.tunnels.read(tunnels, Date.now());
  }

  get state(): WatchState {
    const { monitor } = this;
    if (monitor === undefined || monitor.closed) return 'blind';
    // A loss is reported before the monitor begins to repair its tables.
    return monitor.synced && this.doubtedSince === undefined ? 'synced' : 'repairing';
  }

  /** Reads what changed since the last reading; the counters are as old as the monitor's. */
  update(): void {
    const { monitor } = this;
    if (monitor === undefined || monitor.closed) return;
    const tunnels = tunnelsOf(monitor);
    const { shows } = tunnels;
    this.gaps.missed += this.tunnels.read(tunnels.shownSince(this.#shows), Date.now());
    this.#shows = shows;
  }

  /** Does the same, with pauses. */
  *updating(): Generator<undefined, undefined> {
    const { monitor } = this;
    if (monitor === undefined || monitor.closed) return;
    const tunnels = tunnelsOf(monitor);
    const { shows } = tunnels;
    const reading = this.tunnels.reading(tunnels, this.#shows);
    let step = reading.next();
    for (; !step.done; step = reading.next()) {
      yield;
      // Another one reads its tunnels itself, and a closed one has none.
      if (this.monitor !== monitor || monitor.closed) return;
    }
    this.gaps.missed += step.value;
    // Another reading may have come further.
    this.#shows = Math.max(this.#shows, shows);
  }

  /** Reads the values of its tunnels' series, with a pause after each of its parts. */
  *reading(): Generator<undefined, SeriesReading> {
    const reading = new SeriesReading();
    yield* reading.read(this.#labels.blocksOf(this.seriesFor({ type: 'counter' })));
    return reading;
  }

  /** The series that have a metric: counters also have the sum over tunnels without a label. */
  seriesFor({ type }: Pick<Metric, 'type'>): readonly TunnelSeries[] {
    const { all, others, unlabelled } = this.tunnels;
    return type === 'counter' && unlabelled > 0 ? [...all, others] : all;
  }

  /** Events that the kernel announced, by kind. */
  get events(): EventCount[] {
    const all = new Map(this.#eventsBefore);
    for (const one of this.monitor?.xfrm.eventCounts ?? []) {
      const key = `${one.kind} ${one.reason ?? ''}`;
      all.set(key, { ...one, count: one.count + (all.get(key)?.count ?? 0) });
    }
    return [...all.values()];
  }

  /** Reports of the kernel that it dropped events. */
  get dropped(): number {
    return this.#droppedBefore + (this.monitor?.xfrm.dropped ?? 0);
  }

  /** The kernel's error counters, as last read. */
  get xfrmStat(): XfrmStat | undefined {
    const { monitor } = this;
    if (monitor && !monitor.closed) this.#stat = monitor.xfrm.xfrmStat;
    return this.#stat;
  }

  readonly #heard = (change: TunnelChange): void => {
    switch (change.kind) {
      case 'overrun':
        this.overruns++;
        this.doubtedSince ??= change.time.wall;
        break;
      case 'malformed':
        this.malformed++;
        break;
      case 'resynced':
        this.repairs++;
        for (const what of CORRECTIONS) this.corrections[what] += change[what];
        this.#read(change.time.wall);
        break;
      case 'refreshed':
        this.#read(change.time.wall);
        break;
      case 'removed':
        this.tunnels.remove(change.tunnel.id);
        break;
      case 'down':
        this.#changed(change);
        this.tunnels.down(change.tunnel, change.reason.kind);
        break;
      case 'up':
      case 'state':
      case 'stalled':
        this.#changed(change);
        break;
      default:
    }
  };

  #changed({ tunnel }: { readonly tunnel: Parameters<TunnelBook['down']>[0] }): void {
    this.gaps.missed += this.tunnels.read([tunnel], Date.now());
    this.tunnels.get(tunnel.id)?.changed();
  }

  #read(wall: number): void {
    this.syncedAt = wall;
    this.doubtedSince = undefined;
    this.readings++;
    const isUnderWay = this.#reading !== undefined;
    this.#reading = this.updating();
    if (!isUnderWay) this.#readSome();
  }

  /** In slices, so that nothing else has to wait. */
  #readSome(): void {
    const end = performance.now() + SLICE;
    while (this.#reading && performance.now() < end) {
      if (!this.#reading.next().done) continue;
      this.#reading = undefined;
      if (this.syncedAt !== undefined) this.read(this.syncedAt);
    }
    if (this.#reading) setImmediate(() => this.#readSome());
  }

  /**
   * The kernel's message about one SA has its last counters; that all were flushed is one message
   * without any.
   */
  readonly #removed = (change: Extract<XfrmChange, { kind: 'removed' }>): void => {
    if (change.object !== 'state' || isLarval(change.value)) return;
    if (change.reason === 'flushed') this.gaps.flushed++;
    else if (change.reason === 'found-missing') this.gaps.missed++;
  };
}
