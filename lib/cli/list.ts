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
import type { EventTime } from '../netlink/event.ts';
import type { NetnsReference } from '../socket/index.ts';
import { type RequestOptions, XfrmClient } from '../xfrm/client.ts';
import { EXIT } from './exit.ts';
import { formatJson } from './json.ts';
import { addLookBackOptions, checkLookBack, type LookBackOptions } from './look-back-options.ts';
import {
  addNamespaceOptions,
  emptyRecording,
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
import {
  describePolicy,
  describeState,
  formatEvent,
  formatNamespace,
  formatTime,
} from './text/event.ts';

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
  addLookBackOptions(addNamespaceOptions(addFollowOptions(addOutputOptions(command))));
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
  time: EventTime = now(),
): Printer {
  const end = () => {};
  if (json) {
    const item = (one: ListedObject, label: Place['label'] = netns) =>
      out.line(formatJson({ ...one, protocol: 'xfrm', time }, showKeys, labelled(label)));
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
    const seconds = time.wall / 1000;
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
  const time = { wall: look.span.from.wall, monotonic: Number.NaN };
  const write = printer(kind, format, out, options, time);
  let listed = 0;
  const entries: ListedObject[] =
    kind.about === 'state'
      ? Array.from(states, ({ value: state }) => ({ kind: 'state', state }))
      : Array.from(policies, ({ value: policy }) => ({ kind: 'policy', policy }));
  // The newest first, as the kernel lists them, which moves a policy that is updated to the front.
  for (const one of entries.reverse()) {
    if (!filter.matches(one)) continue;
    listed++;
    write.item(one, undefined);
    if (process.stdout.writableNeedDrain) await out.ready();
  }
  write.end();
  if (options.from === undefined && options.to === undefined) {
    if (listed === 0 && !format.json) noteEmpty(emptyRecording(kind.name, isFiltered));
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
    async first(out, signal, origins) {
      const print = printer(kind, format, out, options);
      for (const { label, netns: where } of origins) {
        const known = options.allNetns ? label : undefined;
        listed += await list(kind, filter, format, out, print, { label: known, where, signal });
      }
      print.end();
      await out.ready(signal);
    },
    caughtUp: (out) => synced(kind, listed, format, out, netns, now()),
  });
}
