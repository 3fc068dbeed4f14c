/**
 * Runs in the lab: a hundred thousand SAs, a monitor of them, and one that loses events.
 *
 *   node --expose-gc large-guest.js
 * @module
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type XfrmChange, XfrmClient, XfrmMonitor, type XfrmState } from '../../lib/index.ts';
import { addOne, type Changes, changeUnread, peer, spiOf } from '../kernel/many.ts';
import { texts } from '../kernel/storm.ts';

const SAS = 100_000;
/** What is required: bytes of heap and buffers for an SA. */
const BYTES = 1536;
/** SAs that are updated while nobody reads; as many are deleted, and added. */
const CHANGED = 3000;
const PACKETS = 77;
/** Node itself, the table, a dump of it, and uncollected garbage. */
const RESIDENT = 512 * 2 ** 20;

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
const collect = globalThis.gc ?? assert.fail('run with --expose-gc');

function used(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const where = ({ daddr, spi }: Pick<XfrmState, 'daddr' | 'spi'>) => `${daddr} ${spi}`;

/** That the table holds what a fresh list holds, one by one: texts of all would be a second table. */
async function assertEqual(monitor: XfrmMonitor, client: XfrmClient, size: number): Promise<void> {
  const held = new Map(Array.from(monitor.states, ({ value }) => [where(value), value]));
  assert.equal(monitor.states.size, size);
  assert.equal(held.size, size);
  for await (const state of client.listStates()) {
    const mine = held.get(where(state));
    assert(mine, where(state));
    assert.deepEqual(texts([mine]), texts([state]));
    held.delete(where(state));
  }
  assert.equal(held.size, 0);
}

await using client = new XfrmClient();
for (let i = 0; i < SAS; i += 500) {
  await Promise.all(numbers(i, 500).map((n) => addOne(client, n)));
}

const facts: string[] = [];
const ofEach = (before: number) => (used() - before) / SAS;
{
  const before = used();
  await using monitor = await XfrmMonitor.open();
  const each = ofEach(before);
  facts.push(`${Math.round(each)} bytes an SA`);
  assert(each <= BYTES, `an SA takes ${each} bytes`);
  await assertEqual(monitor, client, SAS);
}

const before = used();
await using monitor = await XfrmMonitor.open({ receiveBufferSize: 65_536 });
const told: XfrmChange[] = [];
monitor.on('change', (change) => told.push(change));
const changes: Changes = {
  updated: numbers(0, CHANGED),
  deleted: numbers(CHANGED, CHANGED),
  added: numbers(SAS, CHANGED),
};
changeUnread(changes, PACKETS);
const [resynced] = await once(monitor, 'resynced');
assert(monitor.synced);

// Each once, whether its event came or the comparison found it.
const expected = {
  updated: changes.updated,
  removed: changes.deleted,
  added: changes.added,
};
const objects = told.filter((change) => 'object' in change);
const heard = objects.filter(({ origin }) => origin === 'kernel').length;
for (const [kind, those] of Object.entries(expected)) {
  const found = objects.filter((change) => change.kind === kind);
  assert.deepEqual(
    found.map(({ value }) => where(value as XfrmState)).sort(),
    those.map((i) => where({ daddr: peer(i), spi: spiOf(i) })).sort(),
    kind,
  );
  const byResync = found.filter(({ origin }) => origin === 'resync');
  assert.equal(byResync.length, resynced[kind as keyof typeof expected], kind);
  for (const change of byResync) {
    if (change.kind === 'removed') assert.equal(change.reason, 'found-missing');
    if (change.kind === 'updated') assert.deepEqual(change.fields, ['lifetime']);
  }
}
assert.equal(objects.length, 3 * CHANGED);
assert(monitor.dropped > CHANGED);
assert.equal(heard + monitor.dropped, 3 * CHANGED, 'an event is heard or counted as lost');
const others = told.filter((change) => !('object' in change)).map(({ kind }) => kind);
assert.deepEqual(others, ['overrun', 'resynced']);
facts.push(
  `${heard} of ${3 * CHANGED} changes heard, the others resynced in ${resynced.rounds} rounds`,
);

objects.length = 0;
told.length = 0;
const each = ofEach(before);
facts.push(`then ${Math.round(each)} bytes an SA`);
assert(each <= BYTES, `after a resync an SA takes ${each} bytes`);
await assertEqual(monitor, client, SAS);
const { rss } = process.memoryUsage();
facts.push(`${Math.round(rss / 2 ** 20)} MiB resident`);
assert(rss <= RESIDENT, `${rss} bytes are resident`);
console.log(facts.join('; '));
