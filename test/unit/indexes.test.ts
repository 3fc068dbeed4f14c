/** The rows and indexes of a table, compared with a map searched linearly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Table, type TableEntry } from '../../lib/monitor/table.ts';
import { generated } from './random.ts';

interface Value {
  readonly text: string | undefined;
}

const time = { wall: 0, monotonic: 0 };
const key = fc.constantFrom('a', 'b', 'c', 'd');
const step = fc.record({
  key,
  /** null: it goes. */
  value: fc.option(fc.record({ text: fc.constantFrom('x', 'y', undefined) })),
  /** From when on the index is there. */
  look: fc.boolean(),
});

test('rows with a given text are found as they are added, changed and removed', () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const table = new Table<Value>({ text: ({ text }) => text });
      const model = new Map<string, TableEntry<Value>>();
      for (const [i, { key, value, look }] of steps.entries()) {
        if (value === null) {
          table.delete(key);
          model.delete(key);
        } else {
          const entry = { id: key, uid: `${i}`, value, countersReadAt: time };
          table.set(key, entry);
          model.set(key, entry);
        }
        assert.deepEqual(
          [...table.rows()],
          [...model].map(([one, { value: its }]) => [one, its]),
        );
        assert.deepEqual([...table], [...model.values()]);
        assert.equal(table.size, model.size);
        if (!look) continue;
        for (const text of ['x', 'y']) {
          const found = new Map([...model].filter(([, one]) => one.value.text === text));
          const rows = table.findRows('text', text);
          assert.deepEqual(new Set(rows.map(([one]) => one)), new Set(found.keys()));
          assert.deepEqual(
            table.find('text', text),
            rows.map(([one]) => found.get(`${one}`)),
          );
        }
      }
    }),
    { numRuns: generated(2000) },
  );
});

test('values are listed in order, and no entry is made for that', () => {
  const table = new Table<Value>({});
  const read = { wall: 1, monotonic: 1 };
  const entry = (text: string) => ({ id: text, uid: text, value: { text }, countersReadAt: read });
  for (const text of ['b', 'a', 'c']) table.set(text, entry(text));
  table.delete('a');
  const row = table.row('b');
  assert(row);
  row.reading = { round: 1, time: { wall: 2, monotonic: 2 } };
  const before = row.entry;
  assert.deepEqual(
    Array.from(table.values(), ({ text }) => text),
    ['b', 'c'],
  );
  assert.equal(row.entry, before);
  assert.deepEqual(
    Array.from(table, ({ countersReadAt }) => countersReadAt.wall),
    [2, 1],
  );
});
