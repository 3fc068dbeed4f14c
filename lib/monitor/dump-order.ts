/** The last dump of a kind of object, to tell messages that are the same in the next. @module */
import type { Digest } from '../wire/digest.ts';
import { newRow, type Row } from './table.ts';

/** How many rows are skipped at most: those that were not dumped this time. */
const AHEAD = 8;

/**
 * The rows of a table in the order of the last dump, which is almost that of the next: so the row
 * of a message is found without a key, and if the digest of the message is the same, without
 * decoding it. Where many objects are gone, what follows is decoded once more. The rows themselves
 * are linked: other memory would have to grow with each dump, or survive as garbage for many.
 */
export class DumpOrder<Value> {
  readonly #head: Row<Value> = newRow<Value>('', undefined);
  /** The row of the message before; what follows was not dumped so far. */
  #last = this.#head;

  /** A dump begins. */
  begin(): void {
    this.#last = this.#head;
  }

  /** Forgets all dumps. */
  forget(): void {
    this.#head.after = undefined;
    this.#last = this.#head;
  }

  /** The row whose value was decoded from a message with this digest, if that is about to come. */
  find(digest: Digest): Row<Value> | undefined {
    const [low, high] = [digest[0] as number, digest[1] as number];
    let row = this.#next(this.#last);
    for (let i = 0; row !== undefined && i < AHEAD; i++) {
      if (row.low === low && row.high === high) return row;
      row = this.#next(row);
    }
    return undefined;
  }

  /** The row that follows. Those that were removed leave here. */
  #next(row: Row<Value>): Row<Value> | undefined {
    while (row.after !== undefined && row.after.value === undefined) unlink(row.after);
    return row.after;
  }

  /** A row comes next in this dump, which {@link find} has found. */
  pass(row: Row<Value>): void {
    this.#last = row;
  }

  /**
   * A row comes next in this dump, and has another message.
   *
   * @param digest of the message from which its value was decoded; undefined: it will have another
   *   value
   */
  place(row: Row<Value>, digest: Digest | undefined): void {
    row.low = digest?.[0] ?? 0;
    row.high = digest?.[1] ?? 0;
    const before = this.#last;
    if (row === before) return;
    this.#last = row;
    if (row === before.after) return;
    unlink(row);
    row.before = before;
    row.after = before.after;
    if (row.after) row.after.before = row;
    before.after = row;
  }
}

function unlink(row: Row<unknown>): void {
  const { before, after } = row;
  if (before) before.after = after;
  if (after) after.before = before;
  row.before = undefined;
  row.after = undefined;
}
