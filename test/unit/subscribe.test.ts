/** What a subscription is asked for, and the queue of a loop. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import * as constants from '../../lib/constants.ts';
import { multicastGroupNames, type SubscribeOptions, subscribe } from '../../lib/index.ts';
import { EventQueue } from '../../lib/monitor/event-queue.ts';
import { findGroup } from '../../lib/monitor/multicast-groups.ts';

test('an invalid option is named before anything is opened', () => {
  const groups = ['XFRMNLGRP_SA'];
  const cases: [options: unknown, name: RegExp, type: typeof TypeError | typeof RangeError][] = [
    [undefined, /^options must be an object; received undefined/, TypeError],
    [{}, /^options\.groups must be an array of group names/, TypeError],
    [{ groups: [] }, /^options\.groups is empty/, TypeError],
    [
      { groups, grups: 1 },
      /^unknown option options\.grups; valid options: groups, netns/,
      TypeError,
    ],
    [{ groups: 'XFRMNLGRP_SA' }, /^options\.groups must be/, TypeError],
    [
      { groups: ['XFRMNLGRP_SA', 'SA'] },
      /^options\.groups\[1\] must be a group name .*"SA"/,
      TypeError,
    ],
    [{ groups: [3] }, /^options\.groups\[0\]/, TypeError],
    [{ groups: [Object.create(null)] }, /^options\.groups\[0\]/, TypeError],
    [{ groups: ['XFRMNLGRP_NONE'] }, /^options\.groups\[0\]/, TypeError],
    [{ groups: ['toString'] }, /^options\.groups\[0\]/, TypeError],
    [{ groups, signal: {} }, /^options\.signal must be an AbortSignal/, TypeError],
    [{ groups, keys: 1 }, /^options\.keys must be a boolean/, TypeError],
    [
      { groups, receiveBufferSize: 0 },
      /^options\.receiveBufferSize must be an integer from 1/,
      RangeError,
    ],
    [{ groups, receiveBufferSize: 2 ** 31 }, /^options\.receiveBufferSize/, RangeError],
    [{ groups, readAhead: -1 }, /^options\.readAhead must be an integer from 0/, RangeError],
    [{ groups, readAhead: '1' }, /^options\.readAhead must be a number/, TypeError],
    [{ groups, receiveBufferSize: '1' }, /^options\.receiveBufferSize must be a number/, TypeError],
    [{ groups, highWaterMark: 0.5 }, /^options\.highWaterMark/, RangeError],
    [
      { groups, coalesce: 1001 },
      /^options\.coalesce must be an integer from 0 to 1000/,
      RangeError,
    ],
    [{ groups, coalesce: 0.5 }, /^options\.coalesce must be an integer/, RangeError],
    [{ groups, coalesce: true }, /^options\.coalesce must be a number/, TypeError],
  ];
  for (const [options, message, type] of cases) {
    assert.throws(
      () => subscribe(options as SubscribeOptions),
      (error: Error) => error instanceof type && message.test(error.message),
      String(message),
    );
  }
});

test('a group has the same number under each of its names', () => {
  assert.deepEqual(findGroup('XFRMNLGRP_SA'), { protocol: 'xfrm', number: constants.XFRMNLGRP_SA });
  assert.deepEqual(findGroup('XFRMGRP_SA'), findGroup('XFRMNLGRP_SA'));
  assert.deepEqual(findGroup('RTMGRP_LINK'), findGroup('RTNLGRP_LINK'));
  assert.deepEqual(findGroup('sa'), findGroup('XFRMNLGRP_SA'));
  assert.deepEqual(findGroup('ipv4-route'), findGroup('RTMGRP_IPV4_ROUTE'));
  const rtnetlink = multicastGroupNames.filter((name) => findGroup(name)?.protocol === 'route');
  const numbers = new Set(rtnetlink.map((name) => findGroup(name)?.number));
  assert.equal(numbers.size, 39);
  for (const name of multicastGroupNames) {
    const number = findGroup(name)?.number ?? 0;
    assert(Number.isInteger(number) && number >= 1 && number <= 39, name);
    const mask = (constants as Record<string, unknown>)[name];
    if (/^(XFRM|RTM)GRP_/.test(name)) assert.equal(1 << (number - 1), mask, name);
    const numbered = name.replace(/^XFRMGRP_/, 'XFRMNLGRP_').replace(/^RTMGRP_/, 'RTNLGRP_');
    assert.deepEqual(findGroup(numbered), findGroup(name), name);
    const short = numbered
      .replace(/^(XFRM|RT)NLGRP_/, '')
      .toLowerCase()
      .replaceAll('_', '-');
    assert.deepEqual(findGroup(short), findGroup(name), name);
  }
});

const owner = () => {
  const calls: string[] = [];
  return { calls, changed: () => calls.push('changed'), left: () => calls.push('left') };
};

test('a queue is full at its high-water mark, and accepts again at half of it', async () => {
  const told = owner();
  const queue = new EventQueue<number>(4, told);
  for (let i = 0; i < 4; i++) queue.push(i);
  assert(queue.full);
  await queue.next();
  assert(queue.full);
  await queue.next();
  assert(!queue.full);
  assert.deepEqual(told.calls, ['changed', 'changed']);
});

test('a queue delivers in order, whether the reader or the writer comes first', async () => {
  const queue = new EventQueue<number>(1e9, owner());
  const first = [queue.next(), queue.next()];
  for (let i = 0; i < 3000; i++) queue.push(i);
  const values = (await Promise.all(first)).map(({ value }) => value);
  queue.end();
  for await (const value of queue) values.push(value);
  assert.deepEqual(
    values,
    Array.from({ length: 3000 }, (_, i) => i),
  );
});

test('a queue delivers pending items, then its error once', async () => {
  const told = owner();
  const queue = new EventQueue<number>(9, told);
  queue.push(1);
  queue.end(new Error('over'));
  queue.push(2);
  assert.deepEqual(await queue.next(), { value: 1, done: false });
  await assert.rejects(queue.next(), /over/);
  assert.deepEqual(await queue.next(), { value: undefined, done: true });
  assert.deepEqual(told.calls, []);
  const waiting = new EventQueue<number>(9, told);
  const next = [waiting.next(), waiting.next()];
  waiting.end(new Error('over'));
  await assert.rejects(next[0] as Promise<unknown>, /over/);
  assert.deepEqual(await next[1], { value: undefined, done: true });
});

test('a pending value can be withdrawn, and the owner is notified of each delivered one', async () => {
  const told = owner();
  const taken: number[] = [];
  const queue = new EventQueue<number>(3, { ...told, taken: (value) => taken.push(value) });
  const first = queue.next();
  for (let i = 0; i < 5; i++) queue.push(i);
  assert.equal((await first).value, 0);
  assert(queue.full);
  for (const value of [1, 3, 4]) assert(queue.withdraw(value));
  assert(!queue.full && !queue.withdraw(1) && !queue.withdraw(0));
  assert.equal((await queue.next()).value, 2);
  assert.deepEqual(taken, [0, 2]);
  assert.deepEqual(told.calls, ['changed', 'changed']);
});

test('an aborted queue throws the reason once, and notifies its owner', async () => {
  const told = owner();
  const control = new AbortController();
  const queue = new EventQueue<number>(1, told).endOn(control.signal);
  const waiting = queue.next();
  queue.push(1);
  assert.deepEqual(await waiting, { value: 1, done: false });
  queue.push(2);
  control.abort(new Error('enough'));
  queue.push(3);
  await assert.rejects(queue.next(), /enough/);
  assert.deepEqual(await queue.next(), { value: undefined, done: true });
  assert.deepEqual(told.calls, ['changed', 'changed', 'left']);
  assert.equal(getEventListeners(control.signal, 'abort').length, 0);
  const other = new AbortController();
  await new EventQueue<number>(1, told).endOn(other.signal).return();
  assert.equal(getEventListeners(other.signal, 'abort').length, 0);
});

test('leaving a queue notifies its owner once, and drops pending items', async () => {
  const told = owner();
  const queue = new EventQueue<number>(9, told);
  queue.push(1);
  await queue.return();
  await queue.return();
  assert.deepEqual(told.calls, ['left']);
  assert.deepEqual(await queue.next(), { value: undefined, done: true });
});
