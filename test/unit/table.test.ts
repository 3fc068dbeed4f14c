/** The live table against a simulated kernel: right after every history, loss or not. */
import { test } from 'node:test';
import fc from 'fast-check';
import { runHistory } from './history.ts';
import { generated } from './random.ts';

// The same histories each time, unless another seed is asked for: test/all has more of them.
const seed = Number(process.env.NETLINK_XFRM_SEED ?? 1);

test(`after any history, the table equals the kernel and the changes lead to it (seed ${seed})`, () => {
  fc.assert(fc.property(fc.integer(), fc.integer({ min: 0, max: 300 }), runHistory), {
    seed,
    numRuns: generated(2000),
  });
});
