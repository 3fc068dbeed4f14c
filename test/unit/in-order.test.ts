/** Lines of which some are ready later. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InOrder } from '../../lib/cli/events/in-order.ts';

const later = () => {
  let ready: (line: string) => void = () => {};
  const line = new Promise<string>((resolve) => {
    ready = resolve;
  });
  return { line, ready };
};

test('lines keep their order, whichever is ready first', async () => {
  const passed: string[] = [];
  const lines = new InOrder((line) => passed.push(line), { full() {}, drained() {} });
  lines.add('1');
  assert.deepEqual(passed, ['1'], 'at once');
  const [second, fourth] = [later(), later()];
  for (const line of [second.line, '3', fourth.line, '5']) lines.add(line);
  fourth.ready('4');
  await fourth.line;
  assert.deepEqual(passed, ['1']);
  second.ready('2');
  await lines.settled();
  assert.deepEqual(passed, ['1', '2', '3', '4', '5']);
  lines.add('6');
  assert.deepEqual(passed.at(-1), '6');
});

test('reading pauses while too many lines are pending', async () => {
  const told: string[] = [];
  const lines = new InOrder(() => {}, {
    full: () => told.push('full'),
    drained: () => told.push('drained'),
  });
  const first = later();
  lines.add(first.line);
  for (let i = 0; i < 5000; i++) lines.add('more');
  assert.deepEqual(told, ['full']);
  first.ready('first');
  await lines.settled();
  assert.deepEqual(told, ['full', 'drained']);
});
