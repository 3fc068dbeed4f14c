/** The testing kit: faults, and that what is tested notices them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { readXfrmStat, XfrmMonitor } from '../../lib/index.ts';
import {
  corruptPacket,
  cutLink,
  deleteSas,
  expectEncrypted,
  expireSas,
  flush,
  impairLink,
  keyedTunnel,
  listen,
  loseEvents,
  moveAddress,
  NetworkNamespace,
  ping,
  replayPacket,
  TestingError,
  turnClockBack,
  twoHosts,
  Wire,
  waitForEvent,
} from '../../lib/testing/index.ts';
import { withoutEsp } from './support.ts';

async function world(t: TestContext) {
  const hosts = await twoHosts();
  t.after(() => hosts[Symbol.asyncDispose]());
  return { ...hosts, tunnel: await keyedTunnel(hosts.left, hosts.right) };
}

test('events are lost, and a monitor under test repairs its tables', async (t) => {
  await using host = await NetworkNamespace.make('alone');
  const monitor = await XfrmMonitor.open({ netns: host.netns, receiveBufferSize: 4096 });
  t.after(() => monitor.close());
  const repaired = new Promise((resolve) => monitor.once('resynced', resolve));
  let overruns = 0;
  monitor.on('overrun', () => overruns++);
  assert(loseEvents(host) > 0);
  await repaired;
  assert(overruns > 0);
  assert.equal(monitor.policies.size, 0);
});

test('where nothing listens, no event can be lost, which is said', async () => {
  await using host = await NetworkNamespace.make('alone');
  await host.xfrm.flushStates();
  assert.throws(() => loseEvents(host), { code: 'ERR_LACKING', message: /no socket listens/ });
});

test('a cable is cut and joined, with its routes and addresses', async () => {
  await using hosts = await twoHosts();
  const { left, right } = hosts;
  const v6 = { from: left.address6, to: right.address6 };
  const events = listen(left);
  const join = await cutLink(left, right);
  await waitForEvent(events, 'NEWLINK', { where: ({ link }) => link.operState !== 'up' });
  // Long enough that a neighbour not found is given up while packets after the repair wait for it.
  assert.equal((await ping(left, right, { timeout: 2200 })).received, 0);
  await join();
  await waitForEvent(events, 'NEWLINK', { where: ({ link }) => link.operState === 'up' });
  assert.equal((await ping(left, right)).received, 3);
  assert.equal((await ping(left, right, v6)).received, 3);
});

test('a fault is undone once, and not at all where its host is closed', async () => {
  await using hosts = await twoHosts();
  const { left, right } = hosts;
  const join = await cutLink(left, right);
  await join();
  await cutLink(left, right);
  await join();
  assert.equal((await ping(left, right, { timeout: 50 })).received, 0);
  const again = await cutLink(left, right);
  await left.close();
  await again();
});

test('a link is made slow and lossy, and good again', async (t) => {
  await using hosts = await twoHosts();
  const { left, right } = hosts;
  try {
    const undo = await impairLink(left, right, { loss: 1 });
    assert.equal((await ping(left, right, { timeout: 50 })).received, 0);
    await undo();
    await undo();
    const late = await impairLink(left, right, { delay: 60 });
    const before = performance.now();
    assert.equal((await ping(left, right, { timeout: 5000 })).received, 3);
    assert(performance.now() - before >= 60);
    await left.close();
    await late();
  } catch (error) {
    if (!(error instanceof TestingError) || error.code !== 'ERR_LACKING') throw error;
    assert.match(error.message, /CONFIG_NET_SCH_NETEM/);
    t.skip(error.message);
  }
});

test('replayed and corrupted packets are refused by the receiver', async (t) => {
  if (withoutEsp) return t.skip(withoutEsp);
  const { left, right } = await world(t);
  using wire = await Wire.tap(left);
  assert.throws(() => replayPacket(wire), { code: 'ERR_LACKING' });
  await ping(left, right);
  const errors = async () => {
    const counters = await readXfrmStat({ netns: right.netns });
    return [counters?.XfrmInStateSeqError, counters?.XfrmInStateProtoError];
  };
  replayPacket(wire, 2);
  corruptPacket(wire);
  // What was sent before is received before.
  assert.equal((await ping(left, right)).received, 3);
  assert.deepEqual(await errors(), [2n, 1n]);
});

test('SAs expire and are deleted, and all is flushed', async (t) => {
  if (withoutEsp) return t.skip(withoutEsp);
  const { left, right, tunnel } = await world(t);
  const events = listen(left);
  const { spi } = tunnel.pair.toRight;
  assert.equal(await expireSas(left, { direction: 'out' }), 1);
  const soft = await waitForEvent(events, 'EXPIRE', { where: ({ hard }) => !hard });
  assert.equal(soft.state.spi, spi);
  assert.equal(await expireSas(left, { direction: 'out', hard: true }), 1);
  await waitForEvent(events, 'EXPIRE', { where: ({ hard }) => hard });
  assert.equal(await deleteSas(left), 1);
  await waitForEvent(events, 'DELSA');
  await flush(right);
  for await (const state of right.xfrm.listStates()) assert.fail(`${state.spi}`);
});

test('an address moves, and a tunnel can be made to the new one', async (t) => {
  if (withoutEsp) return t.skip(withoutEsp);
  const { left, right, tunnel } = await world(t);
  await tunnel.remove();
  const events = listen(left);
  await moveAddress(left, '192.0.2.99');
  const gone = await waitForEvent(events, 'DELADDR');
  assert.equal(gone.address.local, '192.0.2.1');
  await keyedTunnel(left, right);
  await expectEncrypted(left, right);
});

test('the clock is taken back, in the lab only', async () => {
  await using host = await NetworkNamespace.make('alone');
  if (process.env.NETLINK_XFRM_LAB === undefined) {
    await assert.rejects(turnClockBack(host, 60), { code: 'ERR_LACKING', message: /lab/ });
    return;
  }
  const before = Date.now();
  const forth = await turnClockBack(host, 3600);
  const back = Date.now();
  await host.close();
  await forth();
  await forth();
  assert(back < before - 3_500_000);
  assert(Date.now() >= before - 2000);
});
