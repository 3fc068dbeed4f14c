/**
 * Files of recorded messages, whatever their format: what `replay` and `convert` read.
 * @module
 */
import { createReadStream, fstatSync, openSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { CaptureReader } from '../recording/capture.ts';
import { MAGIC } from '../recording/format.ts';
import { isRecording, RecordReader } from '../recording/read-blocks.ts';
import { type Recorded, RecordingError } from '../recording/recorded.ts';
import { isRecordingFile, Recording, type Span } from '../recording/recording.ts';
import {
  isAfter,
  isSkipped,
  type Moment,
  momentOf,
  type RecordingRecord,
} from '../recording/records.ts';
import { type Part, partOf, partOfRecording, tellSkipped } from './look-back.ts';
import type { SpanOptions } from './look-back-options.ts';

export const PROTOCOLS = { xfrm: NETLINK_XFRM, route: NETLINK_ROUTE } as const;

export interface RecordedFileOptions extends SpanOptions {
  /** Of concatenated messages, which do not state it. */
  readonly protocol: keyof typeof PROTOCOLS;
}

/** What a file holds. */
export type Items = Iterable<Recorded | RecordingRecord>;

/** Takes some items, whose bytes are valid until it is called again. */
type Show = (some: Items) => Promise<void>;

/** Bytes of a file to read at a time. */
const FILE_CHUNK = 2 ** 18;
/** Milliseconds on both sides of `--at`. */
const AROUND = 5000;

/**
 * Reads a file, or the directory of a ring.
 *
 * @param file `-` for standard input
 * @param isEnough whether to stop reading
 * @throws MomentError; RecordingError that begins with the file’s name
 */
export async function readRecordedFile(
  file: string,
  options: RecordedFileOptions,
  show: Show,
  isEnough?: () => boolean,
): Promise<void> {
  const readAll = (take: Show, isEnough?: () => boolean) =>
    readStream(file, options, take, isEnough);
  try {
    const about = file === '-' ? undefined : statSync(file);
    const isOnDisk = about?.isDirectory() || (about?.isFile() && isRecordingFile(file));
    const recording = isOnDisk ? new Recording(file) : undefined;
    let take: Show;
    const around = options.at === undefined ? 0 : AROUND;
    if ((options.at ?? options.from ?? options.to) === undefined) take = show;
    else if (recording) {
      const { from, to } = partOfRecording(recording, options);
      // The end is after the last run.
      const run = Math.min(from.run, recording.runs.length - 1);
      const part = {
        from: { run, wall: from.wall - around },
        to: { run: around === 0 ? to.run : run, wall: to.wall + around },
      };
      const asked = around === 0 ? undefined : from;
      take = (some) => show(partOfRecords(some as Iterable<RecordingRecord>, part, asked));
    } else {
      const { from, to } = partOf(about?.isFile() ? await spanOf(readAll) : UNKNOWN, options);
      take = (some) => show(within(some, from - around, to + around));
    }
    if (recording) await take(recording.records());
    else await readAll(take, isEnough);
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
    const isNamed = [':', ' '].some((mark) => error.message.startsWith(`${file}${mark}`));
    if (!isNamed) error.message = `${file}: ${error.message}`;
    throw error;
  }
}

const UNKNOWN: Span = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY };

/** When what was recorded was. @throws RecordingError if it has no time */
function wallOf(item: Recorded | RecordingRecord): number {
  const wall = 'kind' in item ? item.time.wall : item.wall;
  if (wall !== undefined) return wall;
  throw new RecordingError(
    'it has no times: --at, --from and --to need a recording, or a capture (pcap, pcapng)',
  );
}

/** When a file begins and ends, as far as it can be read. */
async function spanOf(readAll: (take: Show) => Promise<void>): Promise<Span> {
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const take = async (some: Items) => {
    for (const item of some) {
      const wall = wallOf(item);
      from = Math.min(from, wall);
      to = Math.max(to, wall);
    }
  };
  await readAll(take).catch((error: unknown) => {
    // What can be read is shown first, and then the error.
    if (!(error instanceof RecordingError) || from > to) throw error;
  });
  return from > to ? UNKNOWN : { from, to };
}

/** @param asked the moment that the part is around, if it is */
function* partOfRecords(
  records: Iterable<RecordingRecord>,
  { from, to }: Part,
  asked: Moment | undefined,
): Generator<RecordingRecord, void> {
  let before: RecordingRecord | undefined;
  for (const record of records) {
    const moment = momentOf(record);
    if (asked && before && isAfter(moment, asked) && !isAfter(momentOf(before), asked)) {
      if (isSkipped(asked.wall, before.time, record)) tellSkipped('--at', asked.wall);
    }
    if (!isAfter(from, moment) && !isAfter(moment, to)) yield record;
    before = record;
  }
}

function* within(
  items: Items,
  from: number,
  to: number,
): Generator<Recorded | RecordingRecord, void> {
  for (const item of items) {
    // The clock may have been set back: later ones can be earlier.
    const wall = wallOf(item);
    if (wall >= from && wall <= to) yield item;
  }
}

/** Reads a stream of any format, chunk by chunk. */
async function readStream(
  file: string,
  options: RecordedFileOptions,
  show: Show,
  isEnough: () => boolean = () => false,
) {
  const input = open(file);
  let reader: CaptureReader | RecordReader | undefined;
  let begin = new Uint8Array(0);
  const decide = () => {
    reader = isRecording(begin)
      ? new RecordReader()
      : new CaptureReader(PROTOCOLS[options.protocol]);
    return show(reader.push(begin));
  };
  try {
    for await (const chunk of input) {
      if (isEnough()) return;
      if (reader) await show(reader.push(chunk));
      else {
        begin = new Uint8Array(Buffer.concat([begin, chunk]));
        if (begin.length >= MAGIC.length) await decide();
      }
    }
    if (isEnough()) return;
    if (reader === undefined) await decide();
    if (reader) await show((reader as RecordReader).end());
  } finally {
    input.destroy();
  }
}

/** Opens a file as a stream. Reading from a pipe does not occupy a thread, so that the process can end. */
function open(file: string): Readable {
  if (file === '-') return process.stdin;
  const fd = openSync(file, 'r');
  const stat = fstatSync(fd);
  return stat.isFIFO() || stat.isSocket()
    ? new Socket({ fd, readable: true, writable: false })
    : createReadStream('', { fd, highWaterMark: FILE_CHUNK });
}
