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
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  return Object.fromEntries(
    lines
      .filter(([name, count]) => name && count)
      .map(([name, count]) => [name, BigInt(count as string)]),
  );
}
