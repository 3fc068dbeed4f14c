/**
 * `netlink-xfrm tunnels`: the tunnels of this host, the worst first, and with `--watch` their
 * changes.
 * @module
 */
import { Command } from 'commander';
import { changeJson } from '../json/tunnel.ts';
import type { EventTime } from '../netlink/event.ts';
import { onAbort } from '../socket/abort.ts';
import type { TunnelNamespaceChange } from '../tunnel/multi-namespace-tunnel-monitor.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelChange, TunnelsSynced } from '../tunnel/tunnel-changes.ts';
import {
  CHANGE_HELP,
  isTunnelEvent,
  TUNNEL_FILTER_HELP,
  type TunnelFilter,
} from '../tunnel/tunnel-filter.ts';
import { TunnelMonitor, type TunnelMonitorOptions } from '../tunnel/tunnel-monitor.ts';
import { endedBySignal } from './events/ended.ts';
import { Summary } from './events/summary.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import { addLookBackOptions, checkLookBack, type LookBackOptions } from './look-back-options.ts';
import {
  addNamespaceOptions,
  emptyRecording,
  emptyText,
  formatNamespaceChange,
  type NamespaceOptions,
} from './namespaces.ts';
import {
  addFollowOptions,
  addFormatOptions,
  type FollowOptions,
  type Format,
  formatOf,
  type OutputOptions,
} from './options.ts';
import { endWhenUnread, LineOutput, noteEmpty } from './terminal/output.ts';
import { formatTunnelChange } from './tunnels/change-text.ts';
import { EveryNamespace } from './tunnels/everywhere.ts';
import { showTunnels } from './tunnels/live.ts';
import { openTunnels } from './tunnels/open.ts';
import { listOf, printSynced, printTunnels, type TunnelList } from './tunnels/print-tunnels.ts';
import {
  addDetailsOption,
  addTunnelOptions,
  duration,
  judgedBy,
  monitorOptionsOf,
  THRESHOLD_HELP,
  type TunnelOptions,
  tunnelFilterOf,
} from './tunnels/tunnel-options.ts';

interface Options extends OutputOptions, FollowOptions, TunnelOptions, NamespaceOptions {
  readonly watch?: true;
  readonly apart?: true;
  readonly refresh?: number;
}

type AllOptions = Options & LookBackOptions;

/** Milliseconds between counter readings on a terminal, where rates are shown. */
const LIVE_REFRESH = 2000;

export function tunnelsCommand(): Command {
  const command = new Command('tunnels')
    .description(
      'Lists the tunnels of this host, worst first; a tunnel is the SAs and policies between\n' +
        'two endpoints. A table on a terminal, otherwise one per line. Needs CAP_NET_ADMIN.',
    )
    .argument('[filter...]', 'tunnels to list')
    .option(
      '-w, --watch',
      'keep it live: a full screen on a terminal, until q or Ctrl-C; otherwise the list, "synced" and changes',
    )
    .option('--apart', 'also show each reqid of tunnels that have several')
    .option('--refresh <duration>', 'with --watch: how often to read the counters', duration);
  addDetailsOption(command, 'with --watch in a pipe');
  addNamespaceOptions(addTunnelOptions(addFollowOptions(addFormatOptions(command))));
  addLookBackOptions(command);
  return command
    .addHelpText('after', TUNNEL_FILTER_HELP)
    .addHelpText('after', `With --watch in a pipe, also:\n${CHANGE_HELP}`)
    .addHelpText('after', THRESHOLD_HELP)
    .addHelpText('after', 'See docs/command.md; schema/event-2.json describes the JSON.\n')
    .action(async (words: string[], options: AllOptions) => {
      const format = formatOf(options, command);
      checkLookBack(options, command);
      if (options.recording !== undefined) {
        await lookBack(options.recording, words, options, format, command);
        return;
      }
      const { watch, count, until, refresh, buffer } = options;
      const live = watch === true && isScreen(format);
      const scope = watch && !live ? 'changes' : 'tunnels';
      const filter = tunnelFilterOf(words, scope, command, options.details);
      if (!watch && refresh !== undefined) command.error("error: '--refresh' needs '--watch'");
      if (count !== undefined && (!watch || live)) {
        command.error("error: '--count' needs '--watch' in a pipe, or with '--json'");
      }
      if (until !== undefined && (!watch || live)) {
        command.error("error: '--until' needs '--watch' in a pipe, or with '--json'");
      }
      if (options.details && (!watch || live)) {
        command.error("error: '--details' needs '--watch' in a pipe, or with '--json'");
      }
      const refreshInterval = refresh ?? (live ? LIVE_REFRESH : undefined);
      const monitor: TunnelMonitorOptions = {
        ...monitorOptionsOf(options, command),
        receiveBufferSize: buffer * 2 ** 20,
        apart: options.apart === true,
        ...(refreshInterval === undefined ? {} : { refreshInterval }),
      };
      endWhenUnread();
      const isEverywhere = options.allNetns === true;
      if (live) await showTunnels(monitor, filter, format.colors, isEverywhere);
      else if (watch) await followTunnels(monitor, filter, format, options);
      else {
        const count = await listTunnels(monitor, filter, format, isEverywhere);
        if (count === 0 && !format.json) noteEmpty(emptyText('tunnels', words.length > 0, options));
      }
    });
}

/** Whether the output is a terminal whose lines can change in place. */
const isScreen = ({ json }: Format) =>
  !json && process.stdout.isTTY === true && process.env.TERM !== 'dumb';

const now = () => ({ wall: Date.now(), monotonic: performance.now() });

/** Lists the tunnels at one time of a recording, or at the beginning of a part, and then their changes. */
async function lookBack(
  path: string,
  words: readonly string[],
  options: AllOptions,
  format: Format,
  command: Command,
): Promise<void> {
  const { watch, count, refresh, details, apart = false, from, to } = options;
  if (watch || refresh !== undefined) {
    command.error("error: '--watch' and '--refresh' do not work with '--recording': use '--from'");
  }
  const isSpan = from !== undefined || to !== undefined;
  if (count !== undefined && !isSpan) command.error("error: '--count' needs '--from' or '--to'");
  const filter = tunnelFilterOf(words, isSpan ? 'changes' : 'tunnels', command, details);
  const judged = { ...judgedBy(options, command), apart };
  const { LookBack, LookBackTunnels } = await import('./tunnels/look-back-tunnels.ts');
  endWhenUnread();
  const look = new LookBack(path, options);
  const tunnels = new LookBackTunnels(look, judged);
  const out = new LineOutput();
  const { snapshot, time } = tunnels;
  const wanted = (one: Tunnel) => filter.matches(one);
  if (!isSpan) {
    const listed = printTunnels(listOf(snapshot), wanted, format, out, time);
    await out.ready();
    if (listed === 0 && !format.json) {
      noteEmpty(emptyRecording('tunnels', words.length > 0));
    }
  } else {
    printSynced(snapshot, wanted, format, out, undefined, time);
    const summary = new Summary();
    let left = count ?? Number.POSITIVE_INFINITY;
    for (const change of tunnels.changes()) {
      if (change.kind === 'refreshed' || !filter.matchesChange(change)) continue;
      summary.addChange(change);
      const { json, colors } = format;
      out.line(json ? formatJson(changeJson(change), false) : formatTunnelChange(change, colors));
      if (process.stdout.writableNeedDrain) await out.ready();
      if (isTunnelEvent(change) && --left === 0) break;
    }
    endWithSummary(out, format, summary, tunnels.time);
  }
  if (look.unreadable > 0) process.exitCode = EXIT.conditionNotMet;
}

function endWithSummary(
  out: LineOutput,
  { json }: Format,
  summary: Summary,
  time: EventTime,
): void {
  out.flush();
  if (json) {
    out.line(formatJson({ kind: 'summary', time, ...summary.totals([]) }, false));
    out.flush();
  } else {
    process.stderr.write(`${summary.format([])}\n`);
  }
}

async function listTunnels(
  options: TunnelMonitorOptions,
  filter: TunnelFilter,
  format: Format,
  isEverywhere: boolean,
): Promise<number> {
  const out = new LineOutput();
  const once = { ...options, refreshInterval: 0 };
  const print = (list: TunnelList) => printTunnels(list, (one) => filter.matches(one), format, out);
  let count = 0;
  if (isEverywhere) {
    await using every = await EveryNamespace.open(once);
    if (every) count = print(every.list());
  } else {
    await using monitor = await TunnelMonitor.open(once);
    count = print(listOf(monitor.snapshot()));
  }
  await out.ready();
  return count;
}

async function* noChanges(): AsyncGenerator<never> {}

/** Lists tunnels, prints synced, then changes, until a signal or the requested count. */
async function followTunnels(
  options: TunnelMonitorOptions,
  filter: TunnelFilter,
  format: Format,
  { count, until, allNetns }: FollowOptions & NamespaceOptions,
): Promise<void> {
  const { json, colors } = format;
  const ended = endedBySignal(until);
  const out = new LineOutput();
  const summary = new Summary();
  const wanted = (one: Tunnel) => filter.matches(one);
  let left = count ?? Number.POSITIVE_INFINITY;
  await using every = allNetns ? await EveryNamespace.open(options, ended.signal) : undefined;
  await using one = allNetns ? undefined : await openTunnels(options, ended.signal);
  const monitor = every?.monitors ?? one;
  const where = allNetns
    ? ' in all namespaces'
    : options.netns === undefined
      ? ''
      : ` in ${options.netns}`;
  if (monitor) process.stderr.write(`listening to tunnels${where}\n`);
  // Ends the loop after its pending changes.
  onAbort(ended.signal, () => void monitor?.close());
  const changes: AsyncIterable<TunnelChange | TunnelsSynced | TunnelNamespaceChange> =
    monitor ?? noChanges();
  for await (const change of changes) {
    if (ended.signal.aborted) break;
    const label = every && 'label' in change ? every.shown(change.label) : undefined;
    if (change.kind === 'synced') {
      printSynced(change.snapshot, wanted, format, out, label);
    } else if (change.kind === 'closed') {
      out.line(formatNamespaceChange(label ?? null, 'removed', change.error as Error, format));
    } else {
      // Counters were read, and everything was consistent.
      if (change.kind === 'refreshed' || !filter.matchesChange(change)) continue;
      summary.addChange(change);
      const netns = label === undefined ? {} : { netns: label };
      out.line(
        json
          ? formatJson(changeJson(change), false, netns)
          : formatTunnelChange(change, colors, label),
      );
      if (isTunnelEvent(change) && --left === 0) break;
    }
    if (process.stdout.writableNeedDrain) await out.ready(ended.signal).catch(() => {});
  }
  endWithSummary(out, format, summary, now());
}
