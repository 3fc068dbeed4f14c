/**
 * `netlink-xfrm monitor`: an event a line, as it happens.
 * @module
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import { findGroup, type GroupName } from '../monitor/groups.ts';
import { type SubscriptionEvent, subscribe } from '../monitor/subscribe.ts';
import { EVENT_SCHEMA, formatJson } from './json.ts';
import { endWhenUnread, LineOutput } from './output.ts';
import { Summary } from './summary.ts';
import { formatEvent } from './text.ts';

/** The groups of XFRM. */
const ALL = [
  'sa',
  'expire',
  'policy',
  'aevents',
  'report',
  'migrate',
  'mapping',
  'acquire',
] as const satisfies readonly GroupName[];

/** What lies under tunnels: the groups of rtnetlink that --route adds. */
const ROUTE = [
  'link',
  'ipv4-ifaddr',
  'ipv6-ifaddr',
  'ipv4-route',
  'ipv6-route',
  'ipv4-rule',
  'ipv6-rule',
  'nexthop',
  'nsid',
] as const satisfies readonly GroupName[];

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
  route?: true;
  count?: number;
  buffer: number;
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
        'deleted and expired; with --route also links, addresses, routes, rules and next hops.\n' +
        'Ctrl-C ends it with a summary. Needs CAP_NET_ADMIN.',
    )
    .argument('[group...]', `what to listen to: ${ALL.join(', ')}, or all`, DEFAULT)
    .option('--route', 'listen to the network beneath, too')
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
    .addHelpText(
      'after',
      '\nWithout groups: all but acquire. Listening to acquire makes the kernel keep a larval SA for\n' +
        'every packet that lacks an SA, which it otherwise does only while an IKE daemon listens.\n' +
        `--route adds ${ROUTE.slice(0, 5).join(', ')},\n` +
        `${ROUTE.slice(5).join(', ')}. Every group of rtnetlink can be named alone:\n` +
        'neigh, ipv6-prefix, ipv4-netconf …; those need no privilege.\n' +
        'The fields of the JSON objects are described in the types of the library.\n',
    )
    .action(async (groups: string[], options: Options, command: Command) => {
      const output = options.json ? 'json' : options.output;
      const names = [
        ...groups.flatMap((group) => (group === 'all' ? ALL : [group])),
        ...(options.route ? ROUTE : []),
      ];
      for (const name of names) {
        if (!isGroup(name))
          command.error(`error: no group '${name}': use ${ALL.join(', ')} or all`);
      }
      if (options.showKeys && output !== 'json') {
        command.error("error: '--show-keys' needs '-o json': text never shows keys");
      }
      await monitor([...new Set(names)].filter(isGroup), { ...options, output });
    });
}

const isGroup = (name: string): name is GroupName => findGroup(name) !== undefined;

/** Until a signal, or as many events as were asked for. */
async function monitor(groups: GroupName[], options: Options): Promise<void> {
  const ended = new AbortController();
  const showKeys = options.showKeys === true;
  const subscription = subscribe({
    groups,
    keys: showKeys,
    receiveBufferSize: options.buffer * 2 ** 20,
  });
  const colors = pc.createColors(
    options.color === 'auto'
      ? process.stdout.isTTY === true && pc.isColorSupported
      : options.color === 'always',
  );
  const format =
    options.output === 'json'
      ? (event: SubscriptionEvent) => formatJson(event, showKeys)
      : (event: SubscriptionEvent) => formatEvent(event, colors);
  const summary = new Summary();
  const out = new LineOutput({
    full: () => subscription.pause(),
    drained: () => subscription.resume(),
  });
  endWhenUnread();
  let left = options.count ?? Number.POSITIVE_INFINITY;
  subscription.on('event', (event) => {
    if (left === 0) return;
    summary.add(event);
    out.line(format(event));
    if (event.kind !== 'overrun' && --left === 0) ended.abort();
  });
  subscription.on('error', (error) => ended.abort(error));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => ended.abort());
  }
  const [{ receiveBufferSize } = { receiveBufferSize: 0 }] = subscription.sockets;
  // The kernel shows twice what it granted (net/core/sock.c).
  const granted = Math.floor(receiveBufferSize / 2 / 1024);
  const short =
    granted < options.buffer * 1024 ? `; ${options.buffer * 1024} KiB were asked for` : '';
  process.stderr.write(
    `listening to ${groups.join(' ')} ` + `(receive buffer ${granted} KiB${short})\n`,
  );
  if (!ended.signal.aborted) {
    await new Promise((resolve) => ended.signal.addEventListener('abort', resolve, { once: true }));
  }
  const { sockets } = subscription;
  await subscription.close();
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
