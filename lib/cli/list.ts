/**
 * `netlink-xfrm state` and `netlink-xfrm policy`: the kernel's entries, and with `--watch` their
 * changes.
 * @module
 */
import { Command } from 'commander';
import type { Filter } from '../monitor/filter.ts';
import { pointAt } from '../monitor/filter-error.ts';
import { EVENT_KINDS, type ListedObject } from '../monitor/filter-input.ts';
import type { MulticastGroupName } from '../monitor/multicast-groups.ts';
import { namespacePath } from '../monitor/namespace-path.ts';
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import type { EventTime } from '../netlink/event.ts';
import type { NetnsReference } from '../socket/index.ts';
import { type RequestOptions, XfrmClient } from '../xfrm/client.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import { addLookBackOptions, checkLookBack, type LookBackOptions } from './look-back-options.ts';
import {
  addFollowOptions,
  addNamespaceOption,
  addOutputOptions,
  FILTER_HELP,
  type FollowOptions,
  type Format,
  filterOf,
  formatOf,
  type OutputOptions,
} from './options.ts';
import { endWhenUnread, LineOutput, noteEmpty } from './terminal/output.ts';
import { Table } from './terminal/text-table.ts';
import { POLICY_HEADS, policyRow, STATE_HEADS, stateRow } from './text/columns.ts';
import { describePolicy, describeState, formatEvent, formatTime } from './text/event.ts';

/** What each of the two commands lists. */
interface Kind {
  readonly about: 'state' | 'policy';
  /** Plural. */
  readonly name: string;
  readonly heads: readonly string[];
  /** Multicast groups in which the kernel reports changes. */
  readonly groups: readonly MulticastGroupName[];
  list(client: XfrmClient, filter: Filter, options: RequestOptions): AsyncIterable<ListedObject>;
}

const STATE: Kind = {
  about: 'state',
  name: 'SAs',
  heads: STATE_HEADS,
  groups: ['sa', 'expire', 'migrate', 'mapping'],
  async *list(client, filter, options) {
    for await (const state of client.listStates(filter.states, options)) {
      yield { kind: 'state', state };
    }
  },
};

const POLICY: Kind = {
  about: 'policy',
  name: 'policies',
  heads: POLICY_HEADS,
  groups: ['policy', 'expire', 'migrate'],
  async *list(client, _, options) {
    for await (const policy of client.listPolicies({}, options)) yield { kind: 'policy', policy };
  },
};

interface Options extends OutputOptions, FollowOptions {
  readonly watch?: true;
  readonly netns?: string;
}

type AllOptions = Options & LookBackOptions;

export const stateCommand = () => listCommand(STATE, 'security associations (SAs)');
export const policyCommand = () => listCommand(POLICY, 'policies');

function listCommand(kind: Kind, things: string): Command {
  const command = new Command(kind.about)
    .description(
      `Lists the kernel's ${things}: a table on a terminal, otherwise one per line. Needs CAP_NET_ADMIN.`,
    )
    .argument('[filter...]', 'what to list')
    .option('-w, --watch', 'then print "synced", and events as they arrive, until Ctrl-C');
  addLookBackOptions(addNamespaceOption(addFollowOptions(addOutputOptions(command))));
  return command
    .addHelpText('after', FILTER_HELP)
    .addHelpText('after', 'See docs/command.md; schema/event-2.json describes the JSON.\n')
    .action(async (words: string[], options: AllOptions) => {
      const filter = filterOf(words, command);
      const format = formatOf(options, command);
      checkLookBack(options, command);
      if (options.recording !== undefined) {
        if (options.watch) {
          command.error("error: '--watch' does not work with '--recording': use '--from'");
        }
        await lookBack(kind, filter, format, options.recording, options, words.length > 0);
      } else if (options.watch) await watch(kind, filter, format, options);
      else {
        if (options.count !== undefined) command.error("error: '--count' needs '--watch'");
        const index = words.findIndex((word) => /^kind\b/.test(word));
        const reason = "'kind' filters events, and needs '--watch'";
        if (index >= 0) command.error(`error: ${pointAt(reason, words, index)}`);
        endWhenUnread();
        const { netns } = options;
        const where = netns === undefined ? undefined : namespacePath(netns);
        const count = await list(kind, filter, format, new LineOutput(), { netns, where });
        if (count === 0 && !format.json) noteEmpty(kind.name, words.length > 0);
      }
    });
}

/** Prints the existing entries. @returns how many passed the filter */
async function list(
  kind: Kind,
  filter: Filter,
  format: Format,
  out: LineOutput,
  how: { netns: string | undefined; where: NetnsReference | undefined; signal?: AbortSignal },
): Promise<number> {
  const { netns, where, signal } = how;
  const write = printer(kind, format, out, netns, now());
  let count = 0;
  await using client = new XfrmClient({ netns: where });
  for await (const item of kind.list(client, filter, { keys: format.showKeys, signal })) {
    if (!filter.matches(item)) continue;
    count++;
    write.item(item);
    if (process.stdout.writableNeedDrain) await out.ready(signal);
  }
  write.end();
  await out.ready(signal);
  return count;
}

/** Formatter for entries: as JSON, as table rows, or as lines. */
function printer(
  { heads }: Kind,
  { json, showKeys, colors }: Format,
  out: LineOutput,
  netns: string | undefined,
  time: EventTime,
) {
  const end = () => {};
  if (json) {
    const where = labelled(netns);
    const item = (one: ListedObject) =>
      out.line(formatJson({ ...one, protocol: 'xfrm', time }, showKeys, where));
    return { item, end };
  }
  if (process.stdout.isTTY) {
    const table = new Table(heads.map(colors.dim), (line) => out.line(line));
    const seconds = time.wall / 1000;
    const row = (one: ListedObject) =>
      one.kind === 'state'
        ? stateRow(one.state, colors, seconds)
        : policyRow(one.policy, colors, seconds);
    return { item: (one: ListedObject) => table.row(row(one)), end: () => table.flush() };
  }
  const line = (one: ListedObject) =>
    one.kind === 'state' ? describeState(one.state, colors) : describePolicy(one.policy, colors);
  return { item: (one: ListedObject) => out.line(line(one)), end };
}

/** JSON member for an explicitly named namespace. */
const labelled = (netns: string | undefined) => (netns === undefined ? {} : { netns });

const now = () => ({ wall: Date.now(), monotonic: performance.now() });

/** Whether an event is about what is listed. */
const concerns = ({ about }: Kind, event: SubscriptionEvent): boolean => {
  if (event.protocol !== 'xfrm' || event.kind === 'overrun' || event.kind === 'malformed') {
    return true;
  }
  const its = EVENT_KINDS[event.kind];
  return its === 'both' || its === about;
};

/** Lists what was at one time of a recording, or at the beginning of a part, and then its events. */
async function lookBack(
  kind: Kind,
  filter: Filter,
  format: Format,
  path: string,
  options: AllOptions,
  isFiltered: boolean,
): Promise<void> {
  const { LookBack, eventsOf } = await import('./look-back-events.ts');
  endWhenUnread();
  const look = new LookBack(path, options);
  const played = look.play({}, true);
  const { states, policies } = played.namespace;
  const out = new LineOutput();
  const time = { wall: look.span.from, monotonic: Number.NaN };
  const write = printer(kind, format, out, options.netns, time);
  let listed = 0;
  const entries: Iterable<ListedObject> =
    kind.about === 'state'
      ? Array.from(states, ({ value: state }) => ({ kind: 'state', state }))
      : Array.from(policies, ({ value: policy }) => ({ kind: 'policy', policy }));
  for (const one of entries) {
    if (!filter.matches(one)) continue;
    listed++;
    write.item(one);
    if (process.stdout.writableNeedDrain) await out.ready();
  }
  write.end();
  if (options.from === undefined && options.to === undefined) {
    if (listed === 0 && !format.json) noteEmpty(kind.name, isFiltered);
  } else {
    synced(kind, listed, format, out, options.netns, time);
    let left = options.count ?? Number.POSITIVE_INFINITY;
    for (const event of eventsOf(played, look.span.to, format.showKeys)) {
      if (event.protocol !== 'xfrm') continue;
      if (!concerns(kind, event) || !filter.matches(event)) continue;
      const { json, showKeys, colors } = format;
      out.line(
        json ? formatJson(event, showKeys, labelled(options.netns)) : formatEvent(event, colors),
      );
      if (process.stdout.writableNeedDrain) await out.ready();
      if (--left === 0) break;
    }
  }
  await out.ready();
  if (look.unreadable > 0) process.exitCode = EXIT.conditionNotMet;
}

/** Prints that the list is complete. */
function synced(
  { name }: Kind,
  listed: number,
  { json, colors }: Format,
  out: LineOutput,
  netns: string | undefined,
  time: EventTime,
): void {
  const text = `${formatTime(time.wall)} synced    ${listed} ${name} listed`;
  out.line(
    json
      ? formatJson({ kind: 'synced', protocol: 'xfrm', time, listed }, false, labelled(netns))
      : colors.dim(text),
  );
}

/** Lists and follows. Groups are joined before the dump, so that no change is missed in between. */
async function watch(kind: Kind, filter: Filter, format: Format, options: Options) {
  let listed = 0;
  const { netns } = options;
  // Most of the command's code: a plain list does not need it.
  const { follow } = await import('./follow.ts');
  await follow({
    ...options,
    netns: netns === undefined ? [] : [netns],
    groups: kind.groups,
    format,
    wanted: (event) => concerns(kind, event) && filter.matches(event),
    async first(out, signal, where) {
      listed = await list(kind, filter, format, out, { netns, where, signal });
    },
    caughtUp: (out) => synced(kind, listed, format, out, netns, now()),
  });
}
