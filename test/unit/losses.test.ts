/** In whatever order the kernel's signs of a loss are seen, it is reported, and seldom twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LossDetector } from '../../lib/monitor/losses.ts';

/** A scripted queue, and how often a loss was reported. */
function detector() {
  const queue = { bytes: 0, drops: 0 };
  let reported = 0;
  let onClear = () => {};
  const clearCongestion = () => onClear();
  const losses = new LossDetector({ queue, clearCongestion }, () => reported++);
  return {
    losses,
    queue,
    whileClearing: (then: () => void) => {
      onClear = then;
    },
    reported: () => reported,
  };
}

test('the error arrives before the drop count changes', () => {
  const { losses, queue, reported } = detector();
  losses.failed('ENOBUFS');
  assert.equal(reported(), 1);
  assert(losses.caughtUp());
  // It is counted: once more is the price.
  queue.drops++;
  assert(!losses.caughtUp());
  assert.equal(reported(), 2);
  assert(losses.caughtUp());
  assert.equal(losses.drops, 1);
});

test('the drop count changes first: no resync before the error has been read', () => {
  const { losses, queue, reported } = detector();
  queue.drops++;
  assert(!losses.caughtUp());
  losses.failed('ENOBUFS');
  assert(losses.caughtUp());
  assert.equal(reported(), 2);
});

test('an error that no count ever explains (netlink_set_err)', () => {
  const { losses, reported } = detector();
  losses.failed('ENOMEM');
  assert.equal(reported(), 1);
  assert(losses.caughtUp());
});

test('drops while congestion is being cleared belong to that loss', () => {
  const { losses, queue, whileClearing, reported } = detector();
  whileClearing(() => queue.drops++);
  losses.failed('ENOBUFS');
  assert(losses.caughtUp());
  assert.equal(reported(), 1);
});

test('queued events are not a loss', () => {
  const { losses, queue, reported } = detector();
  queue.bytes = 1;
  assert(!losses.caughtUp());
  assert.equal(reported(), 0);
});
