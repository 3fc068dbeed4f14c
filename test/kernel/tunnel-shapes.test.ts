/** Tunnels as systems build them (shape-worlds.ts): what is said of each is what becomes of its packets. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ShapeJudge } from './shape-judge.ts';
import { SHAPES } from './shape-worlds.ts';
import { withoutEsp } from './support.ts';

let judge: ShapeJudge;
before(async () => {
  if (!withoutEsp) judge = await ShapeJudge.open();
});
after(() => judge?.close());

for (const shape of SHAPES) {
  test(shape.name, { skip: withoutEsp }, async () => {
    const wrong = await judge.judge(shape);
    assert.equal(wrong.length, 0, wrong.join('\n'));
  });
}
