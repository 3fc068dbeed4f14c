/** Which SAs serve which policies, in the shapes that people really build; test/kernel/tunnel-oracle.test.ts sends packets through them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { XfrmPolicy } from '../../lib/index.ts';
import { contains, meet, mirrored } from '../../lib/xfrm/matching.ts';
import { StateFlags } from '../../lib/xfrm/names.ts';
import { HERE, THERE, World } from './tunnel-world.ts';

const ANY = '0.0.0.0';
const mark = (value: number, mask: number) => ({ value, mask });

/** Changes a policy before anyone has looked. */
function change(world: World, policy: XfrmPolicy, more: object): void {
  world.policies[world.policies.indexOf(policy)] = { ...policy, ...more } as XfrmPolicy;
}
/** A policy whose templates differ in more than the protocol. */
function policyOf(world: World, dir: 'in' | 'out' | 'fwd', templates: object[], more: object = {}) {
  const policy = world.addPolicy(dir);
  const [first] = policy.templates ?? [];
  change(world, policy, { templates: templates.map((one) => ({ ...first, ...one })), ...more });
}
const net = (saddr: string, daddr: string) => ({
  family: 'inet',
  saddr,
  daddr,
  prefixlenS: 24,
  prefixlenD: 24,
  sport: 0,
  sportMask: 0,
  dport: 0,
  dportMask: 0,
  proto: 0,
  ifindex: 0,
  user: 0,
});
const ALL = { ...net(ANY, ANY), prefixlenS: 0, prefixlenD: 0 };

const [COMP, ESP] = [16390, 16389];
/** libreswan with compress=yes: IPComp over ESP, a reqid each. */
function compressed(options: ConstructorParameters<typeof World>[0] = {}): World {
  const world = new World(options);
  const inner = { mode: 'transport', saddr: ANY, daddr: ANY, reqid: ESP };
  policyOf(world, 'out', [{ proto: 'comp', reqid: COMP }, inner]);
  for (const dir of ['in', 'fwd'] as const) {
    policyOf(world, dir, [{ proto: 'comp', reqid: COMP, optional: true }, inner]);
  }
  world.addPair(0x101, { proto: 'comp', reqid: COMP });
  world.addPair(0x1001, { mode: 'transport', reqid: ESP });
  return world;
}

test('a bundle of two reqids is one tunnel, named after what protects its packets', () => {
  const world = compressed().open();
  const { id, state, reqid, protocol } = world.only;
  assert.deepEqual(
    [id, state, reqid, protocol],
    [`${HERE} > ${THERE} reqid ${ESP}`, 'up', ESP, 'esp'],
  );
  assert.deepEqual(world.tunnels.byReqid(COMP), [world.only]);
  assert.deepEqual(world.tunnels.byReqid(ESP), [world.only]);
  // Small packets are not compressed (RFC 3173, 2.2): nothing comes in through the SA of IPComp.
  world.watch(5, () => {
    world.carry(0x1001, 5);
    world.carry(0x101, 5);
    world.carry(0x9001, 5);
  });
  assert.equal(world.only.state, 'up');
  assert.deepEqual(world.told(), []);
  world.removeSa(0x101);
  world.look().pass(1000);
  assert.match(world.only.reason, /no outbound comp SA/);
});

test('what each reqid has of a tunnel is shown on demand', () => {
  assert.equal(compressed().open().only.parts, undefined);
  const world = compressed({ apart: true }).open();
  world.watch(3, () => world.carry(0x1001, 2));
  const shown = () =>
    world.only.parts?.map(({ reqid, protocol, sas, policies, traffic }) => {
      return [reqid, protocol, sas.in.length, sas.out.length, policies.length, traffic.out.packets];
    });
  assert.deepEqual(shown(), [
    [ESP, 'esp', 1, 1, 3, 6n],
    [COMP, 'comp', 1, 1, 1, 0n],
  ]);
  // Judged together all the same.
  world.removeSa(0x101);
  world.look().pass(1000);
  assert.equal(world.only.state, 'one-way');
  world.removeSa(0x8101);
  world.removePolicies();
  world.look().pass(1000);
  assert.equal([...world.tunnels].find(({ reqid }) => reqid === ESP)?.parts, undefined);
});

test('an expected tunnel of several reqids is found by each of them', () => {
  for (const reqid of [ESP, COMP]) {
    const { tunnels } = compressed({ expected: [{ name: 'paris', reqid }] }).open();
    assert.deepEqual(
      [...tunnels].map(({ name, state }) => [name, state]),
      [['paris', 'up']],
    );
  }
});

/** Geneve between two nodes, as Open vSwitch has it: a connection for what each receives. */
test('connections for both roles towards a port are one tunnel', () => {
  const world = new World({ thresholds: { stalled: 1000 } });
  const port = (at: 'sport' | 'dport') => ({ [at]: 6081, [`${at}Mask`]: 0xffff, proto: 17 });
  for (const [reqid, at, back] of [
    [1, 'dport', 'sport'],
    [2, 'sport', 'dport'],
  ] as const) {
    const mode = 'transport';
    const hosts = (saddr: string, daddr: string) => {
      return { ...net(saddr, daddr), prefixlenS: 32, prefixlenD: 32 };
    };
    const out = { selector: { ...hosts(HERE, THERE), ...port(at) } };
    const into = { selector: { ...hosts(THERE, HERE), ...port(back) } };
    policyOf(world, 'out', [{ mode, saddr: ANY, daddr: ANY, reqid }], out);
    policyOf(world, 'in', [{ mode, saddr: ANY, daddr: ANY, reqid }], into);
    world.addPair(0x1000 + reqid, { mode, reqid });
  }
  world.open();
  world.watch(10, () => {
    world.carry(0x1001, 3);
    world.carry(0x9002, 3);
  });
  assert.deepEqual([world.only.state, world.only.reqid], ['up', 1]);
  assert.deepEqual(world.tunnels.byReqid(2), [world.only]);
  // Two SAs of a direction with different reqids are not a rekey.
  assert.deepEqual([world.only.sas.in.length, world.told()], [2, []]);
  world.removeSa(0x9002);
  world.look().pass(1000);
  assert.equal(world.only.state, 'one-way');
});

test('one SA of any source to a group is a tunnel, and serves both directions', () => {
  const GROUP = 'ff02::5';
  const world = new World();
  const selector = {
    ...net('::', GROUP),
    family: 'inet6',
    prefixlenS: 0,
    prefixlenD: 128,
    proto: 89,
  };
  for (const dir of ['in', 'out'] as const) {
    policyOf(world, dir, [{ mode: 'transport', saddr: '::', daddr: '::', reqid: 0 }], { selector });
  }
  world.addSa(0x10003, { saddr: '::', daddr: GROUP, mode: 'transport', reqid: 0 });
  world.open();
  const { id, directed, state } = world.only;
  assert.deepEqual([id, directed, state], [`:: <> ${GROUP}`, false, 'up']);
  world.removePolicies(({ dir }) => dir === 'out');
  world.look().pass(1000);
  assert.equal(world.only.state, 'orphan');
});

test('a bundle that is dissolved leaves no tunnel behind, and none is reported twice', () => {
  const world = compressed().open();
  world.removePolicies();
  world.look().pass(1000);
  world.removePair(0x101);
  world.removePair(0x1001);
  world.look().pass(1000);
  const states = [...world.tunnels].map(({ state }) => state);
  assert(
    states.every((state) => state === 'down'),
    states.join(),
  );
  world.pass(4_000_000);
  assert.equal(world.tunnels.size, 0);
});

for (const [what, reqid, open] of [
  ['reqid 0', 0, false],
  ['a reqid', 9, false],
  ['an open end', 9, true],
] as const) {
  test(`AH beneath ESP, ${what}: without the inbound SA of AH nothing comes in`, () => {
    const world = new World();
    world.addPolicy('out', { mode: 'transport', protos: ['esp', 'ah'], reqid });
    const inbound = world.addPolicy('in', { mode: 'transport', protos: ['esp', 'ah'], reqid });
    if (open) {
      change(world, inbound, {
        selector: { ...inbound.selector, saddr: ANY, prefixlenS: 0 },
      });
    }
    world.addPair(0x1001, { mode: 'transport', reqid });
    world.addPair(0x2001, { mode: 'transport', reqid, proto: 'ah' });
    world.open();
    assert.equal(world.only.state, 'up');
    world.removeSa(0xa001);
    world.look().pass(1000);
    assert.equal(world.only.state, 'one-way');
    assert.match(world.only.reason, /no inbound ah SA/);
  });
}

test('an inbound SA from any source serves every peer whose policies accept it', () => {
  const world = new World();
  const [outMark, inMark] = [mark(0x3e00, 0xff00), mark(0xd00, 0xf00)];
  world.addSa(3, { saddr: ANY, daddr: HERE, mark: inMark });
  for (const [i, peer] of [THERE, '192.0.2.3'].entries()) {
    world.addSa(0x10 + i, { daddr: peer, mark: outMark });
    policyOf(world, 'out', [{ saddr: HERE, daddr: peer }], {
      mark: outMark,
      selector: net('10.7.1.0', `10.7.${i + 2}.0`),
    });
  }
  for (const dir of ['in', 'fwd'] as const) {
    policyOf(world, dir, [{ saddr: ANY, daddr: HERE, optional: true }], {
      ...(dir === 'in' && { mark: inMark }),
      selector: { ...net(ANY, '10.7.1.0'), prefixlenS: 0 },
    });
  }
  world.open();
  const seen = [...world.tunnels].map(({ remote, state, sas }) => [remote, state, sas.in.length]);
  assert.deepEqual(seen, [
    [THERE, 'up', 1],
    ['192.0.2.3', 'up', 1],
  ]);
  world.removeSa(3);
  world.look().pass(1000);
  assert.deepEqual(
    [...world.tunnels].map(({ state, reason }) => `${state}: ${reason}`),
    Array(2).fill('one-way: no inbound esp SA'),
  );
  world.addSa(4, { saddr: ANY, daddr: HERE, mark: mark(0x100, 0xf00) });
  world.look().pass(1000);
  assert(
    [...world.tunnels].every(({ state }) => state === 'one-way'),
    'its mark is another',
  );
});

test('a reqid for each direction is one tunnel', () => {
  const world = new World();
  world.addPolicy('out', { reqid: 10, more: { selector: net('10.7.1.0', '10.7.2.0') } });
  world.addPolicy('in', { reqid: 11, more: { selector: net('10.7.2.0', '10.7.1.0') } });
  world.addSa(0x1001, { reqid: 10 });
  world.addSa(0x9001, { saddr: THERE, daddr: HERE, reqid: 11 });
  world.open();
  assert.equal(world.only.state, 'up');
  world.addSa(0x1002, { reqid: 10 });
  world.addSa(0x9002, { saddr: THERE, daddr: HERE, reqid: 11 });
  world.removeSa(0x1001);
  world.removeSa(0x9001);
  world.look().pass(1000);
  assert.deepEqual(world.told(), ['rekeyed up out 1001 > 1002 in 9001 > 9002']);
  world.removeSa(0x9002);
  world.look().pass(1000);
  assert.match(world.only.reason, /no inbound esp SA/);
});

test('what a trap for any peer asked for is left over when SAs and policies between the gateways are there', () => {
  const world = new World();
  const selector = net('10.8.1.0', '10.8.2.0');
  const open = { mode: 'transport', saddr: ANY, daddr: ANY, reqid: 16389 };
  policyOf(world, 'out', [open], { selector });
  world.open();
  assert.equal(world.tunnels.size, 0);
  for (const daddr of ['10.8.2.1', '10.8.2.2']) {
    const flow = { ...net('10.8.1.1', daddr), prefixlenS: 32, prefixlenD: 32 };
    const more = { spi: 0, mode: 'transport', selector: flow };
    world.addSa(0, { saddr: '10.8.1.1', daddr, reqid: 16389, larval: true, more });
  }
  world.refresh().pass(1000);
  assert.deepEqual(
    [...world.tunnels].map(({ state }) => state),
    ['acquiring', 'acquiring'],
  );
  world.removePolicies();
  world.addPair(0x1001, { reqid: 16389 });
  world.addPolicy('out', { reqid: 16389, more: { selector } });
  world.look().pass(1000);
  assert.equal(world.only.state, 'up');
});

test('what a trap for any peer asked for is left over when a policy whose source the kernel chooses takes its packets', () => {
  const trap = { mode: 'transport', saddr: ANY, daddr: ANY, reqid: 9 };
  const selector = net('10.1.0.0', '10.2.0.0');
  const back = net('10.2.0.0', '10.1.0.0');
  const flow = { ...net('10.1.0.1', '10.2.0.1'), prefixlenS: 32, prefixlenD: 32 };
  for (const reqid of [9, 100]) {
    const world = new World();
    policyOf(world, 'out', [trap], { selector, priority: 100_000 });
    world.open();
    const more = { spi: 0, mode: 'transport', selector: flow };
    world.addSa(0, { saddr: '10.1.0.1', daddr: '10.2.0.1', reqid: 9, larval: true, more });
    world.refresh().pass(1000);
    assert.equal(world.only.state, 'acquiring');
    world.addPair(0x1001, { reqid });
    world.addPair(0x2001, { proto: 'ah', mode: 'transport', reqid });
    const protos = ['esp', 'ah'] as const;
    world.addPolicy('out', { reqid, protos, local: ANY, more: { selector } });
    for (const dir of ['in', 'fwd'] as const) {
      world.addPolicy(dir, { reqid, protos, remote: ANY, more: { selector: back } });
    }
    world.look().pass(1000);
    assert.deepEqual(
      [...world.tunnels].map(({ state, remote }) => [state, remote]),
      [['up', THERE]],
    );
    // Without that policy, packets ask again.
    world.removePolicies(({ dir, priority }) => dir === 'out' && priority < 100_000);
    world.look().pass(1000);
    assert.ok([...world.tunnels].some(({ state }) => state === 'acquiring'));
  }
});

test('what a policy whose source the kernel chooses asked for itself is not left over', () => {
  const world = new World();
  policyOf(world, 'out', [{ reqid: 7, saddr: ANY }], { selector: net('10.1.0.0', '10.2.0.0') });
  world.open();
  const flow = { ...net('10.1.0.1', '10.2.0.1'), prefixlenS: 32, prefixlenD: 32 };
  world.addSa(0, { reqid: 7, larval: true, more: { spi: 0, selector: flow } });
  world.refresh().pass(1000);
  assert.equal(world.only.state, 'acquiring');
});

test('an expected tunnel whose end moves is the same, also where the new SAs come before the old ones go', () => {
  const world = new World({
    expected: [{ name: 'paris', reqid: 7 }],
    locals: [HERE, '192.0.2.3'],
  });
  world.addPair(0x1001, { reqid: 7 });
  world.addPolicies({ reqid: 7 });
  world.open().pass(1000);
  world.addPair(0x2001, { reqid: 7, saddr: '192.0.2.3' });
  world.addPolicies({ reqid: 7, local: '192.0.2.3', port: 1 });
  world.look().pass(50);
  world.removePair(0x1001);
  world.removePolicies(({ selector }) => selector.dport === 0);
  world.look().pass(1000);
  const other = '192.0.2.3';
  assert.deepEqual(world.told(), ['added up', 'up up', 'removed up']);
  assert.deepEqual([world.only.id, world.only.local, world.only.state], ['paris', other, 'up']);
});

test('what a template does not accept does not serve it: reqid, mode, source, mark, interface, selector', () => {
  for (const more of [
    { reqid: 2 },
    { more: { mode: 'beet' } },
    { saddr: '192.0.2.99' },
    { more: { dir: 'out' } },
    { more: { selector: { ...net('172.16.0.0', '172.17.0.0') } } },
  ]) {
    const world = new World();
    world.addPolicy('out');
    policyOf(world, 'in', [{}], { selector: net('10.2.0.0', '10.1.0.0') });
    const [out] = world.policies;
    if (out) change(world, out, { selector: net('10.1.0.0', '10.2.0.0') });
    world.addSa(0x1001);
    world.addSa(0x9001, { saddr: THERE, daddr: HERE, ...more });
    world.open();
    const its = [...world.tunnels].find(({ sas }) => sas.out.length > 0);
    assert.match(its?.state ?? '', /one-way|blocked/, JSON.stringify(more));
  }
});

test('of policies with equal priority the older takes precedence', () => {
  for (const action of ['block', 'allow'] as const) {
    for (const older of [true, false]) {
      const world = new World();
      const selector = { ...net('10.1.0.0', '10.0.0.0'), prefixlenD: 8 };
      const shunt = { more: { templates: undefined, selector, action } };
      if (older) world.addPolicy('out', shunt);
      policyOf(world, 'out', [{}], { selector: net('10.1.0.0', '10.2.0.0') });
      policyOf(world, 'in', [{}], { selector: net('10.2.0.0', '10.1.0.0') });
      if (!older) world.addPolicy('out', shunt);
      world.addPair(0x1001);
      world.open();
      assert.equal(world.only.state, older ? 'one-way' : 'up', action);
    }
  }
});

test('a policy without templates that takes precedence for all packets blocks the tunnel; others do not', () => {
  for (const [priority, selector, dir, action, state] of [
    [1, net('10.1.0.0', '10.2.0.0'), 'out', 'block', 'one-way'],
    [1, net('10.1.0.0', '10.2.0.0'), 'out', 'allow', 'one-way'],
    [1, net('10.2.0.0', '10.1.0.0'), 'in', 'block', 'one-way'],
    [9, net('10.1.0.0', '10.2.0.0'), 'out', 'block', 'up'],
    [1, { ...net('10.1.0.0', '10.2.0.0'), dport: 22, dportMask: 0xffff }, 'out', 'block', 'up'],
    [1, { ...net('10.1.0.5', '10.2.0.0'), prefixlenS: 32 }, 'out', 'allow', 'up'],
  ] as const) {
    const world = new World();
    policyOf(world, 'out', [{}], { selector: net('10.1.0.0', '10.2.0.0'), priority: 5 });
    policyOf(world, 'in', [{}], { selector: net('10.2.0.0', '10.1.0.0'), priority: 5 });
    world.addPair(0x1001);
    world.open();
    assert.equal(world.only.state, 'up');
    world.addPolicy(dir, { more: { templates: undefined, selector, priority, action } });
    world.look().pass(1000);
    assert.equal(world.only.state, state, `${dir} ${action} ${priority}: ${world.only.reason}`);
    world.removePolicies(({ templates }) => templates === undefined);
    world.look().pass(1000);
    assert.equal(world.only.state, 'up');
  }
});

test('an SA or a policy for some of the packets of a tunnel to all leaves it up', () => {
  const [out, back] = [net('10.1.0.0', ANY), net(ANY, '10.1.0.0')];
  for (const selector of [ALL, net('10.1.0.0', '10.3.0.0')]) {
    const world = new World();
    policyOf(world, 'out', [{}], { selector: { ...out, prefixlenD: 0 }, priority: 5 });
    policyOf(world, 'in', [{}], { selector: { ...back, prefixlenS: 0 }, priority: 5 });
    world.addSa(0x1001, { more: { selector } });
    world.addSa(0x9001, { saddr: THERE, daddr: HERE });
    world.open();
    assert.equal(world.only.state, 'up', world.only.reason);
    for (const action of ['block', 'allow'] as const) {
      for (const [dir, some] of [
        ['out', net('10.1.0.0', '10.2.0.0')],
        ['in', net('10.2.0.0', '10.1.0.0')],
      ] as const) {
        const more = { templates: undefined, selector: some, priority: 1, action };
        const bypass = world.addPolicy(dir, { more });
        world.look().pass(1000);
        assert.equal(world.only.state, 'up', `${dir} ${action}: ${world.only.reason}`);
        world.removePolicies(({ index }) => index === bypass.index);
      }
    }
  }
});

test('a tunnel whose source the kernel chooses is one, also with a reqid for each direction', () => {
  const world = new World();
  policyOf(world, 'out', [{ saddr: ANY, reqid: 7 }], { selector: net('10.1.0.0', '10.2.0.0') });
  policyOf(world, 'in', [{ reqid: 8 }], { selector: net('10.2.0.0', '10.1.0.0') });
  world.addSa(0x1001, { reqid: 7 });
  world.addSa(0x9001, { reqid: 8, saddr: THERE, daddr: HERE });
  world.open();
  assert.equal(world.only.state, 'up', world.only.reason);
});

test('a bundle whose source the kernel chooses lacks what one of its reqids does not have', () => {
  for (const absent of ['comp', 'esp']) {
    const world = new World();
    const inner = { mode: 'transport', saddr: ANY, daddr: ANY, reqid: ESP };
    policyOf(world, 'out', [{ proto: 'comp', saddr: ANY, reqid: COMP }, inner]);
    policyOf(world, 'in', [{ proto: 'comp', saddr: ANY, reqid: COMP, optional: true }, inner]);
    if (absent !== 'comp') world.addPair(0x101, { proto: 'comp', reqid: COMP });
    if (absent !== 'esp') world.addPair(0x1001, { mode: 'transport', reqid: ESP });
    world.open();
    assert.match(world.only.reason, new RegExp(`^no outbound ${absent} SA`));
    if (absent === 'comp') world.addPair(0x101, { proto: 'comp', reqid: COMP });
    else world.addPair(0x1001, { mode: 'transport', reqid: ESP });
    world.look().pass(1000);
    assert.equal(world.only.state, 'up', world.only.reason);
  }
});

test('a policy whose source the kernel chooses, with a reqid that nothing else has, is evaluated once', () => {
  for (const way of [
    { mode: 'tunnel', saddr: ANY },
    { mode: 'transport', saddr: ANY, daddr: ANY },
  ] as const) {
    const world = new World();
    const there = { ...net('192.0.2.0', THERE), prefixlenD: 32 };
    const back = { ...net(THERE, '192.0.2.0'), prefixlenS: 32 };
    policyOf(world, 'out', [{ ...way, reqid: 7 }], { selector: there });
    policyOf(world, 'in', [{ ...way, saddr: THERE, daddr: ANY, reqid: 0 }], { selector: back });
    world.addSa(0x9001, { saddr: THERE, daddr: HERE, reqid: 5, mode: way.mode });
    world.open().pass(10_000);
    assert.equal(world.only.reqid, 5);
    world.carry(0x9001, 5);
    world.refresh();
    world.addSa(0x1001, { reqid: 7, mode: way.mode });
    world.look().pass(10_000);
    assert.deepEqual(world.tunnels.byReqid(7), [world.only]);
    world.removeSa(0x1001);
    world.look().pass(10_000);
    world.removeSa(0x9001);
    world.removePolicies();
    world.look().pass(10_000_000);
    assert.equal(world.tunnels.next, Infinity);
  }
});

test('a trap for any peer is no part of the tunnels whose packets it would take', () => {
  for (const [reqid, mode] of [
    [0, 'tunnel'],
    [0, 'transport'],
    [9, 'transport'],
  ] as const) {
    const world = new World();
    const isPlain = mode === 'transport';
    const own = isPlain ? { ...net(HERE, THERE), prefixlenS: 32, prefixlenD: 32 } : undefined;
    const there = own ?? net('10.1.0.0', '10.2.0.0');
    const back = { ...there, saddr: there.daddr, daddr: there.saddr };
    const trap = { mode: 'transport', saddr: ANY, daddr: ANY, reqid };
    for (const selector of [net('10.0.0.0', '10.0.0.0'), net('192.0.2.0', '192.0.2.0')]) {
      policyOf(world, 'out', [trap], { selector, priority: 100_000 });
    }
    policyOf(world, 'out', [{ mode, reqid: isPlain ? 1 : 0 }], { selector: there });
    policyOf(world, 'in', [{ mode, reqid: isPlain ? 1 : 0 }], { selector: back });
    world.addPair(0x1001, { mode, reqid: isPlain ? 1 : 0 });
    world.open();
    assert.equal(world.only.state, 'up', world.only.reason);
    // What it asked for before is left over.
    world.acquire(HERE, THERE, reqid);
    world.addSa(0, { larval: true, reqid, mode: 'transport', more: { selector: there } });
    world.look().pass(1000);
    assert.deepEqual(
      [...world.tunnels].map(({ state }) => state),
      ['up'],
    );
  }
});

test('a transport-mode policy for a network is for SAs between its addresses only', () => {
  const world = new World();
  const any = { mode: 'transport', saddr: ANY, daddr: ANY };
  policyOf(world, 'out', [any], { selector: net('10.1.0.0', '10.2.0.0') });
  world.addPair(0x1001, { mode: 'transport' });
  world.open();
  assert.equal(world.only.state, 'orphan');
  const near = new World();
  policyOf(near, 'out', [any], { selector: net('192.0.2.0', '192.0.2.0') });
  near.addPair(0x1001, { mode: 'transport' });
  near.open();
  assert.equal(near.only.state, 'up', near.only.reason);
});

test('a policy that would send forwarded packets through SAs of another tunnel is in their way', () => {
  const world = new World();
  const [there, back] = [net('10.1.0.0', '10.2.0.0'), net('10.2.0.0', '10.1.0.0')];
  policyOf(world, 'out', [{}], { selector: there });
  for (const dir of ['in', 'fwd'] as const) policyOf(world, dir, [{}], { selector: back });
  world.addPair(0x1001);
  world.open();
  assert.equal(world.only.state, 'up');
  const selector = { ...net('10.0.0.0', '10.0.0.0'), prefixlenS: 8, prefixlenD: 8 };
  world.addPolicy('out', { remote: '192.0.2.9', more: { selector, priority: 100_000 } });
  world.look().pass(1000);
  const [tunnel] = world.tunnels.byRemote(THERE);
  assert.equal(tunnel?.state, 'one-way');
  assert.equal(tunnel.reason, 'inbound, an earlier policy of another tunnel takes all packets');
});

test('an inbound policy of one child without an outbound one, whichever source its template has', () => {
  for (const source of [{}, { saddr: ANY }, { optional: true }, { reqid: 0 }]) {
    const world = new World();
    for (const child of ['10.2.0.0', '10.3.0.0']) {
      policyOf(world, 'out', [{}], { selector: net('10.1.0.0', child) });
      policyOf(world, 'in', [source], { selector: net(child, '10.1.0.0') });
    }
    world.addPair(0x1001);
    world.open();
    assert.equal(world.only.state, 'up');
    world.removePolicies(({ dir, selector }) => dir === 'out' && selector.daddr === '10.3.0.0');
    world.look().pass(1000);
    assert.equal(world.only.state, 'one-way', JSON.stringify(source));
    if ('optional' in source) continue;
    // Unless it may be another tunnel's: one with its reqid, or between the same addresses.
    const other = 'reqid' in source ? { reqid: 2 } : { daddr: '192.0.2.9', saddr: HERE };
    const isOther = Object.keys(source).length > 0;
    world.addSa(0x7001, other);
    world.look().pass(1000);
    const [first] = world.tunnels.byReqid(1).filter(({ remote }) => remote === THERE);
    assert.equal(first?.state, isOther ? 'up' : 'one-way', JSON.stringify(source));
    world.removeSa(0x7001);
    world.look().pass(1000);
    const [again] = world.tunnels.byReqid(1).filter(({ remote }) => remote === THERE);
    assert.equal(again?.state, 'one-way');
  }
});

test('forwarded traffic is evaluated by fwd policies, traffic for this host by in policies', () => {
  for (const [dir, state] of [
    ['fwd', 'one-way'],
    ['in', 'up'],
  ] as const) {
    const world = new World();
    // Of an address that this host has not.
    const host = { prefixlenS: 32, prefixlenD: 32 };
    const [there, back] = [net('10.1.0.7', '10.2.0.7'), net('10.2.0.7', '10.1.0.7')];
    policyOf(world, 'out', [{ reqid: 7 }], { selector: { ...there, ...host } });
    for (const one of ['in', 'fwd'] as const) {
      const reqid = one === dir ? 99 : 0;
      policyOf(world, one, [{ reqid }], { selector: { ...back, ...host } });
    }
    world.addPair(0x1001, { reqid: 7 });
    world.open();
    const [tunnel] = world.tunnels.byReqid(7);
    assert.equal(tunnel?.state, state, `${dir}: ${tunnel?.reason}`);
  }
});

test('selectors: what they have in common', () => {
  const any = { ...net(ANY, ANY), prefixlenS: 0, prefixlenD: 0 };
  const one = net('10.1.0.0', '10.2.0.0');
  const port = { ...one, proto: 17, dport: 53, dportMask: 0xffff };
  for (const [a, b, meets, holds] of [
    [any, one, true, true],
    [one, any, true, false],
    [one, port, true, true],
    [port, one, true, false],
    [port, { ...port, dport: 54 }, false, false],
    [one, net('10.1.1.0', '10.2.0.0'), false, false],
    [{ ...one, prefixlenS: 23 }, net('10.1.1.0', '10.2.0.0'), true, true],
    [{ ...one, prefixlenS: 12 }, net('10.15.1.0', '10.2.0.0'), true, true],
    [{ ...one, prefixlenS: 12 }, net('10.16.1.0', '10.2.0.0'), false, false],
    [one, { ...any, family: 'inet6', saddr: '::', daddr: '::' }, false, false],
  ] as const) {
    assert.equal(meet(a as never, b as never), meets);
    assert.equal(contains(a as never, b as never), holds);
    assert.equal(contains(mirrored(a as never), mirrored(b as never)), holds);
  }
});

test('a wider policy of another tunnel blocks this one if it takes precedence', () => {
  const wide = (from: string, to: string, priority: number) => ({
    selector: { ...net(from, to), prefixlenS: 8, prefixlenD: 8 },
    priority,
  });
  const other = { saddr: HERE, daddr: '192.0.2.9', reqid: 9 };
  const answers = { saddr: '192.0.2.9', daddr: HERE, reqid: 9 };
  for (const [dir, template, from, to, priority, state] of [
    ['out', other, '10.1.0.0', '10.2.0.0', 1, 'one-way'],
    ['in', answers, '10.2.0.0', '10.1.0.0', 1, 'one-way'],
    ['out', other, '10.1.0.0', '10.2.0.0', 9, 'up'],
    ['in', answers, '10.2.0.0', '10.1.0.0', 9, 'up'],
    // Between the same ends, with another reqid: packets are protected on the same way.
    ['out', { saddr: HERE, daddr: THERE, reqid: 9 }, '10.1.0.0', '10.2.0.0', 1, 'up'],
    // Its template accepts the SA, whose reqid it does not name.
    ['in', { saddr: ANY, daddr: HERE, reqid: 0 }, '10.2.0.0', '10.1.0.0', 1, 'up'],
  ] as const) {
    const world = new World();
    policyOf(world, 'out', [{}], { selector: net('10.1.0.0', '10.2.0.0'), priority: 5 });
    policyOf(world, 'in', [{}], { selector: net('10.2.0.0', '10.1.0.0'), priority: 5 });
    world.addPair(0x1001);
    world.open();
    const stateNow = () => world.tunnels.byReqid(1).map((one) => one.state);
    assert.deepEqual(stateNow(), ['up']);
    const templates = [{ ...template, spi: 0, proto: 'esp', mode: 'tunnel', optional: false }];
    const policy = world.addPolicy(dir, { more: { ...wide(from, to, priority), templates } });
    world.look().pass(1000);
    assert.deepEqual(stateNow(), [state], `${dir} ${priority}`);
    world.removePolicies(({ index }) => index === policy.index);
    world.look().pass(1000);
    assert.deepEqual(stateNow(), ['up']);
  }
});

test('an inbound policy of another reqid that takes the answers first blocks them until it goes', () => {
  const world = new World();
  for (const reqid of [1, 9]) {
    world.addPolicies({ reqid });
    world.addPair(0x1000 + reqid, { reqid });
  }
  world.open().pass(1000);
  const own = () => world.tunnels.get(`${HERE} > ${THERE} reqid 1`);
  assert.equal(own()?.state, 'up');
  for (const { dir, selector, templates } of [...world.policies]) {
    if (dir === 'out' || templates?.[0]?.reqid === 9) continue;
    // Its networks differ in size.
    assert.notEqual(selector.prefixlenS, selector.prefixlenD);
    world.addPolicy(dir as 'in' | 'fwd', { reqid: 9, more: { selector, priority: -1 } });
  }
  world.look().pass(1000);
  assert.equal(own()?.state, 'one-way', own()?.reason);
  world.removePolicies(({ priority }) => priority === -1);
  world.look().pass(1000);
  assert.equal(own()?.state, 'up');
});

test('a default that blocks is in the way of forwarded packets that no other policy lets pass', () => {
  const world = new World();
  policyOf(world, 'out', [{}], { selector: net('10.1.0.0', '10.2.0.0') });
  for (const dir of ['in', 'fwd'] as const)
    policyOf(world, dir, [{}], { selector: net('10.2.0.0', '10.1.0.0') });
  world.addPair(0x1001);
  world.open();
  const PASS = { in: 'accept', fwd: 'accept', out: 'accept' } as const;
  for (const [dir, word] of [
    ['fwd', 'outbound'],
    ['out', 'inbound'],
  ] as const) {
    world.tunnels.setDefaults({ ...PASS, [dir]: 'block' });
    world.look().pass(1000);
    assert.equal(world.only.reason, `${word}, the default policy blocks packets`);
    const selector = dir === 'fwd' ? net('10.1.0.0', '10.2.0.0') : net('10.2.0.0', '10.1.0.0');
    const passes = world.addPolicy(dir, { more: { selector, templates: undefined } });
    world.look().pass(1000);
    assert.equal(world.only.state, 'up');
    world.removePolicies(({ index }) => index === passes.index);
    world.tunnels.setDefaults(undefined);
    world.look().pass(1000);
    assert.equal(world.only.state, 'up');
  }
});

test('policies without an interface ID are met by what other interfaces send and receive', () => {
  const [out, back] = [net('10.1.0.0', '10.2.0.0'), net('10.2.0.0', '10.1.0.0')];
  const world = new World();
  const ifId = 5;
  policyOf(world, 'out', [{}], { selector: out, ifId });
  for (const dir of ['in', 'fwd'] as const) policyOf(world, dir, [{}], { selector: back, ifId });
  world.addPair(0x1001, { ifId });
  world.open();
  world.tunnels.setDefaults({ in: 'accept', fwd: 'accept', out: 'block' });
  world.look().pass(1000);
  assert.equal(world.only.reason, 'inbound, the default policy blocks packets');
  for (const selector of [back, { ...ALL, daddr: '10.1.0.0', prefixlenD: 16 }]) {
    const passes = world.addPolicy('out', { more: { selector, templates: undefined } });
    world.look().pass(1000);
    assert.equal(world.only.state, 'up');
    world.removePolicies(({ index }) => index === passes.index);
    world.look().pass(1000);
    assert.equal(world.only.state, 'one-way');
  }
});

test('policies without an interface ID that take the answers to an interface, and no others', () => {
  const world = new World();
  policyOf(world, 'out', [{}], { selector: ALL, ifId: 5 });
  for (const dir of ['in', 'fwd'] as const) {
    policyOf(world, dir, [{}], { selector: ALL, priority: 10 });
  }
  world.addSa(0x1001, { ifId: 5 });
  world.addSa(0x9001, { saddr: THERE, daddr: HERE });
  world.open();
  assert.equal(world.only.state, 'up');
  const more = { selector: ALL, priority: 1, action: 'block', templates: undefined };
  const blocks = world.addPolicy('in', { more });
  world.look().pass(1000);
  assert.equal(world.only.state, 'one-way');
  world.removePolicies(({ index }) => index === blocks.index);
  world.look().pass(1000);
  assert.equal(world.only.state, 'up');
});

test('an inbound policy without an outbound one for the answers is a tunnel one way', () => {
  const world = new World();
  const [one, two] = [net('10.1.0.0', '10.2.0.0'), net('10.1.0.0', '10.3.0.0')];
  const back = [net('10.2.0.0', '10.1.0.0'), net('10.3.0.0', '10.1.0.0')];
  for (const selector of [one, two]) policyOf(world, 'out', [{}], { selector });
  for (const selector of back) policyOf(world, 'in', [{}], { selector });
  world.addPair(0x1001);
  world.open();
  assert.equal(world.only.state, 'up');
  world.removePolicies(({ dir, selector }) => dir === 'out' && selector.daddr === two.daddr);
  world.look().pass(1000);
  assert.match(world.only.reason, /^no outbound policy for answers/);
});

test('where a tunnel has inbound policies, each outbound one needs some for its answers', () => {
  const nets = [net('10.1.0.0', '10.2.0.0'), net('10.1.0.0', '10.3.0.0')];
  const back = [net('10.2.0.0', '10.1.0.0'), net('10.3.0.0', '10.1.0.0')];
  const world = new World();
  for (const selector of nets) policyOf(world, 'out', [{}], { selector });
  for (const dir of ['in', 'fwd'] as const)
    for (const selector of back) policyOf(world, dir, [{}], { selector });
  world.addPair(0x1001);
  world.open();
  const without = (...dirs: string[]) => {
    world.removePolicies(
      ({ dir, selector }) => dirs.includes(String(dir)) && selector.saddr === '10.3.0.0',
    );
    world.look().pass(1000);
    return world.only.state;
  };
  assert.equal(without('fwd'), 'up', 'a host that forwards nothing');
  assert.equal(without('in'), 'one-way');
  assert.match(world.only.reason, /^inbound, no policy is for the answers/);
  // The other way round by mistake: packets go out.
  policyOf(world, 'in', [{}], { selector: net('10.1.0.0', '10.3.0.0') });
  world.look().pass(1000);
  assert.equal(world.only.state, 'one-way');
  // Without any, nothing may be checked.
  world.removePolicies(({ dir }) => dir !== 'out');
  world.look().pass(1000);
  assert.equal(world.only.state, 'up');
});

test('answers for an address of this host need a policy in, those for another one fwd', () => {
  const own = '10.1.0.1';
  const selector = { ...net(own, '10.2.0.1'), prefixlenS: 32, prefixlenD: 32 };
  const stateOf = (dir: 'in' | 'fwd', locals: readonly string[]) => {
    const world = new World({ locals });
    policyOf(world, 'out', [{}], { selector });
    policyOf(world, dir, [{}], { selector: mirrored(selector as never) });
    world.addPair(0x1001);
    world.open();
    return world.only.state;
  };
  assert.equal(stateOf('in', [HERE, own]), 'up');
  assert.equal(stateOf('fwd', [HERE, own]), 'one-way');
  assert.equal(stateOf('in', [HERE]), 'one-way');
  assert.equal(stateOf('fwd', [HERE]), 'up');
});

test('an address that was removed is no longer this host’s, whoever watched', () => {
  const own = '10.1.0.1';
  const selector = { ...net(own, '10.2.0.1'), prefixlenS: 32, prefixlenD: 32 };
  const world = new World({ locals: [HERE, own] });
  policyOf(world, 'out', [{}], { selector });
  policyOf(world, 'in', [{}], { selector: mirrored(selector as never) });
  world.addPair(0x1001);
  world.open();
  assert.equal(world.only.state, 'up');
  world.address(own, { address: own, link: undefined });
  world.look().pass(1000);
  assert.equal(world.only.state, 'one-way');
  world.address(own, undefined);
  world.look().pass(1000);
  assert.equal(world.only.state, 'up');
});

test('of a mesh in transport mode, one peer without an inbound SA is a tunnel one way', () => {
  const world = new World();
  const all = net('192.0.2.0', '192.0.2.0');
  for (const dir of ['out', 'in'] as const)
    policyOf(world, dir, [{ mode: 'transport', saddr: ANY, daddr: ANY }], { selector: all });
  world.addPair(0x1001, { mode: 'transport' });
  world.addSa(0x1003, { daddr: '192.0.2.3', mode: 'transport' });
  world.open();
  const said = [...world.tunnels].map(({ remote, state, reason }) => [remote, state, reason]);
  assert.deepEqual(said.sort(), [
    [THERE, 'up', 'SAs in both directions'],
    ['192.0.2.3', 'one-way', 'no inbound esp SA'],
  ]);
});

test('of both families, each needs inbound policies', () => {
  const six = { ...net('fd00:1::', 'fd00:2::'), family: 'inet6', prefixlenS: 64, prefixlenD: 64 };
  const world = new World();
  for (const selector of [net('10.1.0.0', '10.2.0.0'), six]) {
    policyOf(world, 'out', [{}], { selector });
    for (const dir of ['in', 'fwd'] as const)
      policyOf(world, dir, [{}], { selector: mirrored(selector as never) });
  }
  world.addPair(0x1001, { more: { selector: { ...ALL, family: 'unspec' } } });
  world.open();
  assert.equal(world.only.state, 'up');
  world.removePolicies(({ dir, selector }) => dir !== 'out' && selector.family === 'inet6');
  world.look().pass(1000);
  assert.match(world.only.reason, /^inbound, no policy is for the answers/);
});

test('nobody answers from a group, and what answers ICMP or comes with another GRE key is not known', () => {
  const typed = (proto: number, sport: number, dport = 0) => ({
    ...{ ...net('10.1.0.0', '10.2.0.0'), proto, sport, dport },
    ...{ sportMask: 0xffff, dportMask: 0xffff },
  });
  const swapped = (of: ReturnType<typeof typed>) => ({ ...of, saddr: of.daddr, daddr: of.saddr });
  const group = { ...net('10.1.0.0', '224.0.0.0'), prefixlenD: 4 };
  const toGroup = { ...net('10.2.0.0', '224.0.0.0'), prefixlenD: 4 };
  for (const [sent, received] of [
    [group, toGroup],
    [typed(1, 8), swapped(typed(1, 0))],
    [typed(47, 0, 5), swapped(typed(47, 0, 5))],
    [typed(58, 128), swapped(typed(58, 129))],
  ] as const) {
    const world = new World();
    policyOf(world, 'out', [{}], { selector: sent });
    for (const dir of ['in', 'fwd'] as const) policyOf(world, dir, [{}], { selector: received });
    world.addPair(0x1001);
    world.open();
    assert.equal(world.only.state, 'up', world.only.reason);
  }
});

test('a policy with an open end is another tunnel’s if it takes some of the answers and none of the SAs', () => {
  const world = new World();
  for (const dir of ['out', 'in'] as const)
    policyOf(world, dir, [{}], {
      ...{ selector: ALL, priority: 5 },
      mark: mark(dir === 'in' ? 17 : 16, 0xffff_ffff),
    });
  world.addPair(0x1001);
  const open = { proto: 'ah', saddr: ANY, reqid: 0 };
  const some = { ...ALL, daddr: '10.1.1.1', prefixlenD: 32 };
  for (const dir of ['in', 'fwd'] as const)
    policyOf(world, dir, [open], { selector: some, priority: 1 });
  world.open();
  assert.equal(world.only.state, 'up');
  // One that takes all of them is in the way, whatever its ends.
  const templates = [{ ...open, mode: 'tunnel', daddr: HERE, spi: 0, optional: false }];
  world.addPolicy('in', { more: { selector: ALL, priority: 2, templates } });
  world.look().pass(1000);
  assert.equal(world.only.reason, 'no inbound ah SA');
});

test('a request from a source that the kernel chose meanwhile is a leftover if SAs from another serve the policy', () => {
  const other = '192.0.2.11';
  const world = new World();
  policyOf(world, 'out', [{ saddr: ANY }], { selector: ALL });
  policyOf(world, 'in', [{}], { selector: ALL });
  world.addPair(0x1001);
  world.open();
  world.removeSa(0x1001);
  world.acquire(other);
  world.look().pass(1000);
  const states = () => [...world.tunnels].map(({ local, state }) => `${local} ${state}`).sort();
  assert.deepEqual(states(), [`${HERE} one-way`, `${other} acquiring`]);
  world.addSa(0x1002);
  world.look().pass(1000);
  assert.deepEqual(states(), [`${HERE} up`]);
});

test('an optional inbound policy from any source without an outbound one for the answers', () => {
  const world = new World();
  const [one, two] = [net('10.1.0.0', '10.2.0.0'), net('10.1.0.0', '10.3.0.0')];
  for (const selector of [one, two]) policyOf(world, 'out', [{}], { selector });
  for (const selector of [net('10.2.0.0', '10.1.0.0'), net('10.3.0.0', '10.1.0.0')])
    policyOf(world, 'in', [{ saddr: ANY, optional: true }], { selector });
  world.addPair(0x1001);
  world.open();
  assert.equal(world.only.state, 'up');
  world.removePolicies(({ dir, selector }) => dir === 'out' && selector.daddr === two.daddr);
  world.look().pass(1000);
  assert.match(world.only.reason, /^no outbound policy for answers/);
});

test('a policy of another tunnel, or one that blocks, that takes all packets of one of several policies', () => {
  const foreign = { spi: 0, proto: 'esp', mode: 'tunnel', optional: false, reqid: 9 };
  const there = { ...foreign, saddr: HERE, daddr: '192.0.2.9' };
  const back = { ...foreign, saddr: '192.0.2.9', daddr: HERE };
  for (const [dir, more, reason] of [
    ['in', { templates: [back] }, 'inbound, an earlier policy of another tunnel takes all packets'],
    [
      'out',
      { templates: [there] },
      'outbound, an earlier policy of another tunnel takes all packets',
    ],
    [
      'in',
      { templates: undefined, action: 'block' },
      'inbound, an earlier policy blocks all packets',
    ],
  ] as const) {
    const world = new World();
    const [out, answers] = [net('10.1.0.0', '10.3.0.0'), net('10.3.0.0', '10.1.0.0')];
    for (const selector of [net('10.1.0.0', '10.2.0.0'), out])
      policyOf(world, 'out', [{}], { selector, priority: 5 });
    for (const selector of [net('10.2.0.0', '10.1.0.0'), answers])
      policyOf(world, 'in', [{}], { selector, priority: 5 });
    world.addPair(0x1001);
    world.open();
    const stateNow = () => world.tunnels.byReqid(1).map((one) => `${one.state}: ${one.reason}`);
    assert.deepEqual(stateNow(), ['up: SAs in both directions']);
    world.addPolicy(dir, {
      more: { selector: dir === 'out' ? out : answers, priority: 1, ...more },
    });
    world.look().pass(1000);
    assert.deepEqual(stateNow(), [`one-way: ${reason}`]);
  }
});

test('in transport mode SAs need no source, and what arrives no policy', () => {
  const shapes: [object, object, ('out' | 'in')[], string][] = [
    [{ saddr: ANY }, {}, ['out', 'in'], 'up'],
    [{}, { saddr: ANY }, ['out', 'in'], 'up'],
    [{ saddr: ANY }, { saddr: ANY }, ['out', 'in'], 'up'],
    [{}, { saddr: ANY }, ['out'], 'up'],
    [{ saddr: ANY }, { saddr: ANY }, ['out'], 'up'],
    [{ saddr: ANY, reqid: 9 }, {}, ['out', 'in'], 'one-way'],
    [{}, { saddr: ANY, reqid: 9 }, ['out'], 'one-way'],
    [{ saddr: ANY, mode: 'tunnel' }, {}, ['out', 'in'], 'one-way'],
    [{ saddr: ANY }, { saddr: ANY, proto: 'ah' }, ['out'], 'one-way'],
  ];
  for (const [out, back, dirs, state] of shapes) {
    const world = new World();
    for (const dir of dirs) world.addPolicy(dir, { mode: 'transport' });
    world.addSa(0x1001, { mode: 'transport', ...out });
    world.addSa(0x9001, { saddr: THERE, daddr: HERE, mode: 'transport', ...back });
    world.open();
    const { tunnels } = world;
    const [tunnel] = tunnels.byReqid(1);
    assert.equal(tunnel?.state, state, JSON.stringify([out, back, dirs]));
    if (state !== 'up') continue;
    // Each of both is listed with it, and the tunnel depends on both.
    assert.deepEqual([tunnel.sas.out.length, tunnel.sas.in.length], [1, 1]);
    world.removeSa(0x1001);
    world.look().pass(1000);
    assert.equal(world.only.state, 'one-way');
  }
});

test('sub-policies that block come before all others, and those that allow change nothing', () => {
  for (const dir of ['out', 'in'] as const) {
    for (const [action, state] of [
      ['block', 'one-way'],
      ['allow', 'up'],
    ] as const) {
      const world = new World();
      world.addPolicies();
      world.addPair(0x1001);
      const more = { action, templates: undefined, priority: 9000, policyType: { type: 'sub' } };
      change(world, world.addPolicy(dir), more);
      world.open();
      assert.equal(world.only.state, state, `${dir} ${action}`);
    }
  }
});

test('what is sent in UDP is answered in UDP, and what is not, is not', () => {
  const encap = { type: 'espinudp', sport: 4500, dport: 4500, oa: ANY };
  for (const mode of ['tunnel', 'transport'] as const) {
    for (const [out, back, state] of [
      [encap, encap, 'up'],
      [encap, undefined, 'one-way'],
      [undefined, encap, 'one-way'],
      [undefined, undefined, 'up'],
    ] as const) {
      const world = new World();
      world.addPolicies({ mode });
      world.addSa(0x1001, { mode, more: { encap: out } });
      world.addSa(0x9001, { saddr: THERE, daddr: HERE, mode, more: { encap: back } });
      world.open();
      assert.equal(world.only.state, state, `${mode} ${out?.type} ${back?.type}`);
    }
  }
});

test('an SA that has used all its sequence numbers sends no more', () => {
  const oseq = 0xffff_ffff;
  const esn = (oseqHi: number) => ({
    flags: StateFlags.of(StateFlags.bits.esn ?? 0),
    replayEsn: { oseq, oseqHi, seq: 0, seqHi: 0, replayWindow: 32, bitmap: [0] },
  });
  const replay = { oseq, seq: 0, bitmap: 0 };
  for (const [more, state] of [
    [{ replay }, 'one-way'],
    [{ replay: { ...replay, oseq: oseq - 1 } }, 'up'],
    [{ replay, extraFlags: { mask: 2, names: ['oseq-may-wrap'] } }, 'up'],
    [esn(7), 'up'],
    [esn(oseq), 'one-way'],
  ] as const) {
    const world = new World();
    world.addPolicies();
    world.addSa(0x1001, { more });
    world.addSa(0x9001, { saddr: THERE, daddr: HERE });
    world.open();
    assert.equal(world.only.state, state, JSON.stringify(more));
    if (state === 'up') continue;
    assert.equal(world.only.reason, 'outbound SA 0x00001001 has used all its sequence numbers');
    // Its successor sends.
    world.pass(2000).addSa(0x1002);
    world.look().pass(1000);
    assert.notEqual(world.only.state, 'one-way');
  }
});
