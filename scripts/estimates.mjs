// How long each lane took last time on this machine: for progress estimates and for scheduling.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cachePath } from '../dist/lib/lab/cache.js';

const file = () => join(cachePath(), 'lanes.json');

/** { seconds, tests } by lane name; empty if unknown. */
export function readEstimates() {
  try {
    const read = JSON.parse(readFileSync(file(), 'utf8'));
    const usable = ([, last]) => last?.seconds > 0 && last?.tests > 0;
    return Object.fromEntries(Object.entries(read).filter(usable));
  } catch {
    return {};
  }
}

/** Stores them along with those of other lanes. If the cache cannot be written, only estimates are lost. */
export function keepEstimates(lanes) {
  try {
    mkdirSync(dirname(file()), { recursive: true, mode: 0o700 });
    const text = JSON.stringify({ ...readEstimates(), ...lanes }, null, 2);
    writeFileSync(`${file()}.${process.pid}`, `${text}\n`);
    renameSync(`${file()}.${process.pid}`, file());
  } catch {
    // See above.
  }
}

/**
 * Schedules lanes.
 *   queues    a list of lanes for each worker, which takes from its front; workers may share one
 *   expected  total time in seconds, undefined if any lane's is unknown
 * The longest lanes run first, so that none is left alone at the end. Lanes that mostly wait get a
 * worker of their own.
 */
export function schedule(lanes, slots, estimates) {
  const seconds = (lane) => estimates[lane.name]?.seconds ?? lane.seconds ?? 0;
  const longestFirst = [...lanes].sort((a, b) => seconds(b) - seconds(a));
  const waiting = longestFirst.filter(({ waits }) => waits);
  const busy = longestFirst.filter(({ waits }) => !waits);
  const ends = Array.from({ length: slots }, () => 0);
  for (const lane of busy) {
    const first = ends.indexOf(Math.min(...ends));
    ends[first] += seconds(lane);
  }
  const known = lanes.every(({ name }) => estimates[name] !== undefined);
  const alone = waiting.reduce((sum, lane) => sum + seconds(lane), 0);
  return {
    queues: [waiting, ...Array.from({ length: slots }, () => busy)],
    expected: known ? Math.max(alone, ...ends) : undefined,
  };
}
