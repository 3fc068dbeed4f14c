/** A million histories of the live table. A failure names the seed: runHistory(seed, steps). */
import { test } from 'node:test';
import { runHistory } from '../unit/history.ts';
import { runSeed } from '../unit/random.ts';

const HISTORIES = 1_000_000;

test('a million histories end in equal tables', () => {
  const first = runSeed();
  for (let i = 0; i < HISTORIES; i++) {
    const [seed, steps] = [(first + i) | 0, i % 40];
    try {
      runHistory(seed, steps);
    } catch (cause) {
      throw new Error(`history with the seed ${seed}, ${steps} steps: ${cause}`, { cause });
    }
  }
});
