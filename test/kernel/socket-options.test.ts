// Options, against the kernel itself: what they say, and what they do.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  BPF,
  type NetlinkOption,
  NetlinkSocket,
  type SystemError,
} from '../../lib/socket/index.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import {
  addressNumber,
  addressRequest,
  assignNsid,
  IPV4_ADDRESSES,
  NETLINK_ROUTE,
  NETLINK_USERSOCK,
  NETLINK_XFRM,
  nextBatch,
  runScript,
  turns,
  WITHOUT_NET_ADMIN,
} from './socket-support.ts';

const IPV4_IFADDR = 5;
const open = (protocol = NETLINK_ROUTE) => new NetlinkSocket({ protocol });

/** What a call gives, or the code of its error. */
function outcome(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return (error as SystemError).code;
  }
}

test('every flag is off at first, can be switched on and off, and is read back', async () => {
  await using socket = open();
  const flags: NetlinkOption[] = [
    'extAck',
    'capAck',
    'strictCheck',
    'broadcastError',
    'packetInfo',
    'listenAllNsid',
    'noEnobufs',
  ];
  for (const flag of flags) {
    const read = () => outcome(() => socket.getOption(flag));
    // The kernel lets it be read since a version between 6.1 and 6.12.
    const old = flag === 'listenAllNsid' && read() === 'ENOPROTOOPT';
    if (!old) assert.equal(read(), false, flag);
    socket.setOption(flag, true);
    if (!old) assert.equal(read(), true, flag);
    socket.setOption(flag, false);
    if (!old) assert.equal(read(), false, flag);
  }
});

test('packetInfo gives the group of each datagram, 0 for unicast', async () => {
  await using socket = open();
  socket.bind({ groups: IPV4_ADDRESSES });
  const groups: (number | undefined)[][] = [];
  let heard: (() => void) | undefined;
  socket.receive((batch) => {
    groups.push(Array.from({ length: batch.count }, (_, i) => batch.group(i)));
    heard?.();
  });
  const ask = (number: number) => {
    const request = addressRequest(number);
    const view = new DataView(request.buffer);
    view.setUint16(6, view.getUint16(6, true) | 4, true); // NLM_F_ACK
    const answered = new Promise<void>((resolve) => {
      heard = resolve;
    });
    socket.send(request);
    return answered;
  };
  await ask(1);
  socket.setOption('packetInfo', true);
  await ask(2);
  socket.setOption('packetInfo', false);
  await ask(3);
  assert.deepEqual(groups, [
    [undefined, undefined],
    [IPV4_IFADDR, 0],
    [undefined, undefined],
  ]);
});

test('listenAllNsid brings the events of namespaces that have an id here, and the id', async () => {
  await using other = await NetworkNamespace.make();
  await using there = new NetlinkSocket({ protocol: NETLINK_ROUTE, netns: other.path });
  await using here = open();
  await using all = open();
  here.bind({ groups: IPV4_ADDRESSES });
  all.bind({ groups: IPV4_ADDRESSES });
  all.setOption('listenAllNsid', true);
  const seen: [number, number | undefined][] = [];
  const last = nextBatch(all, (batch) => {
    for (let i = 0; i < batch.count; i++) seen.push([addressNumber(batch, i), batch.nsid(i)]);
    return seen.at(-1)?.[0] === 13 || undefined;
  });
  here.receive((batch) => assert.equal(addressNumber(batch, 0), 13, 'only the own namespace'));
  there.send(addressRequest(11)); // no id yet: nothing is delivered here
  await assignNsid(7, other.netns);
  there.send(addressRequest(12));
  here.send(addressRequest(13));
  await last;
  assert.deepEqual(seen, [
    [12, 7],
    [13, undefined],
  ]);
});

test('without CAP_NET_BROADCAST listenAllNsid is EPERM with a hint; the other flags need nothing', async () => {
  const { stdout, stderr } = await runScript(
    `const socket = new lib.NetlinkSocket({ protocol: 0 });
     for (const name of ['extAck', 'capAck', 'strictCheck', 'broadcastError', 'packetInfo', 'noEnobufs']) {
       socket.setOption(name, true);
     }
     try { socket.setOption('listenAllNsid', true); } catch ({ code, syscall, hint }) {
       console.log(code, syscall, /CAP_NET_BROADCAST/.test(hint));
     }`,
    { command: ['setpriv', '--bounding-set=-net_broadcast', '--inh-caps=-net_broadcast'] },
  );
  assert.equal(stdout, 'EPERM setsockopt true\n', stderr);
});

test('noEnobufs: datagrams are dropped silently, visible only in /proc', async () => {
  await using events = open();
  await using requests = open();
  events.bind({ groups: IPV4_ADDRESSES });
  events.setReceiveBufferSize(4096);
  events.setOption('noEnobufs', true);
  for (let i = 1; i <= 50; i++) requests.send(addressRequest(i));
  const numbers: number[] = [];
  events.receive((batch) => {
    assert.equal(batch.lost, undefined);
    for (let i = 0; i < batch.count; i++) numbers.push(addressNumber(batch, i));
  });
  await turns(5);
  assert.ok(numbers.length > 0 && numbers.length < 50, `${numbers.length} of 50`);
  assert.equal(events.overruns, 0);
  const row = readFileSync('/proc/net/netlink', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find((columns) => columns[1] === '0' && columns[2] === `${events.portId}`);
  assert.equal(Number(row?.[8]), 50 - numbers.length, 'Drops');
});

test('memberships are read from the kernel, above 32 too', async () => {
  await using socket = open();
  assert.deepEqual(socket.memberships, []);
  socket.bind({ groups: IPV4_ADDRESSES });
  socket.joinGroup(33);
  socket.joinGroup(1);
  assert.deepEqual(socket.memberships, [1, 5, 33]);
  socket.leaveGroup(5);
  assert.deepEqual(socket.memberships, [1, 33]);
});

test('the send buffer bounds a datagram: its size as the kernel counts it, less 32', async () => {
  await using receiver = new NetlinkSocket({ protocol: NETLINK_USERSOCK, kernelOnly: false });
  await using socket = open(NETLINK_USERSOCK);
  receiver.bind();
  assert.equal(socket.setSendBufferSize(50_000), 100_000);
  assert.equal(socket.sendBufferSize, 100_000);
  const to = { portId: receiver.portId };
  socket.send(new Uint8Array(100_000 - 32), to);
  assert.throws(() => socket.send(new Uint8Array(100_000 - 31), to), { code: 'EMSGSIZE' });
});

/** Keeps messages of one type: its two bytes, read as the kernel reads them in a filter. */
const onlyType = (type: number) => [
  { code: BPF.LD | BPF.H | BPF.ABS, k: 4 }, // nlmsg_type
  { code: BPF.JMP | BPF.JEQ | BPF.K, k: ((type & 255) << 8) | (type >> 8), jt: 0, jf: 1 },
  { code: BPF.RET | BPF.K, k: 0xffff_ffff },
  { code: BPF.RET | BPF.K, k: 0 },
];

test('a filter passes matching datagrams, drops the rest without reporting a loss, and can be removed', async () => {
  const RTM_DELADDR = 21;
  await using socket = open();
  await using requests = open();
  socket.bind({ groups: IPV4_ADDRESSES });
  socket.setReceiveBufferSize(4096);
  const types: number[] = [];
  socket.receive((batch) => {
    assert.equal(batch.lost, undefined);
    for (let i = 0; i < batch.count; i++) {
      types.push(batch.view.getUint16(batch.offset(i) + 4, true));
    }
  });
  socket.attachFilter(onlyType(RTM_DELADDR));
  for (let i = 1; i <= 50; i++) requests.send(addressRequest(i));
  requests.send(addressRequest(50, true));
  await turns();
  assert.deepEqual(types, [RTM_DELADDR]);
  socket.detachFilter();
  requests.send(addressRequest(50));
  await turns();
  assert.deepEqual(types, [RTM_DELADDR, 20]);
  assert.throws(() => socket.detachFilter(), { code: 'ENOENT', syscall: 'setsockopt' });
});

test('a filter that the kernel does not accept is EINVAL; one that cannot be is named before', async () => {
  await using socket = open();
  const ret = { code: BPF.RET | BPF.K };
  assert.throws(() => socket.attachFilter([{ code: 0xff00 }, ret]), {
    code: 'EINVAL',
    syscall: 'setsockopt',
  });
  const jump = { code: BPF.JMP | BPF.JEQ | BPF.K };
  const wrong: [unknown, string, RegExp][] = [
    [undefined, 'TypeError', /^instructions must be an array of 1 to 4096 instructions/],
    [[], 'TypeError', /^instructions must be/],
    [[7], 'TypeError', /^instructions\[0\] must be an object; received 7/],
    [[{}], 'TypeError', /^instructions\[0\]\.code must be a number/],
    [[{ code: 65536 }], 'RangeError', /^instructions\[0\]\.code/],
    [[{ ...ret, k: 2 ** 32 }], 'RangeError', /^instructions\[0\]\.k/],
    [
      [{ ...ret, K: 1 }],
      'TypeError',
      /^unknown option instructions\[0\]\.K; valid options: code, jt, jf, k/,
    ],
    // biome-ignore lint/suspicious/noSparseArray: that is what is tried
    [[, ret], 'TypeError', /^instructions\[0\] must be an object; received undefined/],
    [[{ ...ret, k: -1 }], 'RangeError', /^instructions\[0\]\.k/],
    [[{ ...jump, jt: 1 }, ret], 'RangeError', /^instructions\[0\]\.jt must be .* 0 to 0/],
    [[{ ...jump, jf: 256 }, ret], 'RangeError', /^instructions\[0\]\.jf/],
    [[{ code: BPF.JMP | BPF.JA, k: 1 }, ret], 'RangeError', /^instructions\[0\]\.k/],
    [[ret, { code: BPF.LD }], 'TypeError', /^instructions\[1\] must be a return/],
    [Array(4097).fill(ret), 'TypeError', /^instructions/],
  ];
  for (const [program, name, message] of wrong) {
    assert.throws(() => socket.attachFilter(program as never), { name, message });
  }
  socket.attachFilter([{ ...jump, jt: 0, jf: 0 }, ret]);
});

test('reading and switching options needs no privilege over XFRM sockets either', async () => {
  const { stdout, stderr } = await runScript(
    `const socket = new lib.NetlinkSocket({ protocol: ${NETLINK_XFRM} });
     socket.setOption('extAck', true);
     socket.attachFilter([{ code: lib.BPF.RET | lib.BPF.K, k: 0 }]);
     console.log(socket.getOption('extAck'), socket.memberships.length);`,
    { command: WITHOUT_NET_ADMIN },
  );
  assert.equal(stdout, 'true 0\n', stderr);
});
