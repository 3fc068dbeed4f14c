/** The reconciler by itself, with a model made for it: what it does with doubts and losses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableChange } from '../../lib/monitor/changes.ts';
import type { ObjectModel } from '../../lib/monitor/object-model.ts';
import { Reconciler } from '../../lib/monitor/reconciler.ts';

type Things = { thing: { name: string; size: number } };
const time = { wall: 0, monotonic: 0 };
const header = { portId: 0 };
type Told = { readonly time: typeof time; readonly header: typeof header };
type Event = Told & { does: 'put' | 'remove' | 'doubt'; name: string; size: number };

/** Things of which every event tells all. */
const model: ObjectModel<Things, Event> = {
  kinds: {
    thing: {
      indexes: {},
      key: ({ name }) => name,
      differences: (before, after) => (before.size === after.size ? [] : ['size']),
    },
  },
  apply({ does, name, size }, rows) {
    if (does === 'put') rows.put('thing', name, { name, size }, 'same');
    else if (does === 'remove') rows.remove('thing', name, 'deleted');
    // Live tables are never in doubt here: only the list is.
    else if (rows.overlap) rows.markUncertain('thing', name);
  },
};

/** A reconciler that has opened with these things, and what it tells. */
function opened(...things: [string, number][]) {
  const changes: TableChange<Things>[] = [];
  const patience = { isLeft: true };
  const table = new Reconciler<Things, Event>(
    model,
    {
      now: () => time,
      wakeAfter: () => {},
      mayProceed: () => patience.isLeft,
      dump: () => {},
      emit: (change) => changes.push(change),
    },
    { least: 0, most: 0 },
  );
  const list = (...listed: [string, number][]) => {
    for (const [name, size] of listed) table.dumped('thing', { name, size });
    table.dumpEnded();
    table.empty();
  };
  const event = (does: Event['does'], name: string, size = 0) =>
    table.event({ time, header, does, name, size });
  table.wake();
  table.empty();
  list(...things);
  const told = () => changes.splice(0).map(brief);
  return { table, list, event, changes, told, patience };
}

const brief = (change: TableChange<Things>): string =>
  'object' in change ? `${change.kind} ${change.id} ${change.value.size}` : change.kind;

test('an uncertain row keeps its value until a comparison without doubt', () => {
  const { table, list, event, told } = opened(['a', 1], ['b', 1]);
  assert.deepEqual(told(), ['refreshed']);
  table.refresh();
  table.empty();
  event('doubt', 'a');
  event('doubt', 'b');
  list(['a', 2], ['c', 1]);
  // What is new is shown at once; nothing is said to be right.
  assert.deepEqual(told(), ['added c 1']);
  assert(table.busy);
  table.empty();
  list(['a', 2], ['c', 1]);
  // Nothing was lost.
  assert.deepEqual(told(), ['removed b 1', 'updated a 2', 'refreshed']);
  assert(!table.busy);
});

test('a comparison during which events were lost reports what it found, and is repeated', () => {
  const { table, list, told } = opened(['a', 1]);
  told();
  table.refresh();
  table.empty();
  table.lost('ENOBUFS');
  assert.deepEqual(told(), ['overrun']);
  list(['a', 2]);
  assert.deepEqual(told(), ['updated a 2']);
  assert(!table.synced);
  table.empty();
  list(['a', 2]);
  assert.deepEqual(told(), ['resynced']);
  assert(table.synced);
});

test('events that come while a list is made count for both tables', () => {
  const { table, list, event, told } = opened(['a', 1], ['b', 1]);
  told();
  table.refresh();
  table.empty();
  event('put', 'a', 3);
  event('remove', 'b');
  list(['a', 1], ['b', 1]);
  assert.deepEqual(told(), ['updated a 3', 'removed b 1', 'refreshed']);
});

test('lost and malformed events are counted, and followed by a resync even without differences', () => {
  const { table, list, changes } = opened(['a', 1]);
  changes.length = 0;
  const at = { wall: 7, monotonic: 7 };
  table.lost('ENOBUFS', at);
  table.malformed(time);
  table.lost('ENOBUFS', time);
  assert.deepEqual(changes.splice(0), [{ kind: 'overrun', code: 'ENOBUFS', time: at }]);
  table.empty();
  list(['a', 1]);
  const [resynced] = changes.splice(0);
  assert(resynced?.kind === 'resynced');
  const { added, updated, removed, overruns, malformed } = resynced;
  assert.deepEqual([added, updated, removed, overruns, malformed], [0, 0, 0, 2, 1]);
  // What came before is not counted again.
  table.malformed(at);
  assert.deepEqual(changes.splice(0), [{ kind: 'overrun', code: 'EBADMSG', time: at }]);
  table.empty();
  list(['a', 1]);
  const [again] = changes.splice(0);
  assert(again?.kind === 'resynced');
  assert.deepEqual([again.overruns, again.malformed], [0, 1]);
});

/** A reconciler that does as little as possible a call, and its list without what follows it. */
function inParts(...things: [string, number][]) {
  const all = opened(...things);
  const { table, told } = all;
  told();
  all.patience.isLeft = false;
  const list = (...listed: [string, number][]) => {
    for (const [name, size] of listed) table.dumped('thing', { name, size });
    table.dumpEnded();
  };
  return { ...all, list };
}

test('a comparison in parts tells each difference once, events in between included', () => {
  const { table, list, event, told } = inParts(['a', 1], ['b', 1], ['c', 1], ['d', 1]);
  table.refresh();
  table.empty();
  list(['a', 2], ['d', 1], ['e', 1]);
  table.empty();
  table.proceed();
  assert.deepEqual(told(), ['removed b 1']);
  assert(table.waitsForTime && !table.waitsForEmpty);
  // Of rows that are not yet compared, and of one that is.
  event('put', 'a', 3);
  event('remove', 'c');
  event('put', 'b', 7);
  event('put', 'f', 1);
  assert.deepEqual(told(), ['updated a 3', 'removed c 1', 'added b 7', 'added f 1']);
  while (table.busy) {
    if (table.waitsForEmpty) table.empty();
    else table.proceed();
  }
  assert.deepEqual(told(), ['added e 1', 'refreshed']);
  const rows = Array.from(table.tables.thing, ({ value: { name, size } }) => `${name} ${size}`);
  assert.deepEqual(rows.sort(), ['a 3', 'b 7', 'd 1', 'e 1', 'f 1']);
});

test('events of a dump are replayed in parts, in order, those that come meanwhile after them', () => {
  const { table, list, event, told } = inParts(['a', 1]);
  table.refresh();
  table.empty();
  for (const size of [2, 3, 4]) event('put', 'a', size);
  list(['a', 1]);
  assert(table.waitsForTime);
  assert.equal(table.kept, 2);
  event('put', 'a', 5);
  while (table.waitsForTime) table.proceed();
  assert.equal(table.kept, 0);
  while (table.busy) {
    if (table.waitsForEmpty) table.empty();
    else table.proceed();
  }
  assert.deepEqual(told(), [
    'updated a 2',
    'updated a 3',
    'updated a 4',
    'updated a 5',
    'refreshed',
  ]);
});

test('a dump that fails is repeated, without reporting anything', () => {
  const { table, list, told } = opened(['a', 1]);
  told();
  table.refresh();
  table.empty();
  table.dumped('thing', { name: 'x', size: 1 });
  table.dumpFailed();
  assert(table.busy);
  table.empty();
  list(['a', 1]);
  assert.deepEqual(told(), ['refreshed']);
});

test('what only dumps that failed had is not there, however many of them failed', () => {
  for (let failures = 1; failures <= 4; failures++) {
    const { table, list, told } = opened(['a', 1], ['b', 1]);
    told();
    table.refresh();
    for (let n = 0; n < failures; n++) {
      table.empty();
      // Only the first of them still has it.
      table.dumped('thing', n === 0 ? { name: 'a', size: 1 } : { name: 'b', size: 1 });
      table.dumpFailed();
    }
    table.empty();
    list(['b', 1]);
    assert.deepEqual(told(), ['removed a 1', 'refreshed'], `${failures} failed`);
  }
});

test('messages behind many rows that events change during the dump are recognized', () => {
  const { table } = opened();
  const sizes = new Map(Array.from({ length: 100 }, (_, n) => [`${n}`, 1]));
  /** @returns how many were decoded */
  const dump = (meanwhile = () => {}) => {
    let decoded = 0;
    table.refresh();
    table.empty();
    for (const [n, name] of [...sizes.keys()].entries()) {
      if (n === 5) meanwhile();
      const size = sizes.get(name) as number;
      const digest = Int32Array.of(n + 1, size);
      if (table.recognized('thing', digest)) continue;
      decoded++;
      table.dumped('thing', { name, size }, digest);
    }
    table.dumpEnded();
    table.empty();
    return decoded;
  };
  assert.equal(dump(), 100);
  // What a comparison added is decoded once more.
  assert.equal(dump(), 100);
  assert.equal(dump(), 0);
  const change = () => {
    for (let n = 10; n < 30; n++) {
      sizes.set(`${n}`, 2);
      table.event({ time, header, does: 'put', name: `${n}`, size: 2 });
    }
  };
  assert.equal(dump(change), 20);
  assert.equal(dump(), 20);
  assert.equal(dump(), 0);
});

test('an entry says when its part of a dump was read', () => {
  const at = (monotonic: number) => ({ wall: 0, monotonic });
  const changes: TableChange<Things>[] = [];
  const host = {
    now: () => at(9),
    wakeAfter: () => {},
    mayProceed: () => true,
    dump: () => {},
    emit: (change: TableChange<Things>) => changes.push(change),
  };
  const table = new Reconciler<Things, Event>(model, host, { least: 0, most: 0 });
  const list = (...parts: [monotonic: number, things: Things['thing'][]][]) => {
    table.empty();
    for (const [monotonic, things] of parts) {
      table.readAt(at(monotonic));
      for (const thing of things) table.dumped('thing', thing);
    }
    table.dumpEnded();
    table.empty();
  };
  const read = () =>
    [...table.tables.thing].map(({ id, countersReadAt: { monotonic } }) => `${id} ${monotonic}`);
  table.wake();
  const [a, b] = [
    { name: 'a', size: 1 },
    { name: 'b', size: 1 },
  ];
  list([1, [a]], [2, [b]]);
  assert.deepEqual(read(), ['a 1', 'b 2']);
  table.refresh();
  list([3, [{ ...a }]], [4, [{ ...b, size: 2 }]], [5, [{ name: 'c', size: 1 }]]);
  assert.deepEqual(read(), ['a 3', 'b 4', 'c 5']);
  const told = changes.flatMap((change) => ('object' in change ? [change] : []));
  assert.deepEqual(
    told.map(({ id, countersReadAt: { monotonic } }) => `${id} ${monotonic}`),
    ['b 4', 'c 5'],
  );
  // What changed is not of then.
  assert.deepEqual(
    told.map(({ time: { monotonic } }) => monotonic),
    [9, 9],
  );
});
