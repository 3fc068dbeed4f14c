/**
 * Keeps tables equal to the kernel's, from events, and from dumps where events are not enough.
 *
 * A state machine without I/O or knowledge of a protocol: its caller feeds it and does what it asks
 * for. docs/consistency.md has the contract and why it holds.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type {
  ObjectChange,
  ObjectName,
  ObjectTypes,
  RemovalReason,
  TableChange,
} from './changes.ts';
import { type ObjectModel, type Rows, type Tables, tablesOf } from './object-model.ts';
import { StagingTables } from './staging-tables.ts';
import { type TableEntry, uidOf } from './table.ts';

export interface ReconcilerHost<K extends ObjectTypes> {
  now(): EventTime;
  /** Call {@link Reconciler.wake} after this time; a later call replaces an earlier one. */
  wakeAfter(milliseconds: number): void;
  /**
   * Dump everything: {@link Reconciler.dumped} for each object, then {@link Reconciler.dumpEnded}
   * once the events of all changes that the dump can contain have been queued.
   */
  dump(): void;
  emit(change: TableChange<K>): void;
}

/** Milliseconds between two rounds. */
export interface Backoff {
  /** From the end of a round to the next; doubled for each round that does not settle. */
  readonly least: number;
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

const NOTHING = { added: 0, updated: 0, removed: 0, rounds: 0, overruns: 0, malformed: 0 };

type Phase = 'idle' | 'emptying' | 'dumping' | 'settling';

/**
 * Rounds of comparison: read events until none are queued (emptying), dump (dumping), read events
 * until none are queued (settling), compare. Events are applied throughout.
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
  #staging: StagingTables<K>;
  /** Events that arrived during the dump. */
  #overlap: Event[] = [];
  #explaining: Event[] = [];
  #notBefore = Number.NEGATIVE_INFINITY;
  #backoff: number;
  #waits = 0;
  #began = 0;
  #since: number | undefined;
  /** Counts since the tables were last right. */
  #tally = { ...NOTHING };
  #time: EventTime;
  #origin: 'kernel' | 'resync' = 'kernel';
  #portId = 0;

  constructor(model: ObjectModel<K, Event>, host: ReconcilerHost<K>, limits: Backoff) {
    this.#model = model;
    this.#host = host;
    this.#limits = limits;
    this.#backoff = limits.least;
    this.tables = tablesOf(model);
    this.#staging = new StagingTables(model, this.tables);
    this.#time = host.now();
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

  /** How many events are buffered until the dump ends; reading may stop if there are many. */
  get kept(): number {
    return this.#overlap.length;
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
    if (this.#phase === 'dumping') this.#overlap.push(event);
    else if (this.#phase === 'settling') this.#model.apply(event, this.#staging);
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
    else if (this.#phase === 'settling') this.#finish();
  }

  dumped<N extends ObjectName<K>>(kind: N, value: K[N]): void {
    this.#staging.stage(kind, value);
  }

  /** The dump is complete, and so are the events of everything it contains. */
  dumpEnded(): void {
    this.#phase = 'settling';
    for (const event of this.#overlap) this.#model.apply(event, this.#staging);
    this.#overlap = [];
  }

  /** The dump failed; it will be repeated. */
  dumpFailed(): void {
    this.#overlap = [];
    this.#again();
  }

  #begin(): void {
    this.#phase = 'dumping';
    this.#wanted = false;
    this.#uncertain = false;
    this.#began = this.#host.now().monotonic;
    this.#tally.rounds++;
    this.#staging = new StagingTables(this.#model, this.tables);
    this.#host.dump();
  }

  #finish(): void {
    this.#time = this.#host.now();
    this.#origin = 'resync';
    const staging = this.#staging;
    const uncertain = this.#uncertain || staging.hasUncertain;
    const waits =
      !uncertain && this.#waits < WAITS && this.#model.awaitsSilentRemoval?.(staging.tables);
    this.#waits = waits ? this.#waits + 1 : 0;
    const again = uncertain || waits;
    for (const name of Object.keys(this.tables) as ObjectName<K>[]) {
      if (this.#opened) this.#compare(name, staging);
      else if (!again) this.#adopt(name, staging);
    }
    this.#staging = new StagingTables(this.#model, this.tables);
    if (again) this.#again();
    else this.#settled();
  }

  #settled(): void {
    const [tally, time] = [this.#tally, this.#time];
    const lost = this.#opened && tally.overruns + tally.malformed > 0;
    const durationMs = time.monotonic - (this.#since ?? this.#began);
    const { least } = this.#limits;
    this.#phase = 'idle';
    this.#backoff = least;
    // Dumps take at most half of the time.
    this.#notBefore = time.monotonic + Math.max(least, time.monotonic - this.#began);
    this.#synced = true;
    this.#opened = true;
    this.#since = undefined;
    this.#tally = { ...NOTHING };
    this.#explaining = [];
    this.#host.emit({ kind: lost ? 'resynced' : 'refreshed', ...tally, durationMs, time });
    if (this.#wanted) this.wake();
  }

  /** The next round, after a growing delay. */
  #again(): void {
    this.#phase = 'idle';
    this.#wanted = true;
    const now = this.#host.now().monotonic;
    this.#notBefore = now + Math.max(this.#backoff, now - this.#began);
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
    const fresh = staging.tables[name];
    const keys = staging.inOrder(
      name,
      Array.from(fresh.rows(), ([key]) => key),
    );
    const idOf = this.#model.kinds[name].id;
    const time = this.#time;
    this.tables[name].adopt(fresh, keys, (entry, key) => {
      entry.id = idOf?.(entry.value) ?? key;
      entry.uid = this.#uid(entry.id);
      entry.countersReadAt = time;
    });
  }

  /** Names a new incarnation; the last was added last ({@link incarnationOf}). */
  #named<N extends ObjectName<K>>(name: N, value: K[N], key: string) {
    const id = this.#model.kinds[name].id?.(value) ?? key;
    return { id, uid: this.#uid(id), countersReadAt: this.#time };
  }

  #uid(id: string): string {
    return uidOf(id, ++this.#incarnations);
  }

  #compare<N extends ObjectName<K>>(name: N, staging: StagingTables<K>): void {
    const model = this.#model.kinds[name];
    const live = this.tables[name];
    const fresh = staging.tables[name];
    for (const [key, { value }] of live.rows()) {
      if (fresh.get(key) || staging.isUncertain(name, key)) continue;
      const reason = model.missing?.(value, this.#explaining) ?? 'found-missing';
      this.#live.remove(name, key, reason);
    }
    const added: string[] = [];
    for (const [key, { value }] of fresh.rows()) {
      const known = live.get(key)?.value;
      // Even if uncertain, better shown too early than not at all: the next round decides.
      if (known !== undefined && staging.isUncertain(name, key)) continue;
      const same =
        known !== undefined && (known === value || (model.sameIncarnation?.(known, value) ?? true));
      if (same) this.#live.put(name, key, value, 'same');
      else added.push(key);
    }
    for (const key of staging.inOrder(name, added)) {
      this.#live.put(name, key, (fresh.get(key) as TableEntry<K[N]>).value, 'new');
    }
    for (const [key] of fresh.rows()) if (fresh.isDoubted(key)) live.doubt(key);
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
        const table = this.tables[object];
        const known = table.get(key);
        if (known !== undefined && as === 'same') {
          // An update event repeats the previous counters.
          const countersReadAt = origin === 'resync' ? time : known.countersReadAt;
          const { id, uid, value: before } = known;
          if (before === value && countersReadAt === known.countersReadAt) return;
          table.set(key, { id, uid, value, countersReadAt });
          if (before === value) return;
          const fields = this.#model.kinds[object].differences(before, value);
          if (fields.length === 0) return;
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
        table.set(key, { id, uid, value, countersReadAt });
        count('added');
        tell({ kind: 'added', object, id, uid, value, countersReadAt, origin, time });
      },
      remove: (object, key, reason, last) => {
        const known = this.tables[object].get(key);
        if (known === undefined) return;
        this.tables[object].delete(key);
        removed(object, known, reason, last);
      },
      expiring: (object, key, value) => {
        const [origin, time] = [this.#origin, this.#time];
        const known = this.tables[object].get(key);
        if (known === undefined) return;
        const { id, uid } = known;
        this.tables[object].set(key, { id, uid, value, countersReadAt: time });
        tell({ kind: 'expiring', object, id, uid, value, countersReadAt: time, origin, time });
      },
      markUncertain: () => this.#markUncertain(),
    };
  }
}
