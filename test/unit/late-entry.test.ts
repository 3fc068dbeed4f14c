/** Entries whose texts are made when someone asks are those of the table, as they were then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dumpsOf, kernelWith } from '../../bench/simulated-kernel.ts';
import { TunnelMonitor } from '../../lib/index.ts';
import {
  incarnationOf,
  LateEntry,
  madeEntry,
  type RowKey,
  Table,
} from '../../lib/monitor/table.ts';

type Value = { readonly name: string; readonly count: number };
const READ = { wall: 1000, monotonic: 10 };

/** A table of values by number, or by name, as it is after a first dump. */
function opened(keyed: 'number' | 'name'): Table<Value> {
  const dumped = new Table<Value>({}, keyed === 'number' ? ({ name }) => `the ${name}` : undefined);
  for (const [i, name] of ['one', 'two', 'three'].entries()) {
    dumped.add(keyed === 'number' ? i : name, { name, count: 0 });
  }
  const table = new Table<Value>({}, keyed === 'number' ? ({ name }) => `the ${name}` : undefined);
  let number = 0;
  table.adopt(dumped, dumped.holders(), () => ++number, READ);
  return table;
}

for (const keyed of ['number', 'name'] as const) {
  test(`late entries are those of the table, by ${keyed}`, () => {
    const table = opened(keyed);
    const late = table.late();
    assert(late.every((entry) => entry instanceof LateEntry));
    const plain = [...table];
    assert.deepEqual(
      plain.map(({ id }) => id),
      keyed === 'number' ? ['the one', 'the two', 'the three'] : ['one', 'two', 'three'],
    );
    assert.deepEqual(late.map(madeEntry), plain);
    assert.deepEqual(late.map(incarnationOf), [1, 2, 3]);
    assert.deepEqual(plain.map(incarnationOf), [1, 2, 3]);
    for (const entry of late) assert.equal(madeEntry(entry), madeEntry(entry));
    // Those that were asked for meanwhile are not made again.
    assert.deepEqual(table.late().map(madeEntry), plain);
    assert(table.late().every((entry, i) => entry === plain[i]));
  });

  test(`later changes do not apply to late entries, by ${keyed}`, () => {
    const table = opened(keyed);
    const late = table.late();
    const [first, second] = (keyed === 'number' ? [0, 1] : ['one', 'two']) as [RowKey, RowKey];
    table.update(first, { name: 'one', count: 1 }, { wall: 2000, monotonic: 20 });
    table.delete(second);
    assert.deepEqual(
      late.map(({ value, countersReadAt }) => [value.name, value.count, countersReadAt]),
      ['one', 'two', 'three'].map((name) => [name, 0, READ]),
    );
    assert.equal(late.map(madeEntry)[1]?.uid, keyed === 'number' ? 'the two #2' : 'two #2');
    assert.deepEqual(
      table.late().map(({ value }) => [value.name, value.count]),
      [
        ['one', 1],
        ['three', 0],
      ],
    );
  });
}

test('tunnels show the entries of the tables, as plain data', async () => {
  const netns = kernelWith(dumpsOf(3)) as never;
  await using monitor = await TunnelMonitor.open({ netns, refreshInterval: 0 });
  const { states, policies } = monitor.xfrm;
  assert.equal(monitor.tunnels.size, 3);
  for (const { sas, policies: its } of monitor.tunnels) {
    const entries = [...sas.out, ...sas.in];
    assert.equal(entries.length, 2);
    assert.equal(its.length, 3);
    for (const entry of entries) assert.deepEqual(entry, states.byUid(entry.uid));
    for (const entry of its) assert.deepEqual(entry, policies.byUid(entry.uid));
    for (const entry of [...entries, ...its]) {
      assert.deepEqual(Object.keys(entry).sort(), ['countersReadAt', 'id', 'uid', 'value']);
    }
  }
});
