/** The series of a namespace's tunnels: which name each has, and its totals. @module */
import type { StateEntry } from '../monitor/xfrm-views.ts';
import { labelText } from '../tunnel/sa-group.ts';
import type { Tunnel, TunnelState } from '../tunnel/tunnel.ts';
import type { TunnelDownReason } from '../tunnel/tunnel-changes.ts';
import type { TunnelMonitor } from '../tunnel/tunnel-monitor.ts';
import type { Tunnels } from '../tunnel/tunnels.ts';
import { countsOf, type SaCounts, TunnelTotals } from './tunnel-totals.ts';

/** Within the package more is known of them than {@link TunnelMonitor.tunnels} says. */
export const tunnelsOf = ({ tunnels }: Pick<TunnelMonitor, 'tunnels'>) => tunnels as Tunnels;

/** The name of the sum over tunnels beyond the limit. No expected tunnel may have it. */
export const OTHER = '(other)';

/** What is known about a tunnel from before this process, or this monitor. */
export interface Remembered {
  readonly state: TunnelState;
  readonly reason: string;
  /** Milliseconds since 1970, like all times here. */
  readonly since: number;
  readonly upSince: number | undefined;
  readonly sas: readonly SaCounts[];
}

/** Tunnels read before others get a turn. */
const SOME = 64;

/** One tunnel's series. */
export class TunnelSeries {
  /** The value of its label `tunnel`. */
  readonly label: string;
  readonly totals = new TunnelTotals();
  /** Since when it counts, in milliseconds since 1970. */
  countingSince: number;
  /** As last seen; undefined before that, and for the sum over others. */
  tunnel: Tunnel | undefined;
  /** Whether {@link tunnel} is how it is now: not while nothing is known. */
  current = false;
  #remembered: Remembered | undefined;
  /** Whether higher values may have been exported than were saved: the previous process ended unexpectedly. */
  #mayGoBack: boolean;

  constructor(label: string, countingSince: number, remembered?: Remembered, mayGoBack = false) {
    this.label = label;
    this.countingSince = countingSince;
    this.#remembered = remembered;
    this.#mayGoBack = mayGoBack;
  }

  /** Since when it is in its state: as the monitor says, or since before, if nothing happened. */
  get since(): number {
    const { tunnel } = this;
    const own = tunnel?.since.wall ?? 0;
    return this.#before ? Math.min(this.#before.since, own) : own;
  }

  /** Whether {@link since} is known. */
  get sinceKnown(): boolean {
    return this.tunnel?.sinceKnown === true || this.#before !== undefined;
  }

  get upSince(): number | undefined {
    const own = this.tunnel?.upSince?.wall;
    const before = this.#before?.upSince;
    return own === undefined || before === undefined ? own : Math.min(before, own);
  }

  /** Why it is in its state: if it is still down, the cause from before; else what there is says it. */
  get reason(): string {
    const { tunnel } = this;
    return (tunnel?.state === 'down' && this.#before?.reason) || (tunnel?.reason ?? '');
  }

  get #before(): Remembered | undefined {
    return this.tunnel?.state === this.#remembered?.state ? this.#remembered : undefined;
  }

  /** A change reports its state: the saved state no longer matters. */
  changed(): void {
    this.#remembered = undefined;
  }

  /** Begins to count a tunnel that was there before anyone watched. */
  begin(tunnel: Tunnel): void {
    this.totals.begin(tunnel);
    this.tunnel = tunnel;
    this.current = true;
  }

  /** Reads a tunnel. @returns how many SAs ended unseen */
  read(tunnel: Tunnel): number {
    if (this.tunnel === tunnel && this.current) return 0;
    let missed = 0;
    if (this.current && this.tunnel?.id === tunnel.id) this.totals.add(tunnel);
    else missed = this.#resume(tunnel);
    this.tunnel = tunnel;
    this.current = true;
    return missed;
  }

  /** Another monitor, or a successor under another id. */
  #resume(tunnel: Tunnel): number {
    const known = this.remember();
    const last = new Map(known?.sas.map((one) => [one.sa, one]));
    const missed = this.totals.restart(tunnel, last, this.#mayGoBack);
    if (missed > 0 && this.#mayGoBack) this.countingSince = Date.now();
    this.#mayGoBack = false;
    const there = new Set([...tunnel.sas.out, ...tunnel.sas.in].map((one) => countsOf(one).sa));
    const works = known?.upSince !== undefined;
    // That it has been up all along shows by an SA that has been there all along.
    const stays = !works || known.sas.some(({ sa }) => there.has(sa));
    this.#remembered = stays ? known : undefined;
    return missed;
  }

  /** What is to be known about it later. */
  remember(): Remembered | undefined {
    const { tunnel } = this;
    if (tunnel === undefined) return this.#remembered;
    const { state } = tunnel;
    const { since, upSince, reason } = this;
    const all: readonly StateEntry[] = [...tunnel.sas.out, ...tunnel.sas.in];
    return { state, reason, since, upSince, sas: all.map(countsOf) };
  }

  /** Whether nothing is known of it yet. */
  get isNew(): boolean {
    return this.tunnel === undefined && this.#remembered === undefined;
  }

  /** Whether it stands for a tunnel of which nothing is left. */
  get isVacant(): boolean {
    const { tunnel } = this;
    if (tunnel === undefined) return !this.current;
    const { expected, sas, larval, policies } = tunnel;
    return !expected && sas.out.length + sas.in.length + larval.length + policies.length === 0;
  }
}

/** What is kept of a series when nobody watches. */
export interface SavedSeries extends Partial<Remembered> {
  readonly label: string;
  readonly countingSince: number;
  readonly sums: readonly number[];
  readonly downs: readonly number[];
}

/**
 * The series of one namespace. A label is the expected tunnel's name, else its endpoints with its
 * mark and interface id; with its selectors, and in the end its reqid, only if that is taken. It
 * stays as it is once it was given, and a tunnel that continues another (with a new reqid, say)
 * takes its series over. Never an SPI.
 */
export class TunnelBook {
  readonly #byId = new Map<string, TunnelSeries>();
  readonly #byLabel = new Map<string, TunnelSeries>();
  /** Those that were saved, by the SAs that they had, until a monitor was opened. */
  readonly #bySa = new Map<string, TunnelSeries>();
  #all: readonly TunnelSeries[] | undefined;
  readonly #limit: number;
  /** The sum over tunnels beyond the limit. */
  readonly others: TunnelSeries;
  /** Whether tunnels that are new here were there before: nobody watched. */
  #unwatched = true;
  /** Whether a monitor was read as a whole: tunnels beyond the limit are not saved one by one. */
  #opened = false;
  /** The tunnels beyond the limit, by id. */
  readonly #unlabelled = new Map<string, TunnelSeries>();

  constructor(limit: number, now: number) {
    this.#limit = limit;
    this.others = new TunnelSeries(OTHER, now);
  }

  /** Those with a label, in order of appearance. */
  [Symbol.iterator](): Iterator<TunnelSeries> {
    return this.#byLabel.values();
  }

  get size(): number {
    return this.#byLabel.size;
  }

  /** Those with a label, as an array that stays the same until there are others. */
  get all(): readonly TunnelSeries[] {
    this.#all ??= [...this.#byLabel.values()];
    return this.#all;
  }

  get unlabelled(): number {
    return this.#unlabelled.size;
  }

  get(id: string): TunnelSeries | undefined {
    return this.#byId.get(id) ?? this.#unlabelled.get(id);
  }

  /** Reads tunnels. @returns how many SAs ended unseen */
  read(tunnels: Iterable<Tunnel>, now: number): number {
    let missed = 0;
    const fresh: Tunnel[] = [];
    for (const tunnel of tunnels) {
      const found = this.#readKnown(tunnel);
      if (found === undefined) fresh.push(tunnel);
      else missed += found;
    }
    return missed + this.#readFresh(fresh, now);
  }

  /** Reads tunnels that were shown since, with pauses in which they may change. */
  *reading(tunnels: Tunnels, shows: number): Generator<undefined, number> {
    let missed = 0;
    let count = 0;
    const fresh: string[] = [];
    for (const tunnel of tunnels.shownSince(shows)) {
      const found = this.#readKnown(tunnel);
      if (found === undefined) fresh.push(tunnel.id);
      else missed += found;
      if (++count % SOME === 0) yield;
    }
    // All at once, as their labels depend on each other; some may be gone or known by now.
    const all = fresh.flatMap((id) => tunnels.get(id) ?? []);
    return missed + this.read(all, Date.now());
  }

  /** @returns undefined if nothing is known of it */
  #readKnown(tunnel: Tunnel): number | undefined {
    const known = this.#byId.get(tunnel.id);
    if (known) return known.read(tunnel);
    if (this.#unlabelled.size === 0 || !this.#unlabelled.has(tunnel.id)) return undefined;
    this.#readOther(tunnel);
    return 0;
  }

  #readFresh(fresh: Tunnel[], now: number): number {
    let missed = 0;
    if (fresh.length === 0) return 0;
    // The same labels, in whatever order they were found.
    fresh.sort((a, b) => Number(b.expected) - Number(a.expected) || (a.id < b.id ? -1 : 1));
    const ends = new Map<string, number>();
    for (const tunnel of fresh) ends.set(endsOf(tunnel), (ends.get(endsOf(tunnel)) ?? 0) + 1);
    // Those that were saved with one of their SAs are the same, whatever label they would have now.
    const others: Tunnel[] = [];
    for (const tunnel of fresh) {
      const saved = this.#savedFor(tunnel);
      if (saved) this.#byId.set(tunnel.id, saved);
      else others.push(tunnel);
      missed += saved?.read(tunnel) ?? 0;
    }
    for (const tunnel of others) {
      const alone = ends.get(endsOf(tunnel)) === 1;
      const series = this.#seriesFor(tunnel, alone, now);
      if (series === undefined) this.#readOther(tunnel);
      else if (this.#unwatched && series.isNew) series.begin(tunnel);
      else missed += series.read(tunnel);
    }
    return missed;
  }

  /** It went down. */
  down(tunnel: Tunnel, cause: TunnelDownReason['kind']): void {
    const series = this.#byId.get(tunnel.id) ?? this.others;
    series.totals.down(cause);
  }

  /** It is no longer listed. */
  remove(id: string): void {
    const series = this.#byId.get(id);
    this.#unlabelled.delete(id);
    this.#byId.delete(id);
    if (series) this.#byLabel.delete(series.label);
    this.#all = undefined;
  }

  /** Nothing is known any more, until tunnels are read again. */
  suspend(): void {
    for (const series of this.#byLabel.values()) series.current = false;
    for (const series of this.#unlabelled.values()) series.current = false;
  }

  /** After a monitor was opened: those that it does not know are gone. */
  retain(ids: ReadonlySet<string>): void {
    this.#unwatched = false;
    this.#opened = true;
    this.#bySa.clear();
    this.#all = undefined;
    for (const [id, series] of this.#byId) if (!series.current && !ids.has(id)) this.remove(id);
    for (const [label, { current }] of this.#byLabel) if (!current) this.#byLabel.delete(label);
    for (const id of this.#unlabelled.keys()) if (!ids.has(id)) this.#unlabelled.delete(id);
  }

  #savedFor(tunnel: Tunnel): TunnelSeries | undefined {
    if (this.#bySa.size === 0) return undefined;
    const { name, sas } = tunnel;
    for (const entry of [...sas.out, ...sas.in]) {
      const series = this.#bySa.get(countsOf(entry).sa);
      // It may have got a name, or lost it.
      const isIts = name ? series?.label === name : series?.label.startsWith(endsOf(tunnel));
      if (series?.isVacant && isIts) return series;
    }
    return undefined;
  }

  #seriesFor(tunnel: Tunnel, alone: boolean, now: number): TunnelSeries | undefined {
    for (const label of labelsOf(tunnel, alone)) {
      const held = this.#byLabel.get(label);
      if (held !== undefined && !held.isVacant) continue;
      if (held) {
        if (held.tunnel) this.#byId.delete(held.tunnel.id);
        this.#byId.set(tunnel.id, held);
        return held;
      }
      if (this.#byLabel.size >= this.#limit && !tunnel.expected) return undefined;
      const series = new TunnelSeries(label, now);
      this.#byLabel.set(label, series);
      this.#all = undefined;
      this.#byId.set(tunnel.id, series);
      return series;
    }
    return undefined;
  }

  /** Adds to the sum what one of the others gained. */
  #readOther(tunnel: Tunnel): void {
    let series = this.#unlabelled.get(tunnel.id);
    if (series === undefined) {
      series = new TunnelSeries(tunnel.id, this.others.countingSince);
      this.#unlabelled.set(tunnel.id, series);
    }
    if (!this.#opened && series.isNew) series.begin(tunnel);
    else series.read(tunnel);
    this.others.totals.include(series.totals);
    series.totals.reset();
  }

  /** What is to be known later, one by one. */
  *save(): Generator<SavedSeries, undefined> {
    for (const series of this.#byLabel.values()) yield saved(series);
    yield saved(this.others);
  }

  /**
   * Takes up what was saved, before anything is read.
   *
   * @param mayGoBack whether higher values may have been exported after it was saved
   */
  restore(all: Iterable<SavedSeries>, mayGoBack: boolean): void {
    this.#unwatched = false;
    this.#all = undefined;
    for (const { label, countingSince, sums, downs, ...rest } of all) {
      const { state, reason, since, sas } = rest;
      const isKnown = state !== undefined && reason !== undefined && since !== undefined && sas;
      const known = isKnown ? { state, reason, since, sas, upSince: rest.upSince } : undefined;
      const series = new TunnelSeries(label, countingSince, known, mayGoBack);
      series.totals.include({ sums, downs });
      if (label === OTHER) this.others.totals.include(series.totals);
      else if (this.#byLabel.size < this.#limit) {
        this.#byLabel.set(label, series);
        for (const { sa } of known?.sas ?? []) this.#bySa.set(sa, series);
      }
    }
  }
}

function saved(series: TunnelSeries): SavedSeries {
  const { label, countingSince, totals } = series;
  const counts = { sums: [...totals.sums], downs: [...totals.downs] };
  return { label, countingSince, ...counts, ...series.remember() };
}

/** The endpoints, with the mark and the interface id. */
function endsOf({ local = 'any', remote = 'any', mark, ifId }: Tunnel): string {
  return `${local} > ${remote}${labelText(mark.out ?? mark.in, ifId.out ?? ifId.in)}`;
}

/** What the tunnel may be called, the best first. */
function* labelsOf(tunnel: Tunnel, alone: boolean): Generator<string> {
  if (tunnel.name !== undefined) yield tunnel.name;
  const ends = endsOf(tunnel);
  if (alone) yield ends;
  const out = tunnel.selectors.filter(({ dir }) => dir === 'out');
  const texts = out.map(({ selector: s }) => {
    const ports = s.proto || s.sport || s.dport ? ` proto ${s.proto} ${s.sport}:${s.dport}` : '';
    return `${s.saddr}/${s.prefixlenS} > ${s.daddr}/${s.prefixlenD}${ports}`;
  });
  const [first] = texts.sort();
  if (first !== undefined) yield `${ends} for ${first}`;
  yield `${ends}${tunnel.reqid ? ` reqid ${tunnel.reqid}` : ''}`;
  // At last its id, which is unique, and contains no SPI.
  yield tunnel.id;
  for (let n = 2; ; n++) yield `${tunnel.id} (${n})`;
}
