/** The addresses of a host, followed on real kernels: with a buffer for a few events, most of which are lost. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { RouteClient } from '../../lib/index.ts';
import { Addresses } from '../../lib/tunnel/addresses.ts';
import { Random } from '../unit/random.ts';

const seed = Number(process.env.NETLINK_XFRM_SEED ?? Date.now() % 2 ** 31);
const nth = (i: number) => `10.77.${i >> 8}.${i & 255}`;
const COUNT = 200;

let route: RouteClient;
let marks = 0;
const index: number[] = [];
before(async () => {
  route = new RouteClient();
  await route.addLink({ name: 's0', info: { kind: 'veth', veth: { peer: { name: 's1' } } } });
  for (const name of ['s0', 's1']) index.push((await route.getLink({ name })).index);
});
after(async () => {
  await route.deleteLink({ name: 's0' });
  await route.close();
});

/** Addresses and links that come and go, as fast as they can be asked for. */
async function storm(random: Random, requests: number): Promise<void> {
  const one = async () => {
    const address = {
      index: random.pick(index),
      local: nth(random.below(COUNT)),
      prefixLength: random.pick([24, 32]),
    };
    if (random.chance(1, 10)) {
      const link = { index: address.index };
      await (random.chance(1, 2) ? route.setLinkDown(link) : route.setLinkUp(link));
    } else if (random.chance(1, 2)) await route.addAddress(address);
    else await route.deleteAddress(address);
  };
  // One that is there already, or not there any more, is refused.
  await Promise.all(Array.from({ length: requests }, () => one().catch(() => {})));
}

/** Whether packets can be sent from each address, by lists. */
async function usable(): Promise<Map<string, boolean>> {
  const links = new Map((await route.listLinks()).items.map((link) => [link.index, link]));
  const all = new Map<string, boolean>();
  for (const { local, index: at } of (await route.listAddresses()).items) {
    const up = links.get(at)?.flags.names.includes('up') ?? false;
    if (local !== undefined) all.set(local, up || (all.get(local) ?? false));
  }
  return all;
}

for (const receiveBufferSize of [1, 65_536, 2 ** 20]) {
  test(`a storm of addresses, ${receiveBufferSize} bytes of buffer (seed ${seed})`, async (t) => {
    const random = new Random(seed);
    const addresses = new Addresses(undefined, { receiveBufferSize, readAhead: 0 });
    // Its sockets let a process end.
    const alive = setInterval(() => {}, 60_000);
    try {
      await addresses.open();
      const told = new Map<string, boolean>();
      const isUsable = (one: string) =>
        addresses.local.isLocal(one) && addresses.local.lost(one) === undefined;
      let heard = () => {};
      addresses.changed = (those) => {
        for (const one of those) told.set(one, isUsable(one));
        heard();
      };
      for (let i = 0; i < COUNT; i++) told.set(nth(i), isUsable(nth(i)));
      for (let round = 0; round < 5; round++) {
        await storm(random, 400);
        // The last event: heard, or found by a resync of what was lost.
        const last = `10.78.${marks++ >> 8}.${marks & 255}`;
        const marked = new Promise<void>((resolve) => {
          heard = () => {
            if (told.has(last)) resolve();
          };
        });
        await route.addAddress({ index: index[0], local: last, prefixLength: 32 });
        await marked;
        while (!addresses.tables.synced) await new Promise((resolve) => setTimeout(resolve, 10));
        const there = await usable();
        for (let i = 0; i < COUNT; i++) {
          const expected = there.get(nth(i)) ?? false;
          assert.equal(isUsable(nth(i)), expected, nth(i));
          assert.equal(told.get(nth(i)), expected, `${nth(i)}, as told`);
        }
      }
      t.diagnostic(`${addresses.tables.dropped} events were lost`);
      if (receiveBufferSize === 1) assert(addresses.tables.dropped > 0);
    } finally {
      clearInterval(alive);
      await addresses.close();
    }
  });
}

test('tunnels are right where most events are lost and every listener throws', async () => {
  const lib = new URL('../../lib/index.js', import.meta.url).href;
  const script = `
    import { RouteClient, TunnelMonitor, XfrmClient } from '${lib}';
    let thrown = 0;
    process.on('uncaughtException', (error) => {
      if (error.message !== 'mine') throw error;
      thrown++;
    });
    const [client, route] = [new XfrmClient(), new RouteClient()];
    const monitor = await TunnelMonitor.open({ receiveBufferSize: 1, refreshInterval: 0 });
    const LOCAL = '10.79.0.1';
    let [last, broken, wrong] = [0, false, []];
    const states = [];
    monitor.on('change', (change) => {
      if (change.time.monotonic < last) wrong.push('time goes back: ' + change.kind);
      last = change.time.monotonic;
      if (change.kind === 'overrun') broken = true;
      else if (change.kind === 'resynced') {
        if (!broken) wrong.push('resynced, and nothing was lost');
        broken = false;
      } else if (change.tunnel?.local === LOCAL) states.push(change.tunnel.state);
      throw new Error('mine');
    });
    const template = { saddr: LOCAL, daddr: '192.0.2.9', proto: 'esp', mode: 'tunnel', reqid: 9 };
    const policy = (i) => ({
      dir: 'out',
      selector: { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.' + i + '.0.0', prefixlenD: 16 },
      templates: [template],
    });
    const wait = async (state) => {
      for (;;) {
        const [tunnel] = monitor.tunnels.byRemote('192.0.2.9');
        if (tunnel?.state === state) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    const { index } = await route.getLink({ name: 's0' });
    await route.setLinkUp({ index });
    const address = { index, local: LOCAL, prefixLength: 32 };
    for (let round = 0; round < 3; round++) {
      await route.addAddress(address);
      const some = [];
      for (let i = 1; i < 200; i++) {
        some.push(client.addPolicy(policy(i)));
        const other = { index, local: '10.80.0.' + i, prefixLength: 32 };
        some.push(route.addAddress(other), route.deleteAddress(other));
      }
      await Promise.allSettled(some);
      await wait('blocked');
      await route.deleteAddress(address);
      await wait('down');
    }
    await client.flushPolicies();
    await monitor.refresh();
    if (broken) wrong.push('not resynced');
    await monitor.close();
    await client.close();
    await route.close();
    console.log(JSON.stringify({ wrong, thrown: thrown > 0, last: states.at(-1) }));
  `;
  const args = ['--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(stderr, '');
  assert.deepEqual(JSON.parse(stdout), { wrong: [], thrown: true, last: 'down' });
});
