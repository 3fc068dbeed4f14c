/** Storms that take longer: a loop that sleeps for ten seconds in one, and as many changes as it takes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { isMainThread, Worker } from 'node:worker_threads';
import { XfrmClient, XfrmMonitor } from '../../lib/index.ts';
import { assertEqual, Follower, storm } from '../kernel/storm.ts';
import { Random, runSeed } from '../unit/random.ts';

const MILLISECONDS = 10_000;

/** In a network namespace made for this test, in a process of its own. */
async function sleeper(): Promise<void> {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open({ highWaterMark: 256 });
  const random = new Random(runSeed());
  const follower = new Follower();
  const loop = monitor[Symbol.asyncIterator]();
  follower.take((await loop.next()).value ?? assert.fail());
  const awake = performance.now() + MILLISECONDS;
  while (performance.now() < awake) await storm(client, random, 500, false);
  await client.addPolicy({ dir: 'fwd', selector: { family: 'inet' }, priority: 77 });
  for (;;) {
    const { value } = await loop.next();
    assert(value);
    follower.take(value);
    if (value.kind === 'added' && value.object === 'policy' && value.value.priority === 77) break;
  }
  const refreshed = monitor.refresh();
  for (let compared = false; !compared; ) {
    const { value } = await loop.next();
    assert(value);
    follower.take(value);
    compared = value.kind === 'refreshed' || value.kind === 'resynced';
  }
  await refreshed;
  await assertEqual(monitor, client);
  await follower.catchUp(monitor, loop);
  const { rss } = process.memoryUsage();
  console.log(`told ${JSON.stringify(follower.counts)}, dropped ${monitor.dropped}, rss ${rss}`);
}

const CHANGES = 1_000_000;

/** Policies set as fast as the kernel takes them, by another thread. */
async function manyChanges(): Promise<void> {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open();
  let told = 0;
  monitor.on('change', () => {
    told++;
  });
  const collect = globalThis.gc ?? assert.fail('run with --expose-gc');
  const used = () => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = used();
  await once(new Worker(import.meta.filename), 'exit');
  await monitor.refresh();
  await assertEqual(monitor, client);
  const grown = used() - before;
  console.log(`${told} told of ${CHANGES}, dropped ${monitor.dropped}, grown by ${grown} bytes`);
  assert(monitor.dropped > 0 || told >= CHANGES);
  assert(grown < 16 * 2 ** 20, 'the memory is not flat');
}

async function change(): Promise<void> {
  await using client = new XfrmClient();
  const selector = { family: 'inet', proto: 17, sportMask: 0xffff } as const;
  const policy = (i: number) =>
    ({ dir: 'out', priority: i & 0xffff, selector: { ...selector, sport: i % 1000 } }) as const;
  for (let i = 0; i < CHANGES; i += 1000) {
    await Promise.all(Array.from({ length: 1000 }, (_, n) => client.replacePolicy(policy(i + n))));
  }
}

const WORK: Record<string, () => Promise<void>> = { sleeper, manyChanges };

/** Runs one of them in a network namespace of its own. */
function alone(work: string): void {
  const unshare = ['--user', '--map-root-user', '--net'];
  const node = [process.execPath, '--expose-gc', import.meta.filename];
  const env = { ...process.env, NETLINK_XFRM_ALONE: work, NODE_TEST_CONTEXT: undefined };
  const { status, stderr } = spawnSync('unshare', [...unshare, ...node], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'inherit', 'pipe'],
    timeout: 3_600_000,
  });
  assert.equal(status, 0, stderr);
}

if (!isMainThread) await change();
else if (process.env.NETLINK_XFRM_ALONE) await WORK[process.env.NETLINK_XFRM_ALONE]?.();
else {
  test('a loop that sleeps ten seconds in a storm has the right table afterwards', () => {
    alone('sleeper');
  });
  test(`${CHANGES} policy changes end in an equal table, and memory as before`, () => {
    alone('manyChanges');
  });
}
