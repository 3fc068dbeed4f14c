/**
 * `netlink-xfrm monitor`: one line per event, as it happens.
 * @module
 */
import { Command } from 'commander';
import { pointAt } from '../monitor/filter-error.ts';
import { isTerm } from '../monitor/filter-term.ts';
import { findGroup, type MulticastGroupName } from '../monitor/multicast-groups.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelChange } from '../tunnel/tunnel-changes.ts';
import { CHANGE_FILTER_HELP } from '../tunnel/tunnel-filter.ts';
import { printable } from '../wire/text.ts';
import { follow } from './follow.ts';
import {
  addFollowOptions,
  addOriginOptions,
  addOutputOptions,
  FILTER_HELP,
  type FollowOptions,
  filterOf,
  formatOf,
  type OriginOptions,
  type OutputOptions,
} from './options.ts';
import {
  addDetailsOption,
  addTunnelOptions,
  monitorOptionsOf,
  refuseTunnelOptions,
  type TunnelOptions,
  tunnelFilterOf,
} from './tunnels/tunnel-options.ts';

/** XFRM multicast groups. */
const ALL = [
  'sa',
  'expire',
  'policy',
  'aevents',
  'report',
  'migrate',
  'mapping',
  'acquire',
] as const satisfies readonly MulticastGroupName[];

/** Network changes that affect tunnels: the rtnetlink groups added by --route. */
const ROUTE = [
  'link',
  'ipv4-ifaddr',
  'ipv6-ifaddr',
  'ipv4-route',
  'ipv6-route',
  'ipv4-rule',
  'ipv6-rule',
  'nexthop',
  'nsid',
] as const satisfies readonly MulticastGroupName[];

/**
 * All except ACQUIRE: while anyone listens to that group, the kernel creates a larval SA for each packet
 * that lacks an SA, where it would otherwise drop the packet (net/xfrm/xfrm_state.c, km_query). Watching
 * should not change what is watched.
 */
const DEFAULT = ALL.filter((group) => group !== 'acquire');

const isGroup = (name: string): name is MulticastGroupName => findGroup(name) !== undefined;

type MonitorOptions = OutputOptions &
  FollowOptions &
  OriginOptions &
  TunnelOptions & { route?: true; tunnels?: true };

export function monitorCommand(): Command {
  const command = new Command('monitor')
    .description(
      'Prints one event per line, as the kernel sends it: SAs and policies added, updated,\n' +
        'deleted and expired; with --route also links, addresses, routes, rules and next hops.\n' +
        'Ctrl-C stops it and prints a summary. Needs CAP_NET_ADMIN.',
    )
    .argument('[group|filter...]', `groups (${ALL.join(', ')} or all) and filters`)
    .option('--route', 'also listen to links, addresses and routes')
    .option('--tunnels', 'also print changes of tunnels');
  addDetailsOption(command, 'with --tunnels');
  addTunnelOptions(addOriginOptions(addFollowOptions(addOutputOptions(command))));
  return command
    .addHelpText('after', FILTER_HELP)
    .addHelpText(
      'after',
      'With --tunnels also these, which match no events; --expect, --idle, --stalled, --threshold and\n' +
        `--acquires are for tunnels only:\n${CHANGE_FILTER_HELP}`,
    )
    .addHelpText(
      'after',
      'Default groups: all but acquire. Listening to acquire makes the kernel keep a larval SA for\n' +
        'every packet that lacks an SA, as it otherwise does only while an IKE daemon listens.\n' +
        `--route adds ${ROUTE.slice(0, 5).join(', ')},\n` +
        `${ROUTE.slice(5).join(', ')}. Other rtnetlink groups, such as neigh or ipv6-prefix,\n` +
        'can be named too; those need no privilege.\n' +
        'See docs/command.md; schema/event-2.json describes the JSON.\n',
    )
    .action(async (words: string[], options: MonitorOptions) => {
      const wrong = words.findIndex((word) => !isTerm(word) && word !== 'all' && !isGroup(word));
      if (wrong >= 0) {
        const reason = `unknown group '${printable(words[wrong] ?? '')}': expected ${ALL.join(', ')} or all`;
        command.error(`error: ${pointAt(reason, words, wrong)}`);
      }
      const named = words.filter((word) => !isTerm(word));
      const groups: MulticastGroupName[] =
        named.length === 0 ? [...DEFAULT] : named.filter(isGroup);
      if (named.includes('all')) groups.push(...ALL);
      if (options.route) groups.push(...ROUTE);
      const terms = words.filter(isTerm);
      const { tunnels: wanted, ...rest } = options;
      const what = { ...rest, groups: [...new Set(groups)], format: formatOf(options, command) };
      if (wanted) {
        const filter = tunnelFilterOf(terms, 'events', command, options.details);
        const { netns: _, ...told } = rest;
        const tunnels = {
          options: monitorOptionsOf(told, command),
          wanted: (change: TunnelChange) => filter.matchesChange(change),
          listed: (tunnel: Tunnel) => filter.matches(tunnel),
        };
        await follow({ ...what, tunnels, wanted: (event) => filter.matchesEvent(event) });
      } else {
        refuseTunnelOptions(command);
        const filter = filterOf(terms, command);
        await follow(
          terms.length === 0 ? what : { ...what, wanted: (event) => filter.matches(event) },
        );
      }
    });
}
