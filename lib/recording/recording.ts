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
import {
  type HostInfo,
  isAfter,
  type Moment,
  momentOf,
  type RecordedProtocol,
  type RecordingRecord,
  type SnapshotNote,
  type Unreadable,
} from './records.ts';

/** Bytes read at a time. */
const CHUNK = 2 ** 18;

/** A block, and the file that it is in. */
interface Place extends BlockPlace {
  readonly file: string;
}

/** From one time to another, in milliseconds since 1970. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Of which tables a snapshot is needed, and by when. */
export interface Snapshot {
  readonly moment: Moment;
  readonly protocols: readonly RecordedProtocol[];
  readonly netns: string | null | undefined;
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
  #runs: readonly Span[] | undefined;
  /** The first part that cannot be read. */
  #problem: Unreadable | undefined;

  /**
   * @param path of a file that `record` made, or of the directory of a ring
   * @throws RecordingError if it is not a recording; Error of the system
   */
  constructor(path: string) {
    this.path = path;
    this.#files = statSync(path).isDirectory() ? filesOf(path) : [path];
    const isFound = (file: string) => {
      try {
        return isRecordingFile(file);
      } catch (error) {
        // The ring may have deleted it meanwhile.
        if (file === path || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        return false;
      }
    };
    const found = this.#files.some(isFound);
    if (!found) {
      const what =
        this.#files[0] === path
          ? '; of a capture, `netlink-xfrm convert` makes one'
          : ` (a directory with files *${EXTENSION})`;
      throw new RecordingError(`${path} is not a recording of \`netlink-xfrm record\`${what}`);
    }
  }

  /**
   * The first and last times of its runs ({@link Moment}), in order.
   *
   * @throws RecordingError if none of it can be read
   */
  get runs(): readonly Span[] {
    if (this.#runs) return this.#runs;
    const runs: { from: number; to: number; last: Place }[] = [];
    for (const last of this.#places()) {
      const { run, wall } = last;
      runs[run] = { from: runs[run]?.from ?? wall, to: wall, last };
    }
    if (runs.length === 0) {
      const why = this.#problem ? `: ${describeUnreadable(this.#problem)}` : '';
      throw new RecordingError(`${this.path}: nothing of it can be read${why}`);
    }
    for (const { kind, run, time } of this.#read((block) => runs[block.run]?.last === block)) {
      const one = runs[run];
      if (one && kind !== 'unreadable') one.to = Math.max(one.to, time.wall);
    }
    this.#runs = runs.map(({ from, to }) => ({ from, to }));
    return this.#runs;
  }

  /** Its earliest and latest times. @throws RecordingError if none of it can be read */
  get span(): Span {
    const { runs } = this;
    return {
      from: Math.min(...runs.map(({ from }) => from)),
      to: Math.max(...runs.map(({ to }) => to)),
    };
  }

  get start(): Moment {
    return { run: 0, wall: this.runs[0]?.from ?? 0 };
  }

  /** After all records. */
  get end(): Moment {
    return { run: Number.POSITIVE_INFINITY, wall: this.runs.at(-1)?.to ?? 0 };
  }

  /** The host that was recorded last. */
  get host(): HostInfo | undefined {
    const last = this.#places().at(-1);
    let host: HostInfo | undefined;
    for (const wanted of [(block: Place) => block === last, undefined]) {
      for (const one of this.#read(wanted)) if (one.kind === 'host') host = one.host;
      if (host) break;
    }
    return host;
  }

  /**
   * All records, in order; what cannot be read is one of them.
   *
   * @param since may leave out what is not needed to know the tables then: begins before a whole
   *   snapshot, or at the beginning
   */
  records(since?: Snapshot): Iterable<RecordingRecord> {
    if (since === undefined) return this.#read();
    const places = this.#places();
    const snapshots = places.filter(
      (one) => one.flags & FLAG_SNAPSHOT && !isAfter(one, since.moment),
    );
    // The last ones may be of another protocol or namespace, incomplete, or have failed.
    for (let count = SNAPSHOTS; count <= snapshots.length; count *= 2) {
      const kept = new Set(places.slice(places.indexOf(snapshots.at(-count) as Place)));
      const records = () => this.#read((block) => kept.has(block));
      if (holds(records(), since)) return records();
    }
    return this.#read();
  }

  #places(): readonly Place[] {
    if (this.#blocks) return this.#blocks;
    const blocks: Place[] = [];
    const course = newCourse();
    for (const file of this.#files) {
      const note = (block: BlockPlace) => {
        blocks.push({ ...block, file });
        return false;
      };
      for (const one of readFile(file, note, course)) {
        // Only the blocks are of interest, and why there are none.
        if (one.kind === 'unreadable') this.#problem ??= one;
      }
    }
    this.#blocks = blocks;
    return blocks;
  }

  *#read(wanted?: (block: Place) => boolean): Generator<RecordingRecord, void> {
    const course = newCourse();
    const places = wanted ? this.#places() : (this.#blocks ?? []);
    for (const file of this.#files) {
      const known = new Map(places.flatMap((one) => (one.file === file ? [[one.at, one]] : [])));
      const isWanted = ({ at }: BlockPlace) => {
        const place = known.get(at);
        // The ring may have deleted files meanwhile.
        if (place) course.run = place.run;
        return wanted === undefined || (place !== undefined && wanted(place));
      };
      yield* readFile(file, isWanted, course);
    }
  }
}

/** Snapshots before a moment in which a whole one is looked for first. */
const SNAPSHOTS = 2;

/** Whether what is recorded until a moment has whole snapshots. */
function holds(
  records: Iterable<RecordingRecord>,
  { moment, protocols, netns }: Snapshot,
): boolean {
  const phases = new Map<RecordedProtocol, SnapshotNote['phase']>();
  const missing = new Set(protocols);
  for (const record of records) {
    if (isAfter(momentOf(record), moment)) return false;
    if (record.kind === 'datagram') continue;
    const note = record.kind === 'note' ? record.note : undefined;
    // What is missing may be missing in a snapshot.
    if (!note || note.kind === 'unwritten' || note.kind === 'overrun') phases.clear();
    else if (note.kind === 'snapshot' && record.kind === 'note' && record.netns === netns) {
      const { protocol, phase } = note;
      const before = phases.get(protocol);
      if (phase === 'settled' && before === 'dumped') missing.delete(protocol);
      if (missing.size === 0) return true;
      if (phase === 'begin' || before === 'begin') phases.set(protocol, phase);
      else phases.delete(protocol);
    }
  }
  return false;
}

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
