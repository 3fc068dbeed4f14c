/** The addon on another processor, on this machine's kernel: a socket, a request, its answers, and an event. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RouteClient } from '../../lib/index.ts';
import { NetlinkSocket } from '../../lib/socket.ts';

test('the addon for arm64 opens a socket, asks, and is answered', async () => {
  assert.equal(process.arch, 'arm64');
  await using client = new RouteClient();
  const { items } = await client.listLinks();
  assert(items.some(({ name }) => name === 'lo'));
  await using socket = new NetlinkSocket({ protocol: 0 });
  socket.bind();
  assert(socket.address.portId > 0);
  assert.equal(socket.queue.drops, 0);
});
