/** The live table against a simulated kernel: right after every history, loss or not. */
import { test } from 'node:test';
import fc from 'fast-check';
import { runHistory } from './history.ts';
import { runSeed } from './random.ts';

test('after any history the table equals the kernel, and the changes lead there', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 0, max: 400 }), (seed, steps) => {
      runHistory(seed, steps);
    }),
    { seed: runSeed(), numRuns: 500 },
  );
});
