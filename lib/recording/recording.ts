/**
 * A recording on disk: a file, or the directory of a ring. It may still be written.
 * @module
 */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EXTENSION } from './files.ts';
import { FLAG_SNAPSHOT } from './format.ts';
import { MORE, RecordingInput } from './input.ts';
import { type BlockPlace, isRecording, newCourse, readBlocks } from './read-blocks.ts';
import { RecordingError } from './recorded.ts';
import type { HostInfo, RecordingRecord, Unreadable } from './records.ts';

/** Bytes read at a time. */
const CHUNK = 2 ** 18;

/** A block, and the file that it is in. */
interface Place extends BlockPlace {
  readonly file: string;
}

/** When a recording begins and ends, in milliseconds since 1970. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * A recording, read from disk as often as needed: nothing of it is kept but where its blocks are.
 *
 * @example
 * for (const record of new Recording('ipsec.nxr').records()) {
 *   if (record.kind === 'datagram') console.log(record.time.wall, record.protocol, record.bytes);
 * }
 */
export class Recording {
  readonly path: string;
  readonly #files: readonly string[];
  #blocks: readonly Place[] | undefined;
  #span: Span | undefined;

  /**
   * @param path of a file that `record` made, or of the directory of a ring
   * @throws RecordingError if it is not a recording; Error of the system
   */
  constructor(path: string) {
    this.path = path;
    this.#files = statSync(path).isDirectory() ? filesOf(path) : [path];
    const found = this.#files.some(isRecordingFile);
    if (!found) {
      const what = this.#files[0] === path ? '' : ` (a directory with files *${EXTENSION})`;
      throw new RecordingError(`${path} is not a recording of \`netlink-xfrm record\`${what}`);
    }
  }

  /** When it begins and ends. @throws RecordingError if none of it can be read */
  get span(): Span {
    if (this.#span) return this.#span;
    const [first] = this.#places();
    if (first === undefined) throw new RecordingError(`${this.path}: nothing of it can be read`);
    let to = first.wall;
    for (const { time } of this.#read((block) => block === this.#places().at(-1))) {
      if (time.wall > 0) to = time.wall;
    }
    this.#span = { from: first.wall, to };
    return this.#span;
  }

  /** The host that was recorded last. */
  get host(): HostInfo | undefined {
    let host: HostInfo | undefined;
    for (const record of this.#read((block) => block === this.#places().at(-1))) {
      if (record.kind === 'host') host = record.host;
    }
    return host;
  }

  /**
   * All records, in order; what cannot be read is one of them.
   *
   * @param since may leave out what is not needed to know the tables at this time (ms since 1970):
   *   begins at a snapshot before it
   */
  records(since = Number.NEGATIVE_INFINITY): Iterable<RecordingRecord> {
    if (since === Number.NEGATIVE_INFINITY) return this.#read();
    const places = this.#places();
    // The snapshot of the last such block may be incomplete at that time.
    const snapshots = places.filter(({ wall, flags }) => flags & FLAG_SNAPSHOT && wall <= since);
    const first = snapshots.at(-SNAPSHOTS) ?? places[0];
    return this.#read(
      (block) => first === undefined || places.indexOf(block) >= places.indexOf(first),
    );
  }

  #places(): readonly Place[] {
    if (this.#blocks) return this.#blocks;
    const blocks: Place[] = [];
    for (const file of this.#files) {
      const note = (block: BlockPlace) => {
        blocks.push({ ...block, file });
        return false;
      };
      for (const _ of readFile(file, note)) {
        // Only the blocks are of interest.
      }
    }
    this.#blocks = blocks;
    return blocks;
  }

  *#read(wanted?: (block: Place) => boolean): Generator<RecordingRecord, void> {
    const course = newCourse();
    for (const file of this.#files) {
      const known = new Map(
        wanted && this.#places().flatMap((one) => (one.file === file ? [[one.at, one]] : [])),
      );
      const isWanted = ({ at }: BlockPlace) => {
        const place = known.get(at);
        return wanted === undefined || (place !== undefined && wanted(place));
      };
      yield* readFile(file, isWanted, course);
    }
  }
}

/** Snapshots before a time from which its tables are rebuilt. */
const SNAPSHOTS = 2;

function filesOf(directory: string): string[] {
  const names = readdirSync(directory).filter((name) => name.endsWith(EXTENSION));
  if (names.length > 0) return names.sort().map((name) => join(directory, name));
  throw new RecordingError(`${directory} has no files *${EXTENSION} of \`netlink-xfrm record\``);
}

/** Whether a file is a recording. */
export const isRecordingFile = (file: string): boolean => isRecording(beginningOf(file));

function beginningOf(file: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const fd = openSync(file, 'r');
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(fd);
  }
}

/** Reads a file; one that the ring has deleted meanwhile has no records. */
function* readFile(
  file: string,
  wanted: (block: BlockPlace) => boolean,
  course = newCourse(),
): Generator<RecordingRecord, void> {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const input = new RecordingInput();
    const chunk = new Uint8Array(CHUNK);
    for (const record of readBlocks(input, wanted, course)) {
      if (record !== MORE) yield record;
      else {
        const length = readSync(fd, chunk, 0, CHUNK, null);
        if (length === 0) input.end();
        else input.add(chunk.subarray(0, length));
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** One line about what cannot be read. */
export const describeUnreadable = ({ at, length, reason }: Unreadable): string =>
  `${reason}: ${length} bytes at ${at} are skipped`;
