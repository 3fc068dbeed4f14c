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
import type { NetnsReference } from '../socket/index.ts';
import { type RequestOptions, XfrmClient } from '../xfrm/client.ts';
import { formatJson } from './json.ts';
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
import { endWhenUnread, LineOutput, noteEmpty, terminalWidth } from './terminal/output.ts';
import { type Column, Table } from './terminal/text-table.ts';
import { POLICY_COLUMNS, policyRow, STATE_COLUMNS, stateRow } from './text/columns.ts';
import { describePolicy, describeState, formatTime } from './text/event.ts';

/** What each of the two commands lists. */
interface Kind {
  readonly about: 'state' | 'policy';
  /** Plural. */
  readonly name: string;
  readonly columns: readonly Column[];
  /** Multicast groups in which the kernel reports changes. */
  readonly groups: readonly MulticastGroupName[];
  list(client: XfrmClient, filter: Filter, options: RequestOptions): AsyncIterable<ListedObject>;
}

const STATE: Kind = {
  about: 'state',
  name: 'SAs',
  columns: STATE_COLUMNS,
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
  columns: POLICY_COLUMNS,
  groups: ['policy', 'expire', 'migrate'],
  async *list(client, _, options) {
    for await (const policy of client.listPolicies({}, options)) yield { kind: 'policy', policy };
  },
};

interface Options extends OutputOptions, FollowOptions {
  readonly watch?: true;
  readonly netns?: string;
}

export const stateCommand = () => listCommand(STATE, 'security associations (SAs)');
export const policyCommand = () => listCommand(POLICY, 'policies');

function listCommand(kind: Kind, things: string): Command {
  const command = new Command(kind.about)
    .description(
      `Lists the kernel's ${things}: a table on a terminal, otherwise one per line. Needs CAP_NET_ADMIN.`,
    )
    .argument('[filter...]', 'what to list')
    .option('-w, --watch', 'then print "synced", and events as they arrive, until Ctrl-C');
  addNamespaceOption(addFollowOptions(addOutputOptions(command)));
  return command
    .addHelpText('after', FILTER_HELP)
    .addHelpText('after', 'See docs/command.md; schema/event-2.json describes the JSON.\n')
    .action(async (words: string[], options: Options) => {
      const filter = filterOf(words, command);
      const format = formatOf(options, command);
      if (options.watch) await watch(kind, filter, format, options);
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
  const write = printer(kind, format, out, netns);
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
  { columns }: Kind,
  { json, showKeys, colors }: Format,
  out: LineOutput,
  netns: string | undefined,
) {
  const end = () => {};
  if (json) {
    const where = labelled(netns);
    const item = (one: ListedObject) =>
      out.line(formatJson({ ...one, protocol: 'xfrm', time: now() }, showKeys, where));
    return { item, end };
  }
  if (process.stdout.isTTY) {
    const table = new Table(columns, colors.dim, (line) => out.line(line), terminalWidth());
    const seconds = Date.now() / 1000;
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

/** Lists and follows. Groups are joined before the dump, so that no change is missed in between. */
async function watch(kind: Kind, filter: Filter, format: Format, options: Options) {
  const concerns = (event: SubscriptionEvent) => {
    if (event.protocol !== 'xfrm' || event.kind === 'overrun' || event.kind === 'malformed') {
      return true;
    }
    const about = EVENT_KINDS[event.kind];
    return about === 'both' || about === kind.about;
  };
  let listed = 0;
  const { netns } = options;
  // Most of the command's code: a plain list does not need it.
  const { follow } = await import('./follow.ts');
  await follow({
    ...options,
    netns: netns === undefined ? [] : [netns],
    groups: kind.groups,
    format,
    wanted: (event) => concerns(event) && filter.matches(event),
    async first(out, signal, where) {
      listed = await list(kind, filter, format, out, { netns, where, signal });
    },
    caughtUp(out) {
      const time = now();
      const text = `${formatTime(time.wall)} synced    ${listed} ${kind.name} listed`;
      out.line(
        format.json
          ? formatJson({ kind: 'synced', protocol: 'xfrm', time, listed }, false, labelled(netns))
          : format.colors.dim(text),
      );
    },
  });
}
