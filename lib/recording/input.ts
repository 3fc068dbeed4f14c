/**
 * Input of a recording in chunks of any size; only the part being parsed is kept.
 * @module
 */

/** Yielded by a parser that needs the next chunk. */
export const MORE = Symbol('more');

/** A parsing step that waits for bytes. */
export type Waiting<Result> = Generator<typeof MORE, Result>;

/** Initial buffer size in bytes. */
const ROOM = 2 ** 17;

/**
 * The bytes of a recording that have arrived and have not been skipped. They are in one buffer, which is
 * reused: a view of it is valid until the parser asks for more.
 */
export class RecordingInput {
  #bytes = new Uint8Array(ROOM);
  #view = new DataView(this.#bytes.buffer);
  #start = 0;
  #end = 0;
  /** Bytes to skip that have not arrived yet. */
  #skip = 0;
  #position = 0;
  #ended = false;

  /** Position in the recording of the next byte. */
  get position(): number {
    return this.#position;
  }

  /** Number of bytes available. */
  get available(): number {
    return this.#end - this.#start;
  }

  /** The available bytes, possibly followed by others. */
  get view(): DataView {
    return this.#view;
  }

  /** Offset of the next byte in {@link view}. */
  get start(): number {
    return this.#start;
  }

  /** The next `length` bytes, which must be available. */
  bytes(length: number): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#start + length);
  }

  /** Adds a chunk, which may be reused afterwards. */
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

  /** Marks the end of the input. */
  end(): void {
    this.#ended = true;
  }

  /** Waits for the next `length` bytes. @returns false if the recording ends before */
  *has(length: number): Waiting<boolean> {
    while (this.available < length) {
      if (this.#ended) return false;
      yield MORE;
    }
    return true;
  }

  /** Skips the next `length` bytes, which need not be available yet. */
  skip(length: number): void {
    const here = Math.min(length, this.available);
    this.#start += here;
    this.#position += here;
    this.#skip = length - here;
  }

  /** Skips the rest. */
  *drain(): Waiting<void> {
    while (yield* this.has(1)) this.skip(this.available);
  }

  /** Bytes to be skipped beyond the end of the recording. */
  get missing(): number {
    return this.#skip;
  }
}
