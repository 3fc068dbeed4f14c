/**
 * A namespace's counters of IPsec errors, /proc/net/xfrm_stat.
 * @module
 */
import { closeSync, readFileSync } from 'node:fs';
import { options as optionsOf } from '../socket/argument.ts';
import type { Namespace } from '../socket/index.ts';
import { HeldNamespace, openFile, optionalNamespace } from '../socket/namespace.ts';

/**
 * Counters by the kernel's names, all that it has: `XfrmInNoStates`, `XfrmInStateSeqError` …
 * (Documentation/networking/xfrm/xfrm_proc.rst of the kernel says what each counts). Packets since the
 * namespace was made.
 */
export type XfrmStat = Readonly<Record<`Xfrm${string}`, bigint>>;

/**
 * Reads the counters of IPsec errors.
 *
 * @param options `netns`: of which network namespace; default that of this thread
 * @returns undefined where the kernel does not count them (CONFIG_XFRM_STATISTICS)
 * @throws TypeError or RangeError for a wrong option; SystemError for a namespace that is missing, is
 *   none, or may not be entered
 */
export async function readXfrmStat(
  options: { readonly netns?: Namespace | undefined } = {},
): Promise<XfrmStat | undefined> {
  optionsOf('options', options, new Set(['netns']));
  const held = new HeldNamespace(optionalNamespace('options.netns', options.netns));
  // That of the thread: /proc/self is the process, whose main thread stays where it is.
  const path = '/proc/thread-self/net/xfrm_stat';
  try {
    if (held.netns === undefined) return parseXfrmStat(readFileSync(path, 'latin1'));
    const descriptor = openFile(held.netns, path);
    try {
      return parseXfrmStat(readFileSync(descriptor, 'latin1'));
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    held.close();
  }
}

/** The counters in such a file: a name and a number a line. Other lines are passed over. */
export function parseXfrmStat(text: string): XfrmStat {
  const lines = text.matchAll(/^\s*(\S+)\s+(\d+)\s*$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, count = '']) => [name, BigInt(count)]));
}
