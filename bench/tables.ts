/**
 * Dumps and live tables: dumping many entries; opening, refreshing and resyncing a monitor; and a
 * storm of changes beyond its capacity, after which its tables must be correct.
 * @module
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { XfrmClient, XfrmMonitor } from '../lib/index.ts';
import { addOne, changeUnread, HOST, peer } from '../test/kernel/many.ts';
import { assertEqual } from '../test/kernel/storm.ts';
import { startLoad } from './listening.ts';
import { mainThreadTime } from './proc.ts';

/**
 * What is timed: both dumps, opening and refreshing a monitor; for SAs, also how long the tables take to
 * be correct again after changes whose events were nearly all lost.
 */
export type Task = 'ip' | 'list' | 'open' | 'refresh' | 'resync';

/** Milliseconds per round. */
export interface Dump {
  /** policies if the kernel has no ESP. */
  readonly of: 'SAs' | 'policies';
  readonly entries: number;
  readonly times: Readonly<Partial<Record<Task, number[]>>>;
  /** JavaScript heap and buffers per entry of a monitor. */
  readonly bytesEach: number;
  /** Processor time of a refresh, main thread and others, relative to that of opening. */
  readonly refreshed: readonly number[];
  /** The most processor time of the main thread in one turn of the event loop while refreshing. */
  readonly longestTurns: readonly number[];
}

/** A monitor in a storm of policy changes. */
export interface Storm {
  readonly events: number;
  readonly buffer: number;
  readonly dropped: number;
  readonly resyncs: number;
  readonly milliseconds: number;
}

type Kind = 'state' | 'policy';

/** Adds `count` SAs to as many peers; policies if there is no ESP. */
async function make(client: XfrmClient, count: number): Promise<Kind> {
  const policy = (i: number) =>
    client.addPolicy({
      dir: 'out',
      selector: { saddr: HOST, prefixlenS: 32, daddr: peer(i), prefixlenD: 32 },
      templates: [{ saddr: HOST, daddr: '192.0.2.2', proto: 'esp', mode: 'tunnel', reqid: 1 }],
    });
  const esp = await addOne(client, 0).then(
    () => true,
    () => false,
  );
  for (let i = esp ? 1 : 0; i < count; i += 500) {
    const some = Array.from({ length: Math.min(500, count - i) }, (_, n) => i + n);
    await Promise.all(some.map((n) => (esp ? addOne(client, n) : policy(n))));
  }
  return esp ? 'state' : 'policy';
}

function used(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Processor time of the process, in milliseconds. */
function spent(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Watches turns of the event loop. The lab's kernel counts processor time in steps of 10 ms, sometimes
 * two at once; no turn takes more of it than the time that passes.
 *
 * @returns what ends that, with the longest, in milliseconds
 */
function watchTurns(): () => number {
  let longest = 0;
  let [last, lastAt] = [mainThreadTime(), performance.now()];
  let next: NodeJS.Immediate;
  const turn = () => {
    const [now, at] = [mainThreadTime(), performance.now()];
    longest = Math.max(longest, Math.min((now - last) / 1e6, at - lastAt));
    [last, lastAt] = [now, at];
    next = setImmediate(turn);
  };
  next = setImmediate(turn);
  return () => {
    clearImmediate(next);
    return longest;
  };
}

/** Measures dumps. */
export async function dump(
  { entries, rounds }: { entries: number; rounds: number },
  progress: (text: string) => void,
): Promise<Dump> {
  await using client = new XfrmClient();
  progress(`dump: ${entries} entries are made`);
  const kind = await make(client, entries);
  const times: Partial<Record<Task, number[]>> = {};
  const time = async (what: Task, work: () => unknown) => {
    const begun = performance.now();
    await work();
    times[what] = [...(times[what] ?? []), performance.now() - begun];
  };
  let bytesEach = Number.NaN;
  const refreshed: number[] = [];
  const longestTurns: number[] = [];
  for (let round = 0; round < rounds; round++) {
    progress(`dump: round ${round + 1} of ${rounds}`);
    await time('ip', () => {
      const { status } = spawnSync('ip', ['xfrm', kind, 'list'], { stdio: 'ignore' });
      assert.equal(status, 0, 'ip failed');
    });
    await time('list', async () => {
      let listed = 0;
      const list = kind === 'state' ? client.listStates() : client.listPolicies();
      for await (const _ of list) listed++;
      assert.equal(listed, entries);
    });
    const before = used();
    let monitor: XfrmMonitor | undefined;
    const begun = spent();
    await time('open', async () => {
      monitor = await XfrmMonitor.open();
    });
    const opened = spent();
    assert.equal((kind === 'state' ? monitor?.states : monitor?.policies)?.size, entries);
    bytesEach = (used() - before) / entries;
    const from = spent();
    await time('refresh', () => monitor?.refresh());
    refreshed.push((spent() - from) / (opened - begun));
    // Apart, for it takes all the time that nobody else needs.
    const turns = watchTurns();
    await monitor?.refresh();
    longestTurns.push(turns());
    await monitor?.close();
    if (kind === 'policy') continue;
    await using deaf = await XfrmMonitor.open({ receiveBufferSize: 4096 });
    const updated = Array.from({ length: entries / 50 }, (_, i) => i);
    changeUnread({ updated, deleted: [], added: [] }, 1 + round);
    const resynced = once(deaf, 'resynced');
    await time('resync', () => resynced);
    assert(deaf.dropped > updated.length / 2);
  }
  await client.flushStates();
  await client.flushPolicies();
  const of = kind === 'state' ? 'SAs' : 'policies';
  return { of, entries, times, bytesEach, refreshed, longestTurns };
}

/** Runs a storm. Throws if the tables differ from a new dump at the end. */
export async function storm(
  events: number,
  buffer: number,
  progress: (text: string) => void,
): Promise<Storm> {
  progress(`storm: ${events} changes, buffer of ${buffer} bytes`);
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open({ receiveBufferSize: buffer });
  let resyncs = 0;
  monitor.on('change', ({ kind }) => {
    if (kind === 'resynced') resyncs++;
  });
  const begun = performance.now();
  await startLoad(['policy', `${events}`]).done;
  while (!monitor.synced) await pause(20);
  await monitor.refresh();
  const milliseconds = performance.now() - begun;
  await assertEqual(monitor, client);
  const { dropped } = monitor;
  return { events, buffer, dropped, resyncs, milliseconds };
}
