/**
 * Common code of all parts: their options, and their report to the runner (scripts/torture.mjs).
 * @module
 */
import { parseArgs } from 'node:util';
import { runSeed } from '../test/unit/random.ts';

/** How much to do. */
export interface Orders {
  /** Seed of everything random. */
  readonly seed: number;
  /** Number of inputs for the decoders. */
  readonly inputs: number;
  /** Number of inputs to skip because an earlier run tried them. */
  readonly skip: number;
  /** Factor for whatever is otherwise bounded. */
  readonly times: number;
}

/** Parses the command line. */
export function orders(): Orders {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      inputs: { type: 'string', default: '1000000' },
      skip: { type: 'string', default: '0' },
      times: { type: 'string', default: '1' },
    },
  });
  return {
    seed: values.seed === undefined ? runSeed() : Number(values.seed),
    inputs: Number(values.inputs),
    skip: Number(values.skip),
    times: Number(values.times),
  };
}

/** Prefix of the line that ends a part; followed by JSON. */
const MARK = '@torture ';

/** Counters of a part, by name: `{ inputs: 1000000 }`. */
export type Figures = Readonly<Record<string, number>>;

const found: string[] = [];

/** Reports something that must not happen. The part continues, and fails at the end. */
export function finding(text: string): void {
  found.push(text);
  console.error(`FINDING: ${text}`);
}

/** Number of findings so far. */
export const findings = (): number => found.length;

/** Ends a part. */
export function report(figures: Figures): void {
  console.log(`${MARK}${JSON.stringify({ figures, findings: found.length })}`);
  if (found.length > 0) process.exitCode = 1;
}

/** Parses the output of a script that ended with {@link report}. */
export function reported(output: string): { figures: Figures; findings: number } | undefined {
  const line = output.split('\n').findLast((one) => one.startsWith(MARK));
  return line === undefined ? undefined : JSON.parse(line.slice(MARK.length));
}
