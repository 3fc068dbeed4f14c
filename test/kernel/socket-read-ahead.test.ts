// A thread that reads while the event loop cannot.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { setImmediate } from 'node:timers';
import { Worker } from 'node:worker_threads';
import { XFRMNLGRP_POLICY } from '../../lib/constants.ts';
import { subscribe, XfrmClient, XfrmMonitor } from '../../lib/index.ts';
import { NetlinkSocket, SystemError } from '../../lib/socket/index.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { encodeXfrm } from '../../lib/xfrm/encode.ts';
import { NETLINK_USERSOCK, NETLINK_XFRM, turns } from './socket-support.ts';
import { ipBatch } from './support.ts';

const KIB = 1024;
/** What a process gets that may not ask for more (net.core.rmem_max). */
const SMALL = 208 * KIB;

/** More than fit in that. */
const EVENTS = 1000;

/** The threads of this process that read ahead. */
const readers = (): string[] =>
  readdirSync('/proc/self/task').filter((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8') === 'netlink-read\n';
    } catch {
      return false; // it has ended
    }
  });

/** Bytes in the kernel's receive queue of a port. */
function inKernel(portId: number): number {
  const row = readFileSync('/proc/self/net/netlink', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, protocol, pid]) => protocol === `${NETLINK_XFRM}` && pid === `${portId}`);
  return Number(row?.[4]);
}

/** Adds and deletes policies, as many events, without a turn of the event loop. */
function events(count: number, portIds: readonly number[] = []): void {
  // Fewer than fit a small buffer, until the thread has read them.
  const PIECE = 100;
  for (let i = 0; i < count; i += PIECE) {
    ipBatch(
      Array.from({ length: PIECE / 2 }, (_, k) => {
        const policy = `src 10.9.0.0/16 dst 10.8.${i & 255}.${k}/32 dir in`;
        return [`xfrm policy add ${policy}`, `xfrm policy delete ${policy}`];
      }).flat(),
    );
    for (const portId of portIds) while (inKernel(portId) > 0);
  }
}

/** Two sockets; what is sent waits in the kernel until the thread reads it. */
function pair(readAhead: number) {
  const receiver = new NetlinkSocket({ protocol: NETLINK_USERSOCK, kernelOnly: false, readAhead });
  receiver.bind();
  const sender = new NetlinkSocket({ protocol: NETLINK_USERSOCK });
  const { portId } = receiver;
  /** Sends; again while the buffer is full, at most so often. @returns whether it was sent */
  const send = (bytes: Uint8Array, times = Number.POSITIVE_INFINITY): boolean => {
    for (let i = 0; i < times; i++) {
      try {
        sender.send(bytes, { portId });
        return true;
      } catch (error) {
        if (!(error instanceof SystemError) || error.code !== 'EAGAIN') throw error;
      }
    }
    return false;
  };
  const close = async () => void (await Promise.all([receiver.close(), sender.close()]));
  return { receiver, send, [Symbol.asyncDispose]: close };
}

test('events made while the loop does not turn are kept, with a small receive buffer', async () => {
  for (const readAhead of [0, 2 ** 22]) {
    await using subscription = subscribe({
      groups: ['policy'],
      receiveBufferSize: SMALL,
      readAhead,
    });
    const kinds: string[] = [];
    subscription.on('event', ({ kind }) => kinds.push(kind));
    const [{ portId } = { portId: 0 }] = subscription.sockets;
    events(EVENTS, readAhead === 0 ? [] : [portId]);
    assert.equal(kinds.length, 0, 'the loop did not turn');
    // A batch a turn, which holds 64.
    await turns(200);
    assert.equal(kinds.includes('overrun'), readAhead === 0);
    if (readAhead > 0) assert.equal(kinds.length, EVENTS);
  }
});

test('datagrams of all lengths arrive in order, across the ends of the memory', async () => {
  await using ends = pair(2 ** 18);
  const { receiver, send } = ends;
  const lengths = [4, 5, 300, 4093, 20_000, 60_000, 8];
  const [total, got] = [1000, [] as number[]];
  const wrong: number[] = [];
  let [batches, pauses] = [0, 0];
  receiver.receive((batch) => {
    for (let i = 0; i < batch.count; i++) {
      const at = batch.offset(i);
      const number = batch.view.getUint32(at, true);
      got.push(number);
      const length = lengths[number % lengths.length] as number;
      if (batch.length(i) !== length) wrong.push(number);
      for (let k = 4; k < length; k += 97) {
        if (batch.bytes[at + k] !== (number & 255)) wrong.push(number);
      }
    }
    if (++batches % 7 === 0) {
      pauses++;
      receiver.pause();
      setImmediate(() => receiver.resume());
    }
  });
  for (let number = 0; number < total; number++) {
    const bytes = new Uint8Array(lengths[number % lengths.length] as number).fill(number);
    new DataView(bytes.buffer).setUint32(0, number, true);
    // Full now and then: the loop takes something out.
    while (!send(bytes, 1)) await turns(1);
  }
  while (got.length < total) await turns(1);
  assert(pauses > 0);
  assert.deepEqual(wrong, []);
  assert.deepEqual(
    got,
    Array.from({ length: total }, (_, number) => number),
  );
});

test('what waits is in `queue`; the memory is bounded, and what does not fit it waits in the kernel', async () => {
  await using ends = pair(2 ** 18);
  const { receiver, send } = ends;
  let got = 0;
  receiver.receive(({ count }) => {
    got += count;
  });
  receiver.pause();
  assert.equal(receiver.queue.bytes, 0);
  let sent = 0;
  // Until there is no room, and more is on its way than the memory holds.
  for (;;) {
    if (send(new Uint8Array(1000), 1)) sent++;
    else if (1000 * sent > 2 ** 18) break;
  }
  assert(receiver.queue.bytes > 2 ** 17);
  // In memory, in the hands of the thread, and in the receive buffer.
  assert(sent < 2 ** 18 / 1000 + 64 + receiver.receiveBufferSize / 1000, `${sent}`);
  receiver.resume();
  while (receiver.queue.bytes > 0) await turns(1);
  assert.deepEqual([got, receiver.queue.drops, receiver.overruns], [sent, 0, 0]);
});

test('its thread rests after it read all, and what comes meanwhile waits in the kernel', async () => {
  await using ends = pair(2 ** 18);
  const { receiver, send } = ends;
  let got = 0;
  receiver.setReadAheadRest(1000);
  receiver.receive(({ count }) => {
    got += count;
  });
  const asleep = performance.now();
  send(new Uint8Array(9));
  while (got === 0) await turns(1);
  for (let i = 0; i < 3; i++) send(new Uint8Array(9));
  await turns(50);
  // On a machine that stood still meanwhile there is nothing to see.
  if (performance.now() - asleep < 900) {
    assert.equal(got, 1);
    assert(receiver.queue.bytes > 0);
  }
  // Each call ends a rest; those of all would take 20 s.
  for (let sent = 4; sent < 24; sent++) {
    receiver.setReadAheadRest(1000);
    while (got < sent) await turns(1);
    send(new Uint8Array(9));
  }
  assert(performance.now() - asleep < 15_000);
  receiver.setReadAheadRest(0);
  while (got < 24) await turns(1);
  for (const wrong of [-1, 1001, 0.5]) {
    assert.throws(() => receiver.setReadAheadRest(wrong), /^RangeError: milliseconds must be an/);
  }
  await receiver.close();
  assert.throws(() => receiver.setReadAheadRest(1), /closed/);
});

test('a loss ends a rest: until all is read, the kernel drops events', async () => {
  await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM, readAhead: 2 ** 18 });
  socket.setReceiveBufferSize(4096);
  socket.setReadAheadRest(1000);
  socket.bind();
  socket.joinGroup(XFRMNLGRP_POLICY);
  socket.receive(() => {});
  const begun = performance.now();
  for (let losses = 1; losses <= 20; losses++) {
    events(100);
    while (socket.overruns < losses) await turns(1);
  }
  assert(performance.now() - begun < 15_000, 'rests that nothing ended would take 20 s');
});

test('a loss is told in its place, and a table is repaired', async () => {
  await using client = new XfrmClient();
  await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM, readAhead: 2 ** 18 });
  socket.setReceiveBufferSize(4096);
  socket.bind();
  socket.joinGroup(XFRMNLGRP_POLICY);
  await using monitor = await XfrmMonitor.open({ receiveBufferSize: 4096, readAhead: 2 ** 18 });
  const seen: (number | string)[] = [];
  socket.receive((batch) => {
    if (batch.lost) seen.push(batch.lost);
    for (let i = 0; i < batch.count; i++) {
      // nlmsghdr, xfrm_userpolicy_info: the selector and both lifetimes before the priority.
      seen.push(batch.view.getUint32(batch.offset(i) + 16 + 56 + 64 + 32, true));
    }
  });
  // More than memory and buffer can hold, without a turn of the loop; the first ones are read.
  const [COUNT, FIRST] = [4000, 10];
  const { portId } = socket;
  const add = (from: number, to: number) =>
    ipBatch(
      Array.from({ length: to - from }, (_, k) => {
        const i = from + k;
        const selector = `src 10.${i >> 8}.${i & 255}.0/24 dst 10.0.0.0/8`;
        return `xfrm policy add ${selector} dir in priority ${i}`;
      }),
    );
  for (let i = 0; i < FIRST; i++) {
    add(i, i + 1);
    while (inKernel(portId) > 0);
  }
  add(FIRST, COUNT);
  const { drops } = socket.queue;
  assert(drops > 0 && drops < COUNT);
  while (socket.queue.bytes > 0) await turns(1);
  const numbers = seen.filter((one) => typeof one === 'number');
  assert.equal(numbers.length, COUNT - drops);
  assert.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
    'in order',
  );
  assert.equal(seen.filter((one) => one === 'ENOBUFS').length, socket.overruns);
  assert(seen.indexOf('ENOBUFS') >= FIRST, 'what was read before the loss comes before it');
  while (!monitor.synced) await turns(1);
  assert.equal(monitor.policies.size, COUNT);
  await client.flushPolicies();
});

test('a monitor opens on many objects with a thread, if there is another processor', async () => {
  /** More than are read without one (lib/netlink/dump.ts). */
  const MANY = 20_001;
  await using client = new XfrmClient();
  /** Whether a thread was seen while something went on. */
  const helped = async (going: Promise<unknown>): Promise<boolean> => {
    let [seen, done] = [false, false];
    const end = going.finally(() => {
      done = true;
    });
    while (!done) {
      await turns(1);
      seen ||= readers().length > 0;
    }
    await end;
    return seen;
  };
  const policy = (i: number) => {
    const [saddr, daddr] = [`10.1.${i >> 8}.${i & 255}`, '10.0.0.1'];
    const selector = { family: 'inet', saddr, daddr, prefixlenS: 32, prefixlenD: 32 } as const;
    return { dir: 'in', selector } as const;
  };
  /** Adds the policies, 200 with a system call: `ip -batch` takes 10 s in the lab. */
  const addAll = async () => {
    await using socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
    const writer = new MessageWriter();
    for (let i = 0; i < MANY; i++) {
      encodeXfrm(writer, { kind: 'request', message: 'NEWPOLICY', policy: policy(i) });
      if (i % 200 !== 199 && i !== MANY - 1) continue;
      socket.send(writer.written());
      writer.wipe();
    }
  };
  try {
    await addAll();
    for (const count of [MANY, MANY - 1]) {
      const opening = XfrmMonitor.open();
      const byThread = await helped(opening);
      await using monitor = await opening;
      assert.equal(byThread, count === MANY && availableParallelism() > 1, `${count}`);
      assert.equal(monitor.policies.size, count);
      // A thread that was joined stays in /proc for a moment.
      while (readers().length > 0) await turns(1);
      assert.equal(await helped(monitor.refresh()), false, 'nor does a refresh need one');
      assert.equal(monitor.policies.size, count);
      await client.deletePolicy(policy(count - 1));
    }
  } finally {
    await client.flushPolicies();
  }
});

test('its thread has all signals blocked, and ends with the socket, however that ends', async () => {
  const before = readers();
  // A thread that was joined stays in /proc for a moment (kernel/exit.c: its ID is cleared first).
  const ended = async (how: string) => {
    const until = performance.now() + 10_000;
    while (readers().length > before.length && performance.now() < until) await turns(1);
    assert.deepEqual(readers(), before, how);
  };
  const open = () => {
    const ends = pair(2 ** 18);
    ends.receiver.receive(() => {});
    return ends;
  };
  {
    await using ends = open();
    let thread: string | undefined;
    // It names itself.
    while (thread === undefined) thread = readers().find((task) => !before.includes(task));
    const status = readFileSync(`/proc/self/task/${thread}/status`, 'utf8');
    // All but SIGKILL and SIGSTOP (9, 19), and the two that glibc keeps (32, 33).
    assert.match(status, /^SigBlk:\s+fffffffe7ffbfeff$/m);
    void ends;
  }
  await ended('closed');
  await new Promise<void>((resolve) => {
    const { receiver, send } = open();
    receiver.pause();
    void receiver.close().then(resolve);
    send(new Uint8Array(9), 1);
  }).catch(() => {});
  await ended('closed at once');
  const source = `
    const { workerData } = require('node:worker_threads');
    import(workerData).then(({ NetlinkSocket }) => {
      const socket = new NetlinkSocket({ protocol: 2, kernelOnly: false, readAhead: 2 ** 18 });
      const sender = new NetlinkSocket({ protocol: 2 });
      socket.bind();
      socket.receive(() => sender.send(new Uint8Array(9), { portId: socket.portId }));
      sender.send(new Uint8Array(9), { portId: socket.portId });
      require('node:worker_threads').parentPort.postMessage('flows');
    });`;
  const workerData = new URL('../../lib/socket/index.js', import.meta.url).href;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      const worker = new Worker(source, { eval: true, workerData });
      await once(worker, 'message');
      await worker.terminate();
    }),
  );
  await ended('its worker was terminated');
});
