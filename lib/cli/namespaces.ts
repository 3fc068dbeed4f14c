/** Which network namespaces a list is of. @module */

import type { Command } from 'commander';
import { Option } from 'commander';
import { namespacePath } from '../monitor/namespace-path.ts';
import { type NamedNamespace, NamespaceWatch, namespaceId } from '../monitor/namespace-watch.ts';
import { printable } from '../wire/text.ts';
import { formatJson } from './json.ts';
import { addNamespaceOption, type Format } from './options.ts';
import { formatNamespace, formatTime } from './text/event.ts';

/** Options of {@link addNamespaceOptions}. */
export interface NamespaceOptions {
  readonly netns?: string;
  readonly allNetns?: true;
}

/** A network namespace to list. */
export interface Place {
  /** Undefined if it is the only one and has not been named, null for the current one of several. */
  readonly label: string | null | undefined;
  /** Undefined for the current one. */
  readonly path: string | undefined;
}

/** Adds `--netns` for one namespace, and `--all-netns`. */
export const addNamespaceOptions = (command: Command): Command =>
  addNamespaceOption(command).addOption(
    new Option('--all-netns', 'this namespace and all named ones').conflicts('netns'),
  );

/** What identifies the current namespace, which may have a name, too. */
export const ownNamespace = () => namespaceId('/proc/thread-self/ns/net');

/** The namespaces that `ip netns` has names for. */
export function namedNamespaces(): NamedNamespace[] {
  const found: NamedNamespace[] = [];
  const watch = new NamespaceWatch({ added: (one) => found.push(one), removed: () => {} });
  watch.begin();
  watch.close();
  return found;
}

/** Lists in each namespace that is meant, one after another; one that is removed meanwhile has nothing. */
export async function inEachNamespace(
  { netns, allNetns }: NamespaceOptions,
  list: (place: Place) => Promise<void>,
): Promise<void> {
  if (!allNetns) {
    await list({ label: undefined, path: netns === undefined ? undefined : namespacePath(netns) });
    return;
  }
  await list({ label: null, path: undefined });
  const here = ownNamespace();
  for (const { name, path, id } of namedNamespaces()) {
    if (id === here) continue;
    try {
      await list({ label: name, path });
    } catch (error) {
      if (namespaceId(path) === id) throw error;
    }
  }
}

/**
 * Why a list is empty, and what to look at.
 *
 * @param what plural
 * @param isFiltered whether a filter was given
 */
export function emptyText(
  what: string,
  isFiltered: boolean,
  { netns, allNetns }: NamespaceOptions,
): string {
  const where = allNetns
    ? 'in any network namespace'
    : `in ${netns === undefined ? 'this' : 'that'} network namespace`;
  const look = [
    ...(isFiltered ? ['without filters: all of them'] : []),
    ...(allNetns ? [] : ['--all-netns: other namespaces']),
    ...(isFiltered ? [] : ['netlink-xfrm doctor: whether IPsec works here']),
  ];
  return `no ${what} ${isFiltered ? 'match the filter ' : ''}${where}\n(${look.join('; ')})`;
}

/** The same of a recording. */
export const emptyRecording = (what: string, isFiltered: boolean): string =>
  `no ${what} ${isFiltered ? 'match the filter ' : ''}at that time of the recording`;

/** A namespace came or went. It is not an event, and not counted. @param label null for the current one */
export function formatNamespaceChange(
  label: string | null,
  state: 'added' | 'removed',
  error: Error | undefined,
  { json, colors }: Format,
): string {
  const time = { wall: Date.now(), monotonic: performance.now() };
  if (json) {
    const why = error ? { error: error.message } : {};
    return formatJson({ kind: 'namespace', time, netns: label, state, ...why }, false);
  }
  const why = error ? `, cannot listen: ${printable(error.message)}` : '';
  return `${colors.dim(formatTime(time.wall))} ${colors.magenta(formatNamespace(label))} namespace ${state}${why}`;
}
