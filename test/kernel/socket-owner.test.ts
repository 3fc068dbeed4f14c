// Whose a port id is, against what other programs and the kernel's own diagnosis say.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { NetlinkSocket, SocketOwners } from '../../lib/socket/index.ts';
import {
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
  NETLINK_USERSOCK,
  NETLINK_XFRM,
  nextBatch,
  runScript,
} from './socket-support.ts';

const socketModule = new URL('../../lib/socket/index.js', import.meta.url).href;

/** A process with a name of its own that has a bound USERSOCK socket. */
async function holder(portId: number, name: string) {
  const script = `
    import { writeFileSync } from 'node:fs';
    import { NetlinkSocket } from ${JSON.stringify(socketModule)};
    writeFileSync('/proc/self/comm', ${JSON.stringify(name)});
    globalThis.socket = new NetlinkSocket({ protocol: ${NETLINK_USERSOCK} });
    socket.bind({ portId: ${portId} });
    console.log('bound');
    process.stdin.resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await once(createInterface(child.stdout), 'line');
  return {
    pid: child.pid as number,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await exited;
    },
  };
}

/** Inodes by port id as sock_diag tells them (linux/netlink_diag.h); undefined without netlink_diag. */
async function diagnose(protocol: number): Promise<Map<number, number> | undefined> {
  const request = new Uint8Array(16 + 20);
  const view = new DataView(request.buffer);
  view.setUint32(0, request.length, true);
  view.setUint16(4, 20, true); // SOCK_DIAG_BY_FAMILY
  view.setUint16(6, 0x1 | 0x300, true); // NLM_F_REQUEST, NLM_F_DUMP
  request.set([16, protocol], 16); // AF_NETLINK
  const inodes = new Map<number, number>();
  await using socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG });
  const error = nextBatch(socket, (batch) => {
    for (let i = 0; i < batch.count; i++) {
      const end = batch.offset(i) + batch.length(i);
      for (let at = batch.offset(i); at < end; at += batch.view.getUint32(at, true)) {
        const type = batch.view.getUint16(at + 4, true);
        if (type === 2) return batch.view.getInt32(at + 16, true); // NLMSG_ERROR
        if (type === 3) return 0; // NLMSG_DONE
        inodes.set(batch.view.getUint32(at + 20, true), batch.view.getUint32(at + 32, true));
      }
    }
    return undefined;
  });
  socket.send(request);
  return (await error) === 0 ? inodes : undefined;
}

test('a port id is mapped to the process that owns the socket, whatever its name', async () => {
  const owners = new SocketOwners();
  await using other = await holder(600_001, 'wei) rd\n\x1b[31m');
  const found = await owners.find(NETLINK_USERSOCK, 600_001);
  assert.equal(found?.pid, other.pid);
  assert.equal(found?.name, 'wei) rd\n\x1b[31m', 'as it is: escaping is for who prints it');
  assert.equal(await owners.find(NETLINK_ROUTE, 600_001), undefined, 'in that protocol only');
  assert.equal(await owners.find(NETLINK_USERSOCK, 600_002), undefined);
  assert.equal(await owners.find(NETLINK_USERSOCK, 0), undefined, 'the kernel');
  await other[Symbol.asyncDispose]();
  assert.equal(await owners.find(NETLINK_USERSOCK, 600_001), undefined, 'gone');
});

test('across reuse of a port id the new owner is found, not the one remembered', async () => {
  const owners = new SocketOwners();
  await using first = await holder(600_003, 'first');
  // Clocks are compared to the hundredth of a second.
  const before = performance.now() - 1000;
  assert.equal((await owners.find(NETLINK_USERSOCK, 600_003))?.name, 'first');
  await first[Symbol.asyncDispose]();
  await using second = await holder(600_003, 'second');
  assert.equal((await owners.find(NETLINK_USERSOCK, 600_003))?.pid, second.pid);
  assert.equal(
    await owners.find(NETLINK_USERSOCK, 600_003, before),
    undefined,
    'what happened before it was started is not of the second',
  );
  assert.equal((await owners.find(NETLINK_USERSOCK, 600_003, performance.now()))?.name, 'second');
});

test('a closed socket’s port id in the same process is not confused with the next one', async () => {
  const owners = new SocketOwners();
  const open = () => {
    const socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
    socket.bind({ portId: 600_004 });
    return socket;
  };
  const first = open();
  const found = await owners.find(NETLINK_XFRM, 600_004);
  await first.close();
  assert.equal(await owners.find(NETLINK_XFRM, 600_004), undefined);
  await using _second = open();
  const again = await owners.find(NETLINK_XFRM, 600_004);
  assert.equal(again?.pid, process.pid);
  assert.notEqual(again?.inode, found?.inode);
});

test('the owner of a previously unowned socket is found later', async () => {
  // Sent to itself: until it is received, no process has a descriptor of it.
  const script = `
import socket, sys
one, other = socket.socketpair()
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, ${NETLINK_USERSOCK})
s.bind((600_006, 0))
socket.send_fds(one, [b'x'], [s.fileno()])
s.close()
print('sent', flush=True)
sys.stdin.readline()
held = socket.recv_fds(other, 1, 1)
print('received', flush=True)
sys.stdin.readline()`;
  const python = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(python, 'exit');
  const lines = createInterface(python.stdout)[Symbol.asyncIterator]();
  const owners = new SocketOwners();
  const find = () => owners.find(NETLINK_USERSOCK, 600_006);
  assert.equal((await lines.next()).value, 'sent');
  assert.equal(await find(), undefined);
  python.stdin.write('\n');
  assert.equal((await lines.next()).value, 'received');
  while ((await find())?.pid !== python.pid) await setTimeout(50);
  python.stdin.end('\n');
  await exited;
});

test('the start time is that of /proc/PID/stat', async () => {
  await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
  socket.bind();
  const found = await new SocketOwners().find(NETLINK_XFRM, socket.portId);
  const stat = readFileSync('/proc/self/stat', 'latin1');
  assert.equal(`${found?.startTime}`, stat.split(') ')[1]?.split(' ')[19]);
});

test('NETLINK_SOCK_DIAG gives the same inode for a port id', async (t) => {
  await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
  socket.bind();
  const found = await new SocketOwners().find(NETLINK_XFRM, socket.portId);
  const diagnosed = await diagnose(NETLINK_XFRM);
  if (diagnosed === undefined) {
    t.skip('this kernel has no netlink_diag');
    return;
  }
  assert.equal(diagnosed.get(socket.portId), found?.inode);
});

test('a process that may not be inspected is unknown', async () => {
  await using _other = await holder(600_005, 'hidden');
  const { stdout, stderr } = await runScript(
    `console.log(await new lib.SocketOwners().find(${NETLINK_USERSOCK}, 600005));`,
    { command: ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'] },
  );
  assert.equal(stdout, 'undefined\n', stderr);
});

test('invalid arguments are named', async () => {
  const owners = new SocketOwners();
  const wrong: [() => unknown, string, RegExp][] = [
    [() => new SocketOwners(7 as never), 'TypeError', /^options must be an object/],
    [() => new SocketOwners({ netns: '' }), 'TypeError', /^options\.netns/],
    [() => owners.find(32, 1), 'RangeError', /^protocol/],
    [() => owners.find(6, 2 ** 32), 'RangeError', /^portId/],
    [() => owners.find(6, 1, Number.NaN), 'TypeError', /^at must be a finite number/],
  ];
  for (const [use, name, message] of wrong)
    await assert.rejects(async () => use(), { name, message });
});
