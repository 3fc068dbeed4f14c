// Wrong arguments: named in the error, refused before any system call, harmless to the addon.
import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { addon } from '../../lib/socket/addon.ts';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import { NETLINK_ROUTE, openSockets } from './socket-support.ts';

/** Anything, as a caller without a type checker passes it. */
// biome-ignore lint/suspicious/noExplicitAny: the point of these tests
type Anything = any;

test('the constructor names the wrong option and opens nothing', () => {
  const before = openSockets();
  const wrong: [Anything, string, RegExp][] = [
    [undefined, 'TypeError', /^options must be an object; received undefined/],
    [6, 'TypeError', /^options must be an object; received 6/],
    [{}, 'TypeError', /^options\.protocol must be a number; received undefined/],
    [{ protocol: '6' }, 'TypeError', /^options\.protocol must be a number; received "6"/],
    [{ protocol: 6n }, 'TypeError', /^options\.protocol must be a number; received 6n/],
    [{ protocol: -1 }, 'RangeError', /^options\.protocol must be an integer from 0 to 31/],
    [{ protocol: 32 }, 'RangeError', /^options\.protocol .* received 32/],
    [{ protocol: 1.5 }, 'RangeError', /^options\.protocol .* received 1\.5/],
    [{ protocol: Number.NaN }, 'RangeError', /^options\.protocol .* received NaN/],
    [
      { protocol: 6, netns: '' },
      'TypeError',
      /^options\.netns must be a path without NUL or a file/,
    ],
    [{ protocol: 6, netns: 'a\0b' }, 'TypeError', /^options\.netns/],
    [{ protocol: 6, netns: {} }, 'TypeError', /^options\.netns/],
    [{ protocol: 6, netns: -1 }, 'RangeError', /^options\.netns must be an integer from 0/],
    [{ protocol: 6, netns: 1.5 }, 'RangeError', /^options\.netns/],
    [{ protocol: 6, signal: {} }, 'TypeError', /^options\.signal must be an AbortSignal/],
    [[], 'TypeError', /^options must be an object; received an array/],
    [
      { protocol: 6, netNs: '/x' },
      'TypeError',
      /^unknown option options\.netNs; valid options: protocol/,
    ],
    [{ protocol: 6, batch: null }, 'TypeError', /^options\.batch must be a number/],
    [{ protocol: 6, batch: 65 }, 'RangeError', /^options\.batch must be an integer from 1 to 64/],
    [{ protocol: 6, kernelOnly: 1 }, 'TypeError', /^options\.kernelOnly must be a boolean/],
  ];
  for (const [options, name, message] of wrong) {
    assert.throws(() => new NetlinkSocket(options), { name, message });
  }
  assert.equal(openSockets(), before);
});

test('every method names the wrong argument', async () => {
  await using socket: Anything = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  const wrong: [use: () => void, name: string, message: RegExp][] = [
    [() => socket.bind(5), 'TypeError', /^address must be an object/],
    [() => socket.bind({ portId: '5' }), 'TypeError', /^address\.portId/],
    [() => socket.bind({ portId: 2 ** 32 }), 'RangeError', /^address\.portId/],
    [() => socket.bind({ portId: -5 }), 'RangeError', /^address\.portId/],
    [() => socket.bind({ groups: null, portId: [] }), 'TypeError', /^address\.portId/],
    [() => socket.bind({ groups: null }), 'TypeError', /^address\.groups/],
    [() => socket.bind({ groups: 0.5 }), 'RangeError', /^address\.groups/],
    [
      () => socket.bind({ port: 5 }),
      'TypeError',
      /^unknown option address\.port; valid options: portId/,
    ],
    [
      () => socket.connect({ pid: 5 }),
      'TypeError',
      /^unknown option to\.pid; valid options: portId/,
    ],
    [() => socket.send(new Uint8Array(16), { pid: 5 }), 'TypeError', /^unknown option to\.pid/],
    [() => socket.joinGroup('5'), 'TypeError', /^group must be a number/],
    [() => socket.joinGroup(0), 'RangeError', /^group/],
    [() => socket.leaveGroup(-1), 'RangeError', /^group/],
    [() => socket.connect(7), 'TypeError', /^to must be an object/],
    [() => socket.connect({ portId: 2 ** 32 }), 'RangeError', /^to\.portId/],
    [() => socket.connect({ groups: '1' }), 'TypeError', /^to\.groups/],
    [() => socket.joinGroup(2 ** 31), 'RangeError', /^group/],
    [() => socket.getOption('portId'), 'TypeError', /^name must be one of extAck/],
    [() => socket.setSendBufferSize(0), 'RangeError', /^bytes/],
    [() => socket.setReceiveBufferSize('big'), 'TypeError', /^bytes/],
    [() => socket.setReceiveBufferSize(2 ** 30), 'RangeError', /^bytes/],
    [() => socket.setOption('noSuch', true), 'TypeError', /^name must be one of extAck, capAck/],
    [() => socket.setOption('toString', true), 'TypeError', /^name must be one of/],
    [() => socket.setOption('extAck', 1), 'TypeError', /^enabled/],
    [() => socket.send('text'), 'TypeError', /^bytes must be a Uint8Array; received "text"/],
    [() => socket.send(new ArrayBuffer(8)), 'TypeError', /^bytes .* an instance of ArrayBuffer/],
    [() => socket.send(new Uint16Array(8)), 'TypeError', /^bytes/],
    [() => socket.send(new Uint8Array(8), null), 'TypeError', /^to must be an object/],
    [() => socket.send(new Uint8Array(8), { portId: 'x' }), 'TypeError', /^to\.portId/],
    [() => socket.send(new Uint8Array(8), { groups: -1 }), 'RangeError', /^to\.groups/],
    [() => socket.receive(), 'TypeError', /^listener must be a function; received undefined/],
    [() => socket.receive(() => {}, 5), 'TypeError', /^failed must be a function/],
  ];
  for (const [use, name, message] of wrong) assert.throws(use, { name, message });
  assert.equal(socket.portId, 0, 'nothing was bound or sent');
});

test('the addon itself rejects wrong types', () => {
  const { Socket } = addon() as Anything;
  assert.throws(() => Socket(), TypeError);
  const socket = new Socket();
  const uses: (() => void)[] = [
    () => socket.open(),
    () => socket.open('6', -1),
    () => socket.open(6),
    () => socket.open(6n),
    () => socket.open(Symbol('6')),
    () => socket.bind(0),
    () => socket.bind({}, 0),
    () => socket.address(),
    () => socket.address(new Uint32Array(2)),
    () => socket.setOption(1, 2),
    () => socket.setOption(1, 2, 3),
    () => socket.getOption(1, 2, new ArrayBuffer(4)),
    () => socket.getOption(1, 2, new DataView(new ArrayBuffer(4))),
    () => socket.send(),
    () => socket.send('x', 0, 0),
    () => socket.send(new Uint8Array(1), 0),
    () => socket.connect(0),
    () => socket.attachFilter([]),
    () => addon().openFile('x' as Anything, ''),
    () => addon().openFile(0, 5 as Anything),
    () => addon().closeFile('x' as Anything),
    () => socket.start(),
    () => socket.start({}),
    () => socket.close(),
    () => socket.close(1),
    () => socket.open.call({}, 6),
    () => socket.open.call(undefined, 6),
    () => socket.send.call(new NetlinkSocket({ protocol: 0 }), new Uint8Array(1), 0, 0),
  ];
  for (const use of uses) assert.throws(use, TypeError, use.toString());
});

test('a path that the kernel would refuse for its length is not copied by the addon', () => {
  const { openFile, closeFile } = addon();
  const ENAMETOOLONG = { errno: -36, syscall: 'open' };
  const own = openSync('/proc/self/ns/net', 'r');
  const longest = openFile(own, '/'.repeat(4095));
  assert.equal(typeof longest, 'number');
  closeFile(longest as number);
  for (const path of ['/'.repeat(4096), '/'.repeat(2 ** 20), `/${'€/'.repeat(1366)}`]) {
    assert.deepEqual(openFile(own, path), ENAMETOOLONG);
  }
  closeSync(own);
});

test('the addon survives a socket that was never opened, opened twice or closed', async () => {
  const EBADF = -9;
  const { Socket } = addon();
  const socket = new Socket();
  const bytes = new Uint8Array(8);
  const unusable = () => [
    socket.bind(0, 0),
    socket.address(bytes, false),
    socket.setOption(1, 8, bytes),
    socket.getOption(1, 8, bytes),
    socket.send(bytes, 0, 0),
    socket.send(bytes),
    socket.connect(0, 0),
    socket.disconnect(),
    socket.attachFilter(bytes),
  ];
  const start = () => socket.start(() => {}, true, 64);
  const unstarted = { errno: EBADF, syscall: 'recvmmsg' };
  const idle = () => [socket.stop(), socket.ref(), socket.unref()];
  assert.deepEqual(unusable(), Array(9).fill(EBADF));
  assert.deepEqual(start(), unstarted);
  assert.deepEqual(idle(), Array(3).fill(undefined));
  assert.equal(
    socket.close(() => {}),
    EBADF,
  );
  assert.equal(socket.open(0, -1, 0), 0);
  const open = { errno: -106, syscall: 'socket' };
  assert.deepEqual(socket.open(0, -1, 0), open, 'EISCONN');
  assert.equal(
    socket.address(new Uint8Array(7), false),
    -22,
    'EINVAL: nothing is written past the end',
  );
  const gone = new Uint8Array(8);
  structuredClone(gone, { transfer: [gone.buffer] });
  assert.equal(socket.address(gone, false), -22, 'EINVAL: nor to a detached array');
  await new Promise<void>((resolve) => assert.equal(socket.close(resolve), 0));
  assert.deepEqual(unusable(), Array(9).fill(EBADF));
  assert.deepEqual(start(), unstarted);
  assert.deepEqual(idle(), Array(3).fill(undefined));
  assert.deepEqual(socket.open(0, -1, 0), open, 'a closed socket stays closed');
});
