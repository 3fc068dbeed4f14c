/**
 * Properties of what is made from random numbers. (Apart from random.ts, which programs in the lab load, too.)
 * @module
 */
import fc from 'fast-check';
import { generated, Random, runSeed } from './random.ts';

/** How often {@link often} runs. */
export const RUNS = generated(20_000);

/** Runs a property often. @returns what `one` gave that was not undefined */
export function often(one: (random: Random) => string | undefined): string[] {
  const lines: string[] = [];
  const property = fc.property(fc.noBias(fc.integer()), (seed) => {
    const line = one(new Random(seed));
    if (line !== undefined) lines.push(line);
  });
  fc.assert(property, { numRuns: RUNS, seed: runSeed(), includeErrorInReport: true });
  return lines;
}
