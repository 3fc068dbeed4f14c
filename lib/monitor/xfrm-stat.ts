/**
 * The namespace's counters of IPsec errors, /proc/net/xfrm_stat.
 * @module
 */
import { readFile } from 'node:fs/promises';

/**
 * Reads them by the kernel's names (`XfrmInNoStates` …), of the network namespace of this thread.
 *
 * @returns undefined where the kernel does not count them (CONFIG_XFRM_STATISTICS)
 */
export async function readXfrmStat(): Promise<Record<string, bigint> | undefined> {
  let text: string;
  try {
    text = await readFile('/proc/thread-self/net/xfrm_stat', 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return parseXfrmStat(text);
}

/** The counters in such a file: a name and a number a line. Other lines are passed over. */
export function parseXfrmStat(text: string): Record<string, bigint> {
  const lines = text.matchAll(/^\s*(\S+)\s+(\d+)\s*$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, count = '']) => [name, BigInt(count)]));
}
