/**
 * Injects each error in the table of calls. Runs with the shim loaded.
 * @module
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { SystemError } from '../../lib/index.ts';
import { makeNamespace } from '../../lib/socket/namespace.ts';
import { NetlinkSocket, SocketOwners } from '../../lib/socket.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { addressRequest, IPV4_ADDRESSES, turns } from '../../test/kernel/socket-support.ts';
import { finding, report } from '../part.ts';
import { ALL_CALLS, type Call, outcomeOf } from './calls.ts';
import { descriptors } from './descriptors.ts';
import { errnoOf, fail, stop } from './injection.ts';

const open = () => new NetlinkSocket({ protocol: 0 });

async function opened(arm: () => void, netns?: string): Promise<void> {
  arm();
  await new NetlinkSocket({ protocol: 0, netns }).close();
}

/** Uses an open socket. */
async function withSocket(use: (socket: NetlinkSocket) => unknown): Promise<void> {
  const socket = open();
  try {
    await use(socket);
  } finally {
    await socket.close();
  }
}

/** Uses an open socket while the call fails. */
const during = (use: (socket: NetlinkSocket) => unknown) => (arm: () => void) =>
  withSocket((socket) => {
    arm();
    return use(socket);
  });

/** Receives an event; returns the code of a loss reported with it or before it. */
async function receive(arm: () => void): Promise<string | undefined> {
  let lost: string | undefined;
  await withSocket(async (socket) => {
    socket.bind({ groups: IPV4_ADDRESSES });
    const received = new Promise<void>((resolve, reject) => {
      socket.receive((batch) => {
        lost ??= batch.lost;
        if (batch.count > 0) resolve();
      }, reject);
    });
    arm();
    socket.send(addressRequest(7));
    await received;
  });
  return lost;
}

/** Ends a worker while one of its sockets is receiving. */
async function endWorker(arm: () => void): Promise<void> {
  const worker = new Worker(new URL('../../test/kernel/socket-worker.js', import.meta.url), {
    workerData: 2000,
  });
  const exited = once(worker, 'exit');
  await once(worker, 'message');
  arm();
  await worker.terminate();
  await exited;
}

/** What makes each call, by its name; what it throws is what a user would see. */
const USES: Readonly<Record<string, (arm: () => void) => Promise<unknown>>> = {
  // The first in this process: after that, the memory is already mapped.
  mmap64: during((socket) => socket.receive(() => {})),
  munmap: endWorker,
  socket: opened,
  epoll_ctl: opened,
  bind: during((socket) => socket.bind()),
  connect: during((socket) => socket.connect()),
  getsockname: during((socket) => socket.address),
  getpeername: during((socket) => socket.peer),
  setsockopt: during((socket) => socket.setOption('extAck', true)),
  getsockopt: during((socket) => socket.receiveBufferSize),
  sendto: during((socket) => socket.send(addressRequest(5))),
  close: during(() => {}),
  recvmmsg: receive,
  eventfd: async (arm) => {
    arm();
    await new NetlinkSocket({ protocol: 0, readAhead: 1 }).close();
  },
  setns: (arm) => opened(arm, other.path),
  unshare: async (arm) => {
    arm();
    makeNamespace().close();
  },
  pthread_create: (arm) => opened(arm, other.path),
  open64: async (arm) => {
    arm();
    await new SocketOwners({ netns: other.path }).find(0, 4242);
  },
};

/** Checks the outcome of an error. @throws a finding */
async function inject(call: Call, error: string): Promise<void> {
  const use = USES[call.name];
  assert(use, `nothing here uses ${call.name}`);
  let told: unknown;
  let lost: unknown;
  try {
    lost = await use(() => fail(call.name, error));
  } catch (thrown) {
    told = thrown;
  }
  assert.equal(stop(), 1, 'the call was not made');
  const expected = outcomeOf(call, error);
  if (expected !== 'error') assert.equal(told, undefined, `it is told, and not ${expected}`);
  else {
    assert(told instanceof SystemError, `it is told as ${told}`);
    assert.equal(told.errno, -errnoOf(error));
    assert.match(told.code, /^E[A-Z0-9]+$/);
    assert.equal(told.syscall, call.syscall);
    assert(told.message.startsWith(`${call.syscall} ${told.code}`), told.message);
  }
  assert.equal(lost === undefined, expected !== 'loss', `the loss told is ${lost}`);
  if (expected === 'loss') assert.equal(errnoOf(lost as string), errnoOf(error));
}

let injections = 0;
process.on('uncaughtException', (error) => finding(`an uncaught exception: ${error.stack}`));
/** Injects all errors of some calls. */
async function injectAll(calls: readonly Call[]): Promise<void> {
  for (const call of calls) {
    for (const error of call.errors.split(' ')) {
      const before = descriptors();
      try {
        await inject(call, error);
        injections++;
        await turns();
        assert.equal(descriptors(), before, 'descriptors are left');
      } catch (wrong) {
        stop();
        finding(`${call.name} ${error}: ${(wrong as Error).message}`);
      }
    }
  }
}

const isMmap = ({ name }: Call) => name === 'mmap64';
await injectAll(ALL_CALLS.filter(isMmap));
// Making a namespace receives: from here on, the memory is mapped.
await using other = await NetworkNamespace.make();
await injectAll(ALL_CALLS.filter((call) => !isMmap(call)));
report({ injections });
