/** Storms that take longer: a loop that sleeps for ten seconds in one, and as many changes as it takes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
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
    compared = value.kind === 'refreshed' || value.kind === 'repaired';
  }
  await refreshed;
  await assertEqual(monitor, client);
  const { rss } = process.memoryUsage();
  console.log(`told ${JSON.stringify(follower.counts)}, dropped ${monitor.dropped}, rss ${rss}`);
}

if (process.env.NETLINK_XFRM_SLEEPER) await sleeper();
else {
  test('a loop that sleeps ten seconds in a storm has the right table afterwards', () => {
    const unshare = ['--user', '--map-root-user', '--net'];
    const node = [process.execPath, import.meta.filename];
    const env = { ...process.env, NETLINK_XFRM_SLEEPER: '1', NODE_TEST_CONTEXT: undefined };
    const { status, stderr } = spawnSync('unshare', [...unshare, ...node], {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'inherit', 'pipe'],
      timeout: 120_000,
    });
    assert.equal(status, 0, stderr);
  });

  test('200,000 policy changes, as fast as they go, end in equal tables and a heap as before', () => {
    const bench = new URL('../../bench/monitor.bench.js', import.meta.url).pathname;
    const { status, stderr } = spawnSync(
      'unshare',
      ['--user', '--map-root-user', '--net', process.execPath, '--expose-gc', bench],
      {
        env: { ...process.env, SAS: '0', CHANGES: '200000', NODE_TEST_CONTEXT: undefined },
        encoding: 'utf8',
        stdio: ['ignore', 'inherit', 'pipe'],
        timeout: 600_000,
      },
    );
    assert.equal(status, 0, stderr);
  });
}
