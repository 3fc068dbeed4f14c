/** `netlink-xfrm stat`: the kernel's IPsec error counters, and what they mean. @module */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import { formatThreshold } from '../base/duration.ts';
import { namespacePath } from '../monitor/namespace-path.ts';
import { Subscription, type SubscriptionEvent } from '../monitor/subscribe.ts';
import { type XfrmStat, XfrmStatFile } from '../monitor/xfrm-stat.ts';
import { type CounterMove, counterMoves, xfrmStatCounter } from '../monitor/xfrm-stat-counters.ts';
import { HeldNamespace } from '../socket/namespace.ts';
import { printableLines } from '../wire/text.ts';
import { ClaimedProcesses } from './events/claimed-processes.ts';
import { endedBySignal } from './events/ended.ts';
import type { Origin } from './events/event-streams.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import {
  addFollowOptions,
  addFormatOptions,
  addNamespaceOption,
  type FollowOptions,
  type Format,
  formatOf,
  type OutputOptions,
} from './options.ts';
import {
  type CounterMoveRecord,
  type CounterRecord,
  counterRecord,
  formatCounter,
  formatMove,
  nearbyRecord,
} from './stat/counter-text.ts';
import { type NearbyEvent, NearbyEvents } from './stat/nearby-events.ts';
import { endWhenUnread, LineOutput } from './terminal/output.ts';
import { duration } from './tunnels/tunnel-options.ts';

interface Options extends OutputOptions, FollowOptions {
  readonly watch?: true;
  readonly all?: true;
  readonly interval: number;
  readonly netns?: string;
}

/** Milliseconds between two readings; shorter ones give no useful rate. */
const INTERVAL = 1000;
const SHORTEST = 10;

const plain = pc.createColors(false);

function interval(text: string): number {
  const value = duration(text);
  if (value === 0 || value >= SHORTEST) return value;
  throw new InvalidArgumentError(`It must be 0, or at least ${formatThreshold(SHORTEST)}.`);
}

export function statCommand(): Command {
  const command = new Command('stat')
    .description(
      'Shows the kernel’s IPsec error counters (/proc/net/xfrm_stat) that are not 0: what each means,\n' +
        'what usually causes it, what to look at, and its rate. Every packet counted was dropped.\n' +
        'Needs no capability; --watch needs CAP_NET_ADMIN to name events.',
    )
    .option('-a, --all', 'show counters that are 0, too')
    .option(
      '-w, --watch',
      'then print a line for each counter that grows, with the events next to it in time',
    )
    .addOption(
      new Option('--interval <duration>', 'time between two readings; 0: one reading, no rates')
        .argParser(interval)
        .default(INTERVAL, formatThreshold(INTERVAL)),
    );
  addNamespaceOption(addFollowOptions(addFormatOptions(command)));
  return command
    .addHelpText('after', 'See docs/command.md; schema/event-2.json describes the JSON.\n')
    .action(async (options: Options) => {
      const format = formatOf(options, command);
      if (options.watch && options.interval === 0) {
        command.error("error: '--watch' needs an '--interval' above 0");
      }
      if (options.count !== undefined && !options.watch) {
        command.error("error: '--count' needs '--watch'");
      }
      endWhenUnread();
      await stat(options, format);
    });
}

async function stat(options: Options, format: Format): Promise<void> {
  const { netns, watch } = options;
  const held = new HeldNamespace(netns === undefined ? undefined : namespacePath(netns));
  const file = new XfrmStatFile(held);
  try {
    const first = file.read();
    if (first === undefined) {
      process.stderr.write(
        'netlink-xfrm: there is no /proc/net/xfrm_stat\n' +
          'the kernel was built without CONFIG_XFRM_STATISTICS, or /proc is not mounted\n',
      );
      process.exitCode = EXIT.unavailable;
      return;
    }
    const counters = new Counters(file, first, options, format);
    if (watch) await counters.watch(held);
    else await counters.list();
  } finally {
    file.close();
    held.close();
  }
}

/** The counters of one namespace, as they are printed. */
class Counters {
  readonly #file: XfrmStatFile;
  readonly #options: Options;
  readonly #format: Format;
  readonly #out = new LineOutput();
  #last: XfrmStat;
  #at = performance.now();

  constructor(file: XfrmStatFile, first: XfrmStat, options: Options, format: Format) {
    this.#file = file;
    this.#last = first;
    this.#options = options;
    this.#format = format;
  }

  /** Reads again. @returns the previous reading, and the seconds since then */
  #read() {
    const before = this.#last;
    const from = this.#at;
    this.#last = this.#file.read() ?? before;
    this.#at = performance.now();
    return { before, span: { from, to: this.#at }, seconds: (this.#at - from) / 1000 };
  }

  async list(): Promise<void> {
    const { interval } = this.#options;
    if (interval === 0) this.#print(undefined);
    else {
      await sleep(interval);
      this.#print(this.#read());
    }
    await this.#out.ready();
  }

  #print(since: { before: XfrmStat; seconds: number } | undefined): void {
    const all = Object.entries(this.#last) as [`Xfrm${string}`, bigint][];
    const shown = all.filter(([, value]) => this.#options.all || value > 0n);
    const columns = process.stdout.isTTY ? process.stdout.columns || 80 : 80;
    for (const [name, value] of shown) {
      const rate = since && Number(value - (since.before[name] ?? 0n)) / since.seconds;
      const record = counterRecord(name, value, rate);
      if (this.#format.json) this.#json(record);
      else {
        for (const line of formatCounter(record, this.#format.colors, columns))
          this.#out.line(line);
      }
    }
    if (shown.length > 0 || this.#format.json) return;
    this.#out.line(`all ${all.length} counters are 0: no packet was dropped (--all lists them)`);
  }

  #json(record: CounterRecord | CounterMoveRecord): void {
    const { netns } = this.#options;
    const time = { wall: Date.now(), monotonic: performance.now() };
    this.#out.line(formatJson({ ...record, time }, false, netns === undefined ? {} : { netns }));
  }

  async watch(held: HeldNamespace): Promise<void> {
    const { interval, count = Number.POSITIVE_INFINITY } = this.#options;
    const ended = endedBySignal();
    const near = new NearbyEvents();
    const subscription = this.#subscribe(held, near);
    this.#print(undefined);
    let left = count;
    try {
      while (left > 0 && !ended.signal.aborted) {
        await sleep(interval, undefined, { signal: ended.signal }).catch(() => {});
        const { before, span, seconds } = this.#read();
        // All events from before the reading: the socket is polled between the two.
        await setImmediate();
        await setImmediate();
        for (const move of counterMoves(before, this.#last)) {
          if (left-- <= 0) break;
          const about = xfrmStatCounter(move.counter)?.about ?? 'both';
          const events = await near.near(span, about);
          this.#move(move, seconds, events);
        }
        near.forget(span.to);
        await this.#out.ready();
      }
    } finally {
      subscription?.close();
    }
  }

  #move(move: CounterMove, seconds: number, events: readonly NearbyEvent[]): void {
    if (!this.#format.json) {
      const { colors } = this.#format;
      this.#out.line(formatMove(Date.now(), move, seconds, events, colors, plain));
      return;
    }
    const meaning = xfrmStatCounter(move.counter)?.meaning;
    this.#json({
      kind: 'counter-move',
      protocol: 'xfrm',
      ...move,
      seconds,
      ...(meaning === undefined ? {} : { meaning }),
      events: events.map((one) => nearbyRecord(one, plain)),
    });
  }

  /** Listens to what may explain a move. Without permission the counters are shown all the same. */
  #subscribe(held: HeldNamespace, near: NearbyEvents): Subscription | undefined {
    const { buffer, interval } = this.#options;
    const every = `reading the counters every ${formatThreshold(interval)}`;
    const origin: Origin = { label: undefined, path: undefined, netns: held.netns };
    const claims = new ClaimedProcesses();
    try {
      const subscription = new Subscription({
        groups: ['sa', 'expire', 'policy', 'migrate', 'mapping'],
        receiveBufferSize: buffer * 2 ** 20,
        netns: held.netns,
      });
      subscription.on('event', (event: SubscriptionEvent) => {
        near.add(event, claims.of(event, origin));
      });
      subscription.on('error', (error) => explain(error));
      process.stderr.write(`listening to sa expire policy migrate mapping; ${every}\n`);
      return subscription;
    } catch (error) {
      explain(error as Error);
      process.stderr.write(`listening to no events; ${every}\n`);
      return undefined;
    }
  }
}

const explain = ({ message }: Error) =>
  void process.stderr.write(`netlink-xfrm: no events are named: ${printableLines(message)}\n`);
