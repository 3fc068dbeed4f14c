/** A loop over changes of tunnels, and what is said of one that is too slow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Summary } from '../../lib/cli/events/summary.ts';
import type { TunnelChange, TunnelSnapshot } from '../../lib/index.ts';
import { TunnelLoop } from '../../lib/tunnel/tunnel-loop.ts';

const time = { wall: 0, monotonic: 0 };
const snapshot = {} as TunnelSnapshot;
const change = { kind: 'removed', time } as TunnelChange;
const loopOf = (highWaterMark: number) =>
  new TunnelLoop(
    highWaterMark,
    () => snapshot,
    () => {},
  );

/** Reads so many, without waiting for anything else. */
async function kindsOf({ queue }: TunnelLoop, count: number): Promise<(string | undefined)[]> {
  const kinds: (string | undefined)[] = [];
  for (let i = 0; i < count; i++) kinds.push((await queue.next()).value?.kind);
  return kinds;
}

test('a loop gets all changes of one event-loop turn, however many, repeatedly', async () => {
  const loop = loopOf(4);
  assert.deepEqual(await kindsOf(loop, 1), ['synced']);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 1000; i++) loop.push(change);
    const kinds = await kindsOf(loop, 1000);
    assert(kinds.every((kind) => kind === 'removed'));
    await turn();
  }
});

test('a loop that falls behind misses changes, is notified, and starts over', async () => {
  const loop = loopOf(4);
  for (let i = 0; i < 9; i++) loop.push(change);
  await turn();
  for (let i = 0; i < 9; i++) loop.push(change);
  const removed = Array.from({ length: 9 }, () => 'removed');
  const kinds = ['synced', ...removed, 'overrun', 'synced'];
  assert.deepEqual(await kindsOf(loop, kinds.length), kinds);
  await turn();
  for (let i = 0; i < 9; i++) loop.push(change);
  assert.deepEqual(await kindsOf(loop, 9), removed);
});

test('a loop that missed changes is notified at the end too', async () => {
  const loop = loopOf(4);
  for (let i = 0; i < 9; i++) loop.push(change);
  await turn();
  loop.push(change);
  loop.end(undefined);
  await kindsOf(loop, 10);
  const overrun = (await loop.queue.next()).value;
  assert.deepEqual(overrun, {
    kind: 'overrun',
    protocol: 'xfrm',
    code: 'SLOW_CONSUMER',
    count: 1,
    slowConsumer: true,
    time,
  });
  assert.deepEqual(await kindsOf(loop, 2), ['synced', undefined]);
});

test('a slow loop that its reader left has nothing more', async () => {
  const loop = loopOf(4);
  for (let i = 0; i < 9; i++) loop.push(change);
  await turn();
  loop.push(change);
  await loop.queue.return();
  loop.end(undefined);
  assert.deepEqual(await kindsOf(loop, 1), [undefined]);
});

test('only kernel losses are attributed to the receive buffer', () => {
  const overrun = (slowConsumer: boolean) =>
    ({ kind: 'overrun', protocol: 'xfrm', code: 'ENOBUFS', count: 1, slowConsumer, time }) as const;
  const summary = new Summary();
  assert.equal(summary.format([]), '0 events, nothing lost');
  summary.addChange(overrun(true));
  assert.equal(
    summary.format([]),
    '0 events, changes lost in 1 overrun (the output was not read fast enough)',
  );
  summary.addChange(overrun(false));
  summary.addChange(overrun(false));
  assert.equal(
    summary.format([]),
    '0 events, events lost in 2 overruns (use a larger --buffer), ' +
      'changes lost in 1 overrun (the output was not read fast enough)',
  );
  assert.equal(summary.totals([]).overruns, 3);
});
