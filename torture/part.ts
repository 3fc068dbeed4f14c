/**
 * What the parts share: what they are told, and what they tell the runner (scripts/torture.mjs).
 * @module
 */
import { parseArgs } from 'node:util';
import { runSeed } from '../test/unit/random.ts';

/** How much there is to do. */
export interface Orders {
  /** What all that looks random is made from. */
  readonly seed: number;
  /** Inputs for the decoders. */
  readonly inputs: number;
  /** So many of them were tried by a run before. */
  readonly skip: number;
  /** How often what is bounded otherwise is repeated. */
  readonly times: number;
}

/** What the command line says. */
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

/** Begins the line that ends a part; followed by JSON. */
const MARK = '@torture ';

/** What a part counted, by what it is: `{ inputs: 1000000 }`. */
export type Figures = Readonly<Record<string, number>>;

const found: string[] = [];

/** Something that must not be. The part goes on, and fails in the end. */
export function finding(text: string): void {
  found.push(text);
  console.error(`FINDING: ${text}`);
}

/** How many there were so far. */
export const findings = (): number => found.length;

/** Ends a part. */
export function report(figures: Figures): void {
  console.log(`${MARK}${JSON.stringify({ figures, findings: found.length })}`);
  if (found.length > 0) process.exitCode = 1;
}

/** What the output of a script says that ended with {@link report}. */
export function reported(output: string): { figures: Figures; findings: number } | undefined {
  const line = output.split('\n').findLast((one) => one.startsWith(MARK));
  return line === undefined ? undefined : JSON.parse(line.slice(MARK.length));
}
