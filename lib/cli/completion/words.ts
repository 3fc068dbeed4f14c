/** What can be completed, from the definitions of the commands. @module */
import type { Argument, Command, Option } from 'commander';
import { filterHelp, KINDS } from '../../monitor/filter-keys.ts';
import { multicastGroupNames } from '../../monitor/multicast-groups.ts';
import { TUNNEL_STATES } from '../../tunnel/tunnel.ts';
import { CHANGES, tunnelKeys, WARNINGS } from '../../tunnel/tunnel-filter.ts';
import { IpsecProto, PolicyDir } from '../../xfrm/names.ts';

/** What a value is: words, or what the shell finds out. */
export type Values = readonly string[] | 'netns' | 'file' | 'anything';

export interface OptionWords {
  /** `-o`, `--output`. */
  readonly flags: readonly string[];
  readonly about: string;
  /** Undefined if it takes no value. */
  readonly values: Values | undefined;
}

/** What may be given besides options: some of these. */
export interface ArgumentWords {
  readonly words: readonly string[];
  /** Keys of filters. */
  readonly keys: readonly string[];
  readonly files: boolean;
  /** Peers of tunnels: of those that exist, or of a recording that is the first argument. */
  readonly peers: 'live' | 'recorded' | undefined;
  /** Another command and its arguments. */
  readonly command: boolean;
}

export interface CommandWords {
  readonly name: string;
  readonly about: string;
  readonly options: readonly OptionWords[];
  readonly arguments: ArgumentWords;
}

/** All that can be completed. */
export interface Words {
  readonly options: readonly OptionWords[];
  readonly commands: readonly CommandWords[];
  /** Values of the keys of filters, if there are few. */
  readonly filters: Readonly<Record<string, readonly string[]>>;
}

const FILTERS = {
  proto: Object.keys(IpsecProto.numbers),
  dir: Object.keys(PolicyDir.numbers),
  kind: KINDS,
  state: TUNNEL_STATES,
  warning: ['any', ...WARNINGS],
  change: CHANGES,
};

/** The keys of filters: of SAs and policies, unless a command is about tunnels. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  tunnels: tunnelKeys('changes'),
  wait: tunnelKeys('tunnels'),
  check: tunnelKeys('tunnels'),
  monitor: tunnelKeys('events'),
};
const ENTRY_KEYS = filterHelp.map(([key]) => key);

function valuesOf({ long, flags, argChoices, required, optional }: Option): Values | undefined {
  if (!required && !optional) return undefined;
  if (argChoices) return argChoices;
  if (long === '--netns') return 'netns';
  if (long === '--for')
    return ['up', 'down', ...TUNNEL_STATES.filter((one) => !/^(up|down)$/.test(one))];
  return long === '--expect' || /<(file|path|directory)>/.test(flags) ? 'file' : 'anything';
}

const optionsOf = (command: Command): OptionWords[] =>
  command
    .createHelp()
    .visibleOptions(command)
    .map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined),
      about: option.description,
      values: valuesOf(option),
    }));

function argumentsOf(name: string, all: readonly Argument[]): ArgumentWords {
  const names = all.map((one) => one.name());
  const has = (word: string) => names.some((one) => one.split('|').includes(word));
  const isFilter = has('filter') || has('tunnel');
  return {
    words: [
      ...all.flatMap(({ argChoices = [] }) => argChoices),
      ...(has('group') ? ['all', ...multicastGroupNames] : []),
    ],
    keys: isFilter ? (KEYS[name] ?? ENTRY_KEYS) : [],
    files: ['file', 'path', 'recording', 'before'].some(has),
    peers: has('tunnel') ? (has('recording') ? 'recorded' : 'live') : undefined,
    command: has('command'),
  };
}

/** What can be completed of a program. */
export const wordsOf = (program: Command): Words => ({
  options: optionsOf(program),
  commands: program.commands.map((command) => ({
    name: command.name(),
    about: command.summary(),
    options: optionsOf(command),
    arguments: argumentsOf(command.name(), command.registeredArguments),
  })),
  filters: FILTERS,
});

/** Prints the peers of the tunnels; nothing where that is not allowed. */
export const PEERS = peersBy('tunnels');
/** The same of the recording whose path is in a variable. */
export const RECORDED_PEERS = peersBy('tunnels --recording "$recording"');

function peersBy(tunnels: string): string {
  return `netlink-xfrm ${tunnels} 2>/dev/null | sed -n 's/^[^>]* <\\{0,1\\}> \\([0-9a-f.:]*\\) .*/\\1/p'`;
}

/** Prints the names of network namespaces. */
export const NAMESPACES = 'ls /run/netns 2>/dev/null';
