// Jest: a monitor of one's own (alarm.mjs) and what real hosts do to it.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  cutLink,
  deleteSas,
  flush,
  keyedTunnel,
  loseEvents,
  probe,
  twoHosts,
  waitForTunnel,
  xfrmMatchers,
} from 'netlink-xfrm/testing';
import { Alarm } from './alarm.mjs';

expect.extend(xfrmMatchers);

const missing = (await probe()).missing('namespaces', 'veth', 'esp');
const real = missing ? test.skip : test;

let hosts;
let tunnel;
let alarm;
beforeEach(async () => {
  if (missing) return;
  hosts = await twoHosts();
  tunnel = await keyedTunnel(hosts.left, hosts.right);
  alarm = await Alarm.open({ netns: hosts.left.netns, receiveBufferSize: 4096 });
  await waitForTunnel(alarm.monitor, 'up');
});
afterEach(async () => {
  await alarm?.close();
  await hosts?.[Symbol.asyncDispose]();
});

const reasons = () => [...alarm.down.values()];
const isDown = () =>
  waitForTunnel(alarm.monitor, ({ state }) => state !== 'up' && alarm.down.size > 0);

real('SAs that somebody deletes raise it, and new ones end it', async () => {
  await deleteSas(hosts.left);
  await isDown();
  expect(reasons()).toEqual(['deleted']);
  await tunnel.replace();
  await waitForTunnel(alarm.monitor, 'up');
  expect(reasons()).toEqual([]);
});

real('a flush raises it', async () => {
  await flush(hosts.left);
  await isDown();
  expect(reasons()).toEqual(['flushed']);
});

real('lost events are made up for', async () => {
  loseEvents(hosts.left);
  await tunnel.expire({ on: hosts.left });
  await isDown();
  expect(alarm.repairs).toBeGreaterThan(0);
});

real('a cable that is cut is no matter of its SAs', async () => {
  const join = await cutLink(hosts.left, hosts.right);
  expect(reasons()).toEqual([]);
  await join();
  await expect(hosts.left).toBeEncryptedTo(hosts.right);
  await expect(hosts.left).toMirror(hosts.right);
});
