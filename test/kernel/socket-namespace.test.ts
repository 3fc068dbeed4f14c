// Sockets in other network namespaces.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { subscribe } from '../../lib/index.ts';
import { NetlinkSocket, type SocketOwner, SocketOwners } from '../../lib/socket/index.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import {
  addressNumber,
  addressRequest,
  IPV4_ADDRESSES,
  NETLINK_GENERIC,
  NETLINK_ROUTE,
  nextBatch,
  openSockets,
  runScript,
  turns,
} from './socket-support.ts';

const own = '/proc/thread-self/ns/net';

test("a socket opened by path or descriptor receives only its namespace's events, and stays there", async () => {
  const before = readlinkSync(own);
  const other = await NetworkNamespace.make();
  const descriptor = openSync(other.path, 'r');
  await using byPath = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: other.path });
  await using byDescriptor = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: descriptor });
  await using here = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  assert.equal(readlinkSync(own), before, 'the thread that runs JavaScript did not move');
  closeSync(descriptor);
  // The process that made the namespace ends: the sockets keep it.
  await other[Symbol.asyncDispose]();
  const seen: Record<string, number[]> = { path: [], descriptor: [], here: [] };
  const sockets = { path: byPath, descriptor: byDescriptor, here };
  for (const [name, socket] of Object.entries(sockets)) {
    socket.bind({ groups: IPV4_ADDRESSES });
    socket.receive((batch) => seen[name]?.push(addressNumber(batch, 0)));
  }
  byPath.send(addressRequest(301));
  here.send(addressRequest(302));
  await turns(5);
  assert.deepEqual(seen, { path: [301], descriptor: [301], here: [302] });
});

test('in its own namespace each port id is free', async () => {
  await using other = await NetworkNamespace.make();
  // Not NETLINK_ROUTE: the client of `other` has a socket of that protocol, and this process's ID as its port ID there.
  await using here = new NetlinkSocket({ protocol: NETLINK_GENERIC });
  await using there = new NetlinkSocket({ protocol: NETLINK_GENERIC, netns: other.path });
  here.bind();
  there.bind();
  assert.deepEqual([here.portId, there.portId], [process.pid, process.pid]);
});

test('invalid namespaces have different errors: missing, wrong type, not a descriptor', () => {
  const before = openSockets();
  const folder = mkdtempSync(join(tmpdir(), 'netns-'));
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const cases: [netns: string | number, code: string, syscall: string, hint: RegExp][] = [
    ['/run/netns/no such', 'ENOENT', 'open', / does not exist: .*ip netns add/],
    [join(pipe, 'below'), 'ENOTDIR', 'open', /^$/],
    [import.meta.filename, 'EINVAL', 'setns', /is not a network namespace/],
    [folder, 'EINVAL', 'setns', /is not a network namespace/],
    [pipe, 'EINVAL', 'setns', /is not a network namespace/],
    ['/proc/self/ns/user', 'EINVAL', 'setns', /is not a network namespace/],
    [999_999, 'EBADF', 'fstat', /999999 is not an open file descriptor/],
  ];
  for (const [netns, code, syscall, hint] of cases) {
    assert.throws(
      () => new NetlinkSocket({ protocol: NETLINK_ROUTE, netns }),
      (error: { code: string; syscall: string; hint?: string }) => {
        assert.deepEqual([error.code, error.syscall], [code, syscall], `${netns}`);
        assert.match(error.hint ?? '', hint);
        return true;
      },
    );
  }
  rmSync(folder, { recursive: true });
  assert.equal(openSockets(), before);
});

test('protocol and namespace errors are still distinguished', async () => {
  await using other = await NetworkNamespace.make();
  assert.throws(() => new NetlinkSocket({ protocol: 1, netns: other.path }), {
    code: 'EPROTONOSUPPORT',
    syscall: 'socket',
    hint: /no netlink protocol 1/,
  });
});

test('without CAP_SYS_ADMIN: one’s own namespace opens, another is EPERM with a hint', async () => {
  await using other = await NetworkNamespace.make();
  const { stdout, stderr } = await runScript(
    `for (const netns of ['/proc/self/ns/net', ${JSON.stringify(other.path)}]) {
       try {
         const socket = new lib.NetlinkSocket({ protocol: 0, netns });
         socket.bind();
         console.log('bound');
       } catch ({ code, syscall, hint }) {
         console.log(code, syscall, /CAP_SYS_ADMIN/.test(hint));
       }
     }`,
    // Ptrace stays, or the path could not even be opened.
    { command: ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'] },
  );
  assert.equal(stdout, 'bound\nEPERM setns true\n', stderr);
});

test('thousands of sockets in another namespace leave no descriptor and no thread', async () => {
  await using other = await NetworkNamespace.make();
  const before = openSockets();
  const threads = () => statSync('/proc/self/task').nlink;
  const threadsBefore = threads();
  for (let round = 0; round < 4; round++) {
    const sockets = Array.from(
      { length: 500 },
      () => new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: other.path }),
    );
    await Promise.all(sockets.map((socket) => socket.close()));
  }
  assert.equal(openSockets(), before);
  assert.equal(threads(), threadsBefore);
});

test('worker threads open in other namespaces at once', async () => {
  await using one = await NetworkNamespace.make();
  await using two = await NetworkNamespace.make();
  const index = new URL('../../lib/socket/index.js', import.meta.url).href;
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(${JSON.stringify(index)}).then(async ({ NetlinkSocket }) => {
      const taken = [];
      for (let i = 0; i < 50; i++) {
        const socket = new NetlinkSocket({ protocol: 0, netns: workerData.path });
        socket.bind({ portId: workerData.first + i });
        taken.push(socket);
      }
      parentPort.postMessage(taken.length);
      await Promise.all(taken.map((socket) => socket.close()));
    });`;
  const workers = [one, two, one, two].map(({ path }, i) => {
    // The same ids in both namespaces, others in the same.
    const workerData = { path, first: 5000 + (i >> 1) * 50 };
    return new Worker(source, { eval: true, workerData });
  });
  const counts = await Promise.all(
    workers.map(
      (worker) =>
        new Promise((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  assert.deepEqual(counts, [50, 50, 50, 50]);
});

test('subscribe({ netns }) hears the events there', async () => {
  await using other = await NetworkNamespace.make();
  await using subscription = subscribe({ groups: ['RTMGRP_IPV4_IFADDR'], netns: other.path });
  await using there = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: other.path });
  await using here = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  const events = subscription[Symbol.asyncIterator]();
  here.send(addressRequest(401));
  there.send(addressRequest(402));
  const { value } = await events.next();
  assert(value?.kind === 'NEWADDR');
  assert.equal(value.address.local, '127.1.1.146');
  assert.throws(() => subscribe({ groups: ['RTMGRP_LINK'], netns: '/none' }), {
    code: 'ENOENT',
    syscall: 'open',
  });
});

test("the owner of a port id in a namespace is found by that namespace's table", async () => {
  await using other = await NetworkNamespace.make();
  await using there = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: other.path });
  there.bind({ portId: 777_777 });
  const found = await new SocketOwners({ netns: other.path }).find(NETLINK_ROUTE, 777_777);
  assert.equal((found as SocketOwner).pid, process.pid);
  assert.equal(await new SocketOwners().find(NETLINK_ROUTE, 777_777), undefined, 'not here');
});

test('an event before the namespace was opened is not received', async () => {
  await using other = await NetworkNamespace.make();
  await using first = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: other.path });
  first.send(addressRequest(1));
  await using second = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: other.path });
  second.bind({ groups: IPV4_ADDRESSES });
  const number = nextBatch(second, (batch) => addressNumber(batch, 0));
  first.send(addressRequest(2));
  assert.equal(await number, 2);
});
