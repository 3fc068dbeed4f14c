/**
 * Rows by key, with indexes that are made when they are first asked for.
 * @module
 */

import type { EventTime } from '../netlink/event.ts';

/** One object of a table. It is replaced, never changed: who keeps it keeps a moment. */
export interface Entry<Value> {
  /** What the object is called, also after it was deleted and made again. */
  readonly id: string;
  /** This incarnation of it: another one has another uid, within one monitor. */
  readonly uid: string;
  readonly value: Value;
  /** When its counters were read: in the last comparison, or with an event that told them. */
  readonly counted: EventTime;
}

/** By what a value is found: the texts of an index; undefined to be left out of it. */
export type Indexers<Value> = Readonly<Record<string, (value: Value) => string | undefined>>;

/** What readers may do with a {@link Table}. */
export interface ReadonlyTable<Value> extends Iterable<Entry<Value>> {
  readonly size: number;
  get(key: string): Entry<Value> | undefined;
  find(index: string, text: string): Iterable<Entry<Value>>;
}

/** Keys to entries. A program that never asks for an index does not pay for it. */
export class Table<Value> implements ReadonlyTable<Value> {
  #rows = new Map<string, Entry<Value>>();
  readonly #indexers: Indexers<Value>;
  #indexes = new Map<string, Index<Value>>();

  constructor(indexers: Indexers<Value>) {
    this.#indexers = indexers;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): Entry<Value> | undefined {
    return this.#rows.get(key);
  }

  /** All keys with their entries, in the order in which they came. */
  rows(): IterableIterator<[string, Entry<Value>]> {
    return this.#rows.entries();
  }

  [Symbol.iterator](): IterableIterator<Entry<Value>> {
    return this.#rows.values();
  }

  /** The entries that have this text in an index. */
  find(index: string, text: string): Iterable<Entry<Value>> {
    return this.#found(index, text)?.values() ?? [];
  }

  /** The same, with their keys. */
  findRows(index: string, text: string): Iterable<[string, Entry<Value>]> {
    return this.#found(index, text)?.entries() ?? [];
  }

  set(key: string, entry: Entry<Value>): void {
    const before = this.#rows.get(key);
    this.#rows.set(key, entry);
    for (const [name, index] of this.#indexes) {
      const text = this.#text(name, entry.value);
      if (before !== undefined) {
        const old = this.#text(name, before.value);
        if (old !== text) leave(index, old, key);
      }
      enter(index, text, key, entry);
    }
  }

  delete(key: string): void {
    const before = this.#rows.get(key);
    if (before === undefined) return;
    this.#rows.delete(key);
    for (const [name, index] of this.#indexes) leave(index, this.#text(name, before.value), key);
  }

  /**
   * Takes the rows and indexes of another table, which is not to be used any more. The entries are
   * named anew, in place: they must not have been given away.
   */
  adopt(from: Table<Value>, name: (value: Value, key: string) => Omit<Entry<Value>, 'value'>) {
    this.#rows = from.#rows;
    this.#indexes = from.#indexes;
    for (const [key, entry] of this.#rows) {
      const { id, uid, counted } = name(entry.value, key);
      const own: { -readonly [Field in keyof Entry<Value>]: Entry<Value>[Field] } = entry;
      own.id = id;
      own.uid = uid;
      own.counted = counted;
    }
  }

  #found(name: string, text: string): Map<string, Entry<Value>> | undefined {
    let index = this.#indexes.get(name);
    if (index === undefined) {
      index = new Map();
      for (const [key, entry] of this.#rows) {
        enter(index, this.#text(name, entry.value), key, entry);
      }
      this.#indexes.set(name, index);
    }
    return index.get(text);
  }

  #text(name: string, value: Value): string | undefined {
    const indexer = this.#indexers[name];
    if (indexer === undefined) throw new RangeError(`there is no index ${JSON.stringify(name)}`);
    return indexer(value);
  }
}

type Index<Value> = Map<string, Map<string, Entry<Value>>>;

function enter<V>(index: Index<V>, text: string | undefined, key: string, entry: Entry<V>): void {
  if (text === undefined) return;
  const found = index.get(text);
  if (found === undefined) index.set(text, new Map([[key, entry]]));
  else found.set(key, entry);
}

function leave<V>(index: Index<V>, text: string | undefined, key: string): void {
  if (text === undefined) return;
  const found = index.get(text);
  found?.delete(key);
  if (found?.size === 0) index.delete(text);
}
