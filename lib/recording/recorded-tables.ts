/**
 * The tables of one protocol in one namespace, as a recording says they were: its events and
 * snapshots feed the {@link Reconciler} in the place of sockets and dumps.
 * @module
 */
import type { ObjectName, ObjectTypes, TableChange } from '../monitor/changes.ts';
import type { ObjectModel, Tables } from '../monitor/object-model.ts';
import { Reconciler, type ReconcilerEvent } from '../monitor/reconciler.ts';
import type { EventTime } from '../netlink/event.ts';
import type { SnapshotNote } from './records.ts';

/** Snapshots are where they were recorded: there is nothing to wait for. */
const AT_ONCE = { least: 0, most: 0 };

export class RecordedTables<K extends ObjectTypes, Event extends ReconcilerEvent> {
  readonly #table: Reconciler<K, Event>;
  readonly #changed: (change: TableChange<K>) => void;
  #now: EventTime = { wall: 0, monotonic: 0 };
  /** Whether a dump is being read, and whether all of it was. */
  #dumping = false;
  #complete = true;
  #settling = false;
  #isOpen = false;
  #lacking = false;
  /** What the first dump lists, the last first. */
  readonly #first: (() => void)[] | undefined;

  /**
   * @param changed called when the tables are complete for the first time, and for each change after
   * @param oldestFirst whether entries are in the order in which they were added: the kernel lists the newest first
   */
  constructor(
    model: ObjectModel<K, Event>,
    changed: (change: TableChange<K>) => void,
    oldestFirst = false,
  ) {
    this.#changed = changed;
    this.#first = oldestFirst ? [] : undefined;
    const host = {
      now: () => this.#now,
      wakeAfter: () => {},
      mayProceed: () => true,
      dump: () => {
        this.#dumping = true;
        this.#complete = true;
      },
      emit: (change: TableChange<K>) => this.#emit(change),
    };
    this.#table = new Reconciler<K, Event>(model, host, AT_ONCE);
  }

  get tables(): Tables<K> {
    return this.#table.tables;
  }

  /** Whether a snapshot has been read. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether the tables are right, as far as the recording says. */
  get synced(): boolean {
    return this.#table.synced;
  }

  /** Whether something was lost since the last snapshot. */
  get lacking(): boolean {
    return this.#lacking;
  }

  set now(time: EventTime) {
    this.#now = time;
  }

  event(event: Event): void {
    this.#table.event(event);
  }

  malformed(): void {
    this.#lacking = true;
    this.#complete = false;
    this.#table.malformed(this.#now);
  }

  lost(code: string): void {
    this.#lacking = true;
    this.#table.lost(code, this.#now);
  }

  /** A part of the recording is missing. */
  missing(code: string): void {
    this.#complete = false;
    this.lost(code);
  }

  dumped<N extends ObjectName<K>>(kind: N, value: K[N]): void {
    if (!this.#dumping) return;
    const time = this.#now;
    const take = () => {
      this.#table.readAt(time);
      this.#table.dumped(kind, value);
    };
    if (this.#isOpen || this.#first === undefined) take();
    else this.#first.push(take);
  }

  snapshot(phase: SnapshotNote['phase']): void {
    const table = this.#table;
    if (phase === 'begin') {
      this.#endDump(false);
      if (this.#settling) this.#settle();
      table.refresh();
      if (table.waitsForEmpty) table.empty();
    } else if (phase === 'dumped') this.#endDump(this.#complete);
    else if (phase === 'failed') this.#endDump(false);
    else if (this.#settling) this.#settle();
  }

  #endDump(complete: boolean): void {
    if (!this.#dumping) return;
    this.#dumping = false;
    this.#settling = complete;
    const first = this.#first?.splice(0) ?? [];
    for (const take of complete ? first.reverse() : []) take();
    if (complete) this.#table.dumpEnded();
    else this.#table.dumpFailed();
  }

  #settle(): void {
    this.#settling = false;
    this.#table.empty();
  }

  #emit(change: TableChange<K>): void {
    if (change.kind === 'resynced' || change.kind === 'refreshed') {
      this.#isOpen = true;
      this.#lacking = false;
    }
    if (this.#isOpen) this.#changed(change);
  }
}
