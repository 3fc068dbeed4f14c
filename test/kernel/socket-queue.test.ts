/** What a socket tells of its receive queue. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { XFRMNLGRP_POLICY } from '../../lib/constants.ts';
import { XfrmClient } from '../../lib/index.ts';
import { NetlinkSocket } from '../../lib/socket.ts';

const NETLINK_XFRM = 6;

/** Makes policies, one event each. */
async function events(client: XfrmClient, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await client.replacePolicy({ dir: 'in', selector: { family: 'inet' }, priority: i });
  }
}

test("the queue's size and its losses are counted", async () => {
  await using client = new XfrmClient();
  await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
  socket.setReceiveBufferSize(4096);
  socket.bind();
  socket.joinGroup(XFRMNLGRP_POLICY);
  assert.deepEqual(socket.queue, { bytes: 0, drops: 0 });
  await events(client, 1);
  const one = socket.queue.bytes;
  assert(one > 0);
  await events(client, 20);
  const { bytes, drops } = socket.queue;
  const queued = bytes / one;
  // Those that came after the first loss are counted too.
  assert.equal(queued + drops, 21);
  assert(queued >= 1 && drops > 1);
  let read = 0;
  let lost = 0;
  await new Promise<void>((resolve) => {
    socket.receive((batch) => {
      if (batch.lost) lost++;
      read += batch.count;
      if (read === queued) resolve();
    });
  });
  assert.deepEqual([lost, read], [1, queued]);
  assert.deepEqual(socket.queue, { bytes: 0, drops });
  await client.flushPolicies();
});

test('after clearCongestion() an event that finds room is kept', async () => {
  await using client = new XfrmClient();
  for (const clear of [false, true]) {
    await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM, batch: 1 });
    socket.setReceiveBufferSize(4096);
    socket.bind();
    socket.joinGroup(XFRMNLGRP_POLICY);
    await events(client, 20);
    if (clear) socket.clearCongestion();
    const { bytes, drops } = socket.queue;
    // One is read, which makes room for one and does not leave the queue empty.
    await new Promise<void>((resolve) => {
      socket.receive(() => {
        socket.pause();
        resolve();
      });
    });
    assert(socket.queue.bytes > 0 && socket.queue.bytes < bytes);
    await events(client, 1);
    assert.equal(socket.queue.drops, clear ? drops : drops + 1);
    await client.flushPolicies();
  }
});
