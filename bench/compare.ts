/**
 * Comparison of contestants: the same events for each, in alternation, over several rounds.
 * @module
 */
import { type Contestant, contestants, type Listening } from './contestants.ts';
import { Listener, startLoad } from './listening.ts';
import type { Queue } from './proc.ts';
import { ratios, unsteadiness } from './stats.ts';

/** How the events of a comparison are generated, and what a listener needs to receive them. */
export interface Scene {
  readonly name: string;
  readonly title: string;
  /** Arguments for the load generator to make so many events. */
  readonly load: (events: number) => readonly string[];
  /** Events per second; default: as fast as they can be generated. */
  readonly rate?: number;
  readonly listening: Listening;
  /** All events are queued in the socket before any is read; otherwise they arrive during reading. */
  readonly filled?: true;
  /** Names of the contestants; default all. */
  readonly only?: readonly string[];
}

/** Results of one contestant, one value per round; a noisy one has more rounds than others. */
export interface Outcome {
  readonly name: string;
  readonly title: string;
  readonly base: string;
  /** Microseconds of CPU time per event read; NaN if a loss ended it. */
  readonly cpu: number[];
  /** Events not read; NaN likewise. */
  readonly lost: number[];
  /** Events per second from the first to the last, if the contestant reports it. */
  readonly rate: number[];
}

/** Results of a comparison. */
export interface Comparison {
  readonly name: string;
  readonly title: string;
  readonly events: number;
  readonly rounds: number;
  readonly buffer: number;
  readonly outcomes: readonly Outcome[];
}

interface Measured {
  readonly cpu: number;
  readonly lost: number;
  readonly rate: number | undefined;
}

/** Measures one contestant once. Throws if events sent, received and dropped do not add up. */
async function measure(
  contestant: Contestant,
  { load, rate, listening, filled }: Scene,
  events: number,
  counted = false,
): Promise<Measured> {
  const listener = await Listener.start(contestant, listening, { counted });
  const before = listener.cpu;
  if (filled) listener.hold();
  await startLoad([...load(events), ...(rate === undefined ? [] : [`${rate}`])]).done;
  if (filled) listener.release();
  let queue: Queue;
  try {
    queue = await listener.atRest();
  } catch (error) {
    if (contestant.endsAtLoss && listener.ended) return { cpu: NaN, lost: NaN, rate: undefined };
    throw error;
  }
  const { bytes, drops } = queue;
  const cpu = listener.cpu - before;
  const { report, printed } = await listener.end();
  const received = report?.received ?? (counted ? printed : events - drops);
  const exact = !(contestant.keepsState && drops > 0);
  if (exact && (bytes === 0 ? received + drops !== events : received + drops > events)) {
    throw new Error(
      `${contestant.name}: of ${events} events ${received} were received, ${drops} dropped`,
    );
  }
  if (report?.rejected) throw new Error(`${contestant.name} refused ${report.rejected} events`);
  // If it stopped reading, queued events are lost, too.
  const lost = exact ? events - received : drops;
  const seconds = report ? (report.last - report.first) / 1e9 : 0;
  return {
    cpu: cpu / 1e3 / (events - lost),
    lost,
    rate: report && report.first > 0 ? received / seconds : undefined,
  };
}

/** Events by which a contestant must show that it receives, and their rate. */
const CHECKED = 1000;
const CHECKED_RATE = 10_000;

/** Checks that it receives the events; for those that print, including their output. */
async function checkThatItReceives(contestant: Contestant, scene: Scene): Promise<void> {
  const { filled: _, ...live } = scene;
  const { lost } = await measure(contestant, { ...live, rate: CHECKED_RATE }, CHECKED, true);
  // With small buffers (net.core.rmem_max) on a busy machine, some may be lost.
  if (lost < CHECKED / 2) return;
  throw new Error(`${contestant.name} received ${CHECKED - lost} of ${CHECKED} events`);
}

/** A row is repeated while its ratios differ by more than this … */
const NOISY = 0.1;
/** … but the comparison takes at most so many times its rounds. */
const MOST_REPEATS = 3;

/**
 * Compares the contestants. What is noisy is repeated, with what it is compared with.
 *
 * @param progress is called with what is being measured
 * @param other the folder of a version to compare this one with
 */
export async function compare(
  scene: Scene,
  events: number,
  rounds: number,
  progress: (text: string) => void,
  other?: string,
): Promise<Comparison> {
  const { name, title, listening, only } = scene;
  const all = contestants(only, other);
  const outcomes = new Map(
    all.map(({ name: of, title: called, base }) => [
      of,
      { name: of, title: called, base, cpu: [], lost: [], rate: [] } as Outcome,
    ]),
  );
  for (const contestant of all) {
    progress(`${name}: ${contestant.name} receives`);
    await checkThatItReceives(contestant, scene);
  }
  const comparison = {
    ...{ name, title, events, rounds, buffer: listening.buffer },
    outcomes: [...outcomes.values()],
  };
  let measured = all;
  for (let round = 0; round < rounds * MOST_REPEATS; round++) {
    if (round >= rounds) {
      // A row that has become steady stays so: rows and their bases have their rounds in common.
      const noisy = measured.filter(
        (one) =>
          one.name !== one.base && unsteadiness(ratiosOf(comparison, one.name, one.base)) > NOISY,
      );
      const needed = new Set(noisy.flatMap((one) => [one.name, one.base]));
      measured = all.filter((one) => needed.has(one.name));
      if (measured.length === 0) break;
    }
    for (let i = 0; i < measured.length; i++) {
      // Each is first once, so that other activity of the machine affects all alike.
      const contestant = measured[(i + round) % measured.length] as Contestant;
      progress(`${name}: round ${round + 1}, ${contestant.name}`);
      const { cpu, lost, rate } = await measure(contestant, scene, events);
      const outcome = outcomes.get(contestant.name) as Outcome;
      outcome.cpu.push(cpu);
      outcome.lost.push(lost);
      if (rate !== undefined) outcome.rate.push(rate);
    }
  }
  return comparison;
}

/** Values that may have come from JSON, which has no NaN. */
export const numbers = (values: readonly (number | null)[]) =>
  values.map((value) => value ?? Number.NaN);

/** Ratios of the CPU time of an outcome to that of another in the same comparison. */
export function ratiosOf(comparison: Comparison, name: string, base: string): number[] {
  const find = (wanted: string) => comparison.outcomes.find((one) => one.name === wanted);
  const [outcome, other] = [find(name), find(base)];
  if (!outcome || !other) return [];
  return ratios(numbers(outcome.cpu), numbers(other.cpu));
}
