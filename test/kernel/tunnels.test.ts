/** TunnelMonitor against real kernels: what can be seen with policies and larval SAs, and, with ESP, a life. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import {
  RouteClient,
  type Tunnel,
  type TunnelChange,
  TunnelMonitor,
  type TunnelMonitorOptions,
  type TunnelsSynced,
  XfrmClient,
  XfrmMonitor,
} from '../../lib/index.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { hostsHere, type TwoHosts } from './here.ts';
import { withoutEsp } from './support.ts';

const [HERE, THERE] = ['192.0.2.1', '192.0.2.2'];
const ID = `${HERE} > ${THERE} reqid 7`;
const TEMPLATE = { proto: 'esp', mode: 'tunnel', reqid: 7 } as const;
const OUT = { saddr: HERE, daddr: THERE, ...TEMPLATE };
const SELECTOR = { saddr: '10.0.0.0', prefixlenS: 24, daddr: '10.1.0.0', prefixlenD: 16 } as const;
const POLICY = { dir: 'out', selector: SELECTOR, templates: [OUT] } as const;

let hosts: TwoHosts | undefined;
before(async () => {
  hosts = await hostsHere();
});
after(() => hosts?.[Symbol.asyncDispose]());

/** A monitor, a client, and the reported changes, one word each. */
async function opened(options?: TunnelMonitorOptions) {
  const client = new XfrmClient();
  const monitor = await TunnelMonitor.open(options);
  const told: string[] = [];
  monitor.on('change', (change) => {
    if ('tunnel' in change && change.kind !== 'warning') {
      told.push(`${change.kind} ${change.tunnel.id} ${change.tunnel.state}`);
    }
  });
  return {
    client,
    monitor,
    told,
    /** Waits until a condition holds; the reported changes do not depend on how long it takes. */
    until: (wanted: (change: TunnelChange) => boolean) =>
      new Promise<TunnelChange>((resolve) => {
        const check = (change: TunnelChange) => {
          if (!wanted(change)) return;
          monitor.off('change', check);
          resolve(change);
        };
        monitor.on('change', check);
      }),
    async [Symbol.asyncDispose]() {
      await monitor.close();
      await client.close();
    },
  };
}

const becomes = (state: string) => (change: TunnelChange) =>
  'tunnel' in change && change.kind !== 'warning' && change.tunnel?.state === state;

test('a policy alone is a blocked tunnel; with a larval SA it is acquiring; without both it is gone', async () => {
  await using all = await opened({ refreshInterval: 0 });
  const { client, monitor, told, until } = all;
  assert.deepEqual([...monitor.tunnels], []);
  const blocked = until(becomes('blocked'));
  await client.addPolicy(POLICY);
  await blocked;
  const tunnel = monitor.tunnels.get(ID);
  assert(tunnel);
  assert.deepEqual([tunnel.local, tunnel.remote, tunnel.reqid], [HERE, THERE, 7]);
  assert.equal(tunnel.directed, true);
  assert.deepEqual(monitor.tunnels.byRemote(THERE), [tunnel]);
  assert.deepEqual(monitor.tunnels.byReqid(7), [tunnel]);
  const [{ selector } = {}] = tunnel.selectors;
  assert.equal(selector?.daddr, SELECTOR.daddr);
  const acquiring = until(becomes('acquiring'));
  const { spi } = await client.allocateSpi({
    ...OUT,
    saddr: THERE,
    daddr: HERE,
    min: 256,
    max: 512,
  });
  // No event tells of it.
  await monitor.refresh();
  await acquiring;
  assert.equal(monitor.tunnels.get(ID)?.larval.length, 1);
  const again = until(becomes('blocked'));
  await client.deleteState({ daddr: HERE, spi });
  await again;
  const removed = until(({ kind }) => kind === 'removed');
  await client.flushPolicies();
  await removed;
  assert.deepEqual(told, [
    `added ${ID} blocked`,
    `state ${ID} acquiring`,
    `state ${ID} blocked`,
    `state ${ID} down`,
    `removed ${ID} down`,
  ]);
  assert.equal(monitor.tunnels.size, 0);
});

test('an expected tunnel is there from the start, and stays', async () => {
  await using all = await opened({ expected: [{ name: 'paris', remote: THERE }] });
  const { client, monitor, until } = all;
  assert.deepEqual(
    monitor.snapshot().tunnels.map(({ id, state, expected }) => [id, state, expected]),
    [['paris', 'down', true]],
  );
  const blocked = until(becomes('blocked'));
  await client.addPolicy(POLICY);
  await blocked;
  const down = until(becomes('down'));
  await client.deletePolicy(POLICY);
  await down;
  assert.equal(monitor.forget('paris'), false);
  assert.equal(monitor.tunnels.size, 1);
});

test('expected tunnels can be changed while the monitor is open, also by a listener', async () => {
  await using all = await opened();
  const { client, monitor, until, told } = all;
  const [synced] = (await once(monitor, 'synced')) as [TunnelsSynced];
  assert.deepEqual(synced.snapshot, monitor.snapshot());
  const blocked = until(becomes('blocked'));
  await client.addPolicy(POLICY);
  await blocked;
  const [before] = monitor.tunnels;
  told.splice(0);
  const missing = monitor.addExpected({ name: 'rome', remote: '192.0.2.9' });
  assert.equal(missing.state, 'down');
  monitor.once('removed', () => monitor.removeExpected('rome'));
  const paris = monitor.addExpected({ name: 'paris', remote: THERE });
  assert.equal(paris, monitor.tunnels.get('paris'));
  assert.deepEqual(paris.since, before?.since);
  assert.deepEqual(told, [
    'added rome down',
    `removed ${ID} blocked`,
    'added paris blocked',
    'removed rome down',
  ]);
  assert.deepEqual(monitor.expected, [{ name: 'paris', remote: THERE }]);
  assert.throws(
    () => monitor.addExpected({ name: 'paris', remote: HERE }),
    /"paris" is already expected/,
  );
  assert.throws(() => monitor.setExpected([{ remote: 'x' }]), /expected\[0\]\.remote must be/);
  assert.throws(() => monitor.setExpected(undefined as never), /expected must be an array/);
  assert.equal(monitor.removeExpected('rome'), false);
  monitor.setExpected([]);
  assert.deepEqual(told.slice(4), ['removed paris blocked', `added ${ID} blocked`]);
  const down = until(becomes('down'));
  await client.deletePolicy(POLICY);
  await down;
  await monitor.close();
  assert.throws(() => monitor.setExpected([]), { code: 'ERR_MONITOR_CLOSED' });
});

test('a loop starts with all tunnels; a slow one is notified and starts over', async () => {
  await using all = await opened({ highWaterMark: 2 });
  const { client, monitor, until } = all;
  const quick = monitor[Symbol.asyncIterator]();
  const slow = monitor[Symbol.asyncIterator]();
  const first = await quick.next();
  assert(first.value?.kind === 'synced' && first.value.snapshot.tunnels.length === 0);
  for (let reqid = 1; reqid <= 4; reqid++) {
    const added = until(({ kind }) => kind === 'added');
    await client.addPolicy({
      ...POLICY,
      selector: { ...SELECTOR, daddr: `10.${reqid}.0.0` },
      templates: [{ ...OUT, reqid }],
    });
    await added;
    assert.equal((await quick.next()).value?.kind, 'added');
  }
  const kinds: string[] = [];
  for (let i = 0; i < 4; i++) {
    const { value } = await slow.next();
    kinds.push(value?.kind ?? 'end');
    if (value?.kind === 'synced' && i > 0) assert.equal(value.snapshot.tunnels.length, 4);
    if (value?.kind === 'overrun') assert.equal(value.slowConsumer, true);
  }
  assert.deepEqual(kinds, ['synced', 'added', 'overrun', 'synced']);
  await quick.return?.();
  await monitor.close();
  assert.equal((await slow.next()).done, true);
  await assert.rejects(monitor.refresh(), /closed/);
});

test('a monitor that was given stays open; a signal closes', async () => {
  await using below = await XfrmMonitor.open();
  const given = await TunnelMonitor.open({ monitor: below });
  await given.close();
  assert.equal(below.closed, false);
  assert.equal(below.listenerCount('change') + below.listenerCount('close'), 0);
  const controller = new AbortController();
  const { signal } = controller;
  const monitor = await TunnelMonitor.open({ monitor: below, signal });
  const loop = monitor[Symbol.asyncIterator]();
  await loop.next();
  const closed = once(monitor, 'close');
  controller.abort(new Error('enough'));
  await assert.rejects(loop.next(), /enough/);
  await closed;
  await assert.rejects(TunnelMonitor.open({ signal }), /enough/);
  // What it stands on ends: so does it.
  const last = await TunnelMonitor.open({ monitor: below });
  const ended = once(last, 'close');
  await below.close();
  await ended;
});

test('a packet without an SA: the tunnel is acquiring, if acquires are enabled', async () => {
  await using all = await opened({ acquires: true });
  const { client, monitor, until } = all;
  const selector = { saddr: HERE, prefixlenS: 32, daddr: THERE, prefixlenD: 32 };
  const blocked = until(becomes('blocked'));
  await client.addPolicy({ dir: 'out', selector, templates: [OUT] });
  await blocked;
  const acquiring = until(becomes('acquiring'));
  const socket = createSocket('udp4');
  socket.send('x', 9, THERE, () => socket.close());
  await acquiring;
  assert.equal(monitor.tunnels.get(ID)?.acquires, 1);
});

test('the local address goes with its link, and comes back', async () => {
  await using all = await opened({ refreshInterval: 0 });
  await using route = new RouteClient();
  const { client, monitor, until } = all;
  const blocked = until(becomes('blocked'));
  await client.addPolicy(POLICY);
  await blocked;
  const { items } = await route.listAddresses();
  const index = items.find(({ local }) => local === HERE)?.index;
  assert(index !== undefined);
  const down = until(becomes('down'));
  // The same address with another prefix is a second address of the interface.
  const other = { index, local: HERE, prefixLength: 25 };
  await route.addAddress(other);
  await route.deleteAddress(other);
  await route.setLinkDown({ index });
  await down;
  assert.match(monitor.tunnels.get(ID)?.reason ?? '', /link .* of local address 192.0.2.1 is down/);
  const again = until(becomes('blocked'));
  await route.setLinkUp({ index });
  await again;
});

test('another namespace is watched from here', async () => {
  await using other = await NetworkNamespace.make();
  await using all = await opened({ netns: other.path });
  const { monitor, until } = all;
  await using there = new XfrmClient({ netns: other.path });
  // It has no address for its end.
  const down = until(becomes('down'));
  await there.addPolicy(POLICY);
  await down;
  assert.match(monitor.tunnels.get(ID)?.reason ?? '', /local address 192.0.2.1 is not on this/);
  assert.equal(monitor.tunnels.size, 1);
  await using here = await TunnelMonitor.open();
  assert.equal(here.tunnels.size, 0);
});

test("an unref'ed monitor does not keep the process alive", async () => {
  const index = new URL('../../lib/index.js', import.meta.url).href;
  const { execFileSync } = await import('node:child_process');
  const script = `const { TunnelMonitor } = await import('${index}');
    const monitor = await TunnelMonitor.open();
    monitor.unref();
    console.log(monitor.tunnels.size);`;
  const args = ['--input-type=module', '-e', script];
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 600_000 }), '0\n');
});

test('a tunnel comes up, is rekeyed, and is deleted by someone', { skip: withoutEsp }, async () => {
  // A kernel that runs as a program can be slow: what comes in one breath takes longer.
  await using all = await opened({ refreshInterval: 0, thresholds: { settle: 5000 } });
  const { client, monitor, until, told } = all;
  const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) };
  const pair = async (spi: number) => {
    await client.addState({ ...OUT, saddr: THERE, daddr: HERE, spi: spi + 1, aead });
    await client.addState({ ...OUT, spi, aead });
  };
  const up = until(becomes('up'));
  await pair(0x1001);
  await client.addPolicy(POLICY);
  await up;
  // First the successors, then the old ones go; and the other way round.
  const first = until(({ kind }) => kind === 'rekeyed');
  await pair(0x2001);
  await client.deleteState({ daddr: THERE, spi: 0x1001 });
  await client.deleteState({ daddr: HERE, spi: 0x1002 });
  const change = await first;
  assert(change.kind === 'rekeyed');
  const made = { protocol: 'esp', gapMs: 0 };
  assert.deepEqual(change.out, [{ ...made, from: 0x1001, to: 0x2001 }]);
  assert.deepEqual(change.in, [{ ...made, from: 0x1002, to: 0x2002 }]);
  const second = until((one) => one.kind === 'rekeyed' && one.out[0]?.to === 0x3001);
  await client.deleteState({ daddr: THERE, spi: 0x2001 });
  await client.deleteState({ daddr: HERE, spi: 0x2002 });
  await pair(0x3001);
  await second;
  assert.equal(monitor.tunnels.get(ID)?.state, 'up');
  assert.equal(monitor.tunnels.get(ID)?.rekeys, 2);
  // A name, and none again, in the middle of its life.
  const before = pick(monitor.tunnels.get(ID));
  assert.deepEqual(pick(monitor.addExpected({ name: 'paris', remote: THERE })), before);
  const third = until((one) => one.kind === 'rekeyed' && one.out[0]?.to === 0x4001);
  await pair(0x4001);
  await client.deleteState({ daddr: THERE, spi: 0x3001 });
  await client.deleteState({ daddr: HERE, spi: 0x3002 });
  await third;
  monitor.setExpected([]);
  assert.deepEqual(pick(monitor.tunnels.get(ID)), { ...before, rekeys: 3 });
  assert.equal(monitor.xfrm.states.bySpi(0x4001, { daddr: THERE }).length, 1);
  assert(!told.some((line) => line.startsWith('down')), told.join('\n'));
  const down = until(({ kind }) => kind === 'down');
  await client.flushStates();
  await client.flushPolicies();
  const last = await down;
  assert(last.kind === 'down');
  assert.equal(last.reason.kind, 'flushed');
  assert.equal(last.tunnel.state, 'down');
  assert.equal(monitor.forget(ID), true);
  assert.equal(monitor.tunnels.size, 0);
});

/** What a name changes nothing of. */
const pick = (tunnel: Tunnel | undefined) =>
  tunnel && { upSince: tunnel.upSince, traffic: tunnel.traffic, rekeys: tunnel.rekeys };
