/**
 * Reads a recording, block by block. Whatever is damaged becomes one {@link Unreadable}, and
 * reading continues with the next block.
 * @module
 */
import { brotliDecompressSync, constants } from 'node:zlib';
import type { EventTime } from '../netlink/event.ts';
import { align4 } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { NLMSG_HDRLEN } from '../wire/message.ts';
import {
  align8,
  BLOCK_HEADER,
  type BlockHeader,
  checksumOf,
  FLAG_BIG_ENDIAN,
  FLAG_SET_BACK,
  isMagic,
  LONGEST_BLOCK,
  MAGIC,
  RECORD,
  RECORD_HEADER,
  readBlockHeader,
  SET_BACK,
  VERSION,
} from './format.ts';
import { MORE, RecordingInput, type Waiting } from './input.ts';
import { hostOf, isTime, noteOf, parseJson } from './parse-records.ts';
import type { HostInfo, RecordingRecord } from './records.ts';

/** A block to be read or skipped. */
export interface BlockPlace extends BlockHeader {
  /** Its byte offset in the file. */
  readonly at: number;
  /** Of its records: see {@link Moment}. */
  readonly run: number;
}

/** Whether a recording begins with these bytes. */
export const isRecording = (bytes: Uint8Array): boolean =>
  bytes.length >= MAGIC.length && isMagic(bytes, 0);

/** What carries over from one block to the next, and from one file of a ring to the next. */
export interface Course {
  host: HostInfo | undefined;
  time: EventTime;
  run: number;
  /** Of the last block, whether it was read or skipped. */
  wall: number;
}

export const newCourse = (): Course => ({
  host: undefined,
  time: { wall: 0, monotonic: 0 },
  run: 0,
  wall: 0,
});

/**
 * Reads the records of a recording.
 *
 * @param wanted which blocks to read; default all
 */
export function* readBlocks(
  input: RecordingInput,
  wanted: (block: BlockPlace) => boolean = () => true,
  course = newCourse(),
): Generator<RecordingRecord | typeof MORE, void> {
  const unreadable = (at: number, length: number, reason: string): RecordingRecord => ({
    kind: 'unreadable',
    time: course.time,
    run: course.run,
    at,
    length,
    reason,
  });
  while (yield* input.has(1)) {
    const at = input.position;
    const whole = yield* input.has(BLOCK_HEADER);
    const seen = Math.min(input.available, MAGIC.length);
    if (!isMagic(input.bytes(seen), 0, seen)) {
      const length = yield* skipToBlock(input, 1);
      yield unreadable(at, length, 'no block begins here');
      continue;
    }
    if (!whole) {
      const length = input.available;
      input.skip(length);
      yield unreadable(at, length, 'the recording ends in the header of a block');
      return;
    }
    const header = readBlockHeader(input.view, input.start);
    const { version, stored, length } = header;
    const size = BLOCK_HEADER + stored;
    if (stored > LONGEST_BLOCK || length > LONGEST_BLOCK) {
      const skipped = yield* skipToBlock(input, MAGIC.length);
      yield unreadable(at, skipped, 'the header of a block is damaged: its length is impossible');
      continue;
    }
    if (!(yield* input.has(size))) {
      // Its length may be damaged: there may be others in what follows.
      const left = input.available;
      const skipped = yield* skipToBlock(input, MAGIC.length);
      const reason = `the recording ends in the middle of a block (${left} of ${size} bytes)`;
      yield unreadable(at, skipped, reason);
      continue;
    }
    const block = input.bytes(size);
    const kept = block.subarray(BLOCK_HEADER);
    if (checksumOf(block, kept) !== header.checksum) {
      const intact = (yield* input.has(size + MAGIC.length))
        ? isMagic(input.bytes(size + MAGIC.length), size)
        : input.available === size;
      const skipped = intact ? size : yield* skipToBlock(input, MAGIC.length);
      if (intact) input.skip(size);
      yield unreadable(at, skipped, 'the checksum of a block is wrong: it is damaged');
      continue;
    }
    let problem: string | undefined;
    if (version !== VERSION) {
      problem = `the block has version ${version} of the format; this program reads ${VERSION}`;
    } else if (((header.flags & FLAG_BIG_ENDIAN) === 0) !== LE) {
      problem = 'it was recorded on a machine of the opposite byte order';
    } else if (!isTime(header.wall)) {
      problem = 'the header of a block is damaged: its time is impossible';
    } else {
      // Of another recorder it is only seen by the time.
      const isBack = header.flags & FLAG_SET_BACK || header.wall < course.wall - SET_BACK;
      // Before the first there was none, whatever an older file of its ring said.
      if (isBack && course.wall > 0) course.run++;
      course.wall = header.wall;
      if (wanted({ ...header, at, run: course.run })) {
        const records = decompress(kept, length);
        if (records === undefined) problem = 'a block cannot be decompressed';
        else {
          input.skip(size);
          problem = yield* readRecords(records, at, course);
          if (problem !== undefined) yield unreadable(at, size, problem);
          continue;
        }
      }
    }
    input.skip(size);
    if (problem !== undefined) yield unreadable(at, size, problem);
  }
}

/** Skips at least `from` bytes, up to the next block or the end. @returns how many */
function* skipToBlock(input: RecordingInput, from: number): Waiting<number> {
  const begin = input.position;
  input.skip(Math.min(from, input.available));
  for (;;) {
    const { view, start, available } = input;
    const bytes = new Uint8Array(view.buffer, view.byteOffset + start, available);
    let found = bytes.indexOf(MAGIC[0] as number);
    while (found >= 0 && !isMagic(bytes, found, Math.min(MAGIC.length, available - found))) {
      found = bytes.indexOf(MAGIC[0] as number, found + 1);
    }
    input.skip(found < 0 ? available : found);
    if (found >= 0 && available - found >= MAGIC.length) return input.position - begin;
    if (!(yield* input.has(MAGIC.length))) {
      input.skip(input.available);
      return input.position - begin;
    }
  }
}

/** @returns undefined unless it decompresses to exactly `length` bytes */
function decompress(stored: Uint8Array, length: number): Uint8Array | undefined {
  try {
    const records = brotliDecompressSync(stored, {
      maxOutputLength: Math.max(1, length),
      finishFlush: constants.BROTLI_OPERATION_FINISH,
    });
    return records.length === length ? records : undefined;
  } catch {
    return undefined;
  }
}

/** @returns what is wrong, where the rest cannot be read */
function* readRecords(
  bytes: Uint8Array,
  at: number,
  course: Course,
): Generator<RecordingRecord, string | undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { run } = course;
  // Each block states its own.
  let host: HostInfo | undefined;
  for (let next = 0; next < bytes.length; ) {
    if (bytes.length - next < RECORD_HEADER) return 'a record is cut';
    const size = view.getUint32(next, true);
    const type = view.getUint8(next + 4);
    const protocol = view.getUint8(next + 5);
    const netns = host?.namespaces[view.getUint16(next + 6, true)] ?? null;
    const from = next + RECORD_HEADER;
    if (size > bytes.length - from) return 'a record is longer than its block';
    const payload = bytes.subarray(from, from + size);
    next = from + align4(size);
    if (type === RECORD.host) {
      const before = course.host;
      host = hostOf(parseJson(payload));
      if (host === undefined) return 'a block does not state its host';
      course.host = host;
      const resumed = before !== undefined && before.session !== host.session;
      if (before === undefined || resumed) {
        yield { kind: 'host', host, resumed, time: course.time, run, at };
      }
    } else if (type === RECORD.time) {
      if (size < 16) return 'a record of time is too short';
      const wall = view.getFloat64(from, true);
      const monotonic = view.getFloat64(from + 8, true);
      if (!isTime(wall) || !isTime(monotonic)) return 'a record of time is invalid';
      course.time = { wall, monotonic };
    } else if (host === undefined) return 'a block does not begin with its host';
    else if (type === RECORD.note) {
      const note = noteOf(parseJson(payload));
      if (note) yield { kind: 'note', netns, note, time: course.time, run, at };
    } else if (type === RECORD.datagram || type === RECORD.dumped || type === RECORD.truncated) {
      const dumped = type === RECORD.dumped;
      const truncated = type === RECORD.truncated;
      const more = { dumped, truncated, time: course.time, run, at };
      yield { kind: 'datagram', protocol, netns, bytes: payload, ...more };
    } else if (type === RECORD.datagrams) {
      const more = { dumped: false, truncated: false, time: course.time, run, at };
      for (let start = from, end = from + size; start < end; ) {
        const length = end - start < NLMSG_HDRLEN ? 0 : view.getUint32(start, LE);
        if (length < NLMSG_HDRLEN || length > end - start)
          return 'a record of datagrams is damaged';
        const message = bytes.subarray(start, start + length);
        yield { kind: 'datagram', protocol, netns, bytes: message, ...more };
        start += align8(length);
      }
    }
  }
  return undefined;
}

/** Reads a recording that arrives in chunks of any size. */
export class RecordReader {
  readonly #input = new RecordingInput();
  readonly #records = readBlocks(this.#input);

  /** The records completed by this chunk. All must be consumed before the next is passed. */
  push(chunk: Uint8Array): Iterable<RecordingRecord> {
    this.#input.add(chunk);
    return this.#read();
  }

  /** The rest after the last chunk. */
  end(): Iterable<RecordingRecord> {
    this.#input.end();
    return this.#read();
  }

  *#read(): Generator<RecordingRecord, void> {
    for (;;) {
      const { done, value } = this.#records.next();
      if (done || value === MORE) return;
      yield value;
    }
  }
}
