// The receive path: batches, order, losses, sources.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import {
  addressNumber,
  addressRequest,
  IPV4_ADDRESSES,
  NETLINK_ROUTE,
  NETLINK_USERSOCK,
  nextBatch,
  runScript,
  turns,
} from './socket-support.ts';

test('many datagrams come in batches of 64, in order, and the loop has its turn in between', async () => {
  await using events = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  await using requests = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  events.bind({ groups: IPV4_ADDRESSES });
  for (let i = 1; i <= 150; i++) requests.send(addressRequest(i));
  const log: string[] = [];
  const numbers: number[] = [];
  await new Promise<void>((resolve) => {
    events.receive((batch) => {
      assert.equal(batch.lost, undefined);
      log.push(`batch of ${batch.count}`);
      for (let i = 0; i < batch.count; i++) {
        assert.equal(batch.offset(i) % 8, 0);
        assert.equal(batch.portId(i), 0);
        assert.equal(batch.truncated(i), false);
        assert.equal(batch.view.getUint32(batch.offset(i), true), batch.length(i));
        numbers.push(addressNumber(batch, i));
      }
      setImmediate(() => log.push('immediate'));
      if (numbers.length === 150) setImmediate(resolve);
    });
  });
  assert.deepEqual(
    numbers,
    Array.from({ length: 150 }, (_, i) => i + 1),
  );
  assert.deepEqual(log, [
    'batch of 64',
    'immediate',
    'batch of 64',
    'immediate',
    'batch of 22',
    'immediate',
  ]);
  for (let i = 1; i <= 150; i++) requests.send(addressRequest(i, true));
});

test('a batch carries the time it was read, on both clocks', async () => {
  await using events = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  events.bind({ groups: IPV4_ADDRESSES });
  const before = [Date.now(), performance.now()] as const;
  events.send(addressRequest(1));
  events.send(addressRequest(1, true));
  const times = await nextBatch(events, (batch) => [batch.timestamp, batch.monotonic] as const);
  const after = [Date.now(), performance.now()] as const;
  assert.ok(before[0] <= times[0] && times[0] <= after[0]);
  assert.ok(before[1] <= times[1] && times[1] <= after[1]);
});

test('netlink has no time of arrival: SO_TIMESTAMP and its like are accepted and do nothing', () => {
  // Python, because NetlinkSocket has no such option. Beside it a socket where those of a kind do something,
  // and a control message that netlink does give: NETLINK_PKTINFO, option 3 of level 270.
  const script = `
import json, socket, struct
result = []
for option, value in ((29, 1), (35, 1), (37, 0x18), (63, 1), (64, 1), (65, 0x18)):
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    netlink.bind((0, 0))
    for one in (receiver, netlink):
        one.setsockopt(socket.SOL_SOCKET, option, value)
    netlink.setsockopt(270, 3, 1)
    sender.send(b'x')
    netlink.send(struct.pack('=IHHIIBBHiII', 32, 18, 1, 1, 0, 0, 0, 0, 1, 0, 0))
    came = lambda one: [message[:2] for message in one.recvmsg(65536, 1024)[1]]
    result.append([option, came(receiver), came(netlink)])
print(json.dumps(result))`;
  const told = execFileSync('python3', ['-c', script], { encoding: 'utf8' });
  const [SOL_SOCKET, PKTINFO] = [1, [270, 3]];
  // SO_TIMESTAMP, _TIMESTAMPNS, _TIMESTAMPING, and the same for times after 2038 (asm/socket.h).
  assert.deepEqual(JSON.parse(told), [
    [29, [[SOL_SOCKET, 29]], [PKTINFO]],
    [35, [[SOL_SOCKET, 35]], [PKTINFO]],
    [37, [], [PKTINFO]],
    [63, [[SOL_SOCKET, 63]], [PKTINFO]],
    [64, [[SOL_SOCKET, 64]], [PKTINFO]],
    [65, [], [PKTINFO]],
  ]);
});

test('a loss is reported before the datagrams queued at the time, and receiving continues', async () => {
  await using events = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  await using requests = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  events.bind({ groups: IPV4_ADDRESSES });
  events.setReceiveBufferSize(4096);
  for (let i = 1; i <= 50; i++) requests.send(addressRequest(i));
  const calls: { lost: string | undefined; numbers: number[] }[] = [];
  let resume: (() => void) | undefined;
  events.receive((batch) => {
    const numbers = Array.from({ length: batch.count }, (_, i) => addressNumber(batch, i));
    calls.push({ lost: batch.lost, numbers });
    resume?.();
  });
  const called = () =>
    new Promise<void>((resolve) => {
      resume = resolve;
    });
  await called();
  const [first] = calls;
  assert.equal(first?.lost, 'ENOBUFS');
  assert.equal(first.numbers[0], 1, 'the oldest event is still there');
  assert.ok(first.numbers.length < 50, 'events were lost');
  assert.equal(events.overruns, 1);
  // Several more times: each overrun stops the libuv handle.
  for (let round = 2; round <= 4; round++) {
    for (let i = 1; i <= 50; i++) requests.send(addressRequest(i, round % 2 === 0));
    await called();
    assert.equal(calls.at(-1)?.lost, 'ENOBUFS');
    assert.equal(events.overruns, round);
  }
  await turns();
  requests.send(addressRequest(999));
  await called();
  assert.deepEqual(calls.at(-1), { lost: undefined, numbers: [999] });
});

test('what another process sends to a group as the kernel would is rejected and counted', async () => {
  await using events = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  await using open = new NetlinkSocket({ protocol: NETLINK_ROUTE, kernelOnly: false });
  await using forger = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  events.bind({ groups: IPV4_ADDRESSES });
  open.bind({ groups: IPV4_ADDRESSES });
  forger.bind();
  const sources: number[][] = [[], []];
  const genuine = [events, open].map((socket, which) =>
    nextBatch(socket, (batch) => {
      for (let i = 0; i < batch.count; i++) sources[which]?.push(batch.portId(i));
      return sources[which]?.includes(0) || undefined;
    }),
  );
  // No request for the kernel, which gets it too: NLM_F_REQUEST is not set.
  const forged = addressRequest(4);
  new DataView(forged.buffer).setUint16(6, 0, true);
  forger.send(forged, { groups: IPV4_ADDRESSES });
  forger.send(addressRequest(5));
  await Promise.all(genuine);
  assert.deepEqual(sources, [[0], [forger.portId, 0]]);
  assert.equal(events.rejected, 1);
  assert.equal(open.rejected, 0);
});

test('between processes: port ids, a datagram over 64 KiB cut and flagged, a full receiver', async () => {
  await using receiver = new NetlinkSocket({ protocol: NETLINK_USERSOCK, kernelOnly: false });
  await using sender = new NetlinkSocket({ protocol: NETLINK_USERSOCK });
  receiver.bind();
  sender.bind();
  const to = { portId: receiver.portId };
  const big = new Uint8Array(100_000).map((_, i) => i % 251);
  sender.send(Uint8Array.of(1, 2, 3), to);
  sender.send(big, to);
  sender.send(new Uint8Array(65_536), to);
  const seen: unknown[] = [];
  await nextBatch(receiver, (batch) => {
    for (let i = 0; i < batch.count; i++) {
      const offset = batch.offset(i) - batch.offset(0);
      seen.push([offset, batch.length(i), batch.portId(i), batch.truncated(i)]);
    }
    assert.deepEqual(batch.copy(0), Uint8Array.of(1, 2, 3));
    assert.deepEqual(batch.copy(1), big.subarray(0, 65_536));
    return true;
  });
  assert.deepEqual(seen, [
    [0, 3, sender.portId, false],
    [8, 65_536, sender.portId, true],
    [8 + 65_536, 65_536, sender.portId, false],
  ]);
  receiver.pause();
  assert.throws(
    () => {
      for (;;) sender.send(big, to);
    },
    { code: 'EAGAIN', syscall: 'sendto' },
  );
});

test('send errors of the kernel are thrown with their code', async () => {
  await using socket = new NetlinkSocket({ protocol: NETLINK_USERSOCK });
  assert.throws(() => socket.send(new Uint8Array(4), { portId: 4_000_000 }), {
    code: 'ECONNREFUSED',
    syscall: 'sendto',
  });
  assert.throws(() => socket.send(new Uint8Array(0)), { code: 'ENODATA' });
  assert.throws(() => socket.send(new Uint8Array(8_000_000)), { code: 'EMSGSIZE' });
});

test('while paused nothing is delivered or lost; resuming delivers it', async () => {
  await using events = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  events.bind({ groups: IPV4_ADDRESSES });
  const numbers: number[] = [];
  let resume: (() => void) | undefined;
  events.receive((batch) => {
    for (let i = 0; i < batch.count; i++) numbers.push(addressNumber(batch, i));
    resume?.();
  });
  assert.equal(events.pause(), events);
  events.send(addressRequest(21));
  await turns(5);
  assert.deepEqual(numbers, []);
  const called = new Promise<void>((resolve) => {
    resume = resolve;
  });
  assert.equal(events.resume(), events);
  await called;
  assert.deepEqual(numbers, [21]);
});

test('pausing in the listener holds back the next batch', async () => {
  await using events = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  await using requests = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  events.bind({ groups: IPV4_ADDRESSES });
  for (let i = 1000; i < 1100; i++) requests.send(addressRequest(i));
  const counts: number[] = [];
  events.receive((batch) => {
    counts.push(batch.count);
    events.pause();
  });
  await turns(5);
  assert.deepEqual(counts, [64]);
  events.resume();
  await turns(5);
  assert.deepEqual(counts, [64, 36]);
});

test('the listener runs in the async context of receive(), whoever resumes it', async () => {
  await using events = new NetlinkSocket({ protocol: NETLINK_ROUTE });
  events.bind({ groups: IPV4_ADDRESSES });
  const storage = new AsyncLocalStorage<string>();
  const seen = storage.run('mine', () => nextBatch(events, () => storage.getStore() ?? 'none'));
  storage.run('another', () => events.pause().resume());
  events.send(addressRequest(31));
  assert.equal(await seen, 'mine');
});

test('a listener that throws is an uncaught exception, and later events still arrive', async () => {
  const { stdout, stderr, code } = await runScript(`
    const socket = new lib.NetlinkSocket({ protocol: 0 });
    socket.bind({ groups: support.IPV4_ADDRESSES });
    let calls = 0;
    process.on('uncaughtException', (error) => {
      console.log('caught', error.message);
      socket.send(support.addressRequest(40 + calls));
    });
    socket.receive((batch) => {
      const number = support.addressNumber(batch, 0);
      if (++calls < 4) throw new Error('listener ' + number);
      console.log('arrived', number);
      socket.close();
    });
    socket.send(support.addressRequest(40));`);
  assert.equal(
    stdout,
    'caught listener 40\ncaught listener 41\ncaught listener 42\narrived 43\n',
    stderr,
  );
  assert.equal(code, 0);
});

test('without a handler a listener that throws ends the process with 1 and a stack', async () => {
  const { code, stderr } = await runScript(`
    const socket = new lib.NetlinkSocket({ protocol: 0 });
    socket.bind({ groups: support.IPV4_ADDRESSES });
    socket.receive(function listening() { throw new Error('on purpose'); });
    socket.send(support.addressRequest(50));`);
  assert.equal(code, 1);
  assert.match(stderr, /Error: on purpose\n\s+at listening/);
});

test('a permanent read error is reported once and ends receiving', async () => {
  // The descriptor is closed behind the socket's back, while a child still holds the same open
  // socket: epoll goes on reporting it, and reading gives EBADF.
  const { stdout, stderr, code } = await runScript(`
    import { spawn } from 'node:child_process';
    import { closeSync, readdirSync, readlinkSync } from 'node:fs';
    const sockets = () => readdirSync('/proc/self/fd').filter((fd) => {
      try { return readlinkSync('/proc/self/fd/' + fd).startsWith('socket:'); } catch { return false; }
    });
    const before = new Set(sockets());
    const socket = new lib.NetlinkSocket({ protocol: 0 });
    const fd = Number(sockets().find((it) => !before.has(it)));
    const requests = new lib.NetlinkSocket({ protocol: 0 });
    socket.bind({ groups: support.IPV4_ADDRESSES });
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore', fd] });
    let calls = 0;
    socket.receive(() => console.log('unexpected'), (error) => {
      console.log(error.code, error.syscall, ++calls);
      support.turns(10).then(() => { console.log('once'); process.exit(); });
    });
    child.on('spawn', async () => {
      await support.turns();
      closeSync(fd);
      requests.send(support.addressRequest(60));
    });`);
  assert.equal(stdout, 'EBADF recvmmsg 1\nonce\n', stderr);
  assert.equal(code, 0);
});
