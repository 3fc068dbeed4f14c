/** The testing kit: waiting and expecting, and what it says of what did not come or hold. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { TunnelMonitor, XfrmClient } from '../../lib/index.ts';
import {
  expectEncrypted,
  expectMirrored,
  expectNoLeaks,
  expectNoXfrmErrors,
  freshSa,
  keyedTunnel,
  listen,
  NetworkNamespace,
  ping,
  TestingError,
  twoHosts,
  waitForEvent,
  waitForTunnel,
  xfrmMatchers,
} from '../../lib/testing/index.ts';
import { withoutEsp } from './support.ts';

/** Two hosts for a test, and a tunnel between them. */
async function world(t: TestContext) {
  const hosts = await twoHosts();
  t.after(() => hosts[Symbol.asyncDispose]());
  return { ...hosts, tunnel: await keyedTunnel(hosts.left, hosts.right) };
}

/** Fails as expected, with a message that fits all. */
const fails = (promise: Promise<unknown>, code: string, ...texts: (string | RegExp)[]) =>
  assert.rejects(promise, (error: unknown) => {
    assert(error instanceof TestingError, `${error}`);
    assert.equal(error.code, code);
    for (const text of texts) {
      if (typeof text === 'string') assert(error.message.includes(text), error.message);
      else assert.match(error.message, text);
    }
    return true;
  });

test('an event is waited for, and given once', async () => {
  await using host = await NetworkNamespace.make('alone');
  const events = listen(host);
  const selector = { saddr: '10.0.0.0/24', daddr: '10.1.0.0/24' };
  await host.xfrm.addPolicy({ dir: 'out', selector });
  await host.xfrm.deletePolicy({ dir: 'out', selector });
  const { policy } = await waitForEvent(events, 'NEWPOLICY');
  assert.equal(policy.selector.daddr, '10.1.0.0');
  await waitForEvent(events, 'DELPOLICY');
  const soon = waitForEvent(events, 'NEWPOLICY', { where: ({ policy }) => policy.dir === 'in' });
  await host.xfrm.addPolicy({ dir: 'in', selector });
  await soon;
  await fails(
    waitForEvent(events, 'NEWPOLICY', { timeout: 20 }),
    'ERR_WAIT_TIMEOUT',
    /^no NEWPOLICY within 20 ms; events received:\n/,
    /\+\d\.\d{3}s NEWPOLICY policy out 10\.0\.0\.0\/24 → 10\.1\.0\.0\/24\n/,
  );
});

test('what a condition throws ends its wait, and no other', async () => {
  await using host = await NetworkNamespace.make('alone');
  const events = listen(host);
  const where = () => {
    throw new RangeError('mine');
  };
  const own = assert.rejects(waitForEvent(events, 'NEWPOLICY', { where }), /mine/);
  const other = waitForEvent(events, 'NEWPOLICY');
  const selector = { saddr: '10.0.0.0/24', daddr: '10.1.0.0/24' };
  await host.xfrm.addPolicy({ dir: 'out', selector });
  await own;
  assert.equal((await other).policy.dir, 'out');
  await assert.rejects(waitForEvent(listen(host), 'NEWPOLICY', { where, timeout: 20 }), /20 ms/);
});

test('a tunnel is waited for by its peer in any spelling', async () => {
  await using host = await NetworkNamespace.make('alone');
  await host.xfrm.addPolicy({
    dir: 'out',
    selector: { saddr: 'fd00:1::/64', daddr: 'fd00:2::/64' },
    templates: [{ saddr: '2001:db8::1', daddr: '2001:db8::2', proto: 'esp', mode: 'tunnel' }],
  });
  const { remote } = await waitForTunnel(host, 'down', { peer: '2001:0DB8:0::2' });
  assert.equal(remote, '2001:db8::2');
});

test('waiting for a tunnel; a timeout shows its states', async (t) => {
  if (withoutEsp) return t.skip(withoutEsp);
  const { left, right, tunnel } = await world(t);
  const up = await waitForTunnel(left, 'up', { peer: right.address });
  assert.equal(up.remote, right.address);
  await using monitor = await TunnelMonitor.open({ netns: left.netns });
  const down = fails(
    waitForTunnel(monitor, ({ rekeys }) => rekeys > 0, { timeout: 2500 }),
    'ERR_WAIT_TIMEOUT',
    /^no tunnel that matches within 2500 ms; states seen:\n/,
    /initially .* up: SAs in both directions/,
    /down .*: /,
  );
  await tunnel.expire();
  await down;
  await fails(
    waitForTunnel(left, 'up', { peer: '192.0.2.77', timeout: 20 }),
    'ERR_WAIT_TIMEOUT',
    'no tunnel to 192.0.2.77 up within 20 ms; states seen:\n  (nothing)',
  );
});

test('traffic is protected, or the error names unprotected packets', async (t) => {
  if (withoutEsp) return t.skip(withoutEsp);
  const { left, right, tunnel } = await world(t);
  const { packets, frames } = await expectEncrypted(left, right);
  // An echo has an answer: three each way, and three the other way.
  assert.deepEqual({ packets, frames }, { packets: { toRight: 6n, toLeft: 6n }, frames: 12 });
  await expectEncrypted(left, right, { traffic: () => ping(left, right), wire: false });
  await fails(
    expectEncrypted(left, right, {
      traffic: () => ping(left, right, { from: left.address, to: right.address }),
    }),
    'ERR_EXPECTATION',
    'left: no SA carried a packet out',
    'on the wire: clear 192.0.2.1 → 192.0.2.2, 72 bytes',
    'on the wire: 1 more in clear',
    'on the wire: no protected packet',
  );
  assert.equal((await xfrmMatchers.toBeEncryptedTo(left, right)).pass, true);
  assert.equal((await xfrmMatchers.toMirror(left, right)).pass, true);
  await tunnel.remove();
  const { pass, message } = await xfrmMatchers.toBeEncryptedTo(left, right);
  assert.equal(pass, false);
  assert.match(message(), /clear 10\.0\.1\.1 → 10\.0\.2\.1/);
  assert.match((await xfrmMatchers.toMirror(left, right)).message(), /neither has an SA$/);
  await fails(expectEncrypted(left, right), 'ERR_EXPECTATION', /clear 10\.0\.1\.1 → 10\.0\.2\.1/);
});

test('both ends agree, or the error lists differences, without keys', async (t) => {
  if (withoutEsp) return t.skip(withoutEsp);
  const { left, right, tunnel } = await world(t);
  await expectMirrored(left, right);
  const { toRight, toLeft } = tunnel.pair;
  const id = { daddr: toRight.daddr, spi: toRight.spi, proto: 'esp' } as const;
  await right.xfrm.deleteState(id);
  await fails(expectMirrored(left, right), 'ERR_EXPECTATION', /SA esp .* is on left only$/);
  const key = Buffer.alloc(20, 0xab);
  await right.xfrm.addState({ ...toRight, aead: { ...toRight.aead, key } });
  await assert.rejects(expectMirrored(left, right), (error: Error) => {
    assert.match(error.message, /: aead: the keys differ$/);
    assert(!error.message.includes('abab') && !/171, *171/.test(error.message));
    return true;
  });
  await right.xfrm.deleteState(id);
  const extended = {
    flags: ['esn'],
    replayWindow: 0,
    replayEsn: { replayWindow: 32, bitmap: [0] },
  };
  await right.xfrm.addState({ ...toRight, ...extended } as typeof toRight);
  const numbers = /: sequence numbers plain and extended$/;
  await fails(expectMirrored(left, right), 'ERR_EXPECTATION', numbers);
  await left.xfrm.deleteState({ daddr: toLeft.daddr, spi: toLeft.spi });
  await fails(expectMirrored(left, right), 'ERR_EXPECTATION', /is on right only$/);
  await tunnel.remove();
  await fails(expectMirrored(left, right), 'ERR_EXPECTATION', 'neither has an SA');
});

/** A key in the ways in which text may show it: its first bytes suffice. */
function written(key: Uint8Array): string[] {
  const bytes = Buffer.from(key);
  const first = bytes.subarray(0, 6);
  const pairs = first.toString('hex').match(/../g) ?? [];
  return [
    ...[pairs.join(''), pairs.join(' '), pairs.join(':'), pairs.join(', 0x')],
    ...[first.join(','), first.join(', '), bytes.toString('base64').slice(0, 8)],
  ];
}

test('no failure shows a byte of a key, of any algorithm', async (t) => {
  if (withoutEsp) return t.skip(withoutEsp);
  for (const algorithm of ['aes-gcm', 'aes-cbc-sha256', 'chacha20-poly1305'] as const) {
    const hosts = await twoHosts();
    t.after(() => hosts[Symbol.asyncDispose]());
    const { left, right } = hosts;
    const { toRight, toLeft } = (await keyedTunnel(left, right, { algorithm })).pair;
    const texts: string[] = [];
    const keep = (error: unknown) => {
      texts.push(inspect(error, { depth: 20, showHidden: true }));
      return error instanceof Error;
    };
    const { daddr, spi } = toRight;
    await right.xfrm.deleteState({ daddr, spi });
    await assert.rejects(expectMirrored(left, right), keep);
    const other = [toLeft.aead, toLeft.crypt, toLeft.authTrunc];
    const [aead, crypt, authTrunc] = other;
    const wrong = { ...toRight, aead, crypt, authTrunc } as typeof toRight;
    await right.xfrm.addState(wrong);
    await assert.rejects(expectMirrored(left, right), /the keys differ/);
    await assert.rejects(expectMirrored(left, right), keep);
    await assert.rejects(right.xfrm.addState(toRight), keep);
    await assert.rejects(keyedTunnel(left, right, { algorithm }), keep);
    await assert.rejects(expectEncrypted(left, right), keep);
    await assert.rejects(waitForTunnel(left, 'down', { timeout: 20 }), keep);
    const more = () => left.xfrm.addState(freshSa([left.address, right.address]));
    await assert.rejects(expectNoLeaks(left, more), keep);
    const keys = [toRight, toLeft].flatMap((sa) => [sa.aead, sa.crypt, sa.authTrunc]);
    const given = keys.flatMap((one) => (one?.key === undefined ? [] : [one.key]));
    assert(given.length >= 2);
    for (const key of given) {
      const bytes = key instanceof Uint8Array ? key : key.bytes();
      for (const text of written(bytes)) assert(!texts.join('\n').includes(text), algorithm);
    }
  }
});

test('packets that IPsec drops are counted, by reason', async (t) => {
  if (withoutEsp) return t.skip(withoutEsp);
  const { left, right, tunnel } = await world(t);
  const lost = () => ping(left, right, { count: 2, timeout: 50 });
  assert.equal((await expectNoXfrmErrors([left, right], () => ping(left, right))).received, 3);
  const { daddr, spi } = tunnel.pair.toRight;
  await right.xfrm.deleteState({ daddr, spi });
  const text = 'right: XfrmInNoStates 2: ESP or AH arrived with an SPI for which there is no SA';
  await fails(expectNoXfrmErrors([left, right], lost), 'ERR_EXPECTATION', text);
  await expectNoXfrmErrors(right, lost, { tolerate: { XfrmInNoStates: 2 } });
  const { pass, message } = await xfrmMatchers.toCauseNoXfrmErrors(lost, right);
  assert.equal(pass, false);
  assert(message().includes(text));
});

test('objects left behind by a block are named', async (t) => {
  await using host = await NetworkNamespace.make('alone');
  const selector = { saddr: '10.0.0.0/24', daddr: '10.1.0.0/24' };
  assert.equal(await expectNoLeaks(host, () => 7), 7);
  let client: XfrmClient | undefined;
  t.after(() => client?.close());
  await fails(
    expectNoLeaks(host, async () => {
      client = new XfrmClient({ netns: host.netns });
      await client.addPolicy({ dir: 'out', selector });
    }),
    'ERR_EXPECTATION',
    'alone: policy out 10.0.0.0/24 → 10.1.0.0/24 index ',
    /alone: XFRM socket of port id \d+$/,
  );
  const { pass } = await xfrmMatchers.toLeaveNothing(() => {}, host);
  assert.equal(pass, true);
});

test('a leaked socket is found among more than one page of them', async (t) => {
  await using host = await NetworkNamespace.make('crowded');
  const clients: XfrmClient[] = [];
  t.after(() => Promise.all(clients.map((client) => client.close())));
  const leave = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const client = new XfrmClient({ netns: host.netns });
      clients.push(client);
      await client.getSadInfo();
    }
  };
  await leave(100);
  await assert.rejects(
    expectNoLeaks(host, () => leave(10)),
    ({ message }: Error) => message.match(/crowded: XFRM socket of port id/g)?.length === 10,
  );
});
