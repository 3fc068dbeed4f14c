/**
 * `netlink-xfrm wait`: waits until a tunnel is in a state.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatThreshold } from '../base/duration.ts';
import { tunnelJson } from '../json/tunnel.ts';
import { FilterError } from '../monitor/filter-error.ts';
import { isTerm } from '../monitor/filter-term.ts';
import { onAbort } from '../socket/abort.ts';
import { THRESHOLDS } from '../tunnel/thresholds.ts';
import { isUpState, TUNNEL_STATES, type Tunnel, type TunnelState } from '../tunnel/tunnel.ts';
import { TUNNEL_FILTER_HELP, TunnelFilter } from '../tunnel/tunnel-filter.ts';
import type { TunnelMonitorOptions } from '../tunnel/tunnel-monitor.ts';
import { contains, parseNetwork } from '../wire/network.ts';
import { printable } from '../wire/text.ts';
import { endedBySignal } from './events/ended.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import {
  addFormatOptions,
  addNamespaceOption,
  type Format,
  formatOf,
  type OutputOptions,
} from './options.ts';
import { endWhenUnread, LineOutput } from './terminal/output.ts';
import { openTunnels } from './tunnels/open.ts';
import {
  addTunnelOptions,
  duration,
  monitorOptionsOf,
  type TunnelOptions,
} from './tunnels/tunnel-options.ts';
import { describeTunnel, sayTunnel } from './tunnels/tunnel-text.ts';

interface Options extends OutputOptions, TunnelOptions {
  readonly for: readonly string[];
  readonly timeout: number;
  readonly netns?: string;
}

const TIMEOUT = 30_000;
/** States that show only in counters or dumps, which are then read at this interval (ms). */
const COUNTED: readonly string[] = ['idle', 'one-way', 'acquiring'] satisfies TunnelState[];
const REFRESH = 1000;
/** Milliseconds for reading what is pending before the timeout is reported. */
const LAST_LOOK = 5000;

/** The states that a word of `--for` stands for. */
export function statesOf(word: string): readonly TunnelState[] | undefined {
  if (word === 'up') return TUNNEL_STATES.filter(isUpState);
  if (word === 'down') return ['down', 'blocked', 'orphan', 'acquiring'];
  return TUNNEL_STATES.filter((state) => state === word).length > 0
    ? [word as TunnelState]
    : undefined;
}

function forWords(text: string): readonly string[] {
  const words = text.split(',');
  const wrong = words.find((word) => statesOf(word) === undefined);
  if (wrong === undefined) return words;
  throw new InvalidArgumentError(
    `Expected any of ${TUNNEL_STATES.join(', ')}; received '${printable(wrong)}'.`,
  );
}

export function waitCommand(): Command {
  const command = new Command('wait')
    .description(
      'Waits until a tunnel is in a given state, then prints it. TUNNEL is its name (see\n' +
        "--expect), its id, the peer's address or a filter. Returns immediately if the\n" +
        'tunnel is already in that state. Needs CAP_NET_ADMIN.',
    )
    .argument('<tunnel...>', 'a name, an id, an address or a filter')
    .requiredOption(
      '--for <states>',
      'up: packets pass both ways; down: none can; or a comma-separated list of states',
      forWords,
    )
    .addOption(
      new Option('--timeout <duration>', 'time limit; 0: none')
        .argParser(duration)
        .default(TIMEOUT, formatThreshold(TIMEOUT)),
    );
  addNamespaceOption(addTunnelOptions(addFormatOptions(command)));
  return command
    .addHelpText('after', TUNNEL_FILTER_HELP)
    .addHelpText(
      'after',
      `States: ${TUNNEL_STATES.join(', ')}.\n` +
        'Exit status: 0 the state was reached, 1 there is no such tunnel, 124 timed out.\n',
    )
    .action(async (words: string[], options: Options) => {
      const format = formatOf(options, command);
      const monitor = monitorOptionsOf(options, command);
      const wanted = targetOf(words, monitor, command);
      endWhenUnread();
      process.exitCode = await wait(monitor, wanted, options, format, command);
    });
}

/** Which tunnels to wait for. */
interface Target {
  /** As written by the user. */
  readonly text: string;
  /** The matching tunnels: more than one if it is ambiguous. */
  among(tunnels: readonly Tunnel[]): readonly Tunnel[];
}

/** Parses the words: a filter, or a single name, ID or address. */
function targetOf(
  words: readonly string[],
  options: TunnelMonitorOptions,
  command: Command,
): Target {
  const text = words.map(printable).join(' ');
  const [word = ''] = words;
  if (words.length > 1 || isTerm(word)) {
    try {
      const filter = new TunnelFilter(words, 'tunnels');
      const byFilter = (all: readonly Tunnel[]) => all.filter((one) => filter.matches(one));
      // An ID may look like a filter.
      const id = words.join(' ');
      return { text, among: (all) => named(all, id) ?? byFilter(all) };
    } catch (error) {
      if (error instanceof FilterError) command.error(`error: ${error.message}`);
      throw error;
    }
  }
  const network = parseNetwork(word);
  const isName = options.expected?.some(({ name }) => name === word) || word.includes(' ');
  if (network === undefined && !isName) {
    command.error(
      `error: '${text}' is not an address, a filter (reqid=7), a tunnel id (see tunnels --json) or ` +
        'an --expect name',
    );
  }
  return {
    text,
    among: (all) =>
      named(all, word) ??
      all.filter(({ remote, local, directed }) => {
        const ends = directed ? [remote] : [remote, local];
        return network && ends.some((one) => one !== undefined && contains(network, one));
      }),
  };
}

function named(tunnels: readonly Tunnel[], name: string): readonly Tunnel[] | undefined {
  const found = tunnels.filter((one) => one.name === name || one.id === name);
  return found.length > 0 ? found : undefined;
}

/** @returns the exit status */
async function wait(
  options: TunnelMonitorOptions,
  target: Target,
  { for: words, timeout }: Options,
  format: Format,
  command: Command,
): Promise<number> {
  const states = new Set(words.flatMap((word) => statesOf(word) ?? []));
  const ended = endedBySignal();
  const begun = performance.now();
  const refresh = words.some((word) => COUNTED.includes(word)) ? { refreshInterval: REFRESH } : {};
  await using monitor = await openTunnels({ ...options, ...refresh }, ended.signal);
  const what = `for '${target.text}' to be ${words.join(' or ')}`;
  const cutShort = () => {
    process.stderr.write(`netlink-xfrm: interrupted while waiting ${what}\n`);
    return EXIT.conditionNotMet;
  };
  if (monitor === undefined) return cutShort();
  let last: Tunnel | undefined;
  const out = new LineOutput();
  const print = async (tunnel: Tunnel) => {
    const { json, colors } = format;
    const time = { wall: Date.now(), monotonic: performance.now() };
    if (json) out.line(formatJson({ kind: 'tunnel', time, tunnel: tunnelJson(tunnel) }, false));
    else if (process.stdout.isTTY) out.line(sayTunnel(tunnel, colors, time.wall));
    else out.line(describeTunnel(tunnel, colors));
    await out.ready();
  };
  /** The exit status, once it is known. */
  const look = (): number | undefined => {
    const [tunnel, ...more] = target.among([...monitor.tunnels]);
    if (more.length > 0) {
      const ids = [tunnel, ...more].map((one) => `  ${printable(one?.id ?? '')}`).sort();
      command.error(`error: '${target.text}' matches more than one tunnel:\n${ids.join('\n')}`);
    }
    if (tunnel) last = tunnel;
    if (tunnel && states.has(tunnel.state)) return EXIT.done;
    return undefined;
  };
  let status = look();
  if (status === undefined && last === undefined && states.has('down')) {
    const all = [...states].every((state) => !isUpState(state));
    if (all) {
      process.stderr.write(
        `netlink-xfrm: no tunnel '${target.text}' exists or was seen\n` +
          'Name it with --expect to treat it as down while it does not exist.\n',
      );
      return EXIT.conditionNotMet;
    }
  }
  status ??= await new Promise<number | undefined>((resolve, reject) => {
    const left = timeout - (performance.now() - begun);
    // Timers run before sockets are read: events in time may be pending, and are reported only after settling.
    const end = async () => {
      const signal = AbortSignal.timeout(LAST_LOOK);
      await monitor.refresh({ signal }).catch(() => {});
      await sleep(Math.min(options.thresholds?.settle ?? THRESHOLDS.settle, LAST_LOOK));
      settle(look() ?? EXIT.timeout);
    };
    const timer = timeout === 0 ? undefined : setTimeout(end, left);
    const settle = (result: number | undefined) => {
      clearTimeout(timer);
      resolve(result);
    };
    onAbort(ended.signal, () => settle(undefined));
    monitor.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    monitor.on('change', () => {
      const result = look();
      if (result !== undefined) settle(result);
    });
    // Changes during setup.
    const result = look();
    if (result !== undefined) settle(result);
  });
  if (last) await print(last);
  if (status === EXIT.done) return status;
  if (status === undefined) return cutShort();
  const seen = last ? `it is ${last.state}: ${printable(last.reason)}` : 'no such tunnel was seen';
  process.stderr.write(
    `netlink-xfrm: timed out after ${formatThreshold(timeout)} waiting ${what}; ${seen}\n`,
  );
  return EXIT.timeout;
}
