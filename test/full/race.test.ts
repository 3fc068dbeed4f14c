/** Two processors that add, delete and list at the same time: nothing is lost without a word. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { subscribe, XfrmClient, XfrmMonitor } from '../../lib/index.ts';
import { assertEqual, assertFollowed, clear, Follower } from '../kernel/storm.ts';
import { next, ofKind } from '../kernel/support.ts';
import { runSeed } from '../unit/random.ts';
import type { Race } from './racer.ts';

const seed = runSeed();
/** Of each thread. An emulated processor that has to share makes six in a second. */
const CHANGES = 150;
const patience = { timeout: 600_000 };

/** Starts racers; resolves when all are done. */
function start(races: readonly Race[]): Promise<unknown> {
  const path = join(import.meta.dirname, 'racer.js');
  return Promise.all(
    races.map(async (race) => {
      const worker = new Worker(path, { workerData: race });
      await once(worker, 'exit').then(([code]) => assert.equal(code, 0));
    }),
  );
}

/** Lists SAs and policies again and again until `done`; says how often. */
async function listUntil(client: XfrmClient, done: Promise<unknown>): Promise<number> {
  let lists = 0;
  let running = true;
  const ended = done.finally(() => {
    running = false;
  });
  while (running) {
    for await (const _ of client.listStates());
    for await (const _ of client.listPolicies());
    lists++;
  }
  await ended;
  return lists;
}

for (const [name, options] of [
  ['that only follows', { refreshInterval: 0 }],
  ['with a receive buffer that overflows', { receiveBufferSize: 16_384 }],
] as const) {
  test(
    `two threads race, a third lists: a monitor ${name} ends equal (seed ${seed})`,
    patience,
    async () => {
      await using client = new XfrmClient();
      await using monitor = await XfrmMonitor.open(options);
      const follower = new Follower();
      const loop = monitor[Symbol.asyncIterator]();
      follower.take((await loop.next()).value ?? assert.fail());
      let taking = true;
      const following = (async () => {
        for (;;) {
          const { value } = await loop.next();
          if (value === undefined) return;
          follower.take(value);
          if (!taking) return;
        }
      })();
      void following;
      const racing = start([
        { kind: 'storm', seed, changes: CHANGES },
        { kind: 'storm', seed: seed + 1, changes: CHANGES },
      ]);
      assert((await listUntil(client, racing)) > 0);
      if ('refreshInterval' in options) await assertFollowed(monitor, client);
      else {
        assert(monitor.dropped === 0 || (follower.counts.overrun ?? 0) > 0, 'lost in silence');
        await monitor.refresh();
        while (!monitor.synced) await once(monitor, 'resynced');
        await assertEqual(monitor, client);
      }
      await clear(client);
      await monitor.refresh();
      await assertEqual(monitor, client);
      taking = false;
      await monitor.close();
      await following;
      follower.assertEqual(monitor);
      assert.equal(follower.objects.size, 0);
    },
  );
}

test('of SAs that two threads add and delete, each is heard of', patience, async () => {
  await using client = new XfrmClient();
  await using subscription = subscribe({ groups: ['XFRMNLGRP_SA'], receiveBufferSize: 8 << 20 });
  const events = subscription[Symbol.asyncIterator]();
  const rounds = 50;
  const racing = start([
    { kind: 'own', first: 0x10000, rounds },
    { kind: 'own', first: 0x20000, rounds },
  ]);
  const heard = { NEWSA: new Set<number>(), DELSA: new Set<number>() };
  const hearing = (async () => {
    while (heard.NEWSA.size < 2 * rounds || heard.DELSA.size < 2 * rounds * 0.9) {
      const event = await next(
        events,
        (one) => ofKind('NEWSA')(one) || ofKind('DELSA')(one) || ofKind('overrun')(one),
      );
      if (event.kind === 'overrun') assert.fail('the buffer was too small for this test');
      const { spi } = event.state;
      assert(!heard[event.kind].has(spi), `${event.kind} of ${spi} twice`);
      if (event.kind === 'DELSA') assert(heard.NEWSA.has(spi), `DELSA of ${spi} before its NEWSA`);
      heard[event.kind].add(spi);
    }
  })();
  await Promise.all([hearing, racing]);
  const left = [];
  for await (const { spi } of client.listStates()) left.push(spi);
  const expected = [...heard.NEWSA].filter((spi) => !heard.DELSA.has(spi));
  assert.deepEqual(left.sort(), expected.sort());
  assert.equal(left.length, 2 * rounds * 0.1);
  await clear(client);
});
