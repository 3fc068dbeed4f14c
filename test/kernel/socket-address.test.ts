// Port ids and groups, against the kernel itself.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { NetlinkSocket, type SystemError } from '../../lib/socket/index.ts';
import {
  addressNumber,
  addressRequest,
  IPV4_ADDRESSES,
  NETLINK_ROUTE,
  NETLINK_XFRM,
  nextBatch,
  runScript,
  turns,
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

test('an explicit port id is kept, and refused to a second socket', async () => {
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
});

test('without CAP_NET_ADMIN the groups of XFRM are EPERM with a hint, and so is sending to them; binding alone works', async () => {
  const drop = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'];
  const script = `
    const socket = new lib.NetlinkSocket({ protocol: ${NETLINK_XFRM} });
    const attempt = (act) => { try { act(); return 'fine'; } catch (e) { return e.code + ' ' + e.syscall + ' ' + /CAP_NET_ADMIN/.test(e.message); } };
    console.log([
      attempt(() => socket.bind({ groups: 4 })),
      attempt(() => socket.bind()),
      attempt(() => socket.joinGroup(3)),
      attempt(() => socket.send(new Uint8Array(16), { groups: 4 })),
    ].join('\\n'));`;
  const { stdout, stderr, code } = await runScript(script, { command: drop });
  assert.deepEqual(
    stdout.trimEnd().split('\n'),
    ['EPERM bind true', 'fine', 'EPERM setsockopt true', 'EPERM sendto false'],
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

test('options are accepted by the kernel', async () => {
  await using socket = open();
  for (const name of ['extAck', 'capAck', 'strictCheck', 'broadcastError'] as const) {
    socket.setOption(name, true);
    socket.setOption(name, false);
  }
  // Seen in effect: with capAck an error does not carry the request's payload.
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
