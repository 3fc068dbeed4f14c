// Datagrams can hold IPsec keys in clear: no copy of one may stay behind.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import { mappings, mappingsWith, occurrences } from './memory.ts';
import { NETLINK_USERSOCK, nextBatch, runScript, turns } from './socket-support.ts';

/** Longer than the arrays V8 keeps in its heap (64 bytes) and copies out of it when used. */
const SECRET = 256;

/** Sends the secret, and leaves no copy of it in this process. */
function sendSecret(sender: NetlinkSocket, complement: Uint8Array, portId: number): void {
  const secret = new Uint8Array(SECRET);
  for (const [i, byte] of complement.entries()) secret[i] = ~byte;
  sender.send(secret, { portId });
  secret.fill(0);
}

function receiving(kernelOnly: boolean, readAhead = 0): NetlinkSocket {
  const socket = new NetlinkSocket({ protocol: NETLINK_USERSOCK, kernelOnly, readAhead });
  socket.bind();
  return socket;
}

const sending = () => new NetlinkSocket({ protocol: NETLINK_USERSOCK });

test('after the listener nothing is left of a datagram in the whole process', async () => {
  await using receiver = receiving(false);
  await using sender = sending();
  const complement = randomBytes(SECRET);
  sendSecret(sender, complement, receiver.portId);
  assert.equal(occurrences(complement), 0, 'only the kernel has it');
  const [during, arena] = await nextBatch(receiver, (batch) => {
    return [occurrences(complement), batch.bytes] as const;
  });
  assert.ok(during >= 1, 'the search finds it while the listener runs');
  await turns();
  assert.equal(occurrences(complement), 0);
  assert.ok(
    arena.every((byte) => byte === 0),
    'all of the arena is zero',
  );
});

test('nor of one that is rejected', async () => {
  await using receiver = receiving(true);
  await using sender = sending();
  const complement = randomBytes(SECRET);
  receiver.receive(() => assert.fail('passed on'));
  sendSecret(sender, complement, receiver.portId);
  await turns(5);
  assert.equal(receiver.rejected, 1);
  assert.equal(occurrences(complement), 0);
});

test('nor of one that was read ahead: taken, rejected, or waiting when its socket is closed', async () => {
  for (const end of ['taken', 'rejected', 'closed'] as const) {
    await using receiver = receiving(end === 'rejected', 2 ** 18);
    await using sender = sending();
    const complement = randomBytes(SECRET);
    receiver.receive(() => {});
    if (end !== 'rejected') receiver.pause();
    sendSecret(sender, complement, receiver.portId);
    if (end !== 'rejected') while (occurrences(complement) === 0);
    if (end === 'closed') {
      assert(receiver.queue.bytes > 0);
      await receiver.close();
    } else {
      receiver.resume();
      while (receiver.queue.bytes > 0) await turns();
    }
    assert.equal(occurrences(complement), 0, end);
    assert.equal(receiver.rejected, end === 'rejected' ? 1 : 0);
  }
});

// That a core dump then has nothing of it is seen by `npm run torture`, in a kernel of its own.
test('received data is kept out of core dumps and forked processes', async () => {
  await using receiver = receiving(false);
  await using sender = sending();
  const complement = randomBytes(SECRET);
  sendSecret(sender, complement, receiver.portId);
  const where = await nextBatch(receiver, () => mappingsWith(complement));
  assert.ok(where.length > 0, 'the search finds it while the listener runs');
  for (const { flags } of where) assert.ok(flags.includes('dd'), 'kept out of dumps');
  const slots = mappings().filter(({ flags }) => flags.includes('dd') && flags.includes('wf'));
  assert.ok(slots.length > 0, 'what is received into is in no forked process');
});

test('the arena is zero after a listener that throws, and for a socket closed in it', async () => {
  const { stdout, stderr } = await runScript(`
    const receiver = new lib.NetlinkSocket({ protocol: 2, kernelOnly: false });
    const sender = new lib.NetlinkSocket({ protocol: 2 });
    receiver.bind();
    const send = () => sender.send(new Uint8Array(5000).fill(7), { portId: receiver.portId });
    let arena;
    let calls = 0;
    const report = () => setImmediate(() => {
      console.log(calls, arena.length >= 4194304, arena.every((byte) => byte === 0));
      if (calls === 1) send();
    });
    process.on('uncaughtException', report);
    receiver.receive((batch) => {
      arena = batch.bytes;
      calls += 1;
      if (arena[batch.offset(0)] !== 7) console.log('not received');
      if (calls === 1) throw new Error('on purpose');
      receiver.close();
      report();
    });
    send();`);
  assert.equal(stdout, '1 true true\n2 true true\n', stderr);
});

test('a batch is empty once its listener has returned', async () => {
  await using receiver = receiving(false);
  await using sender = sending();
  sender.send(new Uint8Array(8), { portId: receiver.portId });
  const batch = await nextBatch(receiver, (it) => (it.count === 1 ? it : undefined));
  await turns();
  assert.deepEqual([batch.count, batch.lost], [0, undefined]);
});

test('an arena the listener gives away is replaced', async () => {
  await using receiver = receiving(false);
  await using sender = sending();
  const receive = (act: (bytes: Uint8Array, at: number) => void) =>
    new Promise<number | undefined>((resolve) => {
      done = (bytes, at) => {
        act(bytes, at);
        resolve(bytes[at]);
      };
      sender.send(Uint8Array.of(9, 9, 9), { portId: receiver.portId });
    });
  let done: (bytes: Uint8Array, at: number) => void = () => {};
  receiver.receive((batch) => done(batch.bytes, batch.offset(0)));
  const arrived = (bytes: Uint8Array, at: number) => assert.equal(bytes[at + 2], 9);
  assert.equal(await receive(arrived), 9);
  // By structuredClone: taking the memory away at once, so the listener sees undefined.
  let taken: Uint8Array | undefined;
  let start = 0;
  await receive((bytes, at) => {
    start = at;
    taken = structuredClone(bytes, { transfer: [bytes.buffer as ArrayBuffer] });
  });
  assert.deepEqual([...(taken ?? []).slice(start, start + 3)], [9, 9, 9]);
  assert.equal(await receive(arrived), 9);
  await turns();
  assert.equal(taken?.[start], 9, 'memory given away is no longer touched');
});
