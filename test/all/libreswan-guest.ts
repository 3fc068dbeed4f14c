/**
 * Runs in the lab: two libreswan daemons on two hosts, and what is told of the tunnels between them, written
 * to a file as JSON.
 *
 *   node libreswan-guest.js TOOLS FILE
 * @module
 */
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { INNER, twoHosts } from '../../lib/cli/demo/two-hosts.ts';
import { Story } from '../kernel/story.ts';
import { type Connection, installPrograms, Pluto } from './pluto.ts';
import { Witness } from './witness.ts';

const [tools = '', file = ''] = process.argv.slice(2);

installPrograms(tools);
const hosts = await twoHosts();
const witness = { left: await Witness.open(hosts.left), right: await Witness.open(hosts.right) };
const left = new Story(witness.left.tunnels);
const right = new Story(witness.right.tunnels);
const say = (text: string) => process.stderr.write(`=== ${new Date().toISOString()} ${text}\n`);

/** The left one rekeys, and gives up a peer that does not answer. */
const v2: Connection = {
  ikev2: 'insist',
  dpddelay: 1,
  dpdaction: 'hold',
  'retransmit-timeout': '3s',
  'retransmit-interval': 500,
};
const LEFT = { v2: { ...v2, salifetime: '16s', rekeymargin: '10s' } };
const RIGHT = { v2: { ...v2, salifetime: '60s', rekeymargin: '5s' } };

const udp = createSocket('udp4');
let traffic: NodeJS.Timeout | undefined;
const startTraffic = () => {
  traffic = setInterval(() => udp.send('traffic', 9, INNER.right), 50);
};
const stopTraffic = () => clearInterval(traffic);
const both = (line: string) => Promise.all([left.tells(line), right.tells(line)]);

const pluto = {
  right: await Pluto.start(hosts.right, 'right', RIGHT),
  left: await Pluto.start(hosts.left, 'left', LEFT),
};
say('on demand');
pluto.left.whack('--route', '--name', 'v2');
await left.tells('added: blocked');
startTraffic();
await both('up');
say('rekeys under traffic');
for (let rekeys = 0; rekeys < 2; rekeys++) {
  await both('rekeyed out');
}
say('down');
stopTraffic();
pluto.left.tell('--terminate', '--name', 'v2');
await both('down');
say('up');
pluto.left.tell('--initiate', '--name', 'v2');
await both('up');
say('killed');
startTraffic();
pluto.right.kill();
await left.tells('down');
say('again');
pluto.right = await Pluto.start(hosts.right, 'right', RIGHT);
pluto.left.tell('--initiate', '--name', 'v2');
await left.tells('up');
stopTraffic();
say('end');
writeFileSync(
  file,
  JSON.stringify({
    stories: { left: left.lines, right: right.lines },
    testimony: { left: await witness.left.close(), right: await witness.right.close() },
  }),
);
process.exit(0);
