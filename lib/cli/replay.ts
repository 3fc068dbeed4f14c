/**
 * `netlink-xfrm replay`: the messages of a recording, decoded.
 * @module
 */
import { once } from 'node:events';
import { Command, Option } from 'commander';
import pc from 'picocolors';
import type { Filter } from '../monitor/filter.ts';
import type { OverrunEvent } from '../monitor/overrun.ts';
import type { MalformedEvent } from '../monitor/subscribe.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { type DecodeInput, decodeDatagram } from '../netlink/event.ts';
import { lengthRead, wholeMessages } from '../recording/capture.ts';
import type { Recorded } from '../recording/recorded.ts';
import type { RecordingRecord } from '../recording/records.ts';
import { decodeRoute } from '../route/decode.ts';
import { decodeRouteMessage } from '../route/decode-message.ts';
import type { RouteMessage } from '../route/requests.ts';
import { nextMessage } from '../wire/message.ts';
import { printable, textBytes } from '../wire/text.ts';
import { decodeXfrm } from '../xfrm/decode.ts';
import { decodeXfrmMessage } from '../xfrm/decode-message.ts';
import type { XfrmEvent } from '../xfrm/events.ts';
import type { XfrmMessage } from '../xfrm/requests.ts';
import { EXIT } from './exit.ts';
import { formatJson, type RecordingNotice } from './json.ts';
import { eventsIn } from './look-back-events.ts';
import { addPartOptions, checkSpan } from './look-back-options.ts';
import { addCountOption, FILTER_HELP, filterOf } from './options.ts';
import {
  type Items,
  PROTOCOLS,
  type RecordedFileOptions,
  readRecordedFile,
} from './recorded-file.ts';
import { formatNotice, noticeOf } from './recording-notice.ts';
import { endWhenUnread } from './terminal/output.ts';
import { IPROUTE2_VERSION, Iproute2Format } from './text/iproute2.ts';
import { machineNames } from './text/machine-names.ts';
import { formatMessage } from './text/message.ts';

interface Options extends RecordedFileOptions {
  output: 'text' | 'json' | 'iproute2';
  json?: true;
  showKeys?: boolean;
  color: 'auto' | 'always' | 'never';
  count?: number;
}

/** Characters to collect before writing, and bytes of messages to decode in one go. */
const CHUNK = 2 ** 16;

export function replayCommand(): Command {
  return addPartOptions(
    addCountOption(new Command('replay'), 'messages')
      .description(
        'Prints the events of a recording of `record`, or the messages of another FILE: concatenated\n' +
          'netlink messages, as `ip xfrm monitor file` reads them, or a capture of an nlmon device\n' +
          '(pcap or pcapng). Needs no privileges.\n' +
          'Concatenated messages do not state their protocol: for rtnetlink, as recorded by rtmon,\n' +
          'use --protocol route.',
      )
      .argument('<file>', 'the file, or the directory of a ring; - for standard input')
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
      .option('--show-keys', 'print keys, which are hidden otherwise; needs -o json or iproute2'),
  )
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
      checkSpan(options, command);
      process.exitCode = await replay(file, filterOf(terms, command), { ...options, output });
    });
}

async function replay(file: string, filter: Filter, options: Options): Promise<number> {
  endWhenUnread();
  const print = printer(options);
  let left = options.count ?? Number.POSITIVE_INFINITY;
  let wrong = 0;
  let text = '';
  const flush = async () => {
    if (text === '') return;
    // ip prints names as raw bytes; other formats escape what is not valid UTF-8.
    const written = options.output === 'iproute2' ? textBytes(text) : text;
    text = '';
    if (!process.stdout.write(written)) await once(process.stdout, 'drain');
  };
  const show = async (some: Items) => {
    for (const item of some) {
      for (const decoded of decodeItem(item, options)) {
        const { message } = decoded;
        if (message.kind === 'recording') {
          if (message.what === 'unreadable') wrong++;
        } else {
          if (message.kind === 'malformed') wrong++;
          if (!filter.matches(message)) continue;
        }
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
    await readRecordedFile(file, options, show, () => left === 0);
  } finally {
    await flush();
  }
  return wrong > 0 ? EXIT.conditionNotMet : EXIT.done;
}

/** A decoded message, or what a recording says about itself. */
type Printed = Omit<Decoded, 'message'> & {
  readonly message: Decoded['message'] | OverrunEvent | RecordingNotice;
  readonly netns?: string | null;
};

/** What to print of a record. */
function* decodeItem(item: Recorded | RecordingRecord, options: Options): Generator<Printed, void> {
  if (!('kind' in item)) {
    // A packet that has comments only: `convert` writes those at the end.
    if (item.length > 0 || !item.comments?.length) yield* decodeRecorded(item, options);
    return;
  }
  if (item.kind === 'datagram') {
    if (item.dumped) return;
    const { protocol, bytes, truncated, netns, time } = item;
    const about = { at: 0, length: bytes.length, heard: true, ...time } as const;
    for (const one of decodeRecorded({ protocol, bytes, truncated, ...about }, options)) {
      yield netns === null ? one : { ...one, netns };
    }
    return;
  }
  const notice = noticeOf(item);
  if (notice) yield { message: notice, length: 0 };
  for (const message of eventsIn(item, false))
    yield { message: message as OverrunEvent, length: 0 };
}

/** A decoded message and its nlmsg_len; 0 if it is malformed. */
export interface Decoded {
  readonly message: XfrmMessage | RouteMessage | MalformedEvent;
  readonly length: number;
}

/** The messages of a recorded datagram; none if its protocol is not supported. */
export function* decodeRecorded(
  {
    protocol,
    bytes,
    at,
    length,
    truncated,
    wall = Number.NaN,
    monotonic = Number.NaN,
    heard,
  }: Recorded,
  { showKeys, output }: Pick<Options, 'showKeys' | 'output'>,
): Generator<Decoded, void> {
  const input: DecodeInput = {
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    bytes,
    time: { wall, monotonic },
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
    yield* decodeAll('xfrm', heard || output === 'iproute2' ? decodeXfrm : decodeXfrmMessage);
  } else if (protocol === NETLINK_ROUTE && output !== 'iproute2') {
    // In multicast messages the request flag is meaningless: events of nexthop objects have it, too.
    yield* decodeAll('route', heard ? decodeRoute : decodeRouteMessage);
  }
}

/** Formatter for messages, including the line break. */
function printer({ output, showKeys = false, color }: Options): (printed: Printed) => string {
  if (output === 'json') {
    return ({ message, netns }) =>
      `${formatJson(message, showKeys, netns === undefined ? {} : { netns })}\n`;
  }
  if (output === 'text') {
    const colors = pc.createColors(
      color === 'auto' ? process.stdout.isTTY === true && pc.isColorSupported : color === 'always',
    );
    return ({ message, netns: label }) => {
      if (message.kind === 'recording') return `${formatNotice(message, colors)}\n`;
      return `${formatMessage(message, colors, { label })}\n`;
    };
  }
  const format = new Iproute2Format({ showKeys, names: machineNames() });
  const aside = (text: string) => {
    process.stderr.write(`netlink-xfrm: ${text}\n`);
    return '';
  };
  return ({ message, length }) => {
    if (message.kind === 'recording') return aside(message.text);
    if (message.kind === 'overrun') return aside(`events were lost (${message.code})`);
    if (message.kind === 'malformed') {
      const where = [...message.path, message.reason].join(' › ');
      aside(`${printable(where)} (offset ${message.offset})`);
      return format.malformed(message.path);
    }
    // With this format, XFRM recordings yield only events (see decodeRecorded).
    return format.format(message as XfrmEvent, length);
  };
}
