/**
 * Memory growth: millions of events through a subscription and through live tables, measured after
 * garbage collection, at a tenth of the events and at the end.
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import { subscribe, XfrmMonitor } from '../lib/index.ts';
import { startLoad } from './listening.ts';

/** Bytes. */
export interface Memory {
  readonly title: string;
  readonly events: number;
  /** JavaScript heap and buffers in use after a tenth of the events. */
  readonly early: number;
  /** The same after all of them. */
  readonly late: number;
  /** Resident set size at the end: includes what the addon and the engine allocate besides. */
  readonly rss: number;
  /** The same after a tenth of the events. */
  readonly earlyRss: number;
}

function used(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Sends events and waits until no more arrive. */
async function send(events: number, count: () => number): Promise<void> {
  await startLoad(['policy', `${events}`]).done;
  for (let before = -1; before !== count(); ) {
    before = count();
    await pause(100);
  }
}

async function measure(title: string, events: number, count: () => number): Promise<Memory> {
  await send(events / 10, count);
  const early = used();
  const earlyRss = process.memoryUsage().rss;
  for (let i = 1; i < 10; i++) await send(events / 10, count);
  const late = used();
  return { title, events: count(), early, late, earlyRss, rss: process.memoryUsage().rss };
}

/** @param events how many; lost ones are not replaced */
export async function memory(events: number, progress: (text: string) => void): Promise<Memory[]> {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  const results: Memory[] = [];
  {
    progress('memory: subscription');
    await using subscription = subscribe({ groups: ['sa', 'policy'] });
    let received = 0;
    subscription.on('event', () => {
      received++;
    });
    results.push(await measure('subscribe(), listener', events, () => received));
  }
  progress('memory: live tables');
  await using monitor = await XfrmMonitor.open();
  let changes = 0;
  monitor.on('change', () => {
    changes++;
  });
  results.push(await measure('XfrmMonitor', events, () => changes));
  return results;
}
