// Run as a worker by socket-lifetime.test.ts: sockets in every state, events flowing.
import { parentPort, workerData } from 'node:worker_threads';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import { addressRequest, IPV4_ADDRESSES, NETLINK_ROUTE } from './socket-support.ts';

const number = workerData as number;
const open = () => {
  // Half of the workers have threads that read ahead.
  const readAhead = (number % 2) * 2 ** 18;
  const socket = new NetlinkSocket({ protocol: NETLINK_ROUTE, readAhead });
  socket.bind({ groups: IPV4_ADDRESSES });
  return socket;
};
const receiving = open();
const stopped = open();
const idle = open();
const closing = open();
const requests = new NetlinkSocket({ protocol: NETLINK_ROUTE });

let calls = 0;
let told = false;
receiving.receive((batch) => {
  calls += batch.count;
  // Feeds itself: there is always another event, so that the end comes at any point.
  requests.send(addressRequest(number));
  if (calls > 20 && number % 5 === 4) process.exit(0);
  if (calls >= 5 && !told) {
    told = true;
    parentPort?.postMessage('flowing');
  }
});
stopped.receive(() => {});
stopped.pause();
// Its thread rests for longer than the worker lasts.
stopped.setReadAheadRest(1000);
closing.receive(() => {});
closing.setReadAheadRest(1000);
requests.send(addressRequest(number));
void idle;
void closing.close();
