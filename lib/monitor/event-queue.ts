/** An async iterator fed by a producer, which reports when it is full. @module */
import { onAbort } from '../socket/abort.ts';

type Result<T> = IteratorResult<T, undefined>;

export interface QueueOwner<T> {
  /** {@link EventQueue.full} changed. */
  changed(): void;
  /** The reader left the loop, with these values unread. */
  left(unread: readonly T[]): void;
  /** The reader took a value. */
  taken?(value: T): void;
}

/**
 * Values between a producer that pushes and a reader that awaits. It never refuses a value; a
 * producer that honours `full` keeps it bounded.
 */
export class EventQueue<T> implements AsyncIterableIterator<T, undefined> {
  readonly #owner: QueueOwner<T>;
  readonly #highWaterMark: number;
  #values: T[] = [];
  #read = 0;
  readonly #waiting: ((result: Result<T> | Promise<Result<T>>) => void)[] = [];
  #ended = false;
  #error: unknown;
  #full = false;
  #signal: Disposable | undefined;

  /** @param highWaterMark number of queued values at which it is full, until half are read */
  constructor(highWaterMark: number, owner: QueueOwner<T>) {
    this.#highWaterMark = highWaterMark;
    this.#owner = owner;
  }

  /** Whether the producer should pause. */
  get full(): boolean {
    return this.#full;
  }

  push(value: T): void {
    if (this.#ended) return;
    const waiting = this.#waiting.shift();
    if (waiting) {
      waiting({ value, done: false });
      this.#owner.taken?.(value);
      return;
    }
    this.#values.push(value);
    this.#setFull(this.#full || this.#length >= this.#highWaterMark);
  }

  /** Withdraws a value. @returns whether it was still queued */
  withdraw(value: T): boolean {
    const at = this.#values.indexOf(value, this.#read);
    if (at < 0) return false;
    this.#values.splice(at, 1);
    this.#setFull(this.#full && this.#length > this.#highWaterMark / 2);
    return true;
  }

  /** Ends it when the signal is aborted, as if the reader had left; the reader gets the reason. */
  endOn(signal: AbortSignal | undefined): this {
    this.#signal = onAbort(signal, (reason) => {
      const unread = this.#clear();
      this.end(reason);
      this.#owner.left(unread);
    });
    return this;
  }

  /** No more values follow: the reader gets those still queued, then the end or the error. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#signal?.[Symbol.dispose]();
    this.#setFull(false);
    for (const resolve of this.#waiting.splice(0)) resolve(this.#last());
  }

  next(): Promise<Result<T>> {
    if (this.#length > 0) {
      const value = this.#values[this.#read++] as T;
      if (this.#read === this.#values.length || this.#read >= 1024) {
        this.#values.splice(0, this.#read);
        this.#read = 0;
      }
      this.#setFull(this.#full && this.#length > this.#highWaterMark / 2);
      this.#owner.taken?.(value);
      return Promise.resolve({ value, done: false });
    }
    return this.#ended ? this.#last() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<Result<T>> {
    const unread = this.#clear();
    this.#error = undefined;
    if (!this.#ended) {
      this.end();
      this.#owner.left(unread);
    }
    return this.#last();
  }

  #clear(): T[] {
    const unread = this.#values.slice(this.#read);
    this.#values = [];
    this.#read = 0;
    return unread;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** After the last value: the error, once, then the end. */
  async #last(): Promise<Result<T>> {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
    return { value: undefined, done: true };
  }

  get #length(): number {
    return this.#values.length - this.#read;
  }

  #setFull(full: boolean): void {
    if (full === this.#full) return;
    this.#full = full;
    this.#owner.changed();
  }
}
