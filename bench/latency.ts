/**
 * Latency from the system call that changes an SA to the listener: for the C floor, and for a
 * listener of subscribe(). The change is the deletion of a larval SA, which works on every kernel.
 * @module
 */
import { contestants } from './contestants.ts';
import { Listener, startLoad } from './listening.ts';
import { MOST_EVENTS } from './results.ts';
import { groups } from './scenes.ts';
import { quantile } from './stats.ts';

/** Microseconds. */
export interface Latency {
  readonly name: string;
  readonly title: string;
  readonly load: string;
  readonly samples: number;
  readonly median: number;
  readonly p99: number;
  readonly most: number;
}

const LOADS = [
  { load: 'idle' },
  { load: '100,000 other events a second', rate: 100_000 },
  { load: MOST_EVENTS, rate: 0 },
];
/** Microseconds between two changes. */
const INTERVAL = 2000;
/** Changes before those that are measured. */
const BEFORE = 20_000;
/** More than can happen during the measurement. */
const ENDLESS = 1e12;

export async function latencies(
  samples: number,
  progress: (text: string) => void,
): Promise<Latency[]> {
  const results: Latency[] = [];
  for (const { load, rate } of LOADS) {
    for (const contestant of contestants(['floor', 'decoded', 'ahead'])) {
      progress(`latency: ${contestant.name}, ${load}`);
      const listening = { buffer: 64 * 2 ** 20, groups, source: 'kernel' } as const;
      const listener = await Listener.start(contestant, listening, { more: ['latency'] });
      // A real listener has been running for a while. V8 compiles what it runs often, and again for
      // events of another kind; some waits are up to 4 ms until then.
      await startLoad(['policy', '50000']).done;
      await startLoad(['larval', `${BEFORE}`, '0']).done;
      await listener.atRest();
      const others =
        rate === undefined ? undefined : startLoad(['policy', `${ENDLESS}`, `${rate}`]);
      await startLoad(['larval', `${samples}`, `${INTERVAL}`]).done;
      await others?.stop();
      await listener.atRest();
      const { report } = await listener.end();
      const measured = (report?.latencies ?? []).slice(BEFORE);
      const times = measured.map((nanoseconds) => nanoseconds / 1000);
      // With losses there are fewer.
      if (times.length > samples || (rate !== 0 && times.length < samples)) {
        throw new Error(`${contestant.name} told ${times.length} of ${samples} changes (${load})`);
      }
      const { name, title } = contestant;
      const [median, p99, most] = [0.5, 0.99, 1].map((q) => quantile(times, q)) as [
        number,
        number,
        number,
      ];
      results.push({ name, title, load, samples: times.length, median, p99, most });
    }
  }
  return results;
}
