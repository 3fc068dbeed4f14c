/** Options of a TunnelMonitor, and its small helpers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TUNNEL_THRESHOLDS, TunnelMonitor, type TunnelMonitorOptions } from '../../lib/index.ts';
import { Deadlines } from '../../lib/tunnel/deadlines.ts';
import { checkedExpected } from '../../lib/tunnel/expected.ts';
import { checkedThresholds } from '../../lib/tunnel/thresholds.ts';
import { generated } from './random.ts';

test('invalid options are named before anything is opened', async () => {
  const wrong: [unknown, RegExp][] = [
    [7, /options must be an object/],
    [{ treshold: {} }, /unknown option options\.treshold/],
    [{ monitor: {} }, /options\.monitor must be an XfrmMonitor/],
    [{ thresholds: { idel: 1 } }, /unknown option options\.thresholds\.idel/],
    [{ thresholds: { idle: -1 } }, /options\.thresholds\.idle must be an integer/],
    [
      { thresholds: { sequence: 2 } },
      /options\.thresholds\.sequence must be above 0 and at most 1/,
    ],
    [{ thresholds: { lifetime: '1' } }, /options\.thresholds\.lifetime must be a number/],
    [{ expected: 'paris' }, /options\.expected must be an array/],
    [{ expected: new Array(2) }, /options\.expected\[0\] must be an object/],
    [{ expected: [{}] }, /options\.expected\[0\] identifies no tunnel/],
    [{ expected: [{ remote: 'paris' }] }, /options\.expected\[0\]\.remote must be an IP address/],
    [
      { expected: [{ remote: '192.0.2.2', local: '::1' }] },
      /options\.expected\[0\]\.local must be an address of the family of remote \(IPv4\); received "::1"/,
    ],
    [{ expected: [{ reqid: -1 }] }, /options\.expected\[0\]\.reqid must be an integer/],
    [
      { expected: [{ remote: '::1' }, { remote: '0::1' }] },
      /expected\[1\]\.name: .* is a duplicate/,
    ],
    [{ expected: [{ peer: '::1' }] }, /unknown option options\.expected\[0\]\.peer/],
  ];
  for (const [options, message] of wrong) {
    await assert.rejects(TunnelMonitor.open(options as TunnelMonitorOptions), message);
  }
});

test('thresholds that are not given have their defaults; addresses are written as the kernel’s are', () => {
  assert.equal(checkedThresholds(undefined), TUNNEL_THRESHOLDS);
  assert.deepEqual(checkedThresholds({ idle: 5 }), { ...TUNNEL_THRESHOLDS, idle: 5 });
  const [one] = checkedExpected([{ remote: '2001:DB8:0::1', reqid: 7 }]);
  assert.deepEqual(one, { remote: '2001:db8::1', reqid: 7, name: 'any > 2001:db8::1 reqid 7' });
});

test('deadlines fire in order, only the latest of each owner', () => {
  const steps = fc.array(fc.tuple(fc.nat(20), fc.oneof(fc.nat(1000), fc.constant(Infinity))));
  fc.assert(
    fc.property(steps, (all) => {
      const owners = Array.from({ length: 21 }, (_, index) => ({
        index,
        dueAt: Number.POSITIVE_INFINITY,
        duePlace: 0,
      }));
      const deadlines = new Deadlines<(typeof owners)[number]>();
      const model = new Map<number, number>();
      for (const [index, at] of all) {
        deadlines.set(owners[index] as (typeof owners)[number], at);
        model.set(index, at);
      }
      const wanted = [...model].filter(([, at]) => at < Infinity);
      assert.equal(deadlines.next, Math.min(Infinity, ...wanted.map(([, at]) => at)));
      const due = [...deadlines.due(500)].map(({ index }) => index);
      const early = wanted.filter(([, at]) => at <= 500);
      assert.deepEqual([...due].sort(), early.map(([index]) => index).sort());
      assert.deepEqual(
        due.map((index) => model.get(index)),
        early.map(([, at]) => at).sort((a, b) => a - b),
      );
      assert.equal([...deadlines.due(2000)].length, wanted.length - early.length);
      assert.equal(deadlines.next, Infinity);
    }),
    { seed: 1, numRuns: generated(1000) },
  );
});
