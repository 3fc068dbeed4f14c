/**
 * A list that the kernel makes while it is read: what every list of a client is.
 * @module
 */

/** How a list ended. */
export interface DumpEnd {
  /** What was listed changed meanwhile: ask again (NLM_F_DUMP_INTR). XFRM never says so. */
  readonly interrupted: boolean;
}

/** A list as the kernel gave it. */
export interface DumpResult<T> {
  readonly items: readonly T[];
  /**
   * What was listed changed while it was, each time it was asked for: something may be missing, or
   * there twice. Of rtnetlink, the kernel reports it for links, addresses and next hops only (docs/route.md).
   */
  readonly interrupted: boolean;
}

type Batches<T> = AsyncGenerator<T[], DumpEnd, undefined>;

/** How often a list is asked for before an interrupted one is handed out. */
const ATTEMPTS = 5;

/** A whole list, asked for again when it was interrupted, up to five times in all. */
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
    // Left early: nobody sees how it ended.
    if (end === undefined) await batches.return({ interrupted: true });
  }
}

/**
 * A list of the kernel's. Nothing is asked for until it is read, in one of three ways, each of which asks anew:
 *
 * - a loop over it, one object at a time. The kernel makes a list piece by piece as it is read, so that memory holds one
 *   piece (at most 32 KiB of messages), however long the list. What an iterator returns at the end says whether it was interrupted;
 * - a loop over {@link batches}, one piece at a time: less work for long lists;
 * - `await`, for all of it as an array. A list that was interrupted is asked for again, up to five times in all.
 *
 * A wrong filter or option is refused when the list is read.
 *
 * @example
 * for await (const state of client.listStates()) console.log(state.spi);
 * const { items, interrupted } = await client.listStates();
 */
export class Dump<T> implements AsyncGenerator<T, DumpEnd, undefined>, Promise<DumpResult<T>> {
  readonly #ask: () => Batches<T>;
  #own: AsyncGenerator<T, DumpEnd, undefined> | undefined;
  #whole: Promise<DumpResult<T>> | undefined;

  /** @param ask begins the list */
  constructor(ask: () => Batches<T>) {
    this.#ask = ask;
  }

  /** @internal */
  get [Symbol.toStringTag](): string {
    return 'Dump';
  }

  /** The list in pieces, as the kernel makes them. */
  batches(): Batches<T> {
    return this.#ask();
  }

  /** Asks for the list, and gives its objects one by one. */
  [Symbol.asyncIterator](): AsyncGenerator<T, DumpEnd, undefined> {
    return each(this.#ask());
  }

  /** The next object, of a list that is read by hand. */
  next(): Promise<IteratorResult<T, DumpEnd>> {
    return this.#reader().next();
  }

  /** Ends a list that is read by hand. */
  return(end: DumpEnd | PromiseLike<DumpEnd>): Promise<IteratorResult<T, DumpEnd>> {
    return this.#reader().return(end);
  }

  /** Ends a list that is read by hand, with an error. */
  throw(error: unknown): Promise<IteratorResult<T, DumpEnd>> {
    return this.#reader().throw(error);
  }

  /** Ends a list that is read by hand, for `await using`. */
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
