/** Tunnels as systems build them (test/kernel/shape-worlds.ts), of what Debian's user-mode kernels lack: xfrm interfaces. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShapeJudge } from '../kernel/shape-judge.ts';
import { xfrmInterface } from '../kernel/shape-worlds.ts';

const shape = xfrmInterface();
test(shape.name, { timeout: 300_000 }, async () => {
  const judge = await ShapeJudge.open();
  try {
    const wrong = await judge.judge(shape);
    assert.equal(wrong.length, 0, wrong.join('\n'));
  } finally {
    await judge.close();
  }
});
