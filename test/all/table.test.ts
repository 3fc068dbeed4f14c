/**
 * Many histories of the live table. A failure names the seed: runHistory(seed, steps). The same ones
 * each time, unless NETLINK_XFRM_SEED says where to begin and NETLINK_XFRM_HISTORIES how many.
 */
import { test } from 'node:test';
import { runHistory } from '../unit/history.ts';

const HISTORIES = Number(process.env.NETLINK_XFRM_HISTORIES ?? 100_000);

test('many histories end in equal tables', () => {
  const first = Number(process.env.NETLINK_XFRM_SEED ?? 1);
  for (let i = 0; i < HISTORIES; i++) {
    const [seed, steps] = [(first + i) | 0, i % 40];
    try {
      runHistory(seed, steps);
    } catch (cause) {
      throw new Error(`history with the seed ${seed}, ${steps} steps: ${cause}`, { cause });
    }
  }
});
