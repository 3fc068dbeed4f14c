/**
 * A recording that comes in chunks of any size, of which only the part that is being looked at is kept.
 * @module
 */

/** What a parser yields when it cannot go on before the next chunk. */
export const MORE = Symbol('more');

/** A step of a parser that waits for bytes. */
export type Waiting<Result> = Generator<typeof MORE, Result>;

/** Bytes of room at first. */
const ROOM = 2 ** 17;

/**
 * The bytes of a recording that have come and were not skipped yet. They lie in one buffer, which is
 * reused: a view of it holds until the parser asks for more.
 */
export class RecordingInput {
  #bytes = new Uint8Array(ROOM);
  #view = new DataView(this.#bytes.buffer);
  #start = 0;
  #end = 0;
  /** Bytes to be skipped that have not come yet. */
  #skip = 0;
  #position = 0;
  #ended = false;

  /** Where in the recording the next byte is, in bytes. */
  get position(): number {
    return this.#position;
  }

  /** How many bytes are there. */
  get available(): number {
    return this.#end - this.#start;
  }

  /** The bytes that are there, and maybe more. */
  get view(): DataView {
    return this.#view;
  }

  /** Where in {@link view} the next byte is. */
  get start(): number {
    return this.#start;
  }

  /** The next `length` bytes, which must be there. */
  bytes(length: number): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#start + length);
  }

  /** Takes a chunk, which may be used again afterwards. */
  add(chunk: Uint8Array): void {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    this.#position += skipped;
    const length = chunk.length - skipped;
    const { available } = this;
    if (this.#bytes.length - this.#end < length) {
      const before = this.#bytes;
      if (before.length < available + length) {
        this.#bytes = new Uint8Array(2 * (available + length));
        this.#view = new DataView(this.#bytes.buffer);
      }
      this.#bytes.set(before.subarray(this.#start, this.#end));
      this.#start = 0;
      this.#end = available;
    }
    this.#bytes.set(chunk.subarray(skipped), this.#end);
    this.#end += length;
  }

  /** There is no more. */
  end(): void {
    this.#ended = true;
  }

  /** Waits until the next `length` bytes are there. @returns whether they are: the recording may end */
  *has(length: number): Waiting<boolean> {
    while (this.available < length) {
      if (this.#ended) return false;
      yield MORE;
    }
    return true;
  }

  /** Goes on behind the next `length` bytes, which need not be there yet. */
  skip(length: number): void {
    const here = Math.min(length, this.available);
    this.#start += here;
    this.#position += here;
    this.#skip = length - here;
  }

  /** Skips all that is left. */
  *drain(): Waiting<void> {
    while (yield* this.has(1)) this.skip(this.available);
  }

  /** Bytes to be skipped that the recording ended before. */
  get missing(): number {
    return this.#skip;
  }
}
