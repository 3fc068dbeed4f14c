/** Rows by key, with indexes that are built on first use. @module */
import { flat } from '../base/flat.ts';
import type { EventTime } from '../netlink/event.ts';

/** One object of a table. It is replaced, never modified: an entry you keep is a snapshot. */
export interface TableEntry<Value> {
  /** The object's id, the same after it is deleted and created again. */
  readonly id: string;
  /** The id of this incarnation: within one monitor, each has its own. */
  readonly uid: string;
  readonly value: Value;
  /** When its counters were read: in the last comparison, or with an event that carried them. */
  readonly countersReadAt: EventTime;
}

/** The uid of an incarnation: those added later have higher numbers. */
export const uidOf = (id: string, incarnation: number): string => flat(`${id} #${incarnation}`);
/** The number of an entry's incarnation. */
export const incarnationOf = (
  entry: Pick<TableEntry<unknown>, 'uid'> | LateEntry<unknown>,
): number => (entry instanceof LateEntry ? entry.incarnation : numberOf(entry.uid));
const numberOf = (uid: string): number => Number(uid.slice(uid.lastIndexOf('#') + 1));
/** The id of a uid. */
export const idOf = (uid: string): string => uid.slice(0, uid.lastIndexOf(' #'));

/** An id, or what makes it. */
type Id<Value> = string | ((value: Value) => string);

/**
 * An entry whose texts are made when someone asks for them. All at once, those of 10,000 tunnels
 * blocked the event loop for 27 ms.
 */
export class LateEntry<Value> {
  readonly incarnation: number;
  readonly value: Value;
  readonly countersReadAt: EventTime;
  readonly #id: Id<never>;
  #made: TableEntry<Value> | undefined;

  constructor(incarnation: number, value: Value, countersReadAt: EventTime, id: Id<Value>) {
    this.incarnation = incarnation;
    this.value = value;
    this.countersReadAt = countersReadAt;
    this.#id = id;
  }

  /** The entry, as the table has it. */
  get made(): TableEntry<Value> {
    const { value, countersReadAt } = this;
    if (this.#made === undefined) {
      const id = typeof this.#id === 'string' ? this.#id : this.#id(value as never);
      this.#made = { id, uid: uidOf(id, this.incarnation), value, countersReadAt };
    }
    return this.#made;
  }
}

export type AnyEntry<Value> = TableEntry<Value> | LateEntry<Value>;

export const madeEntry = <Value>(entry: AnyEntry<Value>): TableEntry<Value> =>
  entry instanceof LateEntry ? entry.made : entry;

/** What tells rows apart. A number where there is one: it takes no memory, and half of the time. */
export type RowKey = string | number;

/** Computes a value's term in an index; undefined leaves it out. */
export type Indexer<Value, Term = unknown> = (value: Value, key: RowKey) => Term | undefined;
export type Indexers<Value> = Readonly<Record<string, Indexer<Value, string>>>;

/**
 * The holder of a value, empty once that is removed. A Map with many insertions and deletions is
 * rebuilt again and again, and each old table points to the next (V8, OrderedHashTable::Rehash).
 * Once one of them is in the old generation, all that follow survive, with what they hold, until a
 * full collection: values held that way cost half of a monitor's time in a storm.
 */
export interface Row<Value> {
  readonly key: RowKey;
  value: Value | undefined;
  /**
   * The entry that was last asked for, perhaps of another reading. Most rows have none: its texts
   * would take as long to make as the value.
   */
  entry: TableEntry<Value> | undefined;
  /** The number of its incarnation, for its first entry. */
  incarnation: number;
  /** When its counters were read, unless by a dump since then: see `reading`. */
  readAt: EventTime;
  /** The value that may be another object's, if it is still the row's. */
  doubted: Value | undefined;
  /** Where a dump last had the value; undefined if it was set since. */
  reading: Reading | undefined;
  /** The digest of the message from which the value was decoded; 0 if that is not known. */
  low: number;
  high: number;
  /** Its neighbours in the order of dumps (dump-order.ts). */
  before: Row<Value> | undefined;
  after: Row<Value> | undefined;
}

/** A part of a dump: the round of comparison that it belongs to, and when it was read. */
export interface Reading {
  readonly round: number;
  readonly time: EventTime;
}

/** Values by key, and look-ups that events need. */
export interface Lookup<Value> {
  value(key: RowKey): Value | undefined;
  /** All keys with their values, in insertion order. */
  rows(): Iterable<[RowKey, Value]>;
  /** The values with this text in an index, with their keys. */
  findRows(index: string, text: string): [RowKey, Value][];
  /** Whether no value has a text in an index; false if that is not certain. */
  isUnused(index: string): boolean;
  /** Notes that an event was assumed to concern the object there; until that is replaced. */
  doubt(key: RowKey): void;
  isDoubted(key: RowKey): boolean;
}

/** Of a row that is still to be taken over. */
const UNREAD: EventTime = { wall: Number.NaN, monotonic: Number.NaN };

/** Values by key, with entries for those who ask. Indexes that are never used cost nothing. */
export class Table<Value> implements Lookup<Value>, Iterable<TableEntry<Value>> {
  #rows = new Map<RowKey, Row<Value>>();
  /** How many rows are empty. */
  #cleared = 0;
  readonly #indexers: Indexers<Value>;
  readonly #idOf: ((value: Value) => string) | undefined;
  /** Each is built on first use. */
  #indexes = new Map<Indexer<Value>, Built<Value>>();
  #recounted = new Set<RowKey>();

  /** @param idOf the id that users see; default: the key */
  constructor(indexers: Indexers<Value>, idOf?: (value: Value) => string) {
    this.#indexers = indexers;
    this.#idOf = idOf;
  }

  get size(): number {
    return this.#rows.size - this.#cleared;
  }

  get(key: RowKey): TableEntry<Value> | undefined {
    const row = this.#rows.get(key);
    return row && this.entryOf(row);
  }

  value(key: RowKey): Value | undefined {
    return this.#rows.get(key)?.value;
  }

  /** The holder of a value, whose `reading` may be set. */
  row(key: RowKey): Row<Value> | undefined {
    return this.#rows.get(key);
  }

  *rows(): Generator<[RowKey, Value], undefined> {
    for (const [key, { value }] of this.#rows) if (value !== undefined) yield [key, value];
  }

  *[Symbol.iterator](): Generator<TableEntry<Value>, undefined> {
    for (const row of this.#rows.values()) {
      const entry = this.entryOf(row);
      if (entry) yield entry;
    }
  }

  /** All entries as they are now, in insertion order; see {@link LateEntry}. */
  late(): AnyEntry<Value>[] {
    const all: AnyEntry<Value>[] = [];
    for (const row of this.#rows.values()) {
      const { key, value, entry, incarnation } = row;
      if (value === undefined) continue;
      const id = this.#idOf ?? String(key);
      const late = entry ? this.entryOf(row) : undefined;
      all.push(late ?? new LateEntry<Value>(incarnation, value, readAtOf(row), id));
    }
    return all;
  }

  /** All values; no entries are made for that. */
  *values(): Generator<Value, undefined> {
    for (const { value } of this.#rows.values()) if (value !== undefined) yield value;
  }

  /** The keys of rows that a round has not read; undefined now and then, as it looks at all. */
  *unread(round: number): Generator<RowKey | undefined, undefined> {
    let seen = 0;
    for (const { key, reading } of this.#rows.values()) {
      if (reading?.round !== round) yield key;
      else if (++seen % 64 === 0) yield undefined;
    }
  }

  /** The entries with this text in an index. */
  find(index: string, text: string): TableEntry<Value>[] {
    return this.findBy(this.#indexer(index), text);
  }

  /** Whether a value has a text in an index. */
  has(index: string, text: string): boolean {
    return this.#index(this.#indexer(index)).has(text);
  }

  findRows(index: string, text: string): [RowKey, Value][] {
    return this.#rowsBy(this.#indexer(index), text).map(({ key, value }) => [key, value as Value]);
  }

  isUnused(index: string): boolean {
    return this.#index(this.#indexer(index)).size === 0;
  }

  #indexer(name: string): Indexer<Value> {
    const indexer = this.#indexers[name];
    if (indexer === undefined) throw new Error(`unknown index ${JSON.stringify(name)}`);
    return indexer;
  }

  /** The entries for which an indexer returns a term. It must be deterministic and not throw. */
  findBy<Term>(indexer: Indexer<Value, Term>, term: Term): TableEntry<Value>[] {
    return this.#rowsBy(indexer, term).map((row) => this.entryOf(row) as TableEntry<Value>);
  }

  /** Drops the index of an indexer. */
  dropIndex(indexer: Indexer<Value>): void {
    this.#indexes.delete(indexer);
  }

  #rowsBy(indexer: Indexer<Value>, term: unknown): Row<Value>[] {
    const keys = this.#index(indexer).get(term) ?? [];
    return [...(typeof keys === 'object' ? keys : [keys])].map(
      (key) => this.#rows.get(key) as Row<Value>,
    );
  }

  /** Sets a row to an entry. @param row that of the key, if known */
  set(key: RowKey, entry: TableEntry<Value>, row = this.#rows.get(key)): void {
    this.#put(key, entry.value, entry.countersReadAt, row).entry = entry;
  }

  /** When a row's counters were read, if that is known. */
  readAt(key: RowKey): EventTime | undefined {
    const row = this.#rows.get(key);
    const at = row && readAtOf(row);
    return at === UNREAD ? undefined : at;
  }

  /** Sets the value of a row, which stays the same object if it has one. */
  update(key: RowKey, value: Value, readAt: EventTime = UNREAD): void {
    const row = this.#put(key, value, readAt, this.#rows.get(key));
    // What was seen of it before is not kept.
    if (row.entry) this.entryOf(row);
  }

  /** Adds a row for a key that is not there, to be taken over by another table. */
  add(key: RowKey, value: Value, readAt = UNREAD): Row<Value> {
    const row = newRow(key, value, readAt);
    this.#rows.set(row.key, row);
    this.#reindex(row.key, undefined, value);
    return row;
  }

  #put(key: RowKey, value: Value, readAt: EventTime, known: Row<Value> | undefined): Row<Value> {
    const before = known?.value;
    const row = known ?? newRow(key, value, readAt);
    if (known === undefined) this.#rows.set(row.key, row);
    else {
      if (before === undefined) this.#cleared--;
      row.value = value;
      row.readAt = readAt;
      row.reading = undefined;
      if (before !== value) row.low = row.high = 0;
    }
    if (before !== value) this.#reindex(key, before, value);
    return row;
  }

  #reindex(key: RowKey, before: Value | undefined, value: Value): void {
    for (const { indexer, index } of this.#indexes.values()) {
      const term = indexer(value, key);
      // Most values have no term in an index that events need.
      const old = before !== undefined && index.size > 0 ? indexer(before, key) : undefined;
      if (Object.is(old, term)) continue;
      leave(index, old, key);
      enter(index, term, key);
    }
  }

  /** Notes that only counters of a row changed, of which no change tells. */
  recounted(key: RowKey): void {
    this.#recounted.add(key);
  }

  /**
   * @returns the rows whose counters changed since this was last called, with the entries that they
   *   have when they are asked for
   */
  takeRecounted(): Iterable<TableEntry<Value>> {
    const keys = this.#recounted;
    this.#recounted = new Set();
    return { [Symbol.iterator]: () => this.#entriesOf(keys) };
  }

  *#entriesOf(keys: Iterable<RowKey>): Generator<TableEntry<Value>, undefined> {
    for (const key of keys) {
      const entry = this.get(key);
      if (entry) yield entry;
    }
  }

  doubt(key: RowKey): void {
    const row = this.#rows.get(key);
    if (row) row.doubted = row.value;
  }

  isDoubted(key: RowKey): boolean {
    const row = this.#rows.get(key);
    return row?.value !== undefined && row.doubted === row.value;
  }

  delete(key: RowKey): void {
    this.clear(key);
    if (this.#rows.delete(key)) this.#cleared--;
  }

  /** Removes a value that another with its key follows at once: its row stays. */
  clear(key: RowKey): void {
    const row = this.#rows.get(key);
    if (row?.value === undefined) return;
    const { value } = row;
    row.value = undefined;
    row.entry = undefined;
    row.doubted = undefined;
    this.#cleared++;
    for (const { indexer, index } of this.#indexes.values()) {
      leave(index, indexer(value, key), key);
    }
  }

  /**
   * Takes over the rows and indexes of another table, which must not be used any more.
   *
   * @param rows all of them, in the order in which they are numbered
   * @param number gives an incarnation its number
   * @param readAt when counters were read, where a row does not say it
   */
  adopt(
    from: Table<Value>,
    rows: Iterable<Row<Value>>,
    number: () => number,
    readAt: EventTime,
  ): void {
    this.#rows = from.#rows;
    this.#indexes = from.#indexes;
    for (const row of rows) {
      row.incarnation = number();
      if (row.readAt === UNREAD) row.readAt = readAt;
    }
  }

  /** The holders of all values. */
  holders(): Iterable<Row<Value>> {
    return this.#rows.values();
  }

  /**
   * The entry of a row. If a dump found it unchanged, it is replaced now by one that says when: most
   * are never looked at between two dumps.
   */
  entryOf(row: Row<Value>): TableEntry<Value> | undefined {
    const { key, entry, value } = row;
    if (value === undefined) return undefined;
    const countersReadAt = readAtOf(row);
    if (entry?.value === value && entry.countersReadAt === countersReadAt) return entry;
    const id = entry?.id ?? this.#idOf?.(value) ?? String(key);
    const uid = entry?.uid ?? uidOf(id, row.incarnation);
    row.entry = { id, uid, value, countersReadAt };
    return row.entry;
  }

  #index(indexer: Indexer<Value>): Index {
    const built = this.#indexes.get(indexer);
    if (built) return built.index;
    const index: Index = new Map();
    for (const [key, value] of this.rows()) enter(index, indexer(value, key), key);
    this.#indexes.set(indexer, { indexer, index });
    return index;
  }
}

const readAtOf = ({ readAt, reading }: Row<unknown>): EventTime => reading?.time ?? readAt;

export const newRow = <Value>(
  key: RowKey,
  value: Value | undefined,
  readAt = UNREAD,
): Row<Value> => ({
  key: typeof key === 'string' ? flat(key) : key,
  value,
  entry: undefined,
  incarnation: 0,
  readAt,
  doubted: undefined,
  reading: undefined,
  low: 0,
  high: 0,
  before: undefined,
  after: undefined,
});

/** Terms mapped to their keys. Most have only one, for which a Set would be large. */
type Index = Map<unknown, RowKey | Set<RowKey>>;

interface Built<Value> {
  readonly indexer: Indexer<Value>;
  readonly index: Index;
}

function enter(index: Index, term: unknown, key: RowKey): void {
  if (term === undefined) return;
  const keys = index.get(term);
  if (keys === undefined) index.set(term, key);
  else if (typeof keys === 'object') keys.add(key);
  else if (keys !== key) index.set(term, new Set([keys, key]));
}

function leave(index: Index, term: unknown, key: RowKey): void {
  if (term === undefined) return;
  const keys = index.get(term);
  if (keys === key) index.delete(term);
  else if (typeof keys === 'object') {
    keys.delete(key);
    if (keys.size === 0) index.delete(term);
  }
}

/** Whether two decoded values are equal: plain objects, arrays, bytes, numbers, strings. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  // By number: named elements made a policy take 3.3 µs instead of 1.4.
  if (isList(a)) return isList(b) && haveSame(a, b);
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  let more = 0;
  for (const name in left) {
    if (!equal(left[name], right[name])) return false;
    more++;
  }
  for (const _ in right) more--;
  return more === 0;
}

const isList = (value: object): value is readonly unknown[] | Uint8Array =>
  Array.isArray(value) || value instanceof Uint8Array;

function haveSame(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  const { length } = a;
  if (length !== b.length) return false;
  for (let i = 0; i < length; i++) if (!equal(a[i], b[i])) return false;
  return true;
}
