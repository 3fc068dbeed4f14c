/**
 * Threads and processes that end with open sockets: terminated at any moment, by exit, by exceptions,
 * by abort. Nothing may crash, hang or be left behind.
 * @module
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { NetlinkSocket } from '../lib/socket/index.ts';
import {
  addressRequest,
  IPV4_ADDRESSES,
  openSockets,
  runScript,
  turns,
} from '../test/kernel/socket-support.ts';
import { Random } from '../test/unit/random.ts';
import { finding, orders, report } from './part.ts';

const { seed, times } = orders();
const WORKERS = 1000 * times;
const AT_A_TIME = 4;
/** Processes for each way to end. */
const PROCESSES = 8 * times;
/** Milliseconds after which a thread or process counts as hanging. */
const PATIENCE = 60_000;
/** Bytes that a thread may leave behind: less than one datagram's buffer. Node itself leaves some. */
const LEFT = 65_536;

const random = new Random(seed);
const workerFile = new URL('../test/kernel/socket-worker.js', import.meta.url);
/** A worker that constantly makes calls, so that it is terminated in the middle of one. */
const busyFile = new URL('../test/kernel/socket-busy-worker.js', import.meta.url);

/** Fails if something does not end. */
async function ends<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} does not end`)), PATIENCE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

let flowing = 0;

/** Starts a thread with sockets in all states, and ends it at a random moment. */
async function worker(): Promise<void> {
  // One number in five makes it end itself with process.exit (socket-worker.ts).
  const file = random.chance(1, 4) ? busyFile : workerFile;
  const thread = new Worker(file, { workerData: 2000 + random.below(40_000) });
  thread.on('error', (error) => finding(`in a worker: ${error.stack}`));
  const exited = once(thread, 'exit');
  // During startup, while opening, while receiving.
  const moment = random.below(4);
  if (moment === 0) await Promise.race([once(thread, 'online'), exited]);
  else if (moment === 1) await turns(random.below(400));
  else {
    const started = once(thread, 'message').then(() => flowing++);
    await Promise.race([started, exited]);
    await turns(random.below(20));
  }
  await thread.terminate();
  await exited;
}

async function workers(): Promise<number> {
  const before = openSockets();
  // This thread keeps working meanwhile.
  const mine = new NetlinkSocket({ protocol: 0 });
  mine.bind({ groups: IPV4_ADDRESSES });
  mine.receive(() => {});
  let warm = 0;
  for (let done = 0; done < WORKERS; done += AT_A_TIME) {
    await ends('a worker', Promise.all(Array.from({ length: AT_A_TIME }, worker)));
    if (done <= WORKERS / 4) warm = process.memoryUsage().rss;
  }
  const heard = new Promise<void>((resolve) => {
    mine.pause();
    mine.resume();
    mine.send(addressRequest(1));
    const check = setInterval(() => {
      if (mine.queue.bytes > 0) return;
      clearInterval(check);
      resolve();
    }, 1);
  });
  await ends('receiving beside workers', heard);
  await mine.close();
  globalThis.gc?.();
  const left = (process.memoryUsage().rss - warm) / (WORKERS * 0.75);
  assert.equal(openSockets(), before, 'sockets are left');
  assert(left < LEFT, `${left} bytes are left of each worker`);
  assert(flowing > WORKERS / 4, `only ${flowing} workers received`);
  return Math.round(left);
}

const PRELUDE = `
  const sockets = Array.from({ length: 5 }, () => new lib.NetlinkSocket({ protocol: 0 }));
  for (const socket of sockets) socket.bind({ groups: support.IPV4_ADDRESSES });
  const flow = (listener) => {
    let calls = 0;
    for (const socket of sockets) socket.receive(() => {
      sockets[0].send(support.addressRequest(7));
      if (++calls === 9) listener();
    });
    sockets[0].send(support.addressRequest(7));
  };
`;

/** Ways for a process to end, with the exit status or signal of each. */
const ENDS: Readonly<Record<string, readonly [string, number | NodeJS.Signals]>> = {
  'exit in a listener': ['flow(() => process.exit(7));', 7],
  'exit while closing': [
    'flow(() => { for (const one of sockets) one.close(); process.exit(8); });',
    8,
  ],
  'exit before anything': ['process.exit(9);', 9],
  'an exception in a listener': ["flow(() => { throw new Error('on purpose'); });", 1],
  'a rejection in a listener': ["flow(() => { Promise.reject(new Error('on purpose')); });", 1],
  'an exception in a timer': [
    "flow(() => setTimeout(() => { throw new Error('on purpose'); }));",
    1,
  ],
  'an exception while it exits': [
    "process.on('exit', () => { throw new Error('on purpose'); }); flow(() => process.exit(3));",
    3,
  ],
  'an end by closing': ['flow(() => { for (const one of sockets) one.close(); });', 0],
  abort: ['flow(() => process.abort());', 'SIGABRT'],
  'a deadly signal': ["flow(() => process.kill(process.pid, 'SIGTERM'));", 'SIGTERM'],
  'exit beside a worker': [
    `const { Worker } = await import('node:worker_threads');
     const worker = new Worker(new URL(${JSON.stringify(workerFile.href)}), { workerData: 2000, execArgv: [] });
     worker.on('message', () => flow(() => process.exit(6)));`,
    6,
  ],
  'abort beside a worker': [
    `const { Worker } = await import('node:worker_threads');
     const worker = new Worker(new URL(${JSON.stringify(workerFile.href)}), { workerData: 2000, execArgv: [] });
     worker.on('message', () => flow(() => process.abort()));`,
    'SIGABRT',
  ],
};

/** Number of netlink sockets in this namespace. */
const netlinkSockets = () =>
  readFileSync('/proc/thread-self/net/netlink', 'latin1').trim().split('\n').length;

async function processes(): Promise<number> {
  const before = netlinkSockets();
  let ended = 0;
  for (const [name, [script, expected]] of Object.entries(ENDS)) {
    for (let i = 0; i < PROCESSES; i++) {
      // No core files.
      const command = ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh'];
      const { code, signal, stderr } = await ends(name, runScript(PRELUDE + script, { command }));
      assert.equal(signal ?? code, expected, `${name}: ${stderr}`);
      assert(
        !/Assertion|uv_loop_close|FATAL|double free|corrupt/i.test(stderr),
        `${name}: ${stderr}`,
      );
      ended++;
    }
  }
  assert.equal(netlinkSockets(), before, 'the kernel still has sockets of them');
  return ended;
}

let left = 0;
let ended = 0;
try {
  left = await workers();
} catch (error) {
  finding(`workers: ${(error as Error).stack}`);
}
try {
  ended = await processes();
} catch (error) {
  finding(`processes: ${(error as Error).stack}`);
}
report({
  'workers terminated': WORKERS,
  'while receiving': flowing,
  'bytes left of each': left,
  'processes ended': ended,
});
