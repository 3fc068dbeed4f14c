/**
 * An oracle: in random small worlds packets are sent both ways through real kernels, and a tunnel is up, by a fresh look and by
 * a monitor that watched all along, exactly if they pass in ESP or AH. A world is made from a number; NETLINK_XFRM_WORLD
 * makes that one alone.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  isUpState,
  type PolicyKey,
  type StateKey,
  type Tunnel,
  TunnelMonitor,
  XfrmClient,
} from '../../lib/index.ts';
import { Random } from '../unit/random.ts';
import { OracleHosts } from './oracle-hosts.ts';
import { type Connection, type Operation, type World, worldOf } from './oracle-worlds.ts';
import { withoutEsp } from './support.ts';

const chosen = process.env.NETLINK_XFRM_WORLD;
const COUNT = Number(process.env.NETLINK_XFRM_WORLDS ?? 100);
const SEEDS =
  chosen === undefined
    ? Array.from({ length: COUNT }, (_, i) => i + Number(process.env.NETLINK_XFRM_SEED ?? 1))
    : [Number(chosen)];

/** What depends on time is switched off, or needs none. */
const BY_STATE = { settle: 0, idle: 0, stalled: 0, overlap: 0, remember: 0 };
const BY_COUNTERS = { ...BY_STATE, stalled: 1 };

let oracle: OracleHosts;
let clients: { left: XfrmClient; right: XfrmClient };

before(async () => {
  if (withoutEsp) return;
  oracle = await OracleHosts.open();
  clients = {
    left: new XfrmClient(),
    right: new XfrmClient({ netns: oracle.hosts.right.netns }),
  };
});
after(async () => {
  if (withoutEsp) return;
  await clients.left.close();
  await clients.right.close();
  await oracle.close();
});

async function clear(): Promise<void> {
  for (const client of Object.values(clients)) {
    await client.flushStates();
    await client.flushPolicies();
  }
}

async function perform(operation: Operation): Promise<void> {
  if (operation.do === 'removeAddress') {
    const { address } = operation;
    await oracle.hosts.left.ip(`address del ${withLength(address)} dev cable`);
    return;
  }
  const client = clients[operation.side];
  if ('sa' in operation) {
    if (operation.do === 'addSa') await client.addState(operation.sa);
    else await client.deleteState(operation.sa as StateKey);
  } else if (operation.do === 'addPolicy') await client.addPolicy(operation.policy);
  else await client.deletePolicy(operation.policy as PolicyKey);
}
const withLength = (address: string) => `${address}/${address.includes(':') ? 64 : 24}`;

async function setUp(world: World): Promise<void> {
  for (const side of ['left', 'right'] as const) {
    for (const sa of world[side].sas) await clients[side].addState(sa);
    for (const policy of world[side].policies) await clients[side].addPolicy(policy);
  }
}

/** Sends a packet each way. @returns whether both arrive, in ESP or AH */
async function passes({ ends, remote }: Connection): Promise<boolean> {
  const counts = async () => {
    const sums = { out: 0n, in: 0n };
    for await (const { proto, daddr, saddr, current } of clients.left.listStates()) {
      if (proto !== 'esp' && proto !== 'ah') continue;
      if (daddr === remote) sums.out += current.packets;
      else if (saddr === remote || /^(0\.0\.0\.0|::|192\.0\.2\.99|2001:db8::99)$/.test(saddr))
        sums.in += current.packets;
    }
    return sums;
  };
  const first = await counts();
  const there = await oracle.send('left', { source: ends.left, target: ends.right });
  const back = await oracle.send('right', { source: ends.right, target: ends.left });
  const last = await counts();
  return there && back && last.out > first.out && last.in > first.in;
}

/** Whether a connection is said to be up. */
function saysUp(tunnels: Iterable<Tunnel>, { remote }: Connection): boolean {
  const its = [...tunnels].filter((one) => one.remote === remote && isThere(one));
  return its.length > 0 && its.every(({ state }) => isUpState(state));
}
const isThere = ({ sas, larval, policies }: Tunnel) =>
  sas.in.length + sas.out.length + larval.length + policies.length > 0;
/** By their ends: the name of a tunnel is that which it had when it was first seen. */
const said = (tunnels: Iterable<Tunnel>) =>
  [...tunnels]
    .filter(isThere)
    .map(({ local, remote, reqid, state, reason }) => {
      return `    ${local} > ${remote} ${reqid}: ${state}, ${reason}`;
    })
    .sort()
    .join('\n');

/** @returns what is said wrongly */
async function judgeWorld(
  seed: number,
  watching: TunnelMonitor,
  counting: TunnelMonitor,
): Promise<string[]> {
  const world = worldOf(new Random(seed));
  const wrong: string[] = [];
  try {
    await setUp(world);
    for (const operation of world.then) await perform(operation);
    await watching.refresh();
    await counting.refresh();
    const truth: boolean[] = [];
    for (let round = 0; round < 2; round++) {
      for (const [i, connection] of world.connections.entries()) {
        const passed = await passes(connection);
        truth[i] = round === 0 ? passed : passed && truth[i] === true;
      }
      await counting.refresh();
    }
    await watching.refresh();
    await using fresh = await TunnelMonitor.open({ thresholds: BY_STATE });
    const looks = { fresh, watching, ...(world.hidden && { counting }) };
    for (const [i, connection] of world.connections.entries()) {
      for (const [name, monitor] of Object.entries(looks)) {
        // What goes wrong at the peer, or with keys, SAs and policies do not show.
        if (world.hidden && name !== 'counting') continue;
        const says = saysUp(monitor.tunnels, connection);
        if (says === truth[i] || (world.hidden && says)) continue;
        const what = says ? 'FALSE ALL-WELL' : 'FALSE ALARM';
        wrong.push(
          `${what} by ${name} of [${i}] in world ${seed}: ${world.words}\n${said(monitor.tunnels)}`,
        );
      }
    }
    if (said(fresh.tunnels) !== said(watching.tunnels)) {
      wrong.push(
        `NOT THE SAME in world ${seed}: ${world.words}\n${said(fresh.tunnels)}\n  watched:\n${said(watching.tunnels)}`,
      );
    }
  } finally {
    for (const operation of world.then) {
      if (operation.do !== 'removeAddress') continue;
      const { address } = operation;
      await oracle.hosts.left.ip(
        `address add ${withLength(address)} dev cable${address.includes(':') ? ' nodad' : ''}`,
      );
    }
    await clear();
  }
  return wrong;
}

test(`of ${SEEDS.length} random worlds all is said as it is`, { skip: withoutEsp }, async () => {
  await clear();
  await using watching = await TunnelMonitor.open({ thresholds: BY_STATE, refreshInterval: 0 });
  await using counting = await TunnelMonitor.open({ thresholds: BY_COUNTERS, refreshInterval: 0 });
  const wrong: string[] = [];
  for (const seed of SEEDS) {
    const found = await judgeWorld(seed, watching, counting);
    // At once: what is printed is there also if the kernel does not come to the end.
    for (const line of found) console.log(line);
    wrong.push(...found);
  }
  const count = (what: string) => wrong.filter((line) => line.startsWith(what)).length;
  const sums = `${count('FALSE ALARM')} false alarms, ${count('FALSE ALL-WELL')} false all-wells, ${count('NOT THE SAME')} looks that differ`;
  console.log(`${SEEDS.length} worlds from ${SEEDS[0]} on: ${sums}`);
  assert.equal(wrong.length, 0, sums);
});
