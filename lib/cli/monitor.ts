/**
 * `netlink-xfrm monitor`: an event a line, as it happens.
 * @module
 */
import { Command } from 'commander';
import { pointAt } from '../monitor/filter-error.ts';
import type { GroupName } from '../monitor/groups.ts';
import { printable } from '../wire/text.ts';
import { follow } from './follow.ts';
import {
  addFollowOptions,
  addOutputOptions,
  FILTER_HELP,
  type FollowOptions,
  filterOf,
  formatOf,
  type OutputOptions,
} from './options.ts';

const GROUPS = {
  sa: 'XFRMNLGRP_SA',
  expire: 'XFRMNLGRP_EXPIRE',
  policy: 'XFRMNLGRP_POLICY',
  aevents: 'XFRMNLGRP_AEVENTS',
  report: 'XFRMNLGRP_REPORT',
  migrate: 'XFRMNLGRP_MIGRATE',
  mapping: 'XFRMNLGRP_MAPPING',
  acquire: 'XFRMNLGRP_ACQUIRE',
} as const satisfies Record<string, GroupName>;

type Group = keyof typeof GROUPS;
const ALL = Object.keys(GROUPS) as Group[];

/**
 * All but ACQUIRE: as long as anybody listens to that group, the kernel makes a larval SA for each
 * packet that lacks one, where it would otherwise drop the packet (net/xfrm/xfrm_state.c,
 * km_query). Watching should not change what is watched.
 */
const DEFAULT = ALL.filter((group) => group !== 'acquire');

/** Whether a word is a filter's and not a group's. */
const isTerm = (word: string) => /[=!]/.test(word);

export function monitorCommand(): Command {
  const command = new Command('monitor')
    .summary('print IPsec events as the kernel announces them')
    .description(
      'Prints an event a line, as the kernel announces it: SAs and policies added, changed,\n' +
        'deleted and expired. Ctrl-C ends it with a summary. Needs CAP_NET_ADMIN.',
    )
    .argument('[group|filter...]', `groups to listen to: ${ALL.join(', ')}, or all; and filters`);
  addFollowOptions(addOutputOptions(command));
  return command
    .addHelpText('after', FILTER_HELP)
    .addHelpText(
      'after',
      'Without groups: all but acquire. Listening to acquire makes the kernel keep a larval SA for\n' +
        'every packet that lacks an SA, which it otherwise does only while an IKE daemon listens.\n' +
        'docs/command.md tells more; schema/event-1.json describes the JSON.\n',
    )
    .action(async (words: string[], options: OutputOptions & FollowOptions) => {
      const wrong = words.findIndex(
        (word) => !isTerm(word) && word !== 'all' && !Object.hasOwn(GROUPS, word),
      );
      if (wrong >= 0) {
        const reason = `no group '${printable(words[wrong] ?? '')}': use ${ALL.join(', ')} or all`;
        command.error(`error: ${pointAt(reason, words, wrong)}`);
      }
      const named = words.filter((word) => !isTerm(word));
      const groups =
        named.length === 0 ? DEFAULT : named.includes('all') ? ALL : [...new Set(named)];
      const filter = filterOf(words.filter(isTerm), command);
      await follow({
        ...options,
        groups: groups.map((name) => GROUPS[name as Group]),
        format: formatOf(options, command),
        wanted: (event) => filter.matches(event),
      });
    });
}
