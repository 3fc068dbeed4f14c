/**
 * Run by sanitizers.ts: opens sockets of all kinds, here and in a worker, closes some of them, and
 * exits: by itself, or abruptly with `exit`. The addon must then have freed what it allocated.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { subscribe } from '../../lib/index.ts';
import { NetlinkSocket } from '../../lib/socket.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { turns } from '../../test/kernel/socket-support.ts';

await using other = await NetworkNamespace.make();
const open = (netns?: string, readAhead = 0) => {
  const socket = new NetlinkSocket({ protocol: 0, netns, readAhead });
  socket.bind();
  socket.receive(() => {});
  return socket;
};
const sockets = [
  ...Array.from({ length: 20 }, (_, i) => open(undefined, (i % 2) * 2 ** 20)),
  open(other.path, 2 ** 18),
];
for (const protocol of [1, 31]) {
  try {
    new NetlinkSocket({ protocol });
  } catch {
    // No such protocol.
  }
}
for (const socket of sockets.slice(10)) await socket.close();
const worker = new Worker(new URL('../../test/kernel/socket-worker.js', import.meta.url), {
  workerData: 2000,
});
await once(worker, 'message');
await worker.terminate();
const events = subscribe({ groups: ['link', 'policy'], readAhead: 1 });
events.on('event', () => {});
await turns(20);
if (process.argv[2] === 'exit') process.exit(0);
await events.close();
for (const socket of sockets.slice(0, 5)) await socket.close();
for (const socket of sockets) socket.unref();
