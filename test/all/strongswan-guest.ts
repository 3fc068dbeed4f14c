/**
 * Runs in the lab: two strongSwan daemons on two hosts negotiate a tunnel and rekey it while traffic
 * flows; what the kernel of the left one announces meanwhile is written to a file.
 *
 *   node strongswan-guest.js TOOLS FILE SECONDS
 * @module
 */
import { createSocket } from 'node:dgram';
import { appendFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { NETLINK_XFRM } from '../../lib/constants.ts';
import { NetlinkSocket } from '../../lib/socket.ts';
import { strongswan } from '../../lib/testing/index.ts';
import { hostsHere, INNER } from '../kernel/here.ts';
import { installCharon } from './graft.ts';

const [tools = '', file = '', seconds = '20'] = process.argv.slice(2);

installCharon(tools);
const hosts = await hostsHere();
const socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
socket.bind();
for (let group = 1; group <= 8; group++) socket.joinGroup(group);
writeFileSync(file, '');
socket.receive((batch) => {
  for (let i = 0; i < batch.count; i++) {
    const at = batch.offset(i);
    appendFileSync(file, batch.bytes.subarray(at, at + batch.length(i)));
  }
});
const child = { rekey_time: '4s', rand_time: '1s', life_time: '30s' };
await strongswan(hosts.left, hosts.right, { child, leftChild: { start_action: 'trap' } });
const udp = createSocket('udp4');
for (let i = 0; i < 10 * Number(seconds); i++) {
  udp.send('traffic', 9, INNER.right);
  await sleep(100);
}
process.exit(0);
