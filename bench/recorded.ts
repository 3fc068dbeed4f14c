/**
 * What was measured on each kind of processor, side by side: bench/recorded.json, the table in
 * docs/performance.md, and what a quick run is held against.
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Comparison, numbers, ratiosOf } from './compare.ts';
import { requirements } from './requirements.ts';
import type { Results } from './results.ts';
import { median, spread } from './stats.ts';

/** What a whole run found for a requirement. */
interface Row {
  readonly required: string;
  readonly aim: string;
  readonly found: string;
  readonly met: boolean;
  readonly on: string;
}

/** Results by kind of processor. */
export type Recorded = Readonly<
  Record<
    string,
    {
      /** By requirement. */
      readonly full: Readonly<Record<string, Row>>;
      /** Ratios of a quick run, by comparison and contestant. */
      readonly quick: Readonly<Record<string, number>>;
    }
  >
>;

const path = join(import.meta.dirname, '../../bench/recorded.json');

export const readRecorded = (): Recorded => JSON.parse(readFileSync(path, 'utf8'));

export const writeRecorded = (recorded: Recorded): void =>
  writeFileSync(path, `${JSON.stringify(recorded, null, 2)}\n`);

const comparisonsOf = ({ host, lab }: Results) => [
  ...host.comparisons,
  ...(lab?.comparisons ?? []),
];

/** Ratios to the base of each contestant, by comparison and name. */
function ratiosByName(results: Results): Record<string, number> {
  const found: Record<string, number> = {};
  for (const comparison of comparisonsOf(results)) {
    for (const { name, base } of comparison.outcomes) {
      const ratio = median(ratiosOf(comparison, name, base).filter((one) => !Number.isNaN(one)));
      if (name !== base && !Number.isNaN(ratio)) {
        found[`${comparison.name} ${name}`] = Number(ratio.toFixed(2));
      }
    }
  }
  return found;
}

/** What is recorded, with these results in place of older ones of the same kind of processor. */
export function merged(recorded: Recorded, results: Results): Recorded {
  const { kind } = results.machine;
  const { full = {}, quick = {} } = recorded[kind] ?? {};
  if (results.quick) {
    return { ...recorded, [kind]: { full, quick: { ...quick, ...ratiosByName(results) } } };
  }
  const on = results.begun.slice(0, 10);
  const rows = requirements(results).map(({ what, required, aim = '', found, met }) => {
    return [what, { required, aim, found, met, on }] as const;
  });
  return { ...recorded, [kind]: { full: { ...full, ...Object.fromEntries(rows) }, quick } };
}

/** The cells of a table: requirements, with a column for each kind of processor. */
export function sideBySide(recorded: Recorded): { head: string[]; rows: string[][] } {
  const kinds = Object.entries(recorded).filter(([, { full }]) => Object.keys(full).length > 0);
  const known = new Map<string, Row>();
  for (const [, { full }] of kinds) {
    for (const [what, row] of Object.entries(full)) known.set(what, row);
  }
  const rows = [...known].map(([what, { required, aim }]) => [
    what,
    required,
    aim,
    ...kinds.map(([, { full }]) => {
      const row = full[what];
      return row === undefined ? '' : row.met ? row.found : `**${row.found}**`;
    }),
  ]);
  return { head: ['', 'required', 'aimed at', ...kinds.map(([kind]) => kind)], rows };
}

/** A quick run may be a third worse than what is recorded: it is short, and so is noisy. */
const WORSE = 4 / 3;
/** The contestants whose losses count. */
const OURS = new Set(['raw', 'decoded', 'loop', 'monitor', 'text', 'json']);

function lossesIn({ name, outcomes }: Comparison): string[] {
  const lost = (one: { lost: readonly (number | null)[] }) =>
    Math.max(0, spread(numbers(one.lost)).most);
  if (outcomes.some((one) => one.name === 'floor' && lost(one) > 0)) return [];
  return outcomes
    .filter((one) => OURS.has(one.name) && lost(one) > 0)
    .map((one) => `${name}: ${one.title} lost ${lost(one)} events, the floor none`);
}

/** Whether a quick run was recorded on the same kind of processor. */
export const hasQuick = (recorded: Recorded, { machine }: Results): boolean =>
  Object.keys(recorded[machine.kind]?.quick ?? {}).length > 0;

/** What is wrong with a quick run: losses, and ratios far worse than recorded on the same kind of processor. */
export function regressions(recorded: Recorded, results: Results): string[] {
  const known = recorded[results.machine.kind]?.quick ?? {};
  const worse = Object.entries(ratiosByName(results)).flatMap(([name, found]) => {
    const before = known[name];
    if (before === undefined || !OURS.has(name.split(' ')[1] ?? '')) return [];
    return found > before * WORSE ? [`${name}: ${found} times its base, recorded ${before}`] : [];
  });
  return [...comparisonsOf(results).flatMap(lossesIn), ...worse];
}
