/** Which SAs and policies are one tunnel, and in which direction each is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { XfrmPolicy } from '../../lib/index.ts';
import { Demands, demandsOf, makesTunnel, orientationOf } from '../../lib/tunnel/endpoints.ts';
import { type Member, splitByLabels } from '../../lib/tunnel/sa-group.ts';
import { generated } from './random.ts';
import { HERE, THERE, World } from './tunnel-world.ts';

const mark = (value: number) => ({ value, mask: 0xff });

/** Words such as `in:1`, `out:-`, `out:p1` (a policy), `in:1/7` (mark 1, if_id 7). */
function member(word: string): Member & { readonly word: string } {
  const [, direction, policy, marked, ifId] = /^(in|out):(p?)(-|\d+)(?:\/(\d+))?$/.exec(word) ?? [];
  return {
    word,
    direction: direction as 'in' | 'out',
    isPolicy: policy === 'p',
    mark: marked === '-' ? undefined : mark(Number(marked)),
    ifId: ifId === undefined ? undefined : Number(ifId),
  };
}
const parts = (words: string) =>
  splitByLabels(words.split(' ').map(member))
    .map((part) =>
      part
        .map(({ word }) => word)
        .sort()
        .join(' '),
    )
    .sort();

for (const [what, words, tunnels] of [
  ['without marks', 'in:- out:- in:p- out:p-', ['in:- in:p- out:- out:p-']],
  ['with one mark', 'in:1 out:1', ['in:1 out:1']],
  ['two that differ in the mark', 'in:1 out:1 in:2 out:2', ['in:1 out:1', 'in:2 out:2']],
  ['with and without', 'in:1 out:1 in:- out:-', ['in:- out:-', 'in:1 out:1']],
  ['a mark for each direction', 'in:1 out:2 in:p1 out:p2', ['in:1 in:p1 out:2 out:p2']],
  ['an interface id for each direction', 'in:-/1 out:-/2', ['in:-/1 out:-/2']],
  ['two interfaces', 'in:-/1 out:-/1 in:-/2 out:-/2', ['in:-/1 out:-/1', 'in:-/2 out:-/2']],
  ['mark_in not on the SA', 'in:- in:p1 out:1 out:p1', ['in:- in:p1 out:1 out:p1']],
  ['both, not on the SA', 'in:- in:p1 out:2 out:p2', ['in:- in:p1 out:2 out:p2']],
  ['no marks on SAs', 'in:- out:- in:p1 out:p1', ['in:- in:p1 out:- out:p1']],
  ['keys that rotate by an outbound mark', 'in:9 out:3 out:4', ['in:9 out:3 out:4']],
  ['one direction alone', 'out:3 out:4', ['out:3', 'out:4']],
  ['a tunnel that is half there', 'in:1 out:1 in:2', ['in:1 out:1', 'in:2']],
  [
    'of two, whose it is nobody knows',
    'in:1 out:1 in:2 out:2 in:-',
    ['in:-', 'in:1 out:1', 'in:2 out:2'],
  ],
] as const) {
  test(`${what}: ${tunnels.length}`, () => {
    assert.deepEqual(
      parts(words),
      [...tunnels].map((one) => one.split(' ').sort().join(' ')).sort(),
    );
  });
}

test('tunnels are a function of the members: their order does not matter, and none is lost', () => {
  const words = fc.array(
    fc.constantFrom(
      'in:1',
      'in:2',
      'in:-',
      'out:1',
      'out:2',
      'out:-',
      'in:p1',
      'out:p1',
      'in:-/7',
      'out:1/7',
    ),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(words, fc.func(fc.integer()), (all, weight) => {
      const shuffled = all.map((word, i) => [word, weight(i)] as const);
      shuffled.sort((a, b) => a[1] - b[1]);
      const one = parts(all.join(' '));
      assert.deepEqual(parts(shuffled.map(([word]) => word).join(' ')), one);
      assert.deepEqual(one.join(' ').split(' ').sort(), [...all].sort());
    }),
    { seed: 1, numRuns: generated(2000) },
  );
});

const policyOf = (make: (world: World) => XfrmPolicy): XfrmPolicy => make(new World());

test('what a template asks for: its ends, those of the packet, or those of the tunnel before it', () => {
  const tunnel = policyOf((world) => world.addPolicy('out'));
  assert.deepEqual(
    demandsOf(tunnel).map(({ from, to, direction }) => [from, to, direction]),
    [[HERE, THERE, 'out']],
  );
  const transport = policyOf((world) => world.addPolicy('in', { mode: 'transport' }));
  assert.deepEqual(
    demandsOf(transport).map(({ from, to, direction }) => [from, to, direction]),
    [[THERE, HERE, 'in']],
  );
  const [template] = tunnel.templates ?? [];
  assert(template);
  const inner = { ...template, mode: 'transport', proto: 'ah', saddr: '0.0.0.0', daddr: '0.0.0.0' };
  const bundle = { ...tunnel, templates: [template, inner] } as XfrmPolicy;
  assert.deepEqual(
    demandsOf(bundle).map(({ from, to, proto }) => [from, to, proto]),
    [
      [HERE, THERE, 'esp'],
      [HERE, THERE, 'ah'],
    ],
  );
  // For whoever comes, for what may pass without, for what blocks, for nothing.
  const wild = { ...transport, selector: { ...transport.selector, prefixlenS: 0 } } as XfrmPolicy;
  assert.deepEqual(demandsOf(wild).map(makesTunnel), [false]);
  const optional = policyOf((world) => world.addPolicy('out', { optional: true }));
  assert.deepEqual(demandsOf(optional).map(makesTunnel), [false]);
  assert.deepEqual(demandsOf({ ...tunnel, action: 'block' } as XfrmPolicy), []);
  assert.deepEqual(demandsOf(policyOf((world) => world.addPolicy('out', { protos: [] }))), []);
  // Remembered where they are the same, and only there.
  const demands = new Demands();
  const whole = { ...tunnel, dir: 'in' } as XfrmPolicy;
  const forwarded = { ...whole, dir: 'fwd' } as XfrmPolicy;
  assert.equal(demands.of(whole), demands.of(forwarded));
  const others = [tunnel, { ...tunnel, action: 'block' }, transport, wild];
  const none = { ...transport, templates: undefined };
  for (const one of [whole, ...others, none, wild, transport, none, whole] as XfrmPolicy[]) {
    assert.deepEqual(demands.of(one), demandsOf(one));
  }
  const loose = (dir: 'in' | 'out') => policyOf((world) => world.addPolicy(dir, { reqid: 0 }));
  assert.deepEqual(demandsOf(loose('in')).map(makesTunnel), [false]);
  assert.deepEqual(demandsOf(loose('out')).map(makesTunnel), [true]);
});

test('which end is local: by SAs, else policies, else addresses, else unknown', () => {
  const [a, b] = ['10.0.0.1', '10.0.0.2'];
  const demands = demandsOf(policyOf((world) => world.addPolicy('out', { local: b, remote: a })));
  const sa = { saddr: a, daddr: b } as const;
  const isB = (address: string) => address === b;
  const both = () => true;
  type Given = Parameters<typeof orientationOf>;
  const ends = (
    pair: Given[0],
    sas: Given[1],
    of: Given[2],
    isLocal: (address: string) => boolean,
    roleOf: (address: string) => boolean | undefined = () => undefined,
  ) => {
    const { local, directed } = orientationOf(pair, sas, of, { isLocal, roleOf });
    return directed ? local : 'unknown';
  };
  assert.equal(ends([a, b], [{ ...sa, dir: 'out' }], demands, isB), a);
  assert.equal(ends([a, b], [{ ...sa, dir: 'in' }], [], both), b);
  assert.equal(ends([a, b], [sa], demands, both), b);
  assert.equal(ends([a, b], [sa], [], isB), b);
  assert.equal(ends([a, b], [sa], [], both), 'unknown');
  assert.equal(
    ends([a, b], [sa], [], () => false),
    'unknown',
  );
  // Other policies of this host, also after its address is gone.
  assert.equal(
    ends([a, b], [sa], [], () => false, isB),
    b,
  );
  // Both hosts in one namespace: policies of both.
  const other = demandsOf(policyOf((world) => world.addPolicy('out', { local: a, remote: b })));
  assert.equal(ends([a, b], [sa], [...demands, ...other], both), 'unknown');
});

test('a tunnel of unknown direction still has states', () => {
  const world = new World({ locals: [HERE, THERE] });
  world.addPair(0x1001);
  world.addPolicies();
  world.addPolicies({ local: THERE, remote: HERE });
  world.open();
  assert.equal(world.only.directed, false);
  assert.equal(world.only.state, 'up');
  world.removeSa(0x9001);
  world.look().pass(1000);
  assert.equal(world.only.state, 'one-way');
  assert.match(world.only.reason, new RegExp(`no ${THERE} > ${HERE} esp SA`));
});

test('a policy for any peer covers the SAs of actual peers, and makes no tunnel itself', () => {
  const world = new World();
  const open = { selector: { prefixlenS: 0, prefixlenD: 0 } };
  const wild = (dir: 'in' | 'out', reqid: number) => {
    const policy = world.addPolicy(dir, { mode: 'transport', reqid });
    world.policies[world.policies.indexOf(policy)] = {
      ...policy,
      selector: { ...policy.selector, ...open.selector },
    };
  };
  wild('out', 5);
  wild('in', 5);
  world.open();
  assert.equal(world.tunnels.size, 0);
  world.addPair(0x1001, { mode: 'transport', reqid: 5 });
  world.look().pass(1000);
  assert.equal(world.only.state, 'up');
  assert.equal(world.only.policies.length, 2);
  world.removePair(0x1001);
  world.look().pass(1000);
  assert.equal(world.only.state, 'down');
});

test('for packets protected by two protocols, one counts packets, and both are required', () => {
  const world = new World();
  world.addPolicies({ protos: ['comp', 'esp'] });
  world.addPair(0x1001, { mode: 'transport' });
  world.addPair(0x101, { proto: 'comp' });
  world.open();
  assert.equal(world.only.state, 'up');
  assert.equal(world.only.protocol, 'esp');
  world.carry(0x1001, 5);
  world.carry(0x101, 7);
  world.refresh();
  assert.equal(world.only.traffic.out.packets, 5n);
  world.removeSa(0x101);
  world.look().pass(1000);
  assert.equal(world.only.state, 'one-way');
  assert.match(world.only.reason, /no outbound comp SA/);
});

test('counters continue through rekeys', () => {
  const world = new World();
  world.addPolicies();
  world.addPair(0x1001);
  world.open();
  world.carry(0x1001, 5);
  world.refresh();
  world.addPair(0x1002);
  world.look();
  // What an SA carried since the last reading stands in the event of its end.
  world.carry(0x1001, 2);
  world.removePair(0x1001);
  world.carry(0x1002, 1);
  world.refresh();
  assert.equal(world.only.traffic.out.packets, 8n);
  assert.equal(world.only.traffic.out.bytes, 800n);
});

test('two tunnels of one pair that differ in the mark keep their names', () => {
  const world = new World();
  for (const value of [1, 2]) {
    world.addPolicies({ mark: mark(value), port: value });
    world.addPair(0x1000 + value, { mark: mark(value) });
  }
  world.open();
  const ids = [...world.tunnels].map(({ id }) => id);
  assert.deepEqual(ids, [
    `${HERE} > ${THERE} reqid 1 mark 0x1/0xff`,
    `${HERE} > ${THERE} reqid 1 mark 0x2/0xff`,
  ]);
  world.addPair(0x2001, { mark: mark(1) });
  world.removePair(0x1001);
  world.look().pass(1000);
  assert.deepEqual(world.told(), ['rekeyed up out 1001 > 2001 in 9001 > a001']);
  assert.deepEqual(
    [...world.tunnels].map(({ id }) => id),
    ids,
  );
});
