/**
 * `netlink-xfrm replay`: the messages of a recording, decoded.
 * @module
 */
import { once } from 'node:events';
import { createReadStream, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { Command, Option } from 'commander';
import pc from 'picocolors';
import type { Filter } from '../monitor/filter.ts';
import type { MalformedEvent } from '../monitor/subscribe.ts';
import { NETLINK_ROUTE, NETLINK_XFRM, NLM_F_REQUEST } from '../netlink/constants.ts';
import { type DecodeInput, decodeDatagram } from '../netlink/event.ts';
import { decodeRoute } from '../route/decode.ts';
import { decodeRouteMessage } from '../route/decode-message.ts';
import type { RouteMessage } from '../route/requests.ts';
import { NLMSG_HDRLEN, nextMessage } from '../wire/message.ts';
import { printable, textBytes } from '../wire/text.ts';
import { decodeXfrm } from '../xfrm/decode.ts';
import { decodeXfrmMessage } from '../xfrm/decode-message.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import type { XfrmMessage } from '../xfrm/requests.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import { moment } from './moment.ts';
import { addCountOption, FILTER_HELP, filterOf } from './options.ts';
import { type Recorded, RecordingError } from './recording/recorded.ts';
import { RecordingReader, wholeMessages } from './recording/recording.ts';
import { endWhenUnread } from './terminal/output.ts';
import { IPROUTE2_VERSION, Iproute2Format } from './text/iproute2.ts';
import { machineNames } from './text/machine-names.ts';
import { formatMessage } from './text/message.ts';

interface Options {
  output: 'text' | 'json' | 'iproute2';
  protocol: keyof typeof PROTOCOLS;
  json?: true;
  showKeys?: boolean;
  color: 'auto' | 'always' | 'never';
  count?: number;
  /** Milliseconds since 1970. */
  since?: number;
  until?: number;
}

const PROTOCOLS = { xfrm: NETLINK_XFRM, route: NETLINK_ROUTE } as const;

/** Characters to collect before writing, and bytes of messages to decode in one go. */
const CHUNK = 2 ** 16;
/** Bytes of a file to read at a time. */
const FILE_CHUNK = 2 ** 18;

export function replayCommand(): Command {
  return addCountOption(new Command('replay'), 'messages')
    .description(
      'Prints the messages of FILE: concatenated netlink messages, as `ip xfrm monitor file` reads\n' +
        'them, or a capture of an nlmon device (pcap or pcapng). Needs no privileges.\n' +
        'Concatenated messages do not state their protocol: for rtnetlink, as recorded by rtmon,\n' +
        'use --protocol route.',
    )
    .argument('<file>', 'the file; - for standard input')
    .argument('[filter...]', 'messages to print')
    .addOption(
      new Option('-o, --output <format>', 'format')
        .choices(['text', 'json', 'iproute2'])
        .default('text'),
    )
    .option('--json', 'short for -o json: one object per line')
    .addOption(
      new Option('--protocol <name>', 'protocol of concatenated messages')
        .choices(Object.keys(PROTOCOLS))
        .default('xfrm'),
    )
    .addOption(
      new Option('--color <when>', 'when to use colors')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    )
    .option(
      '--since <time>',
      'of a capture: not what is before this time: 03:12, 2026-11-29T03:12; 5m: 5 minutes ago',
      moment(-1),
    )
    .option('--until <time>', 'of a capture: not what is after this time', moment(-1))
    .option('--show-keys', 'print keys, which are hidden otherwise; needs -o json or iproute2')
    .addHelpText(
      'after',
      `\n-o iproute2 prints what \`ip xfrm monitor file FILE\` of iproute2 ${IPROUTE2_VERSION} prints; with --show-keys,\n` +
        'byte for byte. A message that cannot be decoded becomes a record in the output (with\n' +
        '-o iproute2, a line on standard error), and the exit status is 1.\n',
    )
    .addHelpText('after', FILTER_HELP)
    .action(async (file: string, terms: string[], options: Options, command: Command) => {
      const output = options.json ? 'json' : options.output;
      if (options.showKeys && output === 'text') {
        command.error(
          "error: '--show-keys' needs '-o json' or '-o iproute2': text output never contains keys",
        );
      }
      if (options.protocol === 'route' && output === 'iproute2') {
        command.error("error: '-o iproute2' is for XFRM: 'ip monitor file' prints rtnetlink");
      }
      process.exitCode = await replay(file, filterOf(terms, command), { ...options, output });
    });
}

/** Opens a recording as a stream. Reading from a pipe does not occupy a thread, so that the process can end. */
function open(file: string): Readable {
  if (file === '-') return process.stdin;
  const fd = openSync(file, 'r');
  const stat = fstatSync(fd);
  return stat.isFIFO() || stat.isSocket()
    ? new Socket({ fd, readable: true, writable: false })
    : createReadStream('', { fd, highWaterMark: FILE_CHUNK });
}

async function replay(file: string, filter: Filter, options: Options): Promise<number> {
  const input = open(file);
  endWhenUnread();
  const print = printer(options);
  const reader = new RecordingReader(PROTOCOLS[options.protocol]);
  const isWithin = within(options);
  let left = options.count ?? Number.POSITIVE_INFINITY;
  let malformed = 0;
  let text = '';
  const flush = async () => {
    if (text === '') return;
    // ip prints names as raw bytes; other formats escape what is not valid UTF-8.
    const written = options.output === 'iproute2' ? textBytes(text) : text;
    text = '';
    if (!process.stdout.write(written)) await once(process.stdout, 'drain');
  };
  const show = async (some: Iterable<Recorded>) => {
    for (const recorded of some) {
      if (!isWithin(recorded)) continue;
      for (const decoded of decodeRecorded(recorded, options)) {
        if (decoded.message.kind === 'malformed') malformed++;
        if (!filter.matches(decoded.message)) continue;
        text += print(decoded);
        if (--left === 0) break;
        if (text.length >= CHUNK) await flush();
      }
      if (left === 0) break;
    }
    // The next bytes may take a long time to arrive.
    await flush();
  };
  try {
    for await (const chunk of input) {
      await show(reader.push(chunk));
      if (left === 0) break;
    }
    if (left > 0) await show(reader.end());
  } catch (error) {
    if (error instanceof RecordingError) error.message = `${file}: ${error.message}`;
    throw error;
  } finally {
    await flush();
    input.destroy();
  }
  return malformed > 0 ? EXIT.conditionNotMet : EXIT.done;
}

/** Whether a datagram was recorded between two times. @throws RecordingError if it has no time */
function within({ since, until }: Options): (recorded: Recorded) => boolean {
  if (since === undefined && until === undefined) return () => true;
  return ({ wall }) => {
    if (wall === undefined) {
      throw new RecordingError(
        'it has no times: --since and --until need a capture (pcap, pcapng)',
      );
    }
    return wall >= (since ?? wall) && wall <= (until ?? wall);
  };
}

/** A decoded message and its nlmsg_len; 0 if it is malformed. */
export interface Decoded {
  readonly message: XfrmMessage | RouteMessage | MalformedEvent;
  readonly length: number;
}

/** The messages of a recorded datagram; none if its protocol is not supported. */
export function* decodeRecorded(
  { protocol, bytes, at, length, truncated, wall = Number.NaN, heard }: Recorded,
  { showKeys, output }: Pick<Options, 'showKeys' | 'output'>,
): Generator<Decoded, void> {
  const input: DecodeInput = {
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    bytes,
    time: { wall, monotonic: Number.NaN },
    keys: showKeys === true,
  };
  const read = truncated ? length : lengthRead(input.view, length);
  const decodeAll = function* (
    name: 'xfrm' | 'route',
    decode: (input: DecodeInput, at: number, length: number) => XfrmMessage | RouteMessage,
  ): Generator<Decoded, void> {
    // A long datagram may hold a great many messages: decode it in parts.
    for (let from = 0; ; ) {
      const whole = wholeMessages(input.view, from, bytes.length, false, CHUNK);
      const next = nextMessage(from, whole);
      const isLast = whole === 0 || next >= read;
      const decoded: Decoded[] = [];
      decodeDatagram(
        input,
        from,
        isLast ? read - from : whole,
        isLast && truncated,
        (input, at, length): Decoded => ({ message: decode(input, at, length), length }),
        (one) => {
          if ('message' in one) decoded.push(one);
          // Position in the file, not in the datagram.
          else {
            const offset = at + from + one.offset;
            decoded.push({ message: { ...one, protocol: name, offset }, length: 0 });
          }
        },
      );
      yield* decoded;
      if (isLast) return;
      from = next;
    }
  };
  // ip does not distinguish a request from the event of the same type.
  if (protocol === NETLINK_XFRM) {
    yield* decodeAll('xfrm', output === 'iproute2' ? decodeXfrm : decodeXfrmMessage);
  } else if (protocol === NETLINK_ROUTE && output !== 'iproute2') {
    // In multicast messages the request flag is meaningless: events of nexthop objects have it, too.
    yield* decodeAll('route', heard ? decodeRoute : decodeRouteMessage);
  }
}

/**
 * How much of a datagram to read: for requests, not the zeros after them. Programs send their whole buffer, and the
 * kernel stops at the first invalid header (net/netlink/af_netlink.c, netlink_rcv_skb).
 */
function lengthRead(view: DataView, length: number): number {
  if (length > view.byteLength || length < NLMSG_HDRLEN) return length;
  if ((view.getUint16(6, true) & NLM_F_REQUEST) === 0) return length;
  const messages = wholeMessages(view, 0, length);
  if (messages === 0) return length;
  for (let i = messages; i < length; i++) if (view.getUint8(i) !== 0) return length;
  return messages;
}

/** Formatter for messages, including the line break. */
function printer({ output, showKeys = false, color }: Options): (decoded: Decoded) => string {
  if (output === 'json') return ({ message }) => `${formatJson(message, showKeys)}\n`;
  if (output === 'text') {
    const colors = pc.createColors(
      color === 'auto' ? process.stdout.isTTY === true && pc.isColorSupported : color === 'always',
    );
    return ({ message }) => `${formatMessage(message, colors)}\n`;
  }
  const format = new Iproute2Format({ showKeys, names: machineNames() });
  return ({ message, length }) => {
    if (message.kind === 'malformed') {
      const where = [...message.path, message.reason].join(' › ');
      process.stderr.write(`netlink-xfrm: ${printable(where)} (offset ${message.offset})\n`);
      return format.malformed(message.path);
    }
    // With this format, XFRM recordings yield only events (see decodeRecorded).
    return format.format(message as XfrmEvent, length);
  };
}
