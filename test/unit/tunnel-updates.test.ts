/** SAs that change while they exist, and what becomes of the tunnels they serve. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HERE, THERE, World } from './tunnel-world.ts';

const ANY = '0.0.0.0';

/** A host whose peers all send through one inbound SA from any source, as with Cilium before 1.15. */
function shared(): World {
  const world = new World();
  world.addPolicies();
  world.addSa(1);
  world.addSa(0x8001, { saddr: ANY, daddr: HERE });
  world.policies = world.policies.map((policy) => {
    if (policy.dir === 'out') return policy;
    const templates = policy.templates?.map((one) => ({ ...one, saddr: ANY }));
    return { ...policy, templates } as typeof policy;
  });
  return world;
}

/** What a monitor says that opens now. */
function afresh({ states, policies, time }: World): string {
  const world = new World();
  Object.assign(world, { states, policies, time });
  const { state, reason } = world.open().only;
  return `${state} (${reason})`;
}

const stateOf = (world: World): string => `${world.only.state} (${world.only.reason})`;
const limited = (world: World, spi: number, soft: number, hard: number) => {
  const { lifetime } = world.sa(spi);
  world.update(spi, { lifetime: { ...lifetime, softAddSeconds: soft, hardAddSeconds: hard } });
};

test('new limits of an SA from any source count for the tunnels that it serves', () => {
  const world = shared().open();
  world.pass(1000);
  assert.equal(world.only.state, 'up');
  limited(world, 0x8001, 3600, 60);
  world.look().pass(58_000);
  assert.equal(world.only.state, 'expiring');
  assert.equal(stateOf(world), afresh(world));
});

test('so does its soft limit', () => {
  const world = shared().open();
  world.pass(1000);
  world.expire(0x8001, false);
  world.look().pass(10_000);
  assert.equal(world.only.state, 'expiring');
});

test('what is shown of it does not depend on whether someone looked', () => {
  for (const looks of [false, true]) {
    const world = shared().open();
    world.pass(1000);
    const limit = () => world.only.sas.in[0]?.value.lifetime.hardAddSeconds;
    const before = looks ? limit() : Number.POSITIVE_INFINITY;
    world.update(0x8001, { lifetime: { ...world.sa(0x8001).lifetime, hardAddSeconds: 60 } });
    // Not evaluated yet.
    assert.equal(limit(), before);
    world.look();
    assert.equal(limit(), 60);
  }
});

test('one from any source without keys serves nothing yet', () => {
  const world = shared();
  world.states = world.states.filter(({ spi }) => spi !== 0x8001);
  world.addSa(0x8001, { saddr: ANY, daddr: HERE, larval: true });
  world.open();
  assert.equal(world.only.state, 'one-way');
});

test('policies that only an SA from any source serves are not stale', () => {
  const world = shared().open();
  world.pass(1000);
  world.removeSa(1);
  world.refresh().pass(10_000_000);
  assert.deepEqual(world.only.warnings, []);
  assert.equal(world.only.sas.in.length, 1);
  world.refresh();
  assert.equal(world.only.sas.in[0]?.countersReadAt.monotonic, world.time);
});

test('an SA of any source to a group is shown as evaluated by every tunnel that it serves', () => {
  const GROUP = '224.0.0.5';
  const world = new World();
  const mode = 'transport';
  world.addSa(1, { saddr: ANY, daddr: GROUP, mode });
  world.addPolicy('out', { remote: GROUP, mode });
  world.open();
  const limits = () =>
    [...world.tunnels].map(({ sas }) => sas.out.map(({ value }) => value.lifetime.hardAddSeconds));
  const before = limits();
  assert.equal(before.flat().length, 2);
  world.pass(1000);
  world.carry(1, 1);
  world.refresh();
  limited(world, 1, 3600, 60);
  assert.deepEqual(limits(), before);
});

test('an SA whose limits are extended is no longer past a soft limit', () => {
  const world = new World();
  world.addPolicies();
  const encap = { type: 'espinudp', sport: 4500, dport: 4500, oa: ANY };
  world.addPair(1, { soft: 60, hard: 3600, more: { encap } });
  world.open();
  world.pass(60_000);
  for (const spi of [1, 0x8001]) world.expire(spi, false);
  world.look().pass(5000);
  assert.equal(world.only.state, 'expiring');
  for (const spi of [1, 0x8001]) limited(world, spi, 3000, 7200);
  world.look().pass(60_000);
  assert.equal(stateOf(world), afresh(world));
  assert.equal(world.only.state, 'up');
  // Nor is one past that is reached again.
  for (const spi of [1, 0x8001]) world.expire(spi, false);
  world.look().pass(5000);
  assert.equal(world.only.state, 'expiring');
  for (const spi of [1, 0x8001]) world.update(spi, { encap: { ...encap, sport: 4501 } });
  world.look().pass(5000);
  assert.equal(world.only.state, 'expiring');
});

test('the last loss is the reason also where the SAs have a reqid each', () => {
  for (const evaluated of [false, true]) {
    const world = new World();
    for (const [dir, reqid] of [
      ['out', 1],
      ['in', 2],
    ] as const) {
      const policy = world.addPolicy(dir, { reqid });
      const [saddr, daddr] = dir === 'out' ? ['10.1.0.0', '10.2.0.0'] : ['10.2.0.0', '10.1.0.0'];
      const selector = { ...policy.selector, saddr, daddr, prefixlenS: 16, prefixlenD: 16 };
      world.policies[world.policies.indexOf(policy)] = { ...policy, selector };
    }
    world.addSa(1, { reqid: 1 });
    world.addSa(0x8001, { reqid: 2, saddr: THERE, daddr: HERE });
    world.open();
    world.pass(1000);
    world.told();
    world.expire(0x8001, true);
    if (evaluated) world.look();
    world.removeSa(1, 77);
    world.look().pass(1000);
    assert.equal(world.only.state, 'blocked');
    assert.match(world.told().join('\n'), /^down .*by deleted 77$/m);
  }
});

test('an expected tunnel that does not exist is found by its reqid', () => {
  const world = new World({ expected: [{ name: 'x', remote: THERE, reqid: 9 }] }).open();
  assert.deepEqual(world.tunnels.byReqid(9), [world.only]);
  assert.deepEqual(world.tunnels.byReqid(8), []);
});
