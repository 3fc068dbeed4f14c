/**
 * A recording on disk: a file, or the directory of a ring. It may still be written.
 * @module
 */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EXTENSION } from './files.ts';
import { FLAG_SNAPSHOT } from './format.ts';
import { MORE, RecordingInput } from './input.ts';
import { BLOCK_ORDER, type BlockPlace, isRecording, newCourse, readBlocks } from './read-blocks.ts';
import { RecordingError } from './recorded.ts';
import type { HostInfo, Moment, RecordingRecord, Unreadable } from './records.ts';
import { SteadyClock } from './steady-clock.ts';

/** Bytes read at a time. */
const CHUNK = 2 ** 18;

/** A block, and the file that it is in. */
interface Place extends BlockPlace {
  readonly file: string;
}

/** The earliest and the latest time in a recording, in milliseconds since 1970. */
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
  /** The first part that cannot be read. */
  #problem: Unreadable | undefined;

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

  /** Its earliest and its latest time. @throws RecordingError if none of it can be read */
  get span(): Span {
    if (this.#span) return this.#span;
    const places = this.#places();
    if (places.length === 0) {
      const why = this.#problem && `: ${describeUnreadable(this.#problem)}`;
      throw new RecordingError(`${this.path}: nothing of it can be read${why ?? ''}`);
    }
    let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const add = (wall: number) => {
      from = Math.min(from, wall);
      to = Math.max(to, wall);
    };
    for (const [i, { wall }] of places.entries()) {
      add(wall);
      if (this.#turnsIn(i)) for (const { time } of this.#recordsOf(i)) add(time.wall);
    }
    this.#span = { from, to };
    return this.#span;
  }

  /** Its first moment. */
  get start(): Moment {
    return { order: 0, after: 0, wall: this.#places()[0]?.wall ?? this.span.from };
  }

  /** Its last moment. */
  get end(): Moment {
    const places = this.#places();
    let wall = this.span.to;
    for (let i = places.length - 1; i >= 0; i--) {
      const last = this.#recordsOf(i).at(-1);
      if (last === undefined) continue;
      wall = last.time.wall;
      break;
    }
    return { order: Number.POSITIVE_INFINITY, after: 0, wall };
  }

  /** The moments at which the clock showed a time: several, if it was set back; none, outside. */
  at(wall: number): Moment[] {
    const places = this.#places();
    const found: Moment[] = [];
    for (const [i, place] of places.entries()) {
      const next = places[i + 1];
      const passes = place.wall <= wall && next !== undefined && next.wall > wall;
      if (!passes && !this.#turnsIn(i)) continue;
      const shows = (shown: number, following: number) =>
        shown <= wall && (following > wall || (shown === wall && following < wall));
      let last: Moment = { order: (i + 1) * BLOCK_ORDER, after: 0, wall: place.wall };
      for (const { order, time } of this.#recordsOf(i)) {
        if (shows(last.wall, time.wall)) found.push(last);
        last = { order, after: 0, wall: time.wall };
      }
      if (next ? shows(last.wall, next.wall) : last.wall === wall) found.push(last);
    }
    return found.map(({ order, wall: shown }) => ({ order, after: wall - shown, wall }));
  }

  /** The moment so many milliseconds after the beginning, however the clock was set. */
  after(elapsed: number): Moment | undefined {
    if (elapsed < 0) return undefined;
    const clock = new SteadyClock();
    let last: Moment | undefined;
    let start: number | undefined;
    for (const record of this.#read()) {
      if (record.kind === 'unreadable') continue;
      const { wall, monotonic } = clock.take(record);
      start ??= monotonic;
      const left = start + elapsed - monotonic;
      if (left < 0) return last && { ...last, wall: last.wall + last.after };
      last = { order: record.order, after: left, wall };
    }
    return last?.after === 0 ? last : undefined;
  }

  /** The moment so many milliseconds before the end, however the clock was set. */
  before(remaining: number): Moment | undefined {
    const clock = new SteadyClock();
    let [from, to]: (number | undefined)[] = [];
    for (const record of this.#read()) {
      if (record.kind === 'unreadable') continue;
      to = clock.take(record).monotonic;
      from ??= to;
    }
    return from === undefined || to === undefined ? undefined : this.after(to - from - remaining);
  }

  /** Whether the clock may go back in a block: the last one has no next to tell. */
  #turnsIn(i: number): boolean {
    const [place, next] = this.#places().slice(i, i + 2);
    return place !== undefined && (next === undefined || next.wall < place.wall);
  }

  /** The order and time of each record of a block that can be read. */
  #recordsOf(i: number): Pick<RecordingRecord, 'order' | 'time'>[] {
    const place = this.#places()[i];
    return Array.from(
      this.#read((block) => block === place),
      ({ kind, order, time }) => ({ kind, order, time }),
    ).filter(({ kind }) => kind !== 'unreadable');
  }

  /** The host that was recorded last. */
  get host(): HostInfo | undefined {
    for (const last of [...this.#places()].reverse()) {
      for (const record of this.#read((block) => block === last)) {
        if (record.kind === 'host') return record.host;
      }
    }
    return undefined;
  }

  /**
   * All records, in order; what cannot be read is one of them.
   *
   * @param since may leave out what is not needed to know the tables at this moment: begins at a
   *   snapshot before it
   */
  records(since?: Moment): Iterable<RecordingRecord> {
    if (since === undefined) return this.#read();
    const places = this.#places();
    // The snapshot of the last such block may be incomplete at that time.
    const snapshots = places.filter(
      ({ flags }, i) => flags & FLAG_SNAPSHOT && (i + 1) * BLOCK_ORDER <= since.order,
    );
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
      for (const record of readFile(file, note)) {
        // Only the blocks are of interest, and why there are none.
        if (record.kind === 'unreadable') this.#problem ??= record;
      }
    }
    this.#blocks = blocks;
    return blocks;
  }

  *#read(wanted?: (block: Place) => boolean): Generator<RecordingRecord, void> {
    const course = newCourse();
    for (const file of this.#files) {
      // The ring may have deleted files before this one since.
      const before = this.#blocks?.findIndex((one) => one.file === file) ?? -1;
      if (before >= 0) course.order = before * BLOCK_ORDER;
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
