// Who pauses for how long where events coalesce.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadThrottle } from '../../lib/monitor/event-socket.ts';
import { FakeKernel, NetlinkSocket } from '../../lib/socket.ts';

const [SMALL, LARGE] = [208 * 2 ** 10, 4 * 2 ** 20];

/** What a throttle tells a socket: the rests of its thread, and pauses. */
function told(granted: number, readAhead: number, coalesce: number) {
  const socket = new NetlinkSocket({ protocol: 6, netns: new FakeKernel() });
  const calls: (number | string)[] = [];
  const note = (what: number | string) => {
    calls.push(what);
    return socket;
  };
  Object.assign(socket, {
    setReadAheadRest: note,
    pause: () => note('pause'),
    resume: () => note('resume'),
  });
  const throttle = new ReadThrottle({ protocol: 'xfrm', socket, granted, readAhead }, coalesce);
  throttle.batchRead({ count: 1, lost: undefined } as never);
  throttle.now();
  void throttle.close();
  return calls;
}

test('a thread rests for the first millisecond, if the kernel can queue what comes', () => {
  assert.deepEqual(told(LARGE, SMALL, 1), [1, 'resume', 1]);
  assert.deepEqual(told(LARGE, SMALL, 2), [1, 'pause', 'resume', 1]);
  assert.deepEqual(told(LARGE, SMALL, 0), ['resume']);
});

test('else the loop pauses, if there is room', () => {
  assert.deepEqual(told(LARGE, 0, 1), ['pause', 'resume']);
  assert.deepEqual(told(SMALL, LARGE, 1), ['pause', 'resume']);
  assert.deepEqual(told(SMALL, SMALL, 1), ['resume']);
});
