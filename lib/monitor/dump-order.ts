/** The last dump of a kind of object, to tell messages that are the same in the next. @module */
import type { Digest } from '../wire/digest.ts';
import type { Row } from './table.ts';

/**
 * Which message was at a place of a dump, and which row it was about. The memory is used for one
 * dump after the other: it would survive as garbage for many of them.
 */
class Places<Value> {
  count = 0;
  /** Two words each. */
  digests = new Int32Array(0);
  readonly rows: (Row<Value> | undefined)[] = [];
  readonly values: (Value | undefined)[] = [];

  add(digest: Digest, row: Row<Value>, value: Value): void {
    const place = this.count++;
    const at = 2 * place;
    if (at === this.digests.length) {
      const more = new Int32Array(2 * (place + (place >> 1) + 64));
      more.set(this.digests);
      this.digests = more;
    }
    this.digests[at] = digest[0] as number;
    this.digests[at + 1] = digest[1] as number;
    this.rows[place] = row;
    this.values[place] = value;
  }

  clear(): void {
    // Places that were not used again are given back; what is no longer in the tables is no longer held.
    this.rows.length = this.count;
    this.values.length = this.count;
    this.rows.fill(undefined);
    this.values.fill(undefined);
    this.count = 0;
  }
}

/** How many places are skipped at most, for objects that are no longer there. */
const AHEAD = 8;

/**
 * The messages of a dump in their order, which is almost that of the dump before: so the next one
 * to compare with is found without a key. Where many objects are gone, what follows is decoded once
 * more.
 */
export class DumpOrder<Value> {
  #last = new Places<Value>();
  #next = new Places<Value>();
  /** Where in the last dump this one is. */
  #at = 0;

  /** A dump begins, after the {@link end} of the one before. */
  begin(): void {
    [this.#last, this.#next] = [this.#next, this.#last];
    this.#at = 0;
  }

  /** The dump is complete, or will be repeated: what the one before had is no longer needed. */
  end(): void {
    this.#last.clear();
  }

  /** Forgets all dumps. */
  forget(): void {
    this.#last.clear();
    this.#next.clear();
  }

  /**
   * Finds a message of the last dump with this digest.
   *
   * @returns its place, for {@link rowAt} and {@link valueAt}; -1 if there is none
   */
  find(digest: Digest): number {
    const { count, digests } = this.#last;
    for (let i = this.#at, end = Math.min(count, i + AHEAD); i < end; i++) {
      if (digests[2 * i] !== digest[0] || digests[2 * i + 1] !== digest[1]) continue;
      this.#at = i;
      return i;
    }
    return -1;
  }

  /** The row that the message at a place of the last dump was about. */
  rowAt(place: number): Row<Value> {
    return this.#last.rows[place] as Row<Value>;
  }

  /** What it was decoded into. */
  valueAt(place: number): Value {
    return this.#last.values[place] as Value;
  }

  /** Notes the next message of this dump. @param value an object equal to what it decodes into */
  add(digest: Digest, row: Row<Value>, value: Value): void {
    this.#next.add(digest, row, value);
    const { count, rows } = this.#last;
    for (let i = this.#at, end = Math.min(count, i + AHEAD); i < end; i++) {
      if (rows[i] === row) this.#at = i + 1;
    }
  }
}
