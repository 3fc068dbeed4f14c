/** Selectors as callers write them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withLengths } from '../../lib/wire/network.ts';
import { takeNetworks } from '../../lib/xfrm/selector.ts';

test('an address without a prefix length selects one host, not all traffic', () => {
  const cases = [
    [{ saddr: '10.0.0.1', daddr: '10.1.0.0/24' }, 32, 24],
    [{ saddr: '2001:db8::1', daddr: '2001:db8:1::/48' }, 128, 48],
    [{ daddr: '10.0.0.1' }, undefined, 32],
    [{ saddr: '0.0.0.0', daddr: '10.0.0.1', prefixlenD: 0 }, undefined, 0],
    [{ saddr: '::', daddr: '::/0' }, undefined, 0],
    [{ saddr: '10.0.0.1/32', prefixlenS: 32 }, 32, undefined],
    [{}, undefined, undefined],
  ] as const;
  for (const [selector, prefixlenS, prefixlenD] of cases) {
    const taken = takeNetworks(selector as { prefixlenS?: number; prefixlenD?: number }, []);
    assert.deepEqual([taken.prefixlenS, taken.prefixlenD], [prefixlenS, prefixlenD]);
  }
});

test('two addresses that share a prefix length may not give two', () => {
  const pairs = [
    ['local', 'length'],
    ['address', 'length'],
  ] as const;
  const given = { local: '10.0.0.1/24', address: '10.0.0.2/24', length: undefined };
  assert.equal(withLengths(given, pairs, []).length, 24);
  assert.throws(() => withLengths({ ...given, address: '10.0.0.2/32' }, pairs, ['NEWADDR']), {
    name: 'EncodeError',
    message: /^NEWADDR › length › is 24, but address is "10\.0\.0\.2\/32": give one of them/,
  });
});

test('what a caller gave is not changed, and keeps all its own properties', () => {
  const given = JSON.parse(
    '{"saddr":"10.0.0.0/24","daddr":"10.1.0.1","dport":80,"__proto__":{"sport":81}}',
  );
  const text = JSON.stringify(given);
  const taken = takeNetworks(given, []);
  assert.equal(JSON.stringify(given), text);
  assert.deepEqual(Object.entries(taken), [
    ['saddr', '10.0.0.0'],
    ['daddr', '10.1.0.1'],
    ['dport', 80],
    ['__proto__', { sport: 81 }],
    ['prefixlenS', 24],
    ['prefixlenD', 32],
  ]);
  assert.equal(taken.sport, undefined);
});
