/**
 * `netlink-xfrm check`: whether tunnels are healthy, for monitoring systems. It follows the conventions
 * of their plugins, so its exit statuses differ from those of the other subcommands.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { EventTime } from '../netlink/event.ts';
import type { NetnsReference } from '../socket/index.ts';
import type { TunnelSnapshot } from '../tunnel/tunnel-changes.ts';
import { TUNNEL_FILTER_HELP, type TunnelFilter } from '../tunnel/tunnel-filter.ts';
import { TunnelMonitor, type TunnelMonitorOptions } from '../tunnel/tunnel-monitor.ts';
import { printable } from '../wire/text.ts';
import { XfrmClient } from '../xfrm/client.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import { type Drift, driftOf, lastingDrift } from './key-manager/drift.ts';
import { keyManagerOption } from './key-manager/find-key-manager.ts';
import type { KeyManager } from './key-manager/key-manager-sa.ts';
import { compareMirrored } from './key-manager/mirror.ts';
import { addLookBackOptions, checkLookBack, type LookBackOptions } from './look-back-options.ts';
import { addFormatOptions, addNamespaceOption, formatOf, type OutputOptions } from './options.ts';
import { endWhenUnread, LineOutput } from './terminal/output.ts';
import {
  type CheckResult,
  type CheckStatus,
  checkTunnels,
  DEFAULT_SEVERITIES,
  formatCheck,
  SEVERITY_WORDS,
  type Severities,
  STATUSES,
} from './tunnels/check-result.ts';
import {
  addTunnelOptions,
  duration,
  judgedBy,
  monitorOptionsOf,
  THRESHOLD_HELP,
  type TunnelOptions,
  tunnelFilterOf,
} from './tunnels/tunnel-options.ts';

interface Options extends OutputOptions, TunnelOptions {
  readonly critical: readonly string[];
  readonly warning: readonly string[];
  readonly none: Lowercase<CheckStatus>;
  readonly watchFor?: number;
  readonly daemon?: () => KeyManager;
  readonly mirror?: string;
  readonly netns?: string;
}

type AllOptions = Options & LookBackOptions;

/** Number of counter readings of `--watch-for` after the first. */
const READINGS = 4;

function severities(text: string): readonly string[] {
  if (text === '') return [];
  const words = text.split(',');
  const wrong = words.find((word) => !SEVERITY_WORDS.includes(word));
  if (wrong === undefined) return words;
  throw new InvalidArgumentError(
    `Expected any of ${SEVERITY_WORDS.join(', ')}; received '${printable(wrong)}'.`,
  );
}

export function checkCommand(): Command {
  const command = new Command('check')
    .description(
      'Checks the tunnels of this host, in the format of Nagios and Icinga plugins: one line\n' +
        'with performance data, then a line for each problem. Exit status: 0 OK, 1 WARNING,\n' +
        '2 CRITICAL, 3 UNKNOWN, which includes wrong usage, missing permission and errors.\n' +
        'Other subcommands use other statuses.',
    )
    .argument('[filter...]', 'tunnels to check')
    .addOption(
      new Option('--critical <words>', 'states and warnings that are critical')
        .argParser(severities)
        .default(DEFAULT_SEVERITIES.critical, DEFAULT_SEVERITIES.critical.join()),
    )
    .addOption(
      new Option(
        '--warning <words>',
        'states and warnings that are a WARNING; "warnings" means all of them',
      )
        .argParser(severities)
        .default(DEFAULT_SEVERITIES.warning, DEFAULT_SEVERITIES.warning.join()),
    )
    .addOption(
      new Option('--none <status>', 'status when there are no tunnels to check')
        .choices(STATUSES.map((one) => one.toLowerCase()))
        .default('unknown'),
    )
    .option(
      '--watch-for <duration>',
      'watch for this long: finds outbound traffic that is unanswered for half of it',
      duration,
    )
    .addOption(
      new Option(
        '--daemon <which>',
        'compare SAs with what an IKE daemon has: auto, strongswan, libreswan, or one of these with ' +
          '=SOCKET; needs the permission to ask it',
      ).argParser(keyManagerOption),
    )
    .option(
      '--mirror <other>',
      'compare SAs with those of the other end: a network namespace, or a file that "state -o json" ' +
        'printed there',
    );
  addLookBackOptions(addNamespaceOption(addTunnelOptions(addFormatOptions(command))));
  return command
    .configureOutput({
      outputError: (text) => {
        process.stdout.write(`TUNNELS UNKNOWN - ${text.replace(/^error: /, '')}`);
      },
    })
    .addHelpText('after', TUNNEL_FILTER_HELP)
    .addHelpText('after', THRESHOLD_HELP)
    .addHelpText(
      'after',
      'Words of --critical and --warning: the states and warnings above; "warnings" means all warnings;\n' +
        'with --daemon: not-in-kernel, not-in-daemon; with --mirror: unmatched.\n',
    )
    .action(async (words: string[], options: AllOptions) => {
      const format = formatOf(options, command);
      checkLookBack(options, command);
      const { critical, warning, none, watchFor, daemon, mirror, recording } = options;
      if (recording !== undefined && watchFor !== undefined) {
        command.error("error: '--watch-for' does not work with '--recording': use '--from'");
      }
      if (recording !== undefined && (daemon ?? mirror) !== undefined) {
        command.error("error: '--daemon' and '--mirror' do not work with '--recording'");
      }
      const filter = tunnelFilterOf(words, 'tunnels', command);
      const monitor = monitorOptionsOf(options, command);
      endWhenUnread();
      const out = new LineOutput();
      try {
        const worth = { critical, warning, none: none.toUpperCase() as CheckStatus };
        const { result, time, isSpan } =
          recording === undefined
            ? await check(monitor, filter, worth, watchFor, { daemon, mirror })
            : await lookBack(recording, options, judgedBy(options, command), filter, worth);
        const record = { kind: 'check', time, ...result } as const;
        out.line(
          format.json
            ? formatJson(record, false)
            : formatCheck(result, isSpan ? time.wall : undefined),
        );
        process.exitCode = STATUSES.indexOf(result.status);
      } catch (error) {
        const { message, hint } = error as { message: string; hint?: string };
        const why = hint === undefined || message.includes(hint) ? '' : ` (${hint})`;
        out.line(`TUNNELS UNKNOWN - ${printable(message.replaceAll('\n', ' ') + why)}`);
        process.exitCode = EXIT.checkUnknown;
      }
      await out.ready();
    });
}

async function check(
  options: TunnelMonitorOptions,
  filter: TunnelFilter,
  severities: Severities,
  watchFor: number | undefined,
  counterparts: Counterparts,
) {
  const span = watchFor ?? 0;
  // Unanswered outbound traffic must show in two readings after the first.
  const stalled = Math.max(1, Math.floor(span / 2));
  const thresholds = span > 0 ? { stalled, ...options.thresholds } : options.thresholds;
  await using monitor = await TunnelMonitor.open({ ...options, thresholds, refreshInterval: 0 });
  for (let reading = 0; span > 0 && reading < READINGS; reading++) {
    await sleep(span / READINGS);
    await monitor.refresh();
  }
  const drift = await driftFrom(counterparts, options.netns);
  const result = resultOf(monitor.snapshot(), filter, severities, drift);
  return { result, time: { wall: Date.now(), monotonic: performance.now() }, isSpan: false };
}

const resultOf = (
  { tunnels, warnings }: TunnelSnapshot,
  filter: TunnelFilter,
  severities: Severities,
  drift: readonly Drift[] = [],
) =>
  checkTunnels(
    tunnels.filter((one) => filter.matches(one)),
    warnings,
    severities,
    drift,
  );

/** What SAs are compared with. */
interface Counterparts {
  readonly daemon?: (() => KeyManager) | undefined;
  readonly mirror?: string | undefined;
}

/** What an IKE daemon, or the other end, has and the kernel has not, and the other way round. */
async function driftFrom(
  { daemon, mirror }: Counterparts,
  netns: NetnsReference | undefined,
): Promise<Drift[]> {
  const found: Drift[] = [];
  if (daemon !== undefined) {
    await using client = new XfrmClient({ netns });
    const manager = daemon();
    const states = async () => (await client.listStates()).items;
    found.push(...(await lastingDrift(() => driftOf(manager, states))));
  }
  if (mirror !== undefined) {
    found.push(...(await lastingDrift(() => compareMirrored(netns, mirror))));
  }
  return found;
}

/** The result at one time of a recording, or the worst in a part of it. */
async function lookBack(
  path: string,
  options: LookBackOptions,
  judged: TunnelMonitorOptions,
  filter: TunnelFilter,
  severities: Severities,
) {
  const { LookBack, LookBackTunnels } = await import('./tunnels/look-back-tunnels.ts');
  const tunnels = new LookBackTunnels(new LookBack(path, options), judged);
  const isSpan = options.from !== undefined || options.to !== undefined;
  let worst = { result: resultOf(tunnels.snapshot, filter, severities), since: tunnels.time };
  let until: EventTime | undefined;
  for (const changes of tunnels.moments()) {
    const since = changes.at(-1)?.time ?? tunnels.time;
    until ??= since;
    const result = resultOf(tunnels.snapshot, filter, severities);
    if (!isWorse(result, worst.result)) continue;
    worst = { result, since };
    until = undefined;
  }
  return { result: worst.result, time: within(worst.since, until ?? tunnels.time), isSpan };
}

/**
 * A time soon after the first of two, and before the second if that is possible, in whole milliseconds: `--at` with it
 * says the same. By how much the wall clock is ahead of the other is not the same at each record, so that what is due
 * by time alone may come a little later on it.
 */
function within(since: EventTime, until: EventTime): EventTime {
  const soon = Math.min((since.wall + until.wall) / 2, since.wall + 100);
  return { wall: Math.max(Math.ceil(soon), Math.ceil(since.wall)), monotonic: since.monotonic };
}

/** Whether a result is worse: by its status, then by how many problems of that severity there are. */
function isWorse(a: CheckResult, b: CheckResult): boolean {
  const grave = ({ problems, status }: CheckResult) =>
    problems.filter((one) => one.status === status).length;
  const by = BADNESS[a.status] - BADNESS[b.status] || grave(a) - grave(b);
  return by > 0 || (by === 0 && a.problems.length > b.problems.length);
}

/** Which of two results is reported for a part of a recording. */
const BADNESS: Readonly<Record<CheckStatus, number>> = {
  OK: 0,
  UNKNOWN: 1,
  WARNING: 2,
  CRITICAL: 3,
};
