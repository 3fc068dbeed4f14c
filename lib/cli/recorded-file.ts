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
import { isRecordingFile } from '../recording/recording.ts';
import type { RecordingRecord } from '../recording/records.ts';
import { LookBack } from './look-back.ts';

export const PROTOCOLS = { xfrm: NETLINK_XFRM, route: NETLINK_ROUTE } as const;

export interface RecordedFileOptions {
  /** Of concatenated messages, which do not state it. */
  readonly protocol: keyof typeof PROTOCOLS;
  readonly at?: string;
  readonly from?: string;
  readonly to?: string;
}

/** What a file holds. */
export type Items = Iterable<Recorded | RecordingRecord>;

/** Bytes of a file to read at a time. */
const FILE_CHUNK = 2 ** 18;
/** Milliseconds on both sides of `--at`. */
const AROUND = 5000;

/**
 * Reads a file, or the directory of a ring.
 *
 * @param file `-` for standard input
 * @param show takes some items, whose bytes are valid until it is called again
 * @param isEnough whether to stop reading
 * @throws RecordingError that begins with the file's name
 */
export async function readRecordedFile(
  file: string,
  options: RecordedFileOptions,
  show: (some: Items) => Promise<void>,
  isEnough: () => boolean = () => false,
): Promise<void> {
  try {
    const recording = recordingAt(file, options);
    if (recording) await show(recording);
    else await readStream(file, options, show, isEnough);
  } catch (error) {
    if (error instanceof RecordingError && !error.message.startsWith(file)) {
      error.message = `${file}: ${error.message}`;
    }
    throw error;
  }
}

/** The records of a recording on disk; undefined for anything else. */
function recordingAt(file: string, options: RecordedFileOptions): Items | undefined {
  const about = file === '-' ? undefined : statSync(file);
  if (!about?.isDirectory() && !(about?.isFile() && isRecordingFile(file))) {
    for (const name of ['at', 'from', 'to'] as const) {
      if (options[name] === undefined) continue;
      throw new RecordingError(`--${name} needs a recording of \`netlink-xfrm record\`, on disk`);
    }
    return undefined;
  }
  const { at, from, to } = options;
  const { recording, span } = new LookBack(file, at || from || to ? options : { from: 'start' });
  const around = at === undefined ? 0 : AROUND;
  return within(recording.records(), span.from - around, span.to + around);
}

function* within(
  records: Iterable<RecordingRecord>,
  from: number,
  to: number,
): Generator<RecordingRecord, void> {
  for (const record of records) {
    // The clock may have been set back: later ones can be earlier.
    if (record.time.wall >= from && record.time.wall <= to) yield record;
  }
}

/** Reads a stream of any format, chunk by chunk. */
async function readStream(
  file: string,
  options: RecordedFileOptions,
  show: (some: Items) => Promise<void>,
  isEnough: () => boolean,
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
