/** What a dump says, as differences from the live tables. @module */
import type { EventTime } from '../netlink/event.ts';
import type { Digest } from '../wire/digest.ts';
import type { ObjectName, ObjectTypes } from './changes.ts';
import type { DumpOrder } from './dump-order.ts';
import type { Lookups, ObjectModel, Rows, Tables } from './object-model.ts';
import {
  equal,
  type Indexers,
  type Lookup,
  type Reading,
  type Row,
  type RowKey,
  Table,
} from './table.ts';

/**
 * The rows of one kind. A live row that was read in this round, and not touched since, is one of
 * them; `changed` and `gone` say what is different, and have been compared when they are empty.
 */
class StagedTable<Value> implements Lookup<Value> {
  readonly live: Table<Value>;
  /** Rows that the live table does not have, or has with another value. */
  readonly changed: Table<Value>;
  /** Keys of rows that the live table has, or had in this round, and this one has not. */
  readonly gone = new Set<RowKey>();
  /** Keys of rows that events added. */
  readonly announced = new Set<RowKey>();
  readonly #round: number;

  constructor(live: Table<Value>, indexes: Indexers<Value>, round: number) {
    this.live = live;
    this.changed = new Table(indexes);
    this.#round = round;
  }

  /** Whether a row is, or was, not that of the live table. */
  isOwn(key: RowKey): boolean {
    return (
      (this.gone.size > 0 && this.gone.has(key)) ||
      (this.changed.size > 0 && this.changed.row(key) !== undefined)
    );
  }

  /** The live row that a dumped object with this key is about, unless there already is such a row. */
  liveFor(key: RowKey): Row<Value> | undefined {
    const row = this.live.row(key);
    return row && this.isAwaited(row) ? row : undefined;
  }

  /** Whether a live row was not read in this round, nor changed by an event. */
  isAwaited(row: Row<Value>): boolean {
    return !this.isRead(row) && !this.isOwn(row.key);
  }

  /** Whether a live row was read in this round. */
  isRead({ reading }: Row<Value>): boolean {
    return reading?.round === this.#round;
  }

  value(key: RowKey): Value | undefined {
    const own = this.changed.value(key);
    return own !== undefined || this.gone.has(key) ? own : this.#unchanged(key);
  }

  *rows(): Generator<[RowKey, Value], undefined> {
    for (const row of this.live.rows()) if (this.#isUnchanged(row[0])) yield row;
    yield* this.changed.rows();
  }

  findRows(index: string, text: string): [RowKey, Value][] {
    const unchanged = this.live.findRows(index, text).filter(([key]) => this.#isUnchanged(key));
    return [...unchanged, ...this.changed.findRows(index, text)];
  }

  isUnused(index: string): boolean {
    return this.live.isUnused(index) && this.changed.isUnused(index);
  }

  /** Only rows that an event has just set are doubted. */
  doubt(key: RowKey): void {
    this.changed.doubt(key);
  }

  isDoubted(key: RowKey): boolean {
    return (this.changed.row(key) ? this.changed : this.live).isDoubted(key);
  }

  /** @param readAt when its counters were read, if that is known */
  set(key: RowKey, value: Value, readAt?: EventTime): void {
    this.gone.delete(key);
    this.changed.update(key, value, readAt);
  }

  /** As {@link set}, for a key that is not there. */
  add(key: RowKey, value: Value, readAt: EventTime): Row<Value> {
    this.gone.delete(key);
    return this.changed.add(key, value, readAt);
  }

  delete(key: RowKey): void {
    this.changed.delete(key);
    this.gone.add(key);
  }

  /** Keeps a row as it is here while that of the live table changes. */
  keep(key: RowKey): void {
    if (this.isOwn(key)) return;
    const value = this.#unchanged(key);
    if (value === undefined) {
      this.gone.add(key);
      return;
    }
    this.set(key, value);
    if (this.live.isDoubted(key)) this.doubt(key);
  }

  /** The live table now has the row as it is here. */
  compared(key: RowKey, reading: Reading): void {
    this.gone.delete(key);
    this.changed.delete(key);
    const row = this.live.row(key);
    if (row) row.reading = reading;
  }

  #unchanged(key: RowKey): Value | undefined {
    const row = this.live.row(key);
    return row && this.isRead(row) ? row.value : undefined;
  }

  #isUnchanged(key: RowKey): boolean {
    return this.#unchanged(key) !== undefined && !this.isOwn(key);
  }
}

/** Dumps of before, by kind. */
export type Orders<K extends ObjectTypes> = {
  readonly [Name in ObjectName<K>]: DumpOrder<K[Name]>;
};

type Staged<K extends ObjectTypes> = { readonly [Name in ObjectName<K>]: StagedTable<K[Name]> };

/**
 * The staging tables of a dump: its rows, with the events that arrived during it applied. What the
 * live tables have, too, is not stored twice, so that a comparison takes little memory.
 */
export class StagingTables<K extends ObjectTypes> implements Rows<K> {
  readonly overlap = true;
  readonly #kinds: ObjectModel<K, never>['kinds'];
  readonly #names: readonly ObjectName<K>[];
  readonly #staged: Staged<K>;
  readonly #uncertain = new Set<string>();
  readonly #orders: Orders<K>;
  readonly #opens: boolean;
  /** The parts of the value staged last. */
  readonly #parts: Record<string, object> = {};

  /**
   * @param round as in the readings of this dump
   * @param opens whether the live tables, still empty, are to adopt the rows of this dump
   */
  constructor(
    { kinds }: Pick<ObjectModel<K, never>, 'kinds'>,
    live: Tables<K>,
    orders: Orders<K>,
    round: number,
    opens: boolean,
  ) {
    this.#kinds = kinds;
    this.#orders = orders;
    this.#opens = opens;
    this.#names = Object.keys(kinds) as ObjectName<K>[];
    const staged = this.#names.map((name) => {
      return [name, new StagedTable(live[name], kinds[name].indexes, round)];
    });
    this.#staged = Object.fromEntries(staged) as Staged<K>;
  }

  get tables(): Lookups<K> {
    return this.#staged;
  }

  /** Whether a row is uncertain, or all are. */
  get hasUncertain(): boolean {
    return this.#uncertain.size > 0;
  }

  isUncertain(kind: string, key: RowKey): boolean {
    return this.#uncertain.size > 0 && this.#uncertain.has(`${kind} ${key}`);
  }

  /** The rows that the live tables do not have as they are here. */
  changed<N extends ObjectName<K>>(kind: N): Table<K[N]> {
    return this.#staged[kind].changed;
  }

  /** Keys of rows that are not here, and were in the live tables in this round. */
  gone(kind: ObjectName<K>): ReadonlySet<RowKey> {
    return this.#staged[kind].gone;
  }

  /** Whether the live tables have all rows as they are here, if they have no others. */
  get isCompared(): boolean {
    return this.#names.every((name) => {
      const { changed, gone } = this.#staged[name];
      return changed.size === 0 && gone.size === 0;
    });
  }

  /** The live tables now have a row as it is here. @param reading of the comparison */
  compared(kind: ObjectName<K>, key: RowKey, reading: Reading): void {
    this.#staged[kind].compared(key, reading);
  }

  /** An event is about to change a row of the live tables. */
  keep(kind: ObjectName<K>, key: RowKey): void {
    this.#staged[kind].keep(key);
  }

  /**
   * Puts rows into the order in which they were added: those that events added during the dump last.
   */
  inOrder<N extends ObjectName<K>>(kind: N, rows: Row<K[N]>[]): Row<K[N]>[] {
    const { announced } = this.#staged[kind];
    const [dumped, added] =
      announced.size === 0
        ? [rows, []]
        : [
            rows.filter(({ key }) => !announced.has(key)),
            rows.filter(({ key }) => announced.has(key)),
          ];
    if (this.#kinds[kind].newestFirst) dumped.reverse();
    return added.length === 0 ? dumped : [...dumped, ...added];
  }

  /**
   * Stages a dumped object by its message, if that is the same as in the last dump, and its row
   * still holds what it was decoded into then.
   *
   * @returns that; undefined: decode it, and call {@link stage}
   */
  recognize<N extends ObjectName<K>>(kind: N, digest: Digest, reading: Reading): K[N] | undefined {
    const order = this.#orders[kind];
    const row = order.find(digest);
    if (row === undefined || !this.#staged[kind].isAwaited(row)) return undefined;
    order.pass(row);
    row.reading = reading;
    return row.value;
  }

  /**
   * Stages a dumped object. Other counters alone are set in the live tables.
   *
   * @param digest of its message
   */
  stage<N extends ObjectName<K>>(kind: N, value: K[N], reading: Reading, digest?: Digest): void {
    this.#stageAt(kind, this.#kinds[kind].key(value), value, reading, digest);
  }

  #stageAt<N extends ObjectName<K>>(
    kind: N,
    key: RowKey,
    value: K[N],
    reading: Reading,
    digest: Digest | undefined,
  ): void {
    const staged = this.#staged[kind];
    const row = staged.liveFor(key);
    const before = row?.value;
    if (row === undefined || before === undefined) {
      this.#stageOwn(kind, key, value, reading, digest);
      return;
    }
    // Most of a dump is known. Sharing what is equal saves memory, and comparing it again.
    const fields = keepEqual(before, value);
    const isRecount =
      fields !== undefined &&
      !staged.live.isDoubted(key) &&
      this.#isRecount(kind, before, value, fields as (keyof K[N] & string)[]);
    if (isRecount) {
      staged.live.update(key, value, reading.time);
      staged.live.recounted(key);
    }
    const isLive = fields === undefined || isRecount;
    if (isLive) row.reading = reading;
    else staged.set(key, value, reading.time);
    if (digest) this.#orders[kind].place(row, isLive ? digest : undefined);
  }

  /**
   * Stages a dumped object that the live table does not have, that is not the only one with its key,
   * or that events are about.
   */
  #stageOwn<N extends ObjectName<K>>(
    kind: N,
    key: RowKey,
    value: K[N],
    reading: Reading,
    digest: Digest | undefined,
  ): void {
    const model = this.#kinds[kind];
    const staged = this.#staged[kind];
    const known = staged.value(key);
    if (known !== undefined && model.supersedes?.(known, value) === false) {
      if (model.supersedes(value, known)) return;
      // The kernel has several that cannot be distinguished; each gets a row.
      let n = 2;
      while (staged.value(`${key} (${n})`) !== undefined) n++;
      this.#stageAt(kind, `${key} (${n})`, value, reading, digest);
      return;
    }
    const before = staged.live.value(key);
    const same = before !== undefined && keepEqual(before, value) === undefined;
    if (before === undefined) this.#share(kind, value);
    if (known === undefined && this.#opens) {
      const row = staged.add(key, value, reading.time);
      if (digest) this.#orders[kind].place(row, digest);
      return;
    }
    staged.set(key, same ? before : value, reading.time);
    // It was dumped here: behind several that events changed, nothing more would be found.
    const row = staged.live.row(key);
    if (digest && row && !staged.isRead(row)) this.#orders[kind].place(row, undefined);
  }

  #isRecount<N extends ObjectName<K>>(
    kind: N,
    before: K[N],
    after: K[N],
    fields: readonly (keyof K[N] & string)[],
  ): boolean {
    const { isCounter, sameIncarnation } = this.#kinds[kind];
    return (
      fields.every((field) => isCounter?.(field, before, after)) &&
      (sameIncarnation?.(before, after) ?? true)
    );
  }

  /** Gives a value the parts of the one before it that are equal. */
  #share<N extends ObjectName<K>>(kind: N, value: K[N]): void {
    this.#parts[kind] ??= {};
    const parts = this.#parts[kind] as Partial<K[N]>;
    for (const name of this.#kinds[kind].shared ?? []) {
      if (value[name] === undefined) continue;
      if (equal(parts[name], value[name])) value[name] = parts[name] as K[N][typeof name];
      else parts[name] = value[name];
    }
  }

  put<N extends ObjectName<K>>(kind: N, key: RowKey, value: K[N]): void {
    this.#question(kind, key);
    const staged = this.#staged[kind];
    if (staged.value(key) === undefined) staged.announced.add(key);
    staged.set(key, value);
  }

  remove<N extends ObjectName<K>>(kind: N, key: RowKey): void {
    this.#question(kind, key);
    this.#staged[kind].delete(key);
  }

  expiring<N extends ObjectName<K>>(kind: N, key: RowKey, value: K[N]): void {
    this.put(kind, key, value);
  }

  /**
   * An event concerns a dumped object that was created without one: it may be about its
   * predecessor.
   */
  #question<N extends ObjectName<K>>(kind: N, key: RowKey): void {
    const known = this.#staged[kind].value(key);
    if (known !== undefined && this.#kinds[kind].unannounced?.(known))
      this.markUncertain(kind, key);
  }

  markUncertain(kind?: ObjectName<K>, key?: RowKey): void {
    this.#uncertain.add(`${kind} ${key}`);
  }
}

/**
 * Gives a value all parts of the one before it that are equal.
 *
 * @returns the names of those that are not; undefined: there are none
 */
function keepEqual<Value extends object>(before: Value, value: Value): string[] | undefined {
  let other: string[] | undefined;
  let more = 0;
  for (const name in value) {
    const was = before[name];
    const is = value[name];
    if (was !== undefined) more--;
    if (was === is) continue;
    if (equal(was, is)) value[name] = was;
    else if (other === undefined) other = [name];
    else other.push(name);
  }
  for (const name in before) if (before[name] !== undefined) more++;
  if (more === 0) return other;
  const absent = Object.keys(before).filter((name) => value[name as keyof Value] === undefined);
  return [...(other ?? []), ...absent];
}
