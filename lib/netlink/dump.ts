/**
 * A dump: a list that the kernel produces while it is read. Every list of a client is one.
 * @module
 */
import { availableParallelism } from 'node:os';
import type { DecodeMessage } from './event.ts';

/** How a list ended. */
export interface DumpEnd {
  /**
   * The objects changed during the dump: request it again (NLM_F_DUMP_INTR). XFRM never sets this.
   */
  readonly interrupted: boolean;
}

/** The whole result of a dump. */
export interface DumpResult<T> {
  readonly items: readonly T[];
  /**
   * The objects changed during every attempt: some may be missing or duplicated. For rtnetlink, the
   * kernel reports this only for links, addresses and next hops (docs/route.md).
   */
  readonly interrupted: boolean;
}

/** How a dump is read. */
export interface DumpReading {
  /** The most pieces at once. */
  readonly batch: number;
  /** Bytes that a thread of its own reads ahead; 0: the kernel makes a piece when it is read. */
  readonly readAhead: number;
}

/** A piece at a time, once the one before was consumed. */
export const BY_PIECES: DumpReading = { batch: 1, readAhead: 0 };

/**
 * For a table, which keeps none of the pieces. Several at once: each turn of the event loop costs as
 * much as decoding some twenty objects, and much more where system calls are expensive.
 */
export const FOR_TABLE: DumpReading = { batch: 8, readAhead: 0 };

/**
 * To fill a table with many objects: they are read ahead, if there is another processor, which takes
 * a tenth of the time of opening a monitor on 100,000 policies. On the same one, a thread would keep
 * the event loop waiting. Not later: counters have the time at which they are decoded, which while a
 * listener blocks the event loop would be late.
 *
 * @param count how many objects there are, about
 */
export const toFillTable = (count: number): DumpReading =>
  count > MANY && availableParallelism() > 1 ? { ...FOR_TABLE, readAhead: 2 ** 22 } : FOR_TABLE;

/** Fewer are soon there without a thread. */
const MANY = 20_000;

/** Clients whose lists are for tables, and how they are read. */
export const tableLists = new WeakMap<
  object,
  { readonly decode: DecodeMessage<unknown>; readonly reading: DumpReading }
>();

type Batches<T> = AsyncGenerator<T[], DumpEnd, undefined>;

/** How many times to request a dump before returning an interrupted one. */
const ATTEMPTS = 5;

/** A whole dump, repeated if interrupted, up to five attempts in total. */
export async function readWhole<T>(ask: () => Batches<T>): Promise<DumpResult<T>> {
  for (let attempt = 1; ; attempt++) {
    const items: T[] = [];
    const batches = ask();
    let next = await batches.next();
    for (; !next.done; next = await batches.next()) for (const item of next.value) items.push(item);
    const { interrupted } = next.value;
    if (!interrupted || attempt === ATTEMPTS) return { items, interrupted };
  }
}

async function* each<T>(batches: Batches<T>): AsyncGenerator<T, DumpEnd, undefined> {
  let end: DumpEnd | undefined;
  try {
    for (;;) {
      const { value, done } = await batches.next();
      if (done) {
        end = value;
        return end;
      }
      for (const item of value) yield item;
    }
  } finally {
    // Abandoned early: nobody sees this value.
    if (end === undefined) await batches.return({ interrupted: true });
  }
}

/**
 * A dump of the kernel. Nothing is requested until it is read, in one of three ways, each of which
 * starts a new dump:
 *
 * - iterate over it, one object at a time. The kernel produces a dump piece by piece as it is read,
 *   so only one piece (at most 32 KiB of messages) is in memory, however long the list. The return
 *   value of the iterator tells whether the dump was interrupted;
 * - iterate over {@link batches}, one piece at a time: faster for long lists;
 * - `await` it to get everything as an array. An interrupted dump is repeated, up to five attempts
 *   in total.
 *
 * An invalid filter or option is refused when the dump is read.
 *
 * @example
 * for await (const state of client.listStates()) console.log(state.spi);
 * const { items, interrupted } = await client.listStates();
 */
export class Dump<T> implements AsyncGenerator<T, DumpEnd, undefined>, Promise<DumpResult<T>> {
  readonly #ask: () => Batches<T>;
  #own: AsyncGenerator<T, DumpEnd, undefined> | undefined;
  #whole: Promise<DumpResult<T>> | undefined;

  /** @param ask starts the dump */
  constructor(ask: () => Batches<T>) {
    this.#ask = ask;
  }

  /** @internal */
  get [Symbol.toStringTag](): string {
    return 'Dump';
  }

  /** The dump in pieces, as the kernel produces them. */
  batches(): Batches<T> {
    return this.#ask();
  }

  /** Starts the dump, and returns its objects one by one. */
  [Symbol.asyncIterator](): AsyncGenerator<T, DumpEnd, undefined> {
    return each(this.#ask());
  }

  /** The next object, when iterating by hand. */
  next(): Promise<IteratorResult<T, DumpEnd>> {
    return this.#reader().next();
  }

  /** Ends iteration by hand. */
  return(end: DumpEnd | PromiseLike<DumpEnd>): Promise<IteratorResult<T, DumpEnd>> {
    return this.#reader().return(end);
  }

  /** Ends iteration by hand with an error. */
  throw(error: unknown): Promise<IteratorResult<T, DumpEnd>> {
    return this.#reader().throw(error);
  }

  /** Ends iteration by hand, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.return({ interrupted: true });
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise of all of it
  then<Result = DumpResult<T>, Failure = never>(
    done?: ((result: DumpResult<T>) => Result | PromiseLike<Result>) | null,
    failed?: ((error: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Result | Failure> {
    return this.#all().then(done, failed);
  }

  catch<Failure = never>(
    failed?: ((error: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<DumpResult<T> | Failure> {
    return this.#all().catch(failed);
  }

  finally(settled?: (() => void) | null): Promise<DumpResult<T>> {
    return this.#all().finally(settled);
  }

  #reader(): AsyncGenerator<T, DumpEnd, undefined> {
    this.#own ??= each(this.#ask());
    return this.#own;
  }

  #all(): Promise<DumpResult<T>> {
    this.#whole ??= readWhole(this.#ask);
    return this.#whole;
  }
}
