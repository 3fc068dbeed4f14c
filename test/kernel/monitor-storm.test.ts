/** Storms on a real kernel: however much is lost on the way, the table is right after them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { XfrmClient, XfrmMonitor } from '../../lib/index.ts';
import { Random, runSeed } from '../unit/random.ts';
import { assertEqual, assertFollowed, clear, Follower, NARROW, storm } from './storm.ts';
import { withoutEsp } from './support.ts';

const seed = runSeed();
const esp = withoutEsp === false;

for (const [name, receiveBufferSize, highWaterMark] of [
  ['with the default buffer', undefined, undefined],
  ['with room for a few events', 4096, undefined],
  ['with room for some events, and a loop that is often full', 65_536, 8],
] as const) {
  test(`a storm ${name} ends in equal tables (seed ${seed})`, async () => {
    await using client = new XfrmClient();
    const random = new Random(seed);
    await storm(client, random, 300, esp);
    await using monitor = await XfrmMonitor.open({ receiveBufferSize, highWaterMark });
    const follower = new Follower();
    const following = (async () => {
      for await (const change of monitor) {
        follower.take(change);
        // Slower than the storm: every change waits for a turn of the event loop.
        if (highWaterMark) await new Promise((turn) => setImmediate(turn));
      }
    })();
    for (let round = 0; round < 3; round++) {
      await storm(client, random, 1000, esp);
      await monitor.refresh();
      // A timer's EXPIRE can come at any moment, and wait until a slow loop has caught up.
      while (!monitor.synced) await new Promise((turn) => setImmediate(turn));
      await assertEqual(monitor, client);
    }
    if (receiveBufferSize === 4096) {
      assert(monitor.dropped > 0, 'nothing was lost');
      assert((follower.counts.overrun ?? 0) > 0);
    } else if (receiveBufferSize === undefined) assert.equal(monitor.dropped, 0);
    // Deleting all takes the last SAs that could expire while this compares.
    await clear(client);
    await monitor.refresh();
    await assertEqual(monitor, client);
    await monitor.close();
    await following;
    follower.assertEqual(monitor);
    assert.equal(follower.objects.size, 0);
  });
}

// Where a storm goes on, comparisons do, and they would make good what an event did wrong.
test(`reported changes are complete, a few at a time (seed ${seed})`, {
  timeout: 600_000,
}, async () => {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open({ refreshInterval: 0 });
  const random = new Random(seed);
  for (let some = 0; some < 300; some++) {
    await storm(client, random, 1, esp, NARROW);
    await assertFollowed(monitor, client);
  }
  await clear(client);
});

test(`a loop that sleeps through a storm learns of it, and its table is right (seed ${seed})`, async () => {
  await using client = new XfrmClient();
  await using monitor = await XfrmMonitor.open({ receiveBufferSize: 65_536, highWaterMark: 64 });
  const follower = new Follower();
  const loop = monitor[Symbol.asyncIterator]();
  follower.take((await loop.next()).value ?? assert.fail());
  await storm(client, new Random(seed), 1000, esp);
  // It wakes up.
  for (const refreshed = monitor.refresh().then(() => true); ; ) {
    const next = loop.next().then(({ value }) => value);
    const value = await Promise.race([next, refreshed]);
    if (value === true) {
      await client.addPolicy({ dir: 'fwd', selector: { family: 'inet' }, priority: 77 });
      for (let last = await next; last; last = (await loop.next()).value) {
        follower.take(last);
        if (last.kind === 'added' && last.object === 'policy' && last.value.priority === 77) break;
      }
      break;
    }
    if (value) follower.take(value);
  }
  assert(follower.overrunsOfMine > 0, 'it was not told');
  await follower.catchUp(monitor, loop);
  await assertEqual(monitor, client);
  await clear(client);
});
