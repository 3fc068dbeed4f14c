// A worker that does nothing but call the addon, so that it is terminated in the middle of a call.
import { parentPort } from 'node:worker_threads';
import { addon } from '../../lib/socket/addon.ts';

const { Socket, openFile, arena, constants } = addon();
const into = new Uint8Array(8);
parentPort?.postMessage('calling');
let readAhead = 0;
for (;;) {
  const socket = new Socket();
  // Each second one has a thread, too.
  readAhead ^= 2 ** 18;
  socket.open(0, -1, readAhead);
  for (let i = 0; i < 200; i++) {
    socket.start(() => {}, true, 64);
    socket.address(into, i % 2 === 0);
    socket.getOption(constants.SOL_SOCKET, constants.SO_RCVBUF, into);
    socket.send(into, 1, 0);
    socket.connect(0, 0);
    socket.attachFilter(into);
    socket.rest(i % 3);
    socket.rejected();
    socket.stop();
    // Failures, which are objects.
    new Socket().open(99, -1, 2 ** 18);
    socket.open(0, -1, 0);
    arena();
    if (i % 50 > 0) continue;
    openFile(-1, '');
  }
  socket.close(() => {});
}
