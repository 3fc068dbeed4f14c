/**
 * Keeps tables equal to the kernel's, from events, and from dumps where events are not enough.
 *
 * A state machine without I/O or knowledge of a protocol: its caller feeds it and does what it asks
 * for. docs/consistency.md has the contract and why it holds.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { Digest } from '../wire/digest.ts';
import {
  type CounterReading,
  type ObjectChange,
  type ObjectName,
  type ObjectTypes,
  type RemovalReason,
  setCounterReading,
  type TableChange,
} from './changes.ts';
import { DumpOrder } from './dump-order.ts';
import { type ObjectModel, type Rows, type Tables, tablesOf } from './object-model.ts';
import { type Orders, StagingTables } from './staging-tables.ts';
import { type Reading, type Row, type RowKey, type TableEntry, uidOf } from './table.ts';

export interface ReconcilerHost<K extends ObjectTypes> {
  now(): EventTime;
  /** Call {@link Reconciler.wake} after this time; a later call replaces an earlier one. */
  wakeAfter(milliseconds: number): void;
  /**
   * Dump everything: {@link Reconciler.dumped} for each object, then {@link Reconciler.dumpEnded}
   * once the events of all changes that the dump can contain have been queued.
   */
  dump(): void;
  /** Whether to go on with a part of a round; if not, call {@link Reconciler.proceed} later. */
  mayProceed(): boolean;
  emit(change: TableChange<K>): void;
}

/** Milliseconds between two rounds. */
export interface Backoff {
  /** From the end of a round to the next; doubled for each round that does not settle. */
  readonly least: number;
  /** 0: another chooses when rounds are. */
  readonly most: number;
}

/** Events kept to explain what is missing; more are not kept. */
const EXPLANATIONS = 1024;

/** Rounds that wait for pending removals; whatever remains then is considered permanent. */
const WAITS = 8;

/** What events of all protocols have in common. */
export interface ReconcilerEvent {
  readonly time: EventTime;
  readonly header: { readonly portId: number };
}

type Changeable<Thing> = { -readonly [Name in keyof Thing]: Thing[Name] };

const NOTHING = { added: 0, updated: 0, removed: 0, rounds: 0, overruns: 0, malformed: 0 };

type Phase = 'idle' | 'emptying' | 'dumping' | 'replaying' | 'settling' | 'comparing';

/**
 * Rounds of comparison: read events until none are queued (emptying), dump (dumping), apply the
 * events since then to what was dumped (replaying), read events until none are queued (settling),
 * compare (comparing). Events are applied throughout; replaying and comparing are done in parts.
 */
export class Reconciler<K extends ObjectTypes, Event extends ReconcilerEvent> {
  /** The tables, empty until the first round without doubts has ended. */
  readonly tables: Tables<K>;
  readonly #model: ObjectModel<K, Event>;
  readonly #host: ReconcilerHost<K>;
  readonly #limits: Backoff;
  readonly #live: Rows<K>;
  #incarnations = 0;
  #phase: Phase = 'idle';
  #opened = false;
  #synced = false;
  /** Whether a round is requested. */
  #wanted = true;
  /** Whether something in this round keeps it from settling everything. */
  #uncertain = false;
  readonly #orders: Orders<K>;
  #staging: StagingTables<K>;
  /** Events that arrived during the dump, and while those before them were replayed. */
  #overlap: Event[] = [];
  /** How many of them have been replayed. */
  #replayed = 0;
  #comparison: Iterator<void> | undefined;
  /** Whether all rows have been compared once: then only those that events touch are left. */
  #swept = false;
  #rounds = 0;
  /** Parts read in this round, and the last. */
  #parts = 0;
  #reading: Reading;
  /**
   * Readings of the rounds with even and odd numbers, used again two rounds later: nothing is as of
   * that round then, unless one was given up. New ones each time would have tens of thousands of rows
   * point to young objects, which the garbage collector then has to look at again and again.
   */
  #readings: readonly [Changeable<Reading>[], Changeable<Reading>[]] = [[], []];
  #explaining: Event[] = [];
  #notBefore = Number.NEGATIVE_INFINITY;
  #backoff: number;
  #waits = 0;
  #began: EventTime;
  #since: number | undefined;
  /** Counts since the tables were last right. */
  #tally = { ...NOTHING };
  #time: EventTime;
  /** When the counters were read of the object that is compared. */
  #countedAt: EventTime;
  #origin: 'kernel' | 'resync' = 'kernel';
  #portId = 0;

  constructor(model: ObjectModel<K, Event>, host: ReconcilerHost<K>, limits: Backoff) {
    this.#model = model;
    this.#host = host;
    this.#limits = limits;
    this.#backoff = limits.least;
    this.tables = tablesOf(model);
    const orders = this.#names.map((name) => [name, new DumpOrder()]);
    this.#orders = Object.fromEntries(orders) as Orders<K>;
    this.#staging = this.#staged();
    this.#time = host.now();
    this.#began = this.#time;
    this.#countedAt = this.#time;
    this.#reading = { round: 0, time: this.#time };
    this.#live = this.#rows();
  }

  /** Whether the tables are right, as far as can be known. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Whether a comparison is in progress or due. */
  get busy(): boolean {
    return this.#wanted || this.#phase !== 'idle';
  }

  /** Whether to call {@link empty} once no events are queued. */
  get waitsForEmpty(): boolean {
    return this.#phase === 'emptying' || this.#phase === 'settling';
  }

  /** Whether to call {@link proceed}, after other work. */
  get waitsForTime(): boolean {
    return this.#phase === 'replaying' || this.#phase === 'comparing';
  }

  /** How many events are buffered until they are replayed; reading may stop if there are many. */
  get kept(): number {
    return this.#overlap.length - this.#replayed;
  }

  /** Requests a comparison that begins after this call. */
  refresh(): void {
    this.#wanted = true;
    this.wake();
  }

  /** Call at the start, and when the time given to `wakeAfter` is up. */
  wake(): void {
    if (!this.#wanted || this.#phase !== 'idle') return;
    const wait = this.#notBefore - this.#host.now().monotonic;
    if (wait > 0) this.#host.wakeAfter(wait);
    else this.#phase = 'emptying';
  }

  event(event: Event): void {
    if (this.#model.explains?.(event) && this.#explaining.length < EXPLANATIONS) {
      this.#explaining.push(event);
    }
    this.#time = event.time;
    this.#origin = 'kernel';
    this.#portId = event.header.portId;
    if (this.#opened) this.#model.apply(event, this.#live);
    if (this.#phase === 'dumping' || this.#phase === 'replaying') this.#overlap.push(event);
    else if (this.#phase === 'settling' || this.#phase === 'comparing') {
      this.#model.apply(event, this.#staging);
    }
  }

  /** The kernel dropped events before those that follow. @param time when that was reported */
  lost(code: string, time: EventTime = this.#host.now()): void {
    this.#tally.overruns++;
    this.#missed(code, time);
  }

  /** An event is malformed: what it changed is unknown. */
  malformed(time: EventTime): void {
    this.#tally.malformed++;
    this.#missed('EBADMSG', time);
  }

  /** No events are queued, and none were lost unless {@link lost} said so. */
  empty(): void {
    if (this.#phase === 'emptying') this.#begin();
    else if (this.#phase === 'settling' && this.#compared()) this.#finish();
  }

  /** Continues what was interrupted because it took long. */
  proceed(): void {
    if (this.#phase === 'replaying') this.#replay();
    // It ends when no events are queued.
    else if (this.#phase === 'comparing' && this.#compared()) this.#phase = 'settling';
  }

  /** When what follows was read; without it, all of a dump is as of its beginning. */
  readAt(time: EventTime): void {
    const round = this.#rounds;
    if (time === this.#reading.time && round === this.#reading.round) return;
    const all = this.#readings[(round & 1) as 0 | 1];
    const reading = all[this.#parts] ?? { round, time };
    reading.round = round;
    reading.time = time;
    all[this.#parts++] = reading;
    this.#reading = reading;
  }

  /** @param digest of the object's message, if {@link recognized} was asked for it */
  dumped<N extends ObjectName<K>>(kind: N, value: K[N], digest?: Digest): void {
    this.#staging.stage(kind, value, this.#reading, digest);
  }

  /**
   * Takes a dumped object by the digest of its message, undecoded.
   *
   * @returns the object; undefined if the message must be decoded, for {@link dumped}
   */
  recognized<N extends ObjectName<K>>(kind: N, digest: Digest): K[N] | undefined {
    return this.#staging.recognize(kind, digest, this.#reading);
  }

  #staged(): StagingTables<K> {
    return new StagingTables(this.#model, this.tables, this.#orders, this.#rounds, !this.#opened);
  }

  /** The dump is complete, and so are the events of everything it contains. */
  dumpEnded(): void {
    this.#phase = 'replaying';
    this.#replay();
  }

  /** The dump failed; it will be repeated. */
  dumpFailed(): void {
    this.#again();
  }

  #replay(): void {
    const events = this.#overlap;
    while (this.#replayed < events.length) {
      this.#model.apply(events[this.#replayed++] as Event, this.#staging);
      if (this.#replayed < events.length && !this.#host.mayProceed()) return;
    }
    this.#forgetEvents();
    this.#phase = 'settling';
  }

  #forgetEvents(): void {
    this.#overlap = [];
    this.#replayed = 0;
  }

  #begin(): void {
    this.#phase = 'dumping';
    this.#wanted = false;
    this.#uncertain = false;
    this.#began = this.#host.now();
    this.#tally.rounds++;
    this.#rounds++;
    this.#parts = 0;
    this.readAt(this.#began);
    for (const name of this.#names) this.#orders[name].begin();
    this.#staging = this.#staged();
    this.#host.dump();
  }

  /** Compares as much as there is time for. @returns whether nothing is left */
  #compared(): boolean {
    this.#time = this.#host.now();
    this.#origin = 'resync';
    if (!this.#opened) return true;
    this.#comparison ??= this.#compareAll();
    while (!this.#comparison.next().done) {
      if (!this.#host.mayProceed()) {
        this.#phase = 'comparing';
        return false;
      }
    }
    this.#comparison = undefined;
    this.#swept = true;
    return true;
  }

  #finish(): void {
    const staging = this.#staging;
    const uncertain = this.#uncertain || staging.hasUncertain;
    const waits =
      !uncertain && this.#waits < WAITS && this.#model.awaitsSilentRemoval?.(staging.tables);
    this.#waits = waits ? this.#waits + 1 : 0;
    const again = uncertain || waits;
    if (!this.#opened && !again) {
      for (const name of this.#names) this.#adopt(name, staging);
    }
    if (again) this.#again();
    else this.#settled();
  }

  get #names(): ObjectName<K>[] {
    return Object.keys(this.tables) as ObjectName<K>[];
  }

  /** Dumps take at most half of the time, unless another chooses it. */
  #rest(least: number, now: number): number {
    return this.#limits.most === 0 ? 0 : Math.max(least, now - this.#began.monotonic);
  }

  #settled(): void {
    const [tally, time] = [this.#tally, this.#time];
    const lost = this.#opened && tally.overruns + tally.malformed > 0;
    const durationMs = time.monotonic - (this.#since ?? this.#began.monotonic);
    const { least } = this.#limits;
    this.#end();
    this.#backoff = least;
    this.#notBefore = time.monotonic + this.#rest(least, time.monotonic);
    this.#synced = true;
    this.#opened = true;
    this.#since = undefined;
    this.#tally = { ...NOTHING };
    this.#explaining = [];
    const kind = lost ? 'resynced' : 'refreshed';
    const change = { kind, ...tally, durationMs, time } as const;
    const moved = this.#names.map((name) => [name, this.tables[name].takeRecounted()]);
    const reading = { began: this.#began, moved: Object.fromEntries(moved) };
    setCounterReading(change, reading as CounterReading<K>);
    this.#host.emit(change);
    if (this.#wanted) this.wake();
  }

  /** Forgets what a round needed. */
  #end(): void {
    this.#phase = 'idle';
    this.#comparison = undefined;
    this.#swept = false;
    this.#forgetEvents();
    this.#staging = this.#staged();
  }

  /** The next round, after a growing delay. */
  #again(): void {
    this.#end();
    // Its rows are no longer to become those of the tables.
    if (!this.#opened) for (const name of this.#names) this.#orders[name].forget();
    this.#readings = [[], []];
    this.#wanted = true;
    const now = this.#host.now().monotonic;
    this.#notBefore = now + this.#rest(this.#backoff, now);
    this.#backoff = Math.min(this.#backoff * 2, this.#limits.most);
    this.wake();
  }

  #missed(code: string, time: EventTime): void {
    if (this.#opened && this.#tally.overruns + this.#tally.malformed === 1) {
      this.#host.emit({ kind: 'overrun', code, time });
    }
    this.#markUncertain();
  }

  #markUncertain(): void {
    this.#synced = false;
    this.#since ??= this.#host.now().monotonic;
    this.#uncertain = true;
    this.#wanted = true;
    this.wake();
  }

  /** Fills the tables for the first time, before anyone has seen them. */
  #adopt<N extends ObjectName<K>>(name: N, staging: StagingTables<K>): void {
    const fresh = staging.changed(name);
    const rows = staging.inOrder(name, [...fresh.holders()]);
    this.tables[name].adopt(fresh, rows, () => ++this.#incarnations, this.#time);
  }

  /** Names a new incarnation; the last was added last ({@link incarnationOf}). */
  #named<N extends ObjectName<K>>(name: N, value: K[N], key: RowKey) {
    const id = this.#model.kinds[name].id?.(value) ?? String(key);
    const countersReadAt = this.#origin === 'resync' ? this.#countedAt : this.#time;
    return { id, uid: this.#uid(id), countersReadAt };
  }

  #uid(id: string): string {
    return uidOf(id, ++this.#incarnations);
  }

  /**
   * Gives the live tables what the staging tables have, then what events change meanwhile. Pauses
   * often: events may be applied to both then.
   */
  *#compareAll(): Generator<void> {
    const staging = this.#staging;
    for (const name of this.#swept ? [] : this.#names) {
      yield* this.#sweep(name, staging);
      yield* this.#compare(name, staging);
    }
    while (!staging.isCompared) {
      for (const name of this.#names) yield* this.#compare(name, staging);
    }
  }

  /** Removes rows that were not dumped. */
  *#sweep<N extends ObjectName<K>>(name: N, staging: StagingTables<K>): Generator<void> {
    const fresh = staging.tables[name];
    for (const key of this.tables[name].unread(this.#rounds)) {
      if (key !== undefined && fresh.value(key) === undefined) this.#compareRow(name, key, staging);
      yield;
    }
  }

  /** What is removed comes first, then what is updated, then what is added, in its order. */
  *#compare<N extends ObjectName<K>>(name: N, staging: StagingTables<K>): Generator<void> {
    for (const key of staging.gone(name)) {
      this.#compareRow(name, key, staging);
      yield;
    }
    const added: Row<K[N]>[] = [];
    for (const row of staging.changed(name).holders()) {
      if (!this.#compareRow(name, row.key, staging, 'same')) added.push(row);
      yield;
    }
    for (const { key } of staging.inOrder(name, added)) {
      this.#compareRow(name, key, staging);
      yield;
    }
  }

  /**
   * Makes a live row what the staging table has. If that is uncertain, the live row stays, and the
   * next round decides.
   *
   * @param only `same`: not if that adds an object. @returns whether it was done
   */
  #compareRow<N extends ObjectName<K>>(
    name: N,
    key: RowKey,
    staging: StagingTables<K>,
    only?: 'same',
  ): boolean {
    const model = this.#model.kinds[name];
    const value = staging.tables[name].value(key);
    const known = this.tables[name].value(key);
    const same =
      known !== undefined &&
      value !== undefined &&
      (known === value || (model.sameIncarnation?.(known, value) ?? true));
    // Even if uncertain, better shown too early than not at all.
    const stays = known !== undefined && staging.isUncertain(name, key);
    if (only === 'same' && value !== undefined && !same && !stays) return false;
    this.#countedAt = staging.changed(name).readAt(key) ?? this.#time;
    if (!stays) {
      if (value !== undefined) this.#live.put(name, key, value, same ? 'same' : 'new');
      else if (known !== undefined) {
        this.#live.remove(name, key, model.missing?.(known, this.#explaining) ?? 'found-missing');
      }
    }
    if (staging.tables[name].isDoubted(key)) this.tables[name].doubt(key);
    staging.compared(name, key, { round: this.#rounds, time: this.#countedAt });
    return true;
  }

  /** The rows of the live tables, which report each change. */
  #rows(): Rows<K> {
    // All callers are below. Each passes one literal: building changes from parts with `...` cost a
    // monitor a third of its time.
    const tell = (change: { object: ObjectName<K>; [field: string]: unknown }) =>
      this.#host.emit(change as unknown as ObjectChange<K>);
    const count = (what: 'added' | 'updated' | 'removed') => {
      if (this.#origin === 'resync') this.#tally[what]++;
    };
    // What an event changes in a round is compared at its end.
    const keep = (object: ObjectName<K>, key: RowKey) => {
      const staged = this.#phase !== 'idle' && this.#phase !== 'emptying';
      if (staged && this.#origin === 'kernel') this.#staging.keep(object, key);
    };
    const removed = <N extends ObjectName<K>>(
      object: N,
      { id, uid, value: known, countersReadAt: readAt }: TableEntry<K[N]>,
      reason: RemovalReason,
      last?: K[N],
    ) => {
      const [origin, time] = [this.#origin, this.#time];
      count('removed');
      const value = last ?? known;
      const countersReadAt = last ? time : readAt;
      const change = {
        kind: 'removed',
        object,
        id,
        uid,
        value,
        countersReadAt,
        origin,
        time,
        reason,
      };
      const asked = origin === 'kernel' && (reason === 'deleted' || reason === 'flushed');
      tell(asked ? Object.assign(change, { portId: this.#portId }) : change);
    };
    return {
      overlap: false,
      tables: this.tables,
      put: (object, key, value, as) => {
        const [origin, time] = [this.#origin, this.#time];
        keep(object, key);
        const table = this.tables[object];
        const row = table.row(key);
        if (as === 'same' && origin === 'kernel' && row?.value === value) return;
        const known = row && table.entryOf(row);
        if (known !== undefined && as === 'same') {
          // An update event repeats the previous counters.
          const countersReadAt = origin === 'resync' ? this.#countedAt : known.countersReadAt;
          const { id, uid, value: before } = known;
          table.set(key, { id, uid, value, countersReadAt }, row);
          if (before === value) return;
          const fields = this.#model.kinds[object].differences(before, value);
          if (fields.length === 0) {
            table.recounted(key);
            return;
          }
          count('updated');
          tell({
            kind: 'updated',
            object,
            id,
            uid,
            value,
            countersReadAt,
            origin,
            time,
            before,
            fields,
          });
          return;
        }
        if (known !== undefined) {
          table.clear(key);
          removed(object, known, 'replaced');
        }
        const { id, uid, countersReadAt } = this.#named(object, value, key);
        table.set(key, { id, uid, value, countersReadAt }, row);
        count('added');
        tell({ kind: 'added', object, id, uid, value, countersReadAt, origin, time });
      },
      remove: (object, key, reason, last) => {
        const known = this.tables[object].get(key);
        if (known === undefined) return;
        keep(object, key);
        this.tables[object].delete(key);
        removed(object, known, reason, last);
      },
      expiring: (object, key, value) => {
        const [origin, time] = [this.#origin, this.#time];
        const known = this.tables[object].get(key);
        if (known === undefined) return;
        keep(object, key);
        const { id, uid } = known;
        this.tables[object].set(key, { id, uid, value, countersReadAt: time });
        tell({ kind: 'expiring', object, id, uid, value, countersReadAt: time, origin, time });
      },
      markUncertain: () => this.#markUncertain(),
    };
  }
}
