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
import type { SubscriptionEvent } from '../monitor/subscribe.ts';
import type { NetnsReference } from '../socket/index.ts';
import { type RequestOptions, XfrmClient } from '../xfrm/client.ts';
import { formatJson } from './json.ts';
import {
  addNamespaceOptions,
  emptyText,
  inEachNamespace,
  type NamespaceOptions,
  type Place,
} from './namespaces.ts';
import {
  addFollowOptions,
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
import { describePolicy, describeState, formatNamespace, formatTime } from './text/event.ts';

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

interface Options extends OutputOptions, FollowOptions, NamespaceOptions {
  readonly watch?: true;
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
  addNamespaceOptions(addFollowOptions(addOutputOptions(command)));
  return command
    .addHelpText('after', FILTER_HELP)
    .addHelpText('after', 'See docs/command.md; schema/event-2.json describes the JSON.\n')
    .action(async (words: string[], options: Options) => {
      const filter = filterOf(words, command);
      const format = formatOf(options, command);
      if (options.watch) await watch(kind, filter, format, options);
      else {
        for (const name of ['count', 'until'] as const) {
          if (options[name] !== undefined) command.error(`error: '--${name}' needs '--watch'`);
        }
        const index = words.findIndex((word) => /^kind\b/.test(word));
        const reason = "'kind' filters events, and needs '--watch'";
        if (index >= 0) command.error(`error: ${pointAt(reason, words, index)}`);
        endWhenUnread();
        const out = new LineOutput();
        const write = printer(kind, format, out, options);
        let count = 0;
        await inEachNamespace(options, async ({ label, path }) => {
          count += await list(kind, filter, format, out, write, { label, where: path });
        });
        write.end();
        await out.ready();
        if (count === 0 && !format.json) {
          noteEmpty(emptyText(kind.name, words.length > 0, options));
        }
      }
    });
}

/** A network namespace, and what ends listing it. */
interface Where {
  readonly label: Place['label'];
  readonly where: NetnsReference | undefined;
  readonly signal?: AbortSignal;
}

/** Prints the existing entries. @returns how many passed the filter */
async function list(
  kind: Kind,
  filter: Filter,
  format: Format,
  out: LineOutput,
  write: Printer,
  { label, where, signal }: Where,
): Promise<number> {
  let count = 0;
  await using client = new XfrmClient({ netns: where });
  for await (const item of kind.list(client, filter, { keys: format.showKeys, signal })) {
    if (!filter.matches(item)) continue;
    count++;
    write.item(item, label);
    if (process.stdout.writableNeedDrain) await out.ready(signal);
  }
  return count;
}

/** Prints entries. */
interface Printer {
  /** @param label of its namespace, where there are several */
  item(one: ListedObject, label: Place['label']): void;
  end(): void;
}

/** Formatter for entries: as JSON, as table rows, or as lines. */
function printer(
  { columns }: Kind,
  { json, showKeys, colors }: Format,
  out: LineOutput,
  { netns, allNetns }: NamespaceOptions,
): Printer {
  const end = () => {};
  if (json) {
    const item = (one: ListedObject, label: Place['label'] = netns) =>
      out.line(formatJson({ ...one, protocol: 'xfrm', time: now() }, showKeys, labelled(label)));
    return { item, end };
  }
  const from = (label: Place['label']) =>
    label === undefined ? [] : [colors.magenta(formatNamespace(label))];
  if (process.stdout.isTTY) {
    const table = new Table(
      allNetns ? [['NETNS', ''], ...columns] : columns,
      colors.dim,
      (line) => out.line(line),
      terminalWidth(),
    );
    const seconds = Date.now() / 1000;
    const row = (one: ListedObject) =>
      one.kind === 'state'
        ? stateRow(one.state, colors, seconds)
        : policyRow(one.policy, colors, seconds);
    return {
      item: (one, label) => table.row([...from(label), ...row(one)]),
      end: () => table.flush(),
    };
  }
  const line = (one: ListedObject) =>
    one.kind === 'state' ? describeState(one.state, colors) : describePolicy(one.policy, colors);
  return { item: (one, label) => out.line([...from(label), line(one)].join(' ')), end };
}

/** JSON member for a namespace that was named, or is one of several. */
const labelled = (netns: Place['label']) => (netns === undefined ? {} : { netns });

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
    async first(out, signal, origins) {
      const print = printer(kind, format, out, options);
      for (const { label, netns: where } of origins) {
        const known = options.allNetns ? label : undefined;
        listed += await list(kind, filter, format, out, print, { label: known, where, signal });
      }
      print.end();
      await out.ready(signal);
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
