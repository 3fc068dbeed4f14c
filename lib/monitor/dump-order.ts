/** The last dump of a kind of object, to tell messages that are the same in the next. @module */
import type { Digest } from '../wire/digest.ts';

/** Which message was at a place of a dump, and which row it was about. */
class Places<Value> {
  count = 0;
  /** Two words each. */
  digests: Int32Array;
  readonly keys: string[] = [];
  readonly values: Value[] = [];

  constructor(size: number) {
    this.digests = new Int32Array(2 * size);
  }

  add(digest: Digest, key: string, value: Value): void {
    const at = 2 * this.count++;
    if (at === this.digests.length) {
      const more = new Int32Array(2 * at + 128);
      more.set(this.digests);
      this.digests = more;
    }
    this.digests[at] = digest[0] as number;
    this.digests[at + 1] = digest[1] as number;
    this.keys.push(key);
    this.values.push(value);
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
  #last = new Places<Value>(0);
  #next = new Places<Value>(0);
  /** Where in the last dump this one is. */
  #at = 0;

  /** A dump begins. */
  begin(): void {
    this.#last = this.#next;
    this.#next = new Places(this.#last.count);
    this.#at = 0;
  }

  /** The dump is complete, or will be repeated: what the one before had is no longer needed. */
  end(): void {
    this.#last = new Places(0);
  }

  /**
   * Finds a message of the last dump with this digest.
   *
   * @returns the key of its row and what it was decoded into
   */
  find(digest: Digest): { key: string; value: Value } | undefined {
    const { count, digests, keys, values } = this.#last;
    for (let i = this.#at, end = Math.min(count, i + AHEAD); i < end; i++) {
      if (digests[2 * i] !== digest[0] || digests[2 * i + 1] !== digest[1]) continue;
      this.#at = i;
      return { key: keys[i] as string, value: values[i] as Value };
    }
    return undefined;
  }

  /** Notes the next message of this dump. @param value an object equal to what it decodes into */
  add(digest: Digest, key: string, value: Value): void {
    this.#next.add(digest, key, value);
    const { count, keys } = this.#last;
    for (let i = this.#at, end = Math.min(count, i + AHEAD); i < end; i++) {
      if (keys[i] === key) this.#at = i + 1;
    }
  }
}
