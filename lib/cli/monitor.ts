/**
 * `netlink-xfrm monitor`: an event a line, as it happens.
 * @module
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import type { GroupName } from '../monitor/groups.ts';
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import { printable } from '../wire/text.ts';
import { EVENT_SCHEMA, formatJson } from './json.ts';
import { endWhenUnread, LineOutput } from './output.ts';
import { type Origin, Streams } from './streams.ts';
import { Summary } from './summary.ts';
import { formatEvent, formatNamespace, formatTime } from './text.ts';
import { Claims, formatOwner } from './who.ts';

const GROUPS = {
  sa: 'XFRMNLGRP_SA',
  expire: 'XFRMNLGRP_EXPIRE',
  policy: 'XFRMNLGRP_POLICY',
  aevents: 'XFRMNLGRP_AEVENTS',
  report: 'XFRMNLGRP_REPORT',
  migrate: 'XFRMNLGRP_MIGRATE',
  mapping: 'XFRMNLGRP_MAPPING',
  acquire: 'XFRMNLGRP_ACQUIRE',
} as const satisfies Record<string, GroupName>;

type Group = keyof typeof GROUPS;
const ALL = Object.keys(GROUPS) as Group[];

/**
 * All but ACQUIRE: as long as anybody listens to that group, the kernel makes a larval SA for each
 * packet that lacks one, where it would otherwise drop the packet (net/xfrm/xfrm_state.c,
 * km_query). Watching should not change what is watched.
 */
const DEFAULT = ALL.filter((group) => group !== 'acquire');

interface Options {
  output: 'text' | 'json';
  json?: true;
  color: 'auto' | 'always' | 'never';
  showKeys?: true;
  count?: number;
  buffer: number;
  netns: string[];
  allNetns?: true;
  who?: true;
}

const whole = (most: number) => (text: string) => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}.`);
};

export function monitorCommand(): Command {
  return new Command('monitor')
    .summary('print IPsec events as the kernel announces them')
    .description(
      'Prints an event a line, as the kernel announces it: SAs and policies added, changed,\n' +
        'deleted and expired. Ctrl-C ends it with a summary. Needs CAP_NET_ADMIN.',
    )
    .argument('[group...]', `what to listen to: ${ALL.join(', ')}, or all`, DEFAULT)
    .addOption(
      new Option('-o, --output <format>', 'format').choices(['text', 'json']).default('text'),
    )
    .option('--json', 'short for -o json: one object a line')
    .addOption(
      new Option('--color <when>', 'colours').choices(['auto', 'always', 'never']).default('auto'),
    )
    .option('--show-keys', 'print keys, which are otherwise never shown; needs -o json')
    .option('-c, --count <number>', 'end after this many events', whole(2 ** 53))
    .option('--buffer <MiB>', 'receive buffer to ask for', whole(1023), 64)
    .option(
      '--netns <name>',
      'listen in this network namespace: a name of "ip netns", or a path; can be repeated',
      (name: string, names: string[]) => [...names, name],
      [],
    )
    .option('--all-netns', 'listen in this and in all named ones, those to come as well')
    .option('--who', 'show which process an event claims to be of; it may not be true')
    .addHelpText(
      'after',
      '\nWithout groups: all but acquire. Listening to acquire makes the kernel keep a larval SA for\n' +
        'every packet that lacks an SA, which it otherwise does only while an IKE daemon listens.\n' +
        'The fields of the JSON objects are described in the types of the library.\n',
    )
    .action(async (groups: string[], options: Options, command: Command) => {
      const output = options.json ? 'json' : options.output;
      const names = groups.flatMap((group) => (group === 'all' ? ALL : [group]));
      for (const name of names) {
        if (!Object.hasOwn(GROUPS, name)) {
          command.error(`error: no group '${name}': use ${ALL.join(', ')} or all`);
        }
      }
      if (options.showKeys && output !== 'json') {
        command.error("error: '--show-keys' needs '-o json': text never shows keys");
      }
      if (options.allNetns && options.netns.length > 0) {
        command.error("error: '--all-netns' and '--netns' exclude each other");
      }
      if (options.netns.includes('')) command.error("error: '--netns' needs a name or a path");
      await monitor(
        [...new Set(names)].map((name) => GROUPS[name as Group]),
        { ...options, output },
      );
    });
}

/** `in a, b and (own) `, if there is more than one's own. */
function where(labels: readonly (string | null | undefined)[]): string {
  const names = labels.flatMap((label) => (label === undefined ? [] : formatNamespace(label)));
  return names.length === 0 ? '' : `in ${names.join(' ')} `;
}

/** A namespace came or went, as JSON; it is no event, and not counted. */
function namespaceRecord(netns: string | null, state: string, error: Error | undefined): string {
  const time = new Date().toISOString();
  const record = { schema: EVENT_SCHEMA, kind: 'namespace', time, monotonic: performance.now() };
  return JSON.stringify({ ...record, netns, state, ...(error ? { error: error.message } : {}) });
}

/** Until a signal, or as many events as were asked for. */
async function monitor(groups: GroupName[], options: Options): Promise<void> {
  const ended = new AbortController();
  const showKeys = options.showKeys === true;
  const colors = pc.createColors(
    options.color === 'auto'
      ? process.stdout.isTTY === true && pc.isColorSupported
      : options.color === 'always',
  );
  const json = options.output === 'json';
  const claims = options.who ? new Claims() : undefined;
  const format = (event: SubscriptionEvent, { label, path }: Origin) => {
    const claimed = claims?.of(event, path);
    if (json) {
      const from = label === undefined ? {} : { netns: label };
      const who = claimed && { pid: claimed.pid, name: claimed.name };
      return formatJson(event, showKeys, {
        ...from,
        ...(claimed === undefined ? {} : { claimedBy: who }),
      });
    }
    const line = formatEvent(event, colors, label);
    return claimed === undefined ? line : `${line} claimed by ${formatOwner(claimed)}`;
  };
  const summary = new Summary();
  const out = new LineOutput({ full: () => streams.pause(), drained: () => streams.resume() });
  let left = options.count ?? Number.POSITIVE_INFINITY;
  const streams = new Streams(
    { groups, keys: showKeys, receiveBufferSize: options.buffer * 2 ** 20 },
    {
      event: (event, origin) => {
        if (left === 0) return;
        summary.add(event);
        out.line(format(event, origin));
        if (event.kind !== 'overrun' && --left === 0) ended.abort();
      },
      namespace: ({ label = null }, state, error) => {
        out.line(
          json
            ? namespaceRecord(label, state, error)
            : `${colors.dim(formatTime(Date.now()))} ${colors.magenta(formatNamespace(label))} ` +
                `namespace ${state}${error ? `, not heard: ${printable(error.message)}` : ''}`,
        );
      },
      error: (error) => ended.abort(error),
    },
  );
  endWhenUnread();
  try {
    if (options.allNetns) streams.addAll();
    else if (options.netns.length > 0) streams.addNamed([...new Set(options.netns)]);
    else streams.add({ label: undefined, path: undefined });
  } catch (error) {
    await streams.close();
    throw error;
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => ended.abort());
  }
  const [{ receiveBufferSize } = { receiveBufferSize: 0 }] = streams.sockets;
  // The kernel shows twice what it granted (net/core/sock.c).
  const granted = Math.floor(receiveBufferSize / 2 / 1024);
  const short =
    granted < options.buffer * 1024 ? `; ${options.buffer * 1024} KiB were asked for` : '';
  process.stderr.write(
    `listening to ${groups.map((name) => name.replace('XFRMNLGRP_', '')).join(' ')} ` +
      `${where(streams.labels)}(receive buffer ${granted} KiB${short})\n`,
  );
  if (!ended.signal.aborted) {
    await new Promise((resolve) => ended.signal.addEventListener('abort', resolve, { once: true }));
  }
  const { sockets } = streams;
  await streams.close();
  out.flush();
  if (options.output === 'json') {
    const { wall, monotonic } = { wall: Date.now(), monotonic: performance.now() };
    const time = new Date(wall).toISOString();
    const record = { schema: EVENT_SCHEMA, kind: 'summary', time, monotonic };
    process.stdout.write(`${JSON.stringify({ ...record, ...summary.totals(sockets) })}\n`);
  } else {
    process.stderr.write(`${summary.format(sockets)}\n`);
  }
  if (ended.signal.reason instanceof Error && ended.signal.reason.name !== 'AbortError') {
    throw ended.signal.reason;
  }
}
