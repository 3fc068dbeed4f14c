/**
 * Runs in the lab: two libreswan daemons on two hosts, and the changes reported for the tunnels between them, written
 * to a file as JSON.
 *
 *   node libreswan-guest.js TOOLS FILE
 * @module
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { isUpState } from '../../lib/index.ts';
import { type DaemonSettings, Pluto } from '../../lib/testing/index.ts';
import { hostsHere, INNER, UNDERLAY } from '../kernel/here.ts';
import { Story } from '../kernel/story.ts';
import { installPluto } from './graft.ts';
import { Witness } from './witness.ts';

const [tools = '', file = ''] = process.argv.slice(2);

installPluto(tools);
const hosts = await hostsHere();
const witness = { left: await Witness.open(hosts.left), right: await Witness.open(hosts.right) };
const left = new Story(witness.left.tunnels);
const right = new Story(witness.right.tunnels);
const say = (text: string) => process.stderr.write(`=== ${new Date().toISOString()} ${text}\n`);

/** The left one rekeys, and gives up a peer that does not answer. */
const common: DaemonSettings = {
  dpddelay: 1,
  dpdtimeout: 3,
  dpdaction: 'hold',
  'retransmit-timeout': '3s',
  'retransmit-interval': 500,
};
const QUICK = { salifetime: '16s', rekeymargin: '10s' };
const SLOW = { salifetime: '60s', rekeymargin: '5s' };
/** Addresses of its own for a connection of IKEv1. */
const OTHER = { left: '10.0.1.2', right: '10.0.2.2' } as const;
const connections = (side: 'left' | 'right') => {
  const far = side === 'left' ? 'right' : 'left';
  const own = { ...common, ...(side === 'left' ? QUICK : SLOW) };
  const subnets = { leftsubnet: `${OTHER[side]}/32`, rightsubnet: `${OTHER[far]}/32` };
  return { v2: { ...own, ikev2: 'insist' }, v1: { ...own, ...subnets, ikev2: 'no' } };
};
for (const [host, far] of [
  [hosts.left, 'right'],
  [hosts.right, 'left'],
] as const) {
  const side = far === 'right' ? 'left' : 'right';
  await host.ip(`address add ${OTHER[side]}/32 dev lo`);
  await host.ip(`route add ${OTHER[far]}/32 via ${UNDERLAY[far]} src ${OTHER[side]}`);
}

const udp = createSocket('udp4');
let traffic: NodeJS.Timeout | undefined;
const startTraffic = () => {
  traffic = setInterval(() => udp.send('traffic', 9, INNER.right), 50);
};
const stopTraffic = () => clearInterval(traffic);
const both = (line: string) => Promise.all([left.tells(line), right.tells(line)]);

const startRight = () => Pluto.start(hosts.right, hosts.left, 'right', { connections });
const pluto = {
  right: await startRight(),
  left: await Pluto.start(hosts.left, hosts.right, 'left', { connections }),
};
say('on demand');
await pluto.left.whack('--route', '--name', 'v2');
await left.tells('added: blocked');
startTraffic();
await both('up');
say('rekeys under traffic');
// Each replaces an SA in both directions.
for (const side of [witness.left, witness.right]) await side.replacements(2 * 2);
say('down');
stopTraffic();
await pluto.left.tell('--terminate', '--name', 'v2');
await both('down');
say('up');
await pluto.left.tell('--initiate', '--name', 'v2');
await both('up');
say('IKEv1');
await pluto.left.tell('--initiate', '--name', 'v1');
await both('up');
// Of the new one, not of the other: what ends while it is rekeyed may be rekeyed at one end only.
for (const { tunnels } of Object.values(witness)) {
  while ([...tunnels.tunnels].some(({ state, rekeys }) => isUpState(state) && rekeys === 0)) {
    await once(tunnels, 'change');
  }
}
await pluto.left.tell('--terminate', '--name', 'v1');
await both('down');
say('the right one is killed');
startTraffic();
const killed = Date.now();
await pluto.right.kill();
await left.tells('down');
say('it is there again');
pluto.right = await startRight();
await pluto.left.tell('--initiate', '--name', 'v2');
await left.tells('up');
stopTraffic();
say('end');
const stories = { left: [...left.lines], right: [...right.lines] };
const testimony = { left: await witness.left.close(), right: await witness.right.close() };
writeFileSync(file, JSON.stringify({ stories, testimony, killed }));
process.exit(0);
