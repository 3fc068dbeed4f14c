/** Which addresses are this host's, from tables of links and addresses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { runAddressHistory } from './address-history.ts';
import { host } from './address-host.ts';
import { address, link } from './simulated-links.ts';

const seed = Number(process.env.NETLINK_XFRM_SEED ?? 1);

test(`after any history, addresses and their reported changes match the kernel (seed ${seed})`, () => {
  fc.assert(fc.property(fc.integer(), fc.integer({ min: 0, max: 300 }), runAddressHistory), {
    seed,
    numRuns: 2000,
  });
});

const ONE = '192.0.2.1';

test('an address exists, is on a link that is down, is removed', () => {
  const { local, event, lose } = host(link(2, true));
  assert.deepEqual(event('NEWADDR', { address: address(2, ONE) }), [ONE]);
  assert(local.isLocal(ONE));
  assert(!local.isLocal('192.0.2.2'));
  assert.deepEqual(event('NEWLINK', { link: link(2, true) }), []);
  assert.deepEqual(event('NEWLINK', { link: link(2, false) }), [ONE]);
  assert.deepEqual(local.lost(ONE), { address: ONE, link: 'eth2' });
  assert.deepEqual(event('NEWLINK', { link: link(2, true) }), [ONE]);
  assert.equal(local.lost(ONE), undefined);
  assert.deepEqual(event('DELADDR', { address: address(2, ONE) }), [ONE]);
  assert.deepEqual(local.lost(ONE), { address: ONE, link: undefined });
  assert(local.isLocal(ONE), 'it was');
  // On another link it is as good.
  assert.deepEqual(event('NEWADDR', { address: address(3, ONE) }), [ONE]);
  assert.equal(local.lost(ONE), undefined);
  // After a loss of events, lists say what went.
  assert.deepEqual(lose(link(2, true)), [ONE]);
  assert.deepEqual(local.lost(ONE), { address: ONE, link: undefined });
});

test('an address that never was here is not on this host', () => {
  const { local } = host(link(2, true));
  assert(!local.isLocal(ONE));
  assert.deepEqual(local.lost(ONE), { address: ONE, link: undefined });
});

test('a route of type local adds an address until the route is removed or its link set down', () => {
  const route = { family: 'inet', type: 'local', protocol: 66, dst: ONE, dstLength: 32, oif: 2 };
  const about = (more: object = {}) => ({ route: { ...route, ...more } }) as never;
  const { local, event } = host(link(2, true));
  assert.deepEqual(event('NEWROUTE', about()), [ONE]);
  assert(local.isLocal(ONE));
  assert.equal(local.lost(ONE), undefined);
  assert.deepEqual(event('DELROUTE', about()), [ONE]);
  assert.deepEqual(local.lost(ONE), { address: ONE, link: undefined });
  // The kernel adds one for each address itself; the others are not host routes, or of another type.
  for (const more of [{ protocol: 'kernel' }, { dstLength: 24 }, { type: 'unicast' }]) {
    assert.deepEqual(event('NEWROUTE', about(more)), []);
  }
  assert.deepEqual(event('NEWROUTE', about()), [ONE]);
  assert(event('NEWLINK', { link: link(2, false) }).includes(ONE));
  assert.notEqual(local.lost(ONE), undefined);
  assert.deepEqual(event('NEWLINK', { link: link(2, true) }), []);
  assert.notEqual(local.lost(ONE), undefined, 'the route does not come back by itself');
});

test('an interface can have an IPv4 address more than once; each counts separately', () => {
  const { local, event } = host(link(2, true));
  event('NEWADDR', { address: address(2, ONE) });
  for (const other of [{ prefixLength: 32 }, { address: '192.0.2.9' }]) {
    const again = { ...address(2, ONE), ...other };
    assert.deepEqual(event('NEWADDR', { address: again }), []);
    assert.deepEqual(event('DELADDR', { address: again }), []);
  }
  assert.deepEqual(event('NEWADDR', { address: address(2, ONE, 32) }), []);
  assert.deepEqual(event('DELADDR', { address: address(2, ONE) }), []);
  assert.equal(local.lost(ONE), undefined);
});

test('an interface has an IPv6 address once, and can change its other end', () => {
  const { event } = host(link(2, true));
  const six = address(2, '2001:db8::1', 64);
  const moved = { ...six, address: '2001:db8::9' };
  assert.deepEqual(event('NEWADDR', { address: six }), ['2001:db8::1']);
  assert.deepEqual(event('NEWADDR', { address: moved }), []);
  assert.deepEqual(event('DELADDR', { address: moved }), ['2001:db8::1']);
});

test('an IPv6 address is not on this host before it is known to be unique', () => {
  const { local, event, lose } = host(link(2, true));
  const six = address(2, '2001:db8::1', 64);
  const flagged = (...names: string[]) => ({ ...six, flags: { mask: 0, names } }) as typeof six;
  const tentative = flagged('tentative', 'permanent');
  const failed = flagged('tentative', 'dadfailed', 'permanent');
  assert.deepEqual(event('NEWADDR', { address: tentative }), []);
  assert(!local.isLocal('2001:db8::1'));
  assert.deepEqual(event('NEWADDR', { address: failed }), []);
  assert(!local.isLocal('2001:db8::1'));
  assert.deepEqual(event('DELADDR', { address: failed }), []);
  assert.deepEqual(event('NEWADDR', { address: tentative }), []);
  assert.deepEqual(event('NEWADDR', { address: flagged('permanent') }), ['2001:db8::1']);
  assert.equal(local.lost('2001:db8::1'), undefined);
  assert.deepEqual(lose(link(2, true)), ['2001:db8::1']);
  // An optimistic one is used meanwhile (RFC 4429).
  assert.deepEqual(event('NEWADDR', { address: flagged('tentative', 'optimistic') }), [
    '2001:db8::1',
  ]);
  assert.equal(local.lost('2001:db8::1'), undefined);
});

test('the link of an address removed with it is known, from an event or a resync', () => {
  for (const heard of [true, false]) {
    const { local, event, lose } = host(link(2, true), link(3, true));
    event('NEWADDR', { address: address(2, ONE) });
    if (heard) {
      assert.deepEqual(event('NEWLINK', { link: link(2, false) }), [ONE]);
      assert.deepEqual(event('DELADDR', { address: address(2, ONE) }), [ONE]);
      assert.deepEqual(event('DELLINK', { link: link(2, false) }), []);
    } else assert(lose(link(3, true)).includes(ONE));
    assert.deepEqual(local.lost(ONE), { address: ONE, link: 'eth2' });
  }
});

test('a port that leaves its bridge remains a link', () => {
  const { local, event } = host(link(2, true));
  event('NEWADDR', { address: address(2, ONE) });
  assert.deepEqual(event('DELPORT', { port: link(2, true) } as never), []);
  assert.equal(local.lost(ONE), undefined);
});

test('added and removed links and addresses leave nothing but the last removed one', () => {
  const { table, local, event } = host(link(1, true));
  const nth = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
  const COUNT = 20_000;
  for (let i = 2; i < COUNT; i++) {
    event('NEWLINK', { link: link(i, true) });
    event('NEWADDR', { address: address(i, nth(i)) });
    event('NEWLINK', { link: link(i, false) });
    event('DELADDR', { address: address(i, nth(i)) });
    event('DELLINK', { link: link(i, false) });
  }
  const { tables } = table;
  assert.deepEqual([tables.link.size, tables.address.size], [1, 0]);
  const remembered = Array.from({ length: COUNT }, (_, i) => nth(i)).filter(local.isLocal);
  assert.equal(remembered.length, 4096);
  assert.deepEqual(local.lost(nth(COUNT - 1)), {
    address: nth(COUNT - 1),
    link: `eth${COUNT - 1}`,
  });
});
