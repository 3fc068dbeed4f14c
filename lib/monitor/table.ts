/** Rows by key, with indexes that are made when they are first asked for. @module */
import type { EventTime } from '../netlink/event.ts';

/** One object of a table. It is replaced, never changed: who keeps it keeps a moment. */
export interface TableEntry<Value> {
  /** What the object is called, also after it was deleted and made again. */
  readonly id: string;
  /** This incarnation of it: another one has another uid, within one monitor. */
  readonly uid: string;
  readonly value: Value;
  /** When its counters were read: in the last comparison, or with an event that told them. */
  readonly countersReadAt: EventTime;
}

/** What a value is found by in an index; undefined to be left out of it. */
export type Indexer<Value, Term = unknown> = (value: Value) => Term | undefined;
export type Indexers<Value> = Readonly<Record<string, Indexer<Value, string>>>;

/**
 * Where an entry is kept, and nothing else once it is gone. A Map that much comes to and goes from is
 * rebuilt again and again, and each of its former tables points to the next (V8, OrderedHashTable::
 * Rehash). When one of them has grown old, all that follow stay, with what they hold, until a full
 * collection: entries held there took half of a monitor's time in a storm.
 */
interface Row<Value> {
  entry: TableEntry<Value> | undefined;
}

/** Keys to entries. A program that never asks for an index does not pay for it. */
export class Table<Value> implements Iterable<TableEntry<Value>> {
  #rows = new Map<string, Row<Value>>();
  readonly #indexers: Indexers<Value>;
  /** Each is made when it is first asked for. */
  #indexes = new Map<Indexer<Value>, Index>();

  constructor(indexers: Indexers<Value>) {
    this.#indexers = indexers;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): TableEntry<Value> | undefined {
    return this.#rows.get(key)?.entry;
  }

  /** All keys with their entries, in the order in which they came. */
  *rows(): Generator<[string, TableEntry<Value>], undefined> {
    for (const [key, { entry }] of this.#rows) if (entry) yield [key, entry];
  }

  *[Symbol.iterator](): Generator<TableEntry<Value>, undefined> {
    for (const { entry } of this.#rows.values()) if (entry) yield entry;
  }

  /** The entries that have this text in an index. */
  find(index: string, text: string): TableEntry<Value>[] {
    return this.findRows(index, text).map(([, entry]) => entry);
  }

  findRows(index: string, text: string): [string, TableEntry<Value>][] {
    const indexer = this.#indexers[index];
    if (indexer === undefined) throw new RangeError(`unknown index ${JSON.stringify(index)}`);
    return this.#rowsBy(indexer, text);
  }

  /** The entries of which an indexer gives this. It must give the same for the same value, and throw nothing. */
  findBy<Term>(indexer: Indexer<Value, Term>, term: Term): TableEntry<Value>[] {
    return this.#rowsBy(indexer, term).map(([, entry]) => entry);
  }

  /** Keeps the index of an indexer no longer. */
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
    if (row) row.entry = entry;
    else this.#rows.set(key, { entry });
    for (const [indexer, index] of this.#indexes) {
      const term = indexer(entry.value);
      const old = before && indexer(before.value);
      if (Object.is(old, term)) continue;
      leave(index, old, key);
      enter(index, term, key);
    }
  }

  delete(key: string): void {
    const row = this.#rows.get(key);
    if (row?.entry === undefined) return;
    const { value } = row.entry;
    row.entry = undefined;
    this.#rows.delete(key);
    for (const [indexer, index] of this.#indexes) leave(index, indexer(value), key);
  }

  /**
   * Takes the rows and indexes of another table, which is not to be used any more. The entries are
   * named anew, in place: they must not have been given away.
   */
  adopt(from: Table<Value>, name: (value: Value, key: string) => Omit<TableEntry<Value>, 'value'>) {
    this.#rows = from.#rows;
    this.#indexes = from.#indexes;
    for (const [key, entry] of this.rows()) {
      Object.assign(entry, name(entry.value, key));
    }
  }

  #index(indexer: Indexer<Value>): Index {
    let index = this.#indexes.get(indexer);
    if (index === undefined) {
      index = new Map();
      for (const [key, { value }] of this.rows()) enter(index, indexer(value), key);
      this.#indexes.set(indexer, index);
    }
    return index;
  }
}

/** Terms to the keys that have them. Most have one, for which a set would be large. */
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

/** Whether two decoded values are the same: plain objects, arrays, bytes, numbers, texts. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => equal(left[name], right[name]))
  );
}
