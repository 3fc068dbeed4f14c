/** The live table of a hundred thousand SAs, in the lab: equal, small, and resynced after a loss. */
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeInLab } from './in-lab.ts';

test('a table of 100,000 SAs is equal to the kernel’s, resynced after a loss, and small', async () => {
  const guest = join(import.meta.dirname, 'large-guest.js');
  const limits = { memory: 2048, timeout: 3_600_000 };
  console.log((await nodeInLab(['--expose-gc', guest], limits)).trim());
});
