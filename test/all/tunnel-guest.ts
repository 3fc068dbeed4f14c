/**
 * Runs in the lab: two strongSwan daemons on two hosts, and what a monitor on each tells of the tunnels
 * between them, written to a file as JSON.
 *
 *   node tunnel-guest.js TOOLS FILE killed|terminated
 *   node tunnel-guest.js TOOLS FILE rekeys TUNNELS ROUNDS
 * @module
 */
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import type { TunnelChange, TunnelMonitor } from '../../lib/index.ts';
import { type Charon, type StrongswanOptions, strongswan } from '../../lib/testing/index.ts';
import { hostsHere, INNER } from '../kernel/here.ts';
import { Story } from '../kernel/story.ts';
import { installCharon } from './graft.ts';
import { Witness } from './witness.ts';

const [tools = '', file = '', which, ...numbers] = process.argv.slice(2);

installCharon(tools);
const hosts = await hostsHere();

// A thousand rekeys are enough to do for one processor.
const command = which !== 'rekeys';
const witness = {
  left: await Witness.open(hosts.left, { command }),
  right: await Witness.open(hosts.right, { command }),
};
const monitors = { left: witness.left.tunnels, right: witness.right.tunnels };
const left = new Story(monitors.left);
const right = new Story(monitors.right);

/** Traffic from left to right, from one time to another. */
const udp = createSocket('udp4');
let traffic: NodeJS.Timeout;
const startTraffic = () => {
  traffic = setInterval(() => udp.send('traffic', 9, INNER.right), 20);
};

/** Starts both daemons; the left one negotiates and rekeys. */
const start = (settings: StrongswanOptions, leftChild: StrongswanOptions['child']) =>
  strongswan(hosts.left, hosts.right, { ...settings, leftChild });

/** Rekeys every few seconds, an old inbound SA staying for one; a lost peer is given up after three. */
const QUICK: StrongswanOptions = {
  daemon: {
    delete_rekeyed_delay: 1,
    retransmit_tries: 2,
    retransmit_timeout: 1,
    retransmit_base: 1,
  },
  child: { rekey_time: 0, rand_time: 0, life_time: '8s' },
};
const TRAP = { rekey_time: '4s', start_action: 'trap' };

/** Up by a packet. The right daemon waits, so that asking for SAs takes a moment that can be seen. */
async function negotiate(daemons: { right: Charon }): Promise<void> {
  daemons.right.pause();
  startTraffic();
  await left.tells('state: acquiring');
  daemons.right.resume();
  for (const story of [left, right]) await story.tells('up');
}

/** Up, and rekeyed twice. */
async function live() {
  const daemons = await start(QUICK, TRAP);
  await left.tells('added: blocked');
  await negotiate(daemons);
  for (let rekeys = 0; rekeys < 2; rekeys++) {
    for (const story of [left, right]) await story.tells('state: up');
  }
  return daemons;
}

const stories: Record<string, () => Promise<unknown>> = {
  /** The right daemon is killed: nobody there acts on the limits of its SAs any more. */
  async killed() {
    const daemons = await live();
    await daemons.right.kill();
    await left.tells('down');
    await right.tells('down');
    return { left: left.lines, right: right.lines };
  },

  /** The tunnel is ended on the left, and the next packet brings it back. */
  async terminated() {
    const daemons = await live();
    clearInterval(traffic);
    await daemons.left.swanctl('--terminate', '--ike', 'tunnel1');
    await left.tells('down');
    await right.tells('down');
    await negotiate(daemons);
    return { left: left.lines, right: right.lines };
  },

  /** Many tunnels, rekeyed as fast as it goes. */
  async rekeys() {
    const [tunnels = 1, rounds = 1] = numbers.map(Number);
    const done = { left: 0, right: 0 };
    let heard = () => {};
    const counts: Record<'left' | 'right', Record<string, number>> = { left: {}, right: {} };
    const count = (side: 'left' | 'right') => (change: TunnelChange) => {
      const { kind } = change;
      const what = kind === 'state' ? `${change.before} to ${change.tunnel.state}` : kind;
      counts[side][what] = (counts[side][what] ?? 0) + 1;
      if (kind === 'rekeyed') {
        done[side]++;
        heard();
      }
    };
    const settings = {
      daemon: { delete_rekeyed_delay: 0 },
      child: { rekey_time: 0, life_time: 0 },
      tunnels,
    };
    const up = (monitor: TunnelMonitor) =>
      [...monitor.tunnels].filter(({ state }) => state === 'up').length;
    const allUp = async () => {
      while (up(monitors.left) < tunnels || up(monitors.right) < tunnels) {
        await new Promise((turn) => setTimeout(turn, 50));
      }
    };
    const charon = await start(settings, { start_action: 'start' });
    await allUp();
    monitors.left.on('change', count('left'));
    monitors.right.on('change', count('right'));
    const begun = performance.now();
    for (let round = 1; round <= rounds; round++) {
      await charon.left.rekey();
      while (Math.min(done.left, done.right) < tunnels * round) {
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
      }
    }
    const seconds = (performance.now() - begun) / 1000;
    // A rekey is reported when the new SAs come; the old ones go after it.
    await allUp();
    for (const monitor of Object.values(monitors)) await monitor.refresh();
    const states = Object.values(monitors).map((monitor) => up(monitor));
    return { counts, states, seconds };
  },
};

// The state now; the end of the witnesses is recorded too.
const told = structuredClone(await stories[which ?? '']?.());
const testimony = { left: await witness.left.close(), right: await witness.right.close() };
writeFileSync(file, JSON.stringify({ told, testimony }));
process.exit(0);
