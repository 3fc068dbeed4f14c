/**
 * `netlink-xfrm convert`: recordings for other programs.
 * @module
 */
import { once } from 'node:events';
import { createWriteStream, openSync } from 'node:fs';
import { basename } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Command, Option } from 'commander';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { CaptureRecorder } from '../recording/capture-recorder.ts';
import { espSaLine } from '../recording/esp-sa.ts';
import { BLOCK, EXTENSION } from '../recording/files.ts';
import { removeKeys } from '../recording/keys.ts';
import { clocksComment, commentOf, DUMPED, interfaceName } from '../recording/packet-comments.ts';
import { interfaceBlock, packetBlock, sectionHeader } from '../recording/pcapng-writer.ts';
import { type Recorded, RecordingError } from '../recording/recorded.ts';
import type { RecordedNote, RecordingRecord, Unreadable } from '../recording/records.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import { formatSpi } from '../xfrm/text.ts';
import { EXIT } from './exit.ts';
import { addPartOptions, checkSpan } from './look-back-options.ts';
import {
  type Items,
  PROTOCOLS,
  type RecordedFileOptions,
  readRecordedFile,
} from './recorded-file.ts';
import { noticeOf } from './recording-notice.ts';
import { decodeRecorded } from './replay.ts';
import { endWhenUnread } from './terminal/output.ts';
import { version } from './version.ts';

interface Options extends RecordedFileOptions {
  readonly format?: Format;
  readonly withKeys?: true;
}

type Format = 'pcapng' | 'esp-sa' | 'nxr';

export function convertCommand(): Command {
  return addPartOptions(
    new Command('convert')
      .description(
        'Converts recorded messages for other programs. FILE is whatever `replay` reads.\n' +
          'pcapng is for Wireshark, which shows XFRM messages by name with\n' +
          'contrib/wireshark-xfrm.lua. esp-sa is for decrypting ESP in Wireshark: its file esp_sa.\n' +
          'nxr is a recording of a capture, for a look back.\n' +
          'Needs no privileges.',
      )
      .argument('<file>', 'the file, or the directory of a ring; - for standard input')
      .argument('<output>', 'the file to write, which must not exist; - for standard output')
      .addOption(
        new Option('--format <name>', 'format; default: by the name of the output').choices([
          'pcapng',
          'esp-sa',
          'nxr',
        ]),
      )
      .addOption(
        new Option('--protocol <name>', 'protocol of concatenated messages')
          .choices(Object.keys(PROTOCOLS))
          .default('xfrm'),
      )
      .option(
        '--with-keys',
        'write keys, which are replaced by zeros otherwise; esp-sa needs them',
      ),
  ).action(async (file: string, output: string, options: Options, command: Command) => {
    const to = options.format ?? formatOf(output);
    if (to === undefined) {
      command.error(
        `error: '${output}' is neither *.pcapng, *.nxr nor esp_sa: name a format with '--format'`,
      );
    }
    if (to === 'esp-sa' && !options.withKeys) {
      command.error("error: an esp_sa file consists of keys: '--with-keys' is needed");
    }
    checkSpan(options, command);
    endWhenUnread();
    process.exitCode = await CONVERSIONS[to](file, output, options);
  });
}

/** By the name of the output. */
function formatOf(output: string): Format | undefined {
  if (basename(output) === 'esp_sa') return 'esp-sa';
  if (output.endsWith(EXTENSION)) return 'nxr';
  return output === '-' || output.endsWith('.pcapng') ? 'pcapng' : undefined;
}

/** Opens the output, which only its owner can read. */
const create = (output: string): Writable =>
  output === '-' ? process.stdout : createWriteStream('', { fd: openSync(output, 'wx', 0o600) });

/** An output that failed once drains no more. */
async function put(output: Writable, data: Uint8Array | string): Promise<void> {
  if (output.errored) throw output.errored;
  if (!output.write(data)) await once(output, 'drain');
}

async function end(output: Writable): Promise<void> {
  if (output === process.stdout) return;
  output.end();
  await finished(output);
}

const say = (text: string) => process.stderr.write(`${text}\n`);

const LEFT_OUT = 'datagrams of other protocols than XFRM and rtnetlink are left out';

interface Counts {
  packets: number;
  /** Datagrams of other protocols. */
  others: number;
  unreadable: number;
}

/** Writes each datagram as a packet; what else the recording says is in comments of the next. */
async function toPcapng(file: string, output: string, options: Options): Promise<number> {
  const counts: Counts = { packets: 0, others: 0, unreadable: 0 };
  let written: Writable | undefined;
  const interfaces = new Map<string | null, number>();
  let comments: string[] = [];
  let lastWall = Number.NaN;
  /** What the monotonic clock is ahead of the wall clock, as last said in a comment. */
  let ahead = Number.NaN;
  const aheadIn = ({ time }: RecordingRecord) => time.monotonic - time.wall;
  const write = async (bytes: Uint8Array) => {
    written ??= create(output);
    await put(written, bytes);
  };
  const begin = async () => {
    if (written === undefined) await write(sectionHeader(`netlink-xfrm ${version}`));
  };
  const packet = async (
    one: Recorded | (RecordingRecord & { kind: 'datagram' }),
    more: readonly string[],
  ) => {
    const { protocol, bytes, truncated } = one;
    if (protocol !== NETLINK_XFRM && protocol !== NETLINK_ROUTE) {
      counts.others++;
      return;
    }
    const netns = 'kind' in one ? one.netns : null;
    let from = interfaces.get(netns);
    if (from === undefined) {
      from = interfaces.size;
      interfaces.set(netns, from);
      await write(interfaceBlock(interfaceName(netns)));
    }
    // Not slice(): that of a Buffer shares its memory.
    const copy = Uint8Array.from(bytes);
    if (!options.withKeys && protocol === NETLINK_XFRM) {
      removeKeys(new DataView(copy.buffer), copy, 0, copy.length);
    }
    const wall = 'kind' in one ? one.time.wall : (one.wall ?? Number.NaN);
    const said = [...comments, ...more, ...(truncated ? ['cut when it was recorded'] : [])];
    comments = [];
    lastWall = wall;
    await write(packetBlock({ from, protocol, bytes: copy, truncated, wall, comments: said }));
    counts.packets++;
  };
  const take = async (items: Items) => {
    await begin();
    for (const item of items) {
      if (!('kind' in item)) {
        await packet(item, []);
        continue;
      }
      const isSaid = Math.abs(aheadIn(item) - ahead) <= 1;
      ahead = isSaid && item.kind === 'datagram' ? ahead : aheadIn(item);
      if (item.kind === 'datagram') {
        if (!isSaid) comments.push(clocksComment(item.time));
        await packet(item, item.dumped ? [DUMPED] : []);
      } else {
        if (item.kind === 'unreadable') counts.unreadable++;
        const text = noticeOf(item)?.text ?? overrunText(item);
        if (text !== undefined) comments.push(text);
        comments.push(commentOf(item.kind === 'unreadable' ? unwritten(item) : item));
      }
    }
  };
  await readRecordedFile(file, options, take);
  await begin();
  if (comments.length > 0 && interfaces.size > 0) {
    // After the last datagram: an empty packet.
    const last = { protocol: NETLINK_XFRM, bytes: new Uint8Array(0), truncated: false };
    await write(packetBlock({ ...last, from: 0, wall: lastWall, comments }));
  }
  if (written) await end(written);
  say(`${counts.packets} packets${options.withKeys ? ', with keys' : ''}`);
  if (counts.others > 0) say(`${counts.others} ${LEFT_OUT}`);
  if (counts.unreadable > 0) say(`${counts.unreadable} parts of the recording cannot be read`);
  return counts.unreadable > 0 ? EXIT.conditionNotMet : EXIT.done;
}

const overrunText = (record: RecordingRecord): string | undefined =>
  record.kind === 'note' && record.note.kind === 'overrun'
    ? `the kernel dropped ${record.note.protocol} events before this (${record.note.code})`
    : undefined;

/** What is missing is missing in a recording made of the capture, too. */
const unwritten = ({ time, run, at, length, reason }: Unreadable): RecordedNote => ({
  kind: 'note',
  time,
  run,
  at,
  netns: null,
  note: { kind: 'unwritten', bytes: length, reason },
});

/** Makes a recording of anything but a recording. */
async function toRecording(file: string, output: string, options: Options): Promise<number> {
  let written: Writable | undefined;
  const store = {
    blockSize: BLOCK,
    async write(block: Uint8Array) {
      written ??= create(output);
      await put(written, block);
    },
  };
  const keys = options.withKeys === true;
  const recorder = new CaptureRecorder(store, { version, keys });
  const take = async (items: Items) => {
    for (const item of items) {
      if ('kind' in item) throw new RecordingError('it is a recording already');
      recorder.take(item);
    }
  };
  try {
    await readRecordedFile(file, options, take);
  } finally {
    // What was read before an error is kept.
    await recorder.end();
    if (written) await end(written);
  }
  const { datagrams, snapshots, others } = recorder;
  if (datagrams === 0) {
    throw new RecordingError(`${file} has no messages of XFRM or rtnetlink`);
  }
  say(`${datagrams} datagrams, ${snapshots} snapshots${keys ? ', with keys' : ''}`);
  if (others > 0) say(`${others} ${LEFT_OUT}`);
  if (snapshots === 0) {
    say('it shows events only: no dump of everything is whole in the capture (docs/recording.md)');
  }
  return EXIT.done;
}

/** Writes one line for each SA that was ever seen with its key. */
async function toEspSa(file: string, output: string, options: Options): Promise<number> {
  const lines = new Map<string, string>();
  const without = new Map<string, string>();
  const see = (state: XfrmState) => {
    const name = `${state.daddr} ${formatSpi(state.spi)}`;
    const made = espSaLine(state);
    if ('line' in made) lines.set(name, made.line);
    else without.set(name, made.why);
  };
  const take = async (items: Items) => {
    for (const item of items) {
      if ('kind' in item && item.kind !== 'datagram') continue;
      const { protocol, bytes, truncated } = item;
      if (protocol !== NETLINK_XFRM) continue;
      const one = { protocol, bytes, truncated, at: 0, length: bytes.length };
      for (const { message } of decodeRecorded(one, { showKeys: true, output: 'json' })) {
        // A request's state may lack what the kernel adds; its SPI and keys are there.
        if ('state' in message && message.state !== undefined) see(message.state as XfrmState);
      }
    }
  };
  await readRecordedFile(file, options, take);
  const written = create(output);
  const text = [...lines.values()].map((line) => `${line}\n`).join('');
  await put(written, text);
  await end(written);
  say(`${lines.size} SAs, with keys: whoever reads the file can decrypt their traffic`);
  for (const [name, why] of without) {
    if (!lines.has(name)) say(`${name} is left out: ${why}`);
  }
  return lines.size > 0 ? EXIT.done : EXIT.conditionNotMet;
}

const CONVERSIONS = { pcapng: toPcapng, 'esp-sa': toEspSa, nxr: toRecording } as const;
