// Port ids and groups, against the kernel itself.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { NetlinkSocket, type SystemError } from '../../lib/socket/index.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import {
  addressNumber,
  addressRequest,
  IPV4_ADDRESSES,
  NETLINK_ROUTE,
  NETLINK_USERSOCK,
  NETLINK_XFRM,
  nextBatch,
  runScript,
  turns,
  WITHOUT_NET_ADMIN,
} from './socket-support.ts';

const open = (protocol = NETLINK_ROUTE) => new NetlinkSocket({ protocol });

test('a protocol the kernel does not have is EPROTONOSUPPORT', () => {
  // 1 was never given out (linux/netlink.h: NETLINK_UNUSED).
  assert.throws(() => open(1), {
    name: 'SystemError',
    code: 'EPROTONOSUPPORT',
    errno: -93,
    syscall: 'socket',
    hint: /no netlink protocol 1/,
  });
});

test('an unbound socket has port id 0; bind lets the kernel choose and reads it back', async () => {
  await using socket = open();
  assert.deepEqual(socket.address, { portId: 0, groups: 0 });
  socket.bind();
  assert.notEqual(socket.portId, 0);
  const listed = readFileSync('/proc/net/netlink', 'utf8').split('\n');
  const row = listed
    .map((line) => line.trim().split(/\s+/))
    .find((it) => it[2] === `${socket.portId}`);
  assert.equal(row?.[1], '0', 'the protocol in /proc/net/netlink');
});

test('the second socket gets a port id from 2^31 up, unsigned', async () => {
  await using first = open();
  await using second = open();
  first.bind();
  second.bind();
  assert.equal(first.portId, process.pid);
  assert.ok(second.portId >= 2 ** 31 && second.portId <= 2 ** 32 - 4097, `${second.portId}`);
});

test('an explicit port id is kept, and unavailable to a second socket', async () => {
  await using first = open();
  await using second = open();
  first.bind({ portId: 0xfedc_ba98, groups: IPV4_ADDRESSES });
  assert.deepEqual(first.address, { portId: 0xfedc_ba98, groups: IPV4_ADDRESSES });
  assert.throws(() => second.bind({ portId: 0xfedc_ba98 }), {
    code: 'EADDRINUSE',
    syscall: 'bind',
  });
});

test('binding again replaces the groups, and is EINVAL with another port id', async () => {
  await using socket = open();
  socket.bind({ portId: 77, groups: IPV4_ADDRESSES });
  socket.joinGroup(1);
  assert.equal(socket.address.groups, IPV4_ADDRESSES | 1);
  socket.bind({ portId: 77, groups: 2 });
  assert.equal(socket.address.groups, 2);
  assert.throws(() => socket.bind({ portId: 78 }), { code: 'EINVAL', syscall: 'bind' });
});

test('an address added by ip arrives', async () => {
  await using socket = open();
  socket.bind({ groups: IPV4_ADDRESSES });
  const bytes = nextBatch(socket, (batch) => batch.copy(0));
  execFileSync('ip', ['address', 'add', '127.9.8.7/32', 'dev', 'lo']);
  const datagram = await bytes;
  const view = new DataView(datagram.buffer);
  assert.equal(view.getUint32(0, true), datagram.length);
  assert.equal(view.getUint16(4, true), 20, 'RTM_NEWADDR');
  assert.deepEqual([...datagram.subarray(28, 32)], [127, 9, 8, 7]);
});

test('two sockets in a group get the same event; an unbound one and one that left get none', async () => {
  await using first = open();
  await using second = open();
  await using unbound = open();
  await using left = open();
  first.bind({ groups: IPV4_ADDRESSES });
  second.bind();
  second.joinGroup(5);
  unbound.joinGroup(5);
  left.bind({ groups: IPV4_ADDRESSES });
  left.leaveGroup(5);
  const unwanted: string[] = [];
  unbound.receive(() => unwanted.push('unbound'));
  left.receive(() => unwanted.push('left'));
  const events = [first, second].map((it) => nextBatch(it, (batch) => addressNumber(batch, 0)));
  first.send(addressRequest(1));
  assert.deepEqual(await Promise.all(events), [1, 1]);
  // The kernel had queued it for all of them before send returned.
  await turns();
  assert.deepEqual(unwanted, []);
});

test('a group above 32 is joined by number and its events arrive', async (t) => {
  const RTNLGRP_IPV4_MCADDR = 37; // linux/rtnetlink.h, since 6.14
  await using socket = open();
  socket.bind();
  socket.joinGroup(33); // RTNLGRP_BRVLAN, since 5.6
  assert.equal(socket.address.groups, 0);
  try {
    socket.joinGroup(RTNLGRP_IPV4_MCADDR);
  } catch (error) {
    assert.equal((error as SystemError).code, 'EINVAL');
    t.skip('this kernel announces nothing in a group above 32 that a test could cause');
    return;
  }
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  const type = nextBatch(socket, (batch) => batch.view.getUint16(batch.offset(0) + 4, true));
  const member = createSocket('udp4').bind(0, '127.0.0.1');
  await once(member, 'listening');
  member.addMembership('239.1.2.3', '127.0.0.1');
  assert.equal(await type, 56, 'RTM_NEWMULTICAST');
  member.close();
});

test('a group that does not exist is EINVAL, at joining', async () => {
  await using socket = open();
  assert.throws(() => socket.joinGroup(100_000), { code: 'EINVAL', syscall: 'setsockopt' });
  assert.throws(() => socket.leaveGroup(100_000), { code: 'EINVAL', syscall: 'setsockopt' });
});

test('without CAP_NET_ADMIN the groups of XFRM are EPERM with a hint, and so is sending to them; binding alone works', async () => {
  const script = `
    const socket = new lib.NetlinkSocket({ protocol: ${NETLINK_XFRM} });
    const attempt = (act) => { try { act(); return 'fine'; } catch (e) { return e.code + ' ' + e.syscall + ' ' + /CAP_NET_ADMIN/.test(e.message); } };
    console.log([
      attempt(() => socket.bind({ groups: 4 })),
      attempt(() => socket.bind()),
      attempt(() => socket.joinGroup(3)),
      attempt(() => socket.leaveGroup(3)),
      attempt(() => socket.send(new Uint8Array(16), { groups: 4 })),
    ].join('\\n'));`;
  const { stdout, stderr, code } = await runScript(script, { command: WITHOUT_NET_ADMIN });
  assert.deepEqual(
    stdout.trimEnd().split('\n'),
    [
      'EPERM bind true',
      'fine',
      'EPERM setsockopt true',
      'EPERM setsockopt true',
      'EPERM sendto true',
    ],
    stderr,
  );
  assert.equal(code, 0);
});

test('the receive buffer is as big as the kernel says, doubled', async (t) => {
  await using socket = open();
  const before = socket.receiveBufferSize;
  assert.ok(before > 0);
  assert.equal(socket.setReceiveBufferSize(50_000), 100_000);
  assert.equal(socket.receiveBufferSize, 100_000);
  // The limit of the initial namespace holds for a process without privilege there.
  const limit = Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8'));
  const got = socket.setReceiveBufferSize(limit + 4096);
  const privileged = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)[2] !== '1';
  t.diagnostic(`asked for ${limit + 4096}, got ${got}`);
  assert.equal(got, (privileged ? limit + 4096 : limit) * 2);
});

test('with capAck an error does not carry a copy of the request', async () => {
  await using socket = open();
  socket.bind();
  const lengths: number[] = [];
  const two = new Promise<void>((resolve) => {
    socket.receive((batch) => {
      for (let i = 0; i < batch.count; i++) lengths.push(batch.length(i));
      if (lengths.length === 2) resolve();
    });
  });
  const unknown = addressRequest(1);
  new DataView(unknown.buffer).setUint16(4, 0x7000, true);
  socket.send(unknown);
  socket.setOption('capAck', true);
  socket.send(unknown);
  await two;
  assert.deepEqual(lengths, [16 + 4 + 32, 16 + 4 + 16]);
});

test('binding again to the same id replaces groups 1 to 32; those above stay', async () => {
  await using socket = open();
  socket.bind({ groups: IPV4_ADDRESSES });
  socket.joinGroup(33);
  const { portId } = socket;
  socket.bind({ portId, groups: 1 });
  assert.deepEqual(socket.memberships, [1, 33]);
  assert.throws(() => socket.bind({ groups: 2 }), { code: 'EINVAL', syscall: 'bind' }, 'id 0 too');
  socket.bind({ portId });
  assert.deepEqual(socket.memberships, [33]);
  assert.equal(socket.portId, portId);
});

test('a port id is taken in one protocol and one namespace only, and is free after close', async () => {
  await using other = await NetworkNamespace.make();
  const first = open();
  first.bind({ portId: 4242 });
  await using xfrm = open(NETLINK_XFRM);
  await using there = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: other.path });
  xfrm.bind({ portId: 4242 });
  there.bind({ portId: 4242 });
  await using second = open();
  assert.throws(() => second.bind({ portId: 4242 }), { code: 'EADDRINUSE' });
  await first.close();
  second.bind({ portId: 4242 });
  assert.equal(second.portId, 4242);
});

test('after EADDRINUSE the socket shows the rejected id, but another can still be bound', async () => {
  await using first = open();
  await using second = open();
  first.bind({ portId: 4243 });
  assert.throws(() => second.bind({ portId: 4243 }), { code: 'EADDRINUSE' });
  assert.equal(second.portId, 4243, 'what getsockname says');
  second.bind();
  assert.notEqual(second.portId, 4243);
});

test('an unbound socket gets a port id with its first send', async () => {
  await using socket = open();
  socket.send(addressRequest(1, true));
  assert.notEqual(socket.portId, 0);
});

test('without CAP_NET_ADMIN: port ids as with it; of rtnetlink two groups are EPERM, and a bind with one joins none', async () => {
  const script = `
    const sockets = [0, 0, 0].map((protocol) => new lib.NetlinkSocket({ protocol }));
    const attempt = (act) => { try { act(); return 'fine'; } catch (e) { return e.code + ' ' + e.syscall; } };
    const [a, b, c] = sockets;
    const IPV4_MROUTE_R = 30, IPV6_MROUTE_R = 31;
    const results = [
      attempt(() => a.bind({ groups: (1 << (IPV4_MROUTE_R - 1)) | 1 })),
      attempt(() => a.bind()),
      a.portId === process.pid,
      attempt(() => b.bind({ portId: process.pid })),
      attempt(() => b.bind({ groups: 1 })),
      b.portId >= 2 ** 31,
      attempt(() => b.bind({ portId: 5 })),
      attempt(() => b.bind({ portId: b.portId, groups: 2 })),
      attempt(() => b.joinGroup(33)),
      attempt(() => b.joinGroup(IPV4_MROUTE_R)),
      attempt(() => b.joinGroup(IPV6_MROUTE_R)),
      b.memberships.join(),
      attempt(() => c.connect()),
      attempt(() => c.connect({ portId: 5 })),
      attempt(() => c.connect({ groups: 1 })),
      attempt(() => c.send(new Uint8Array(16), { portId: 5 })),
    ];
    console.log(results.join('\\n'));`;
  const { stdout, stderr } = await runScript(script, { command: WITHOUT_NET_ADMIN });
  assert.deepEqual(
    stdout.trimEnd().split('\n'),
    [
      'EPERM bind',
      'fine',
      'true',
      'EADDRINUSE bind',
      'fine',
      'true',
      'EINVAL bind',
      'fine',
      'fine',
      'EPERM setsockopt',
      'EPERM setsockopt',
      '2,33',
      'fine',
      'EPERM connect',
      'EPERM connect',
      'EPERM sendto',
    ],
    stderr,
  );
});

test('connect sets the destination of send, and blocks unicast from other senders', async () => {
  const user = () => new NetlinkSocket({ protocol: NETLINK_USERSOCK, kernelOnly: false });
  await using socket = user();
  await using peer = user();
  await using stranger = user();
  peer.bind();
  stranger.bind();
  socket.connect({ portId: peer.portId });
  assert.notEqual(socket.portId, 0, 'connecting gave it a port id');
  assert.deepEqual(socket.peer, { portId: peer.portId, groups: 0 });
  const to = { portId: socket.portId };
  assert.throws(() => stranger.send(Uint8Array.of(1), to), { code: 'ECONNREFUSED' });
  peer.send(Uint8Array.of(2), to);
  assert.deepEqual(await nextBatch(socket, (batch) => [...batch.copy(0)]), [2]);
  socket.send(Uint8Array.of(3));
  assert.deepEqual(await nextBatch(peer, (batch) => [...batch.copy(0)]), [3]);

  const { portId } = socket;
  socket.connect();
  assert.throws(() => peer.send(Uint8Array.of(4), to), { code: 'ECONNREFUSED' }, 'only the kernel');
  socket.disconnect();
  assert.deepEqual([socket.portId, socket.peer], [portId, { portId: 0, groups: 0 }]);
  stranger.send(Uint8Array.of(5), to);
  socket.connect({ groups: 0b110 });
  assert.deepEqual(socket.peer, { portId: 0, groups: 0b10 }, 'the lowest group only');
});

test('a connected socket still receives multicasts', async () => {
  await using socket = open();
  socket.connect({ portId: 4_000_000 });
  socket.joinGroup(5);
  const number = nextBatch(socket, (batch) => addressNumber(batch, 0));
  await using requests = open();
  requests.send(addressRequest(9));
  assert.equal(await number, 9);
});
