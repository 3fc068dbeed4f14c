// The same class for every protocol of netlink.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import { NETLINK_GENERIC, NETLINK_USERSOCK, nextBatch, turns } from './socket-support.ts';

test('every protocol that this kernel has opens, binds and is listed', async () => {
  const opened: [number, number][] = [];
  for (let protocol = 0; protocol < 32; protocol++) {
    try {
      await using socket = new NetlinkSocket({ protocol });
      socket.bind();
      const row = new RegExp(`^\\S+\\s+${protocol}\\s+${socket.portId}\\s`, 'm');
      assert.match(readFileSync('/proc/net/netlink', 'utf8'), row);
      opened.push([protocol, socket.portId]);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EPROTONOSUPPORT', `${protocol}`);
    }
  }
  const protocols = opened.map(([protocol]) => protocol);
  for (const always of [0, NETLINK_USERSOCK, 16])
    assert.ok(protocols.includes(always), `${always}`);
});

test('NETLINK_GENERIC answers who its controller is', async () => {
  await using socket = new NetlinkSocket({ protocol: NETLINK_GENERIC });
  // genlmsghdr { CTRL_CMD_GETFAMILY, 1 }, CTRL_ATTR_FAMILY_ID = GENL_ID_CTRL (linux/genetlink.h).
  const request = new Uint8Array(28);
  const view = new DataView(request.buffer);
  view.setUint32(0, request.length, true);
  view.setUint16(4, 16, true);
  view.setUint16(6, 1, true);
  request.set([3, 1, 0, 0, 6, 0, 1, 0, 16, 0], 16);
  socket.bind();
  const answer = nextBatch(socket, (batch) => Buffer.from(batch.copy(0)).toString('latin1'));
  socket.send(request);
  assert.ok((await answer).includes('nlctrl\0'));
});

test('two programs talk over NETLINK_USERSOCK, both ways, alone and in a group', async () => {
  const open = () => new NetlinkSocket({ protocol: NETLINK_USERSOCK, kernelOnly: false });
  await using a = open();
  await using b = open();
  await using strict = new NetlinkSocket({ protocol: NETLINK_USERSOCK });
  for (const socket of [a, b, strict]) {
    socket.bind();
    socket.joinGroup(7);
    socket.setOption('packetInfo', true);
  }
  type Heard = [text: string, from: number, group: number | undefined];
  const heard = new Map<NetlinkSocket, Heard[]>();
  for (const socket of [a, b]) {
    heard.set(socket, []);
    socket.receive((batch) => {
      for (let i = 0; i < batch.count; i++) {
        const text = Buffer.from(batch.copy(i)).toString();
        heard.get(socket)?.push([text, batch.portId(i), batch.group(i)]);
      }
    });
  }
  strict.receive(() => assert.fail('the kernel sends nothing here'));
  a.send(Buffer.from('to b'), { portId: b.portId });
  b.send(Buffer.from('to a'), { portId: a.portId });
  // The kernel's own port, 0, takes nothing in this protocol; the group has got it all the same.
  assert.throws(() => a.send(Buffer.from('to all'), { groups: 1 << 6 }), { code: 'ECONNREFUSED' });
  // With a port id too, that socket gets it once, and not as one of the group.
  b.send(Buffer.from('to all, a first'), { groups: 1 << 6, portId: a.portId });
  await turns(5);
  assert.deepEqual(heard.get(a), [
    ['to a', b.portId, 0],
    ['to all, a first', b.portId, 7],
  ]);
  assert.deepEqual(heard.get(b), [
    ['to b', a.portId, 0],
    ['to all', a.portId, 7],
  ]);
  assert.equal(strict.rejected, 2, 'the kernel-only default counts what it keeps out');
});
