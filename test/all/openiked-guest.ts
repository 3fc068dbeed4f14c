/**
 * Runs in the lab: two OpenIKED daemons on two hosts, and the changes reported for the tunnel between them, written
 * to a file as JSON. Both ends rekey at the same time.
 *
 *   node openiked-guest.js FILE
 * @module
 */
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { hostsHere, INNER } from '../kernel/here.ts';
import { Story } from '../kernel/story.ts';
import { Iked, prepareMachine } from './iked.ts';
import { Witness } from './witness.ts';

const [file = ''] = process.argv.slice(2);

prepareMachine();
const hosts = await hostsHere();
const witness = { left: await Witness.open(hosts.left), right: await Witness.open(hosts.right) };
const left = new Story(witness.left.tunnels);
const right = new Story(witness.right.tunnels);
const both = (line: string) => Promise.all([left.tells(line), right.tells(line)]);

await Iked.start(hosts.right, 'right', 8);
const iked = await Iked.start(hosts.left, 'left', 8);
await both('up');
const udp = createSocket('udp4');
const traffic = setInterval(() => udp.send('traffic', 9, INNER.right), 50);
for (const side of [witness.left, witness.right]) await side.replacements(2 * 2);
clearInterval(traffic);
iked.stop();
await both('down');
const stories = { left: [...left.lines], right: [...right.lines] };
const testimony = { left: await witness.left.close(), right: await witness.right.close() };
writeFileSync(file, JSON.stringify({ stories, testimony }));
process.exit(0);
