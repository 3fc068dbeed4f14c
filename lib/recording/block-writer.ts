/**
 * Collects records into blocks, and compresses them. No files: blocks go, in order, to whatever
 * stores them.
 * @module
 */
import { brotliCompressSync, constants } from 'node:zlib';
import type { EventTime } from '../netlink/event.ts';
import { align4 } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import {
  FLAG_BIG_ENDIAN,
  FLAG_SET_BACK,
  FLAG_SNAPSHOT,
  RECORD,
  RECORD_HEADER,
  SET_BACK,
  writeBlock,
} from './format.ts';
import type { HostInfo, Note } from './records.ts';

/** Where blocks go. */
export interface BlockStore {
  /** Bytes of a block before it is compressed, unless one record is longer. */
  readonly blockSize: number;
  /** @returns a promise that is rejected if the block could not be stored; nothing of it is then */
  write(block: Uint8Array): Promise<void>;
}

/** Milliseconds after which a block is written even if it is not full. */
const AGE = 1000;
/** Bytes of blocks that may wait to be written before {@link BlockWriter.full}. */
const WAITING = 64 * 2 ** 20;
/**
 * Compression that costs little, and is done at once: another thread would take longer to get the
 * block into its cache and to be told, than this takes (docs/performance.md, The recorder).
 */
const COMPRESSION = {
  params: {
    [constants.BROTLI_PARAM_QUALITY]: 0,
    [constants.BROTLI_PARAM_LGWIN]: 18,
  },
};

const TEXT = new TextEncoder();
/** Bytes of a time record. */
const TIME = RECORD_HEADER + 16;

interface Buffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

const allocate = (size: number): Buffer => {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer) };
};

export interface BlockWriterOptions {
  /** CLOCK_MONOTONIC of monotonic time 0, in milliseconds; default that of performance.now(). */
  readonly origin?: number;
  /** Whether readers may begin at snapshots: not if most that begin are never complete. */
  readonly marksSnapshots?: boolean;
}

export class BlockWriter {
  readonly #store: BlockStore;
  readonly #host: () => HostInfo;
  readonly #origin: number;
  readonly #marks: boolean;
  #buffer: Buffer;
  #used = 0;
  #flags = 0;
  #wall = 0;
  #time: EventTime = { wall: -1, monotonic: -1 };
  #timer: NodeJS.Timeout | undefined;
  #written: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** Bytes that were not stored and are not yet noted. */
  #lost = 0;
  #reason = '';
  /** Called when a block was not stored, and when the first is again. */
  failed: (error: Error) => void = () => {};
  recovered: () => void = () => {};
  /** Called when {@link full} becomes false. */
  drained: () => void = () => {};

  constructor(store: BlockStore, host: () => HostInfo, options: BlockWriterOptions = {}) {
    this.#store = store;
    this.#host = host;
    this.#origin = options.origin ?? Number(process.hrtime.bigint()) / 1e6 - performance.now();
    this.#marks = options.marksSnapshots ?? true;
    this.#buffer = allocate(store.blockSize);
  }

  /** Whether so much waits that reading should stop: the kernel then queues events. */
  get full(): boolean {
    return this.#waiting > WAITING;
  }

  /** The memory of the current block. */
  get view(): DataView {
    return this.#buffer.view;
  }

  /** The same memory. */
  get bytes(): Uint8Array {
    return this.#buffer.bytes;
  }

  /** The time of the records that follow, on the clocks of {@link now}. */
  at(wall: number, monotonic: number): void {
    const { wall: before, monotonic: earlier } = this.#time;
    if (wall === before && monotonic === earlier) return;
    // A block belongs to one run (Moment): another begins where the wall clock was set back.
    if (wall < before - SET_BACK) {
      this.flush();
      this.#flags |= FLAG_SET_BACK;
    }
    this.#time = { wall, monotonic };
    if (this.#used === 0) return;
    if (this.#used + TIME > this.bytes.length) this.flush();
    else this.#addTime();
  }

  /**
   * Adds a datagram, or what a record of several consists of, copied.
   *
   * @returns where its bytes are in {@link bytes}, until the next call
   */
  datagram(
    type: 'datagram' | 'dumped' | 'truncated' | 'datagrams',
    protocol: number,
    netns: number,
    from: Uint8Array,
    start: number,
    length: number,
  ): number {
    const at = this.#begin(RECORD[type], protocol, netns, length);
    this.bytes.set(from.subarray(start, start + length), at);
    return at;
  }

  note(netns: number, note: Note): void {
    if (this.#marks && note.kind === 'snapshot' && note.phase === 'begin')
      this.#flags |= FLAG_SNAPSHOT;
    this.#json(RECORD.note, netns, note);
  }

  /** Ends the block, and begins another with the next record. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#used === 0) return;
    const length = this.#used;
    const before = this.#written;
    try {
      const block = this.#endBlock();
      this.#waiting += block.length;
      this.#written = this.#write(block, length, before);
    } catch (error) {
      this.#written = before.then(() => this.#lose(length, error as Error));
    }
  }

  async #write(block: Uint8Array, length: number, before: Promise<void>): Promise<void> {
    await before;
    try {
      await this.#store.write(block);
      if (this.#lost > 0) this.#noteLost();
    } catch (error) {
      this.#lose(length, error as Error);
    }
    const full = this.full;
    this.#waiting -= block.length;
    if (full && !this.full) this.drained();
  }

  /** @returns a promise that is fulfilled when everything is stored, or could not be */
  async end(): Promise<void> {
    this.flush();
    await this.#written;
    // What was lost just before may be noted now.
    this.flush();
    await this.#written;
  }

  /** The current block, compressed. Its memory can be used again. */
  #endBlock(): Uint8Array {
    const { bytes } = this;
    const length = this.#used;
    const header = { length, wall: this.#wall, flags: this.#flags | (LE ? 0 : FLAG_BIG_ENDIAN) };
    this.#used = 0;
    this.#flags = 0;
    const { blockSize } = this.#store;
    if (bytes.length > blockSize) this.#buffer = allocate(blockSize);
    return writeBlock(brotliCompressSync(bytes.subarray(0, length), COMPRESSION), header);
  }

  #lose(length: number, error: Error): void {
    const first = this.#lost === 0;
    this.#lost += length;
    this.#reason = (error as NodeJS.ErrnoException).code ?? String(error);
    if (first) this.failed(error);
  }

  #noteLost(): void {
    const [bytes, reason] = [this.#lost, this.#reason];
    this.#lost = 0;
    this.note(0, { kind: 'unwritten', bytes, reason });
    this.recovered();
  }

  /** Reserves a record. @returns where its payload goes */
  #begin(type: number, protocol: number, netns: number, length: number): number {
    const size = RECORD_HEADER + align4(length);
    if (this.#used > 0 && this.#used + size > this.bytes.length) this.flush();
    if (this.#used === 0) this.#beginBlock(size);
    return this.#add(type, protocol, netns, length);
  }

  #add(type: number, protocol: number, netns: number, length: number): number {
    const at = this.#used;
    const { view, bytes } = this.#buffer;
    const from = at + RECORD_HEADER;
    const end = from + align4(length);
    view.setUint32(at, length, true);
    view.setUint8(at + 4, type);
    view.setUint8(at + 5, protocol);
    view.setUint16(at + 6, netns, true);
    for (let i = from + length; i < end; i++) bytes[i] = 0;
    this.#used = end;
    return from;
  }

  #addTime(): void {
    const from = this.#add(RECORD.time, 0, 0, 16);
    this.view.setFloat64(from, this.#time.wall, true);
    this.view.setFloat64(from + 8, this.#time.monotonic + this.#origin, true);
  }

  /** @param size of the first record */
  #beginBlock(size: number): void {
    const host = TEXT.encode(JSON.stringify(this.#host()));
    const least = TIME + RECORD_HEADER + align4(host.length) + size;
    if (least > this.bytes.length) this.#buffer = allocate(least);
    this.#wall = this.#time.wall;
    this.#addTime();
    this.bytes.set(host, this.#add(RECORD.host, 0, 0, host.length));
    this.#timer = setTimeout(() => this.flush(), AGE).unref();
  }

  #json(type: number, netns: number, value: unknown): void {
    const text = TEXT.encode(JSON.stringify(value));
    const at = this.#begin(type, 0, netns, text.length);
    this.bytes.set(text, at);
  }
}
