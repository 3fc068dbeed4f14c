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
/** The number of a uid's incarnation. */
export const incarnationOf = (uid: string): number => Number(uid.slice(uid.lastIndexOf('#') + 1));
/** The id of a uid. */
export const idOf = (uid: string): string => uid.slice(0, uid.lastIndexOf(' #'));

/** Computes a value's term in an index; undefined leaves it out. */
export type Indexer<Value, Term = unknown> = (value: Value, key: string) => Term | undefined;
export type Indexers<Value> = Readonly<Record<string, Indexer<Value, string>>>;

/**
 * The holder of an entry, empty once that is removed. A Map with many insertions and deletions is
 * rebuilt again and again, and each old table points to the next (V8, OrderedHashTable::Rehash).
 * Once one of them is in the old generation, all that follow survive, with what they hold, until a
 * full collection: entries held that way cost half of a monitor's time in a storm.
 */
export interface Row<Value> {
  readonly key: string;
  entry: TableEntry<Value> | undefined;
  /** The value that may be another object's, if it is still the entry's. */
  doubted: Value | undefined;
  /** Where a dump last had the value of the entry; undefined if the entry was set since. */
  reading: Reading | undefined;
}

/** A part of a dump: the round of comparison that it belongs to, and when it was read. */
export interface Reading {
  readonly round: number;
  readonly time: EventTime;
}

/** An entry that is still to be named. */
type Unnamed<Value> = { -readonly [Key in keyof TableEntry<Value>]: TableEntry<Value>[Key] };

/** Entries by key, and look-ups that events need. */
export interface Lookup<Value> {
  get(key: string): TableEntry<Value> | undefined;
  /** All keys with their entries, in insertion order. */
  rows(): Iterable<[string, TableEntry<Value>]>;
  /** The entries with this text in an index. */
  find(index: string, text: string): TableEntry<Value>[];
  findRows(index: string, text: string): [string, TableEntry<Value>][];
  /** Whether no entry has a text in an index; false if that is not certain. */
  isUnused(index: string): boolean;
  /** Notes that an event was assumed to concern the object there; until that is replaced. */
  doubt(key: string): void;
  isDoubted(key: string): boolean;
}

/** Entries by key. Indexes that are never used cost nothing. */
export class Table<Value> implements Lookup<Value>, Iterable<TableEntry<Value>> {
  #rows = new Map<string, Row<Value>>();
  /** How many rows have no entry. */
  #cleared = 0;
  readonly #indexers: Indexers<Value>;
  /** Each is built on first use. */
  #indexes = new Map<Indexer<Value>, Index>();
  #recounted = new Set<string>();

  constructor(indexers: Indexers<Value>) {
    this.#indexers = indexers;
  }

  get size(): number {
    return this.#rows.size - this.#cleared;
  }

  get(key: string): TableEntry<Value> | undefined {
    const row = this.#rows.get(key);
    return row && entryOf(row);
  }

  /** The holder of an entry, whose `reading` may be set. */
  row(key: string): Row<Value> | undefined {
    return this.#rows.get(key);
  }

  *rows(): Generator<[string, TableEntry<Value>], undefined> {
    for (const [key, row] of this.#rows) {
      const entry = entryOf(row);
      if (entry) yield [key, entry];
    }
  }

  *[Symbol.iterator](): Generator<TableEntry<Value>, undefined> {
    for (const row of this.#rows.values()) {
      const entry = entryOf(row);
      if (entry) yield entry;
    }
  }

  /** The values of all entries; entries that a dump found unchanged are not made for it. */
  *values(): Generator<Value, undefined> {
    for (const { entry } of this.#rows.values()) if (entry) yield entry.value;
  }

  /** The keys of rows that a round has not read; undefined now and then, as it looks at all. */
  *unread(round: number): Generator<string | undefined, undefined> {
    let seen = 0;
    for (const { key, reading } of this.#rows.values()) {
      if (reading?.round !== round) yield key;
      else if (++seen % 64 === 0) yield undefined;
    }
  }

  find(index: string, text: string): TableEntry<Value>[] {
    return this.findRows(index, text).map(([, entry]) => entry);
  }

  /** Whether an entry has a text in an index. */
  has(index: string, text: string): boolean {
    return this.#index(this.#indexer(index)).has(text);
  }

  findRows(index: string, text: string): [string, TableEntry<Value>][] {
    return this.#rowsBy(this.#indexer(index), text);
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
    return this.#rowsBy(indexer, term).map(([, entry]) => entry);
  }

  /** Drops the index of an indexer. */
  dropIndex(indexer: Indexer<Value>): void {
    this.#indexes.delete(indexer);
  }

  #rowsBy(indexer: Indexer<Value>, term: unknown): [string, TableEntry<Value>][] {
    const keys = this.#index(indexer).get(term) ?? [];
    return [...(typeof keys === 'string' ? [keys] : keys)].map((key) => [
      key,
      this.get(key) as TableEntry<Value>,
    ]);
  }

  set(key: string, entry: TableEntry<Value>): void {
    const row = this.#rows.get(key);
    const before = row?.entry;
    if (row) {
      if (before === undefined) this.#cleared--;
      row.entry = entry;
      row.reading = undefined;
    } else {
      this.#rows.set(flat(key), { key, entry, doubted: undefined, reading: undefined });
    }
    if (before?.value === entry.value) return;
    for (const [indexer, index] of this.#indexes) {
      const term = indexer(entry.value, key);
      const old = before && indexer(before.value, key);
      if (Object.is(old, term)) continue;
      leave(index, old, key);
      enter(index, term, key);
    }
  }

  /** Notes that only counters of a row changed, of which no change tells. */
  recounted(key: string): void {
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

  *#entriesOf(keys: Iterable<string>): Generator<TableEntry<Value>, undefined> {
    for (const key of keys) {
      const entry = this.get(key);
      if (entry) yield entry;
    }
  }

  doubt(key: string): void {
    const row = this.#rows.get(key);
    if (row) row.doubted = row.entry?.value;
  }

  isDoubted(key: string): boolean {
    const row = this.#rows.get(key);
    return row?.entry !== undefined && row.doubted === row.entry.value;
  }

  delete(key: string): void {
    this.clear(key);
    if (this.#rows.delete(key)) this.#cleared--;
  }

  /** Removes an entry that another with its key follows at once: its row stays. */
  clear(key: string): void {
    const row = this.#rows.get(key);
    if (row?.entry === undefined) return;
    const { value } = row.entry;
    row.entry = undefined;
    this.#cleared++;
    for (const [indexer, index] of this.#indexes) leave(index, indexer(value, key), key);
  }

  /**
   * Takes over the rows and indexes of another table, which must not be used any more. Entries are
   * renamed in place, in the order of `keys`: nobody may have seen them yet.
   */
  adopt(
    from: Table<Value>,
    keys: Iterable<string>,
    name: (entry: Unnamed<Value>, key: string) => void,
  ) {
    this.#rows = from.#rows;
    this.#indexes = from.#indexes;
    for (const key of keys) {
      const entry = this.get(key);
      if (entry) name(entry, key);
    }
  }

  #index(indexer: Indexer<Value>): Index {
    let index = this.#indexes.get(indexer);
    if (index === undefined) {
      index = new Map();
      for (const [key, { entry }] of this.#rows) {
        if (entry) enter(index, indexer(entry.value, key), key);
      }
      this.#indexes.set(indexer, index);
    }
    return index;
  }
}

/**
 * The entry of a row. If a dump found it unchanged, it is replaced now by one that says when: most
 * are never looked at between two dumps.
 */
function entryOf<Value>(row: Row<Value>): TableEntry<Value> | undefined {
  const { entry, reading } = row;
  if (entry && reading && entry.countersReadAt !== reading.time) {
    const { id, uid, value } = entry;
    row.entry = { id, uid, value, countersReadAt: reading.time };
  }
  return row.entry;
}

/** Terms mapped to their keys. Most have only one, for which a Set would be large. */
type Index = Map<unknown, string | Set<string>>;

function enter(index: Index, term: unknown, key: string): void {
  if (term === undefined) return;
  const keys = index.get(term);
  if (keys === undefined) index.set(term, key);
  else if (typeof keys !== 'string') keys.add(key);
  else if (keys !== key) index.set(term, new Set([keys, key]));
}

function leave(index: Index, term: unknown, key: string): void {
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
