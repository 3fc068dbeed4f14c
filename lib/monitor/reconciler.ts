/**
 * Keeps tables equal to the kernel's: from events, and from dumps where events are not enough.
 *
 * A state machine without input or output, that knows no protocol: whoever feeds it tells it what
 * came, and does what it asks. docs/consistency.md has the contract and why it holds.
 * @module
 */
import type { EventTime } from '../netlink/event.ts';
import type { ObjectChange, ObjectName, ObjectTypes, TableChange } from './changes.ts';
import { type ObjectModel, type Rows, type Tables, tablesOf } from './object-model.ts';
import { StagingTables } from './staging-tables.ts';

export interface ReconcilerHost<K extends ObjectTypes> {
  now(): EventTime;
  /** Call {@link Reconciler.wake} after so many milliseconds; a later call replaces an earlier one. */
  wakeAfter(milliseconds: number): void;
  /**
   * Dump everything: {@link Reconciler.dumped} for each object, then {@link Reconciler.dumpEnded}
   * when all events of changes that the dump can hold have been queued.
   */
  dump(): void;
  emit(change: TableChange<K>): void;
}

/** Milliseconds between two rounds. */
export interface Backoff {
  /** Between the end of a round and the next; doubled for each that does not settle. */
  readonly least: number;
  readonly most: number;
}

/** Events kept to say why something is missing; those beyond are not. */
const EXPLANATIONS = 1024;

/** Rounds that wait for what is about to go; what is still there then is taken for what stays. */
const WAITS = 8;

/** What the events of all protocols have. */
export interface ReconcilerEvent {
  readonly time: EventTime;
  readonly header: { readonly portId: number };
}

const NOTHING = { added: 0, updated: 0, removed: 0, rounds: 0, overruns: 0, malformed: 0 };

type Phase = 'idle' | 'emptying' | 'dumping' | 'settling';

/**
 * Rounds of comparison: read events until none wait (emptying), dump (dumping), read events until
 * none wait (settling), compare. Events go on being applied all the while.
 */
export class Reconciler<K extends ObjectTypes, Event extends ReconcilerEvent> {
  /** The tables. They hold nothing before the first round that leaves no doubt has ended. */
  readonly tables: Tables<K>;
  readonly #model: ObjectModel<K, Event>;
  readonly #host: ReconcilerHost<K>;
  readonly #limits: Backoff;
  readonly #live: Rows<K>;
  #incarnations = 0;
  #phase: Phase = 'idle';
  #opened = false;
  #synced = false;
  /** A round is to begin: why it was asked for. */
  #wanted = true;
  /** Something came during this round after which it cannot settle everything. */
  #uncertain = false;
  #staging: StagingTables<K>;
  /** Events that came while the dump was made. */
  #overlap: Event[] = [];
  #explaining: Event[] = [];
  #notBefore = Number.NEGATIVE_INFINITY;
  #backoff: number;
  #waits = 0;
  #began = 0;
  #since: number | undefined;
  /** Since the tables were last right. */
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

  /** Whether the table is right as far as anyone can know. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Whether a comparison is under way or due. */
  get busy(): boolean {
    return this.#wanted || this.#phase !== 'idle';
  }

  /** Whether {@link empty} is to be called once no events wait. */
  get waitsForEmpty(): boolean {
    return this.#phase === 'emptying' || this.#phase === 'settling';
  }

  /** How many events are kept until the dump has ended; reading may stop if they are many. */
  get kept(): number {
    return this.#overlap.length;
  }

  /** Asks for a comparison. What is called later begins later. */
  refresh(): void {
    this.#wanted = true;
    this.wake();
  }

  /** To be called at the start, and when the time asked for with `wakeAfter` has come. */
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

  /** The kernel dropped events, before those that follow. @param time when that was told */
  lost(code: string, time: EventTime = this.#host.now()): void {
    this.#tally.overruns++;
    this.#missed(code, time);
  }

  /** An event makes no sense: nobody knows what it changed. */
  malformed(time: EventTime): void {
    this.#tally.malformed++;
    this.#missed('EBADMSG', time);
  }

  /** No events wait, and none that were ever queued were lost unless {@link lost} said so. */
  empty(): void {
    if (this.#phase === 'emptying') this.#begin();
    else if (this.#phase === 'settling') this.#finish();
  }

  dumped<N extends ObjectName<K>>(kind: N, value: K[N]): void {
    this.#staging.stage(kind, value);
  }

  /** The dump is complete, and so are the events of all that it shows. */
  dumpEnded(): void {
    this.#phase = 'settling';
    for (const event of this.#overlap) this.#model.apply(event, this.#staging);
    this.#overlap = [];
  }

  /** The dump could not be made; it is tried again. */
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
    // At most half of the time goes into dumps.
    this.#notBefore = time.monotonic + Math.max(least, time.monotonic - this.#began);
    this.#synced = true;
    this.#opened = true;
    this.#since = undefined;
    this.#tally = { ...NOTHING };
    this.#explaining = [];
    this.#host.emit({ kind: lost ? 'resynced' : 'refreshed', ...tally, durationMs, time });
    if (this.#wanted) this.wake();
  }

  /** The next round, later than the last such. */
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

  /** The first tables: nobody has seen any before. */
  #adopt<N extends ObjectName<K>>(name: N, staging: StagingTables<K>): void {
    this.tables[name].adopt(staging.tables[name], (value, key) => this.#named(name, value, key));
  }

  /** A new incarnation. */
  #named<N extends ObjectName<K>>(name: N, value: K[N], key: string) {
    const id = this.#model.kinds[name].id?.(value) ?? key;
    return { id, uid: `${id} #${++this.#incarnations}`, countersReadAt: this.#time };
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
    for (const [key, { value }] of fresh.rows()) {
      const known = live.get(key)?.value;
      if (known === undefined) {
        // Uncertain, better shown too early than not at all: the next round decides.
        this.#live.put(name, key, value, 'new');
      } else if (!staging.isUncertain(name, key)) {
        const same = model.sameIncarnation?.(known, value) ?? true;
        this.#live.put(name, key, value, same ? 'same' : 'new');
      }
    }
  }

  /** The rows of the live tables: each change is told. */
  #rows(): Rows<K> {
    // The callers below are all there are. Each gives one literal: changes made of parts with `...`
    // cost a monitor a third of all its time.
    const tell = (change: { object: ObjectName<K>; [field: string]: unknown }) =>
      this.#host.emit(change as unknown as ObjectChange<K>);
    const count = (what: 'added' | 'updated' | 'removed') => {
      if (this.#origin === 'resync') this.#tally[what]++;
    };
    return {
      overlap: false,
      tables: this.tables,
      put: (object, key, value, as) => {
        const [origin, time] = [this.#origin, this.#time];
        const table = this.tables[object];
        const known = table.get(key);
        if (known !== undefined && as === 'same') {
          // An event of a change repeats the counters of before.
          const countersReadAt = origin === 'resync' ? time : known.countersReadAt;
          const { id, uid, value: before } = known;
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
        if (known !== undefined) this.#live.remove(object, key, 'replaced');
        const { id, uid, countersReadAt } = this.#named(object, value, key);
        table.set(key, { id, uid, value, countersReadAt });
        count('added');
        tell({ kind: 'added', object, id, uid, value, countersReadAt, origin, time });
      },
      remove: (object, key, reason, last) => {
        const [origin, time] = [this.#origin, this.#time];
        const known = this.tables[object].get(key);
        if (known === undefined) return;
        this.tables[object].delete(key);
        count('removed');
        const { id, uid } = known;
        const value = last ?? known.value;
        const countersReadAt = last ? time : known.countersReadAt;
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
