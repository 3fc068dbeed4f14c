/** Tunnels that ought to be there, changed while they are watched: names move, and nothing else happens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ExpectedTunnel, Tunnel } from '../../lib/index.ts';
import { checkedExpected, isExpected } from '../../lib/tunnel/expected.ts';
import { generated } from './random.ts';
import { HERE, THERE, World } from './tunnel-world.ts';

const FAR = '192.0.2.3';

/** The changes reported when the list changes, one word each. */
function told(world: World, expected: readonly ExpectedTunnel[]): string[] {
  const before = world.events.length;
  world.expect(expected);
  return world.events
    .slice(before)
    .map((event) => `${event.kind} ${event.tunnel?.id} ${event.tunnel?.state}`);
}

const ids = ({ tunnels }: World) => [...tunnels].map(({ id }) => id).sort();

/** A tunnel that was rekeyed, a minute ago. */
function running(expected: readonly ExpectedTunnel[] = []): World {
  const world = new World({ expected }).open();
  world.addPolicies();
  world.addPair(0x1000);
  world.look().pass(10_000);
  world.addPair(0x2000);
  world.look();
  world.removePair(0x1000);
  world.look().pass(60_000);
  return world;
}

/** What a tunnel is, whatever it is called. */
const without = ({ id: _, name: __, expected: ___, ...rest }: Tunnel) => rest;

test('an existing tunnel can be named, renamed and unnamed without other effects', () => {
  const world = running();
  const [first] = world.tunnels;
  assert(first);
  assert.equal(first.rekeys, 1);
  const id = `${HERE} > ${THERE} reqid 1`;
  const steps: [expected: ExpectedTunnel[], from: string, to: string][] = [
    [[{ name: 'paris', remote: THERE }], id, 'paris'],
    [[{ name: 'rome', remote: THERE }], 'paris', 'rome'],
    [[], 'rome', id],
  ];
  for (const [expected, from, to] of steps) {
    assert.deepEqual(told(world, expected), [`removed ${from} up`, `added ${to} up`]);
    const [now] = world.tunnels;
    assert(now);
    assert.deepEqual(without(now), without(first));
    assert.equal(now.expected, expected.length > 0);
    assert.equal(world.tunnels.get(to), now);
    assert.equal(world.tunnels.get(from), undefined);
  }
  world.removePair(0x2000);
  world.look().pass(200);
  const last = world.events.at(-1);
  assert(last?.kind === 'down' && last.tunnel.id === id);
});

test('an entry with the same name keeps its tunnel if it still matches, otherwise it is a new one', () => {
  const world = running([{ name: 'paris', remote: THERE }]);
  assert.deepEqual(told(world, [{ name: 'paris', remote: THERE, reqid: 1 }]), []);
  assert.deepEqual(told(world, [{ name: 'paris', remote: FAR }]), [
    'removed paris up',
    'added paris down',
    `added ${HERE} > ${THERE} reqid 1 up`,
  ]);
  assert.equal(world.tunnels.get('paris')?.remote, FAR);
});

test('one that does not exist is added as down; no longer expected, it is removed', () => {
  const world = running();
  const far = { name: 'far', remote: FAR };
  assert.deepEqual(told(world, [far]), ['added far down']);
  assert.deepEqual(told(world, [far]), []);
  assert.deepEqual(told(world, []), ['removed far down']);
  told(world, [far]);
  world.addPolicies({ remote: FAR, reqid: 2 });
  world.addPair(0x3000, { daddr: FAR, reqid: 2 });
  world.look();
  assert.equal(world.tunnels.get('far')?.state, 'up');
  world.removePair(0x3000);
  world.removePolicies(({ templates }) => templates?.[0]?.reqid === 2);
  world.look().pass(200);
  assert.equal(world.tunnels.get('far')?.state, 'down');
  assert.deepEqual(told(world, []), ['removed far down']);
  assert.equal(world.tunnels.size, 1);
});

test('one that went down before it was expected has been down since then', () => {
  const world = running();
  world.removePair(0x2000);
  world.removePolicies();
  world.look().pass(200);
  const [gone] = world.tunnels;
  assert(gone?.state === 'down');
  world.pass(60_000);
  assert.deepEqual(told(world, [{ name: 'paris', remote: THERE }]), [
    `removed ${gone.id} down`,
    'added paris down',
  ]);
  assert.deepEqual(world.tunnels.get('paris')?.since, gone.since);
  world.pass(10_000_000);
  assert.deepEqual(ids(world), ['paris']);
  world.addPolicies();
  world.addPair(0x4000);
  world.look();
  assert.equal(world.tunnels.get('paris')?.state, 'up');
});

test('names can be swapped, and a default id that equals a name gives way', () => {
  const world = running();
  world.addPolicies({ remote: FAR, reqid: 2 });
  world.addPair(0x3000, { daddr: FAR, reqid: 2 });
  world.look();
  const two = (one: string, other: string) => [
    { name: 'a', remote: one },
    { name: 'b', remote: other },
  ];
  told(world, two(THERE, FAR));
  assert.equal(world.tunnels.get('a')?.remote, THERE);
  const events = told(world, two(FAR, THERE));
  assert.equal(events.length, 4);
  assert.deepEqual(
    ['a', 'b'].map((id) => world.tunnels.get(id)?.remote),
    [FAR, THERE],
  );
  const id = `${HERE} > ${THERE} reqid 1`;
  told(world, [{ name: id, remote: FAR }]);
  assert.equal(world.tunnels.get(id)?.remote, FAR);
  assert.equal(world.tunnels.get(`${id} (2)`)?.remote, THERE);
});

test('a tunnel that loses its name becomes another expected tunnel that it matches', () => {
  const exact = { name: 'exact', remote: THERE, reqid: 1 };
  const any = { name: 'any', remote: THERE };
  const world = running([exact, any]);
  assert.equal(world.tunnels.get('any')?.state, 'down');
  const events = told(world, [any]);
  assert.deepEqual(events, ['removed exact up', 'up any up']);
  assert.deepEqual(ids(world), ['any']);
});

test('tunnels whose `added` or `down` is pending get their names', () => {
  const world = new World().open();
  world.addPair(0x1000);
  world.look();
  assert.deepEqual(ids(world), []);
  world.expect([{ name: 'paris', remote: THERE }]);
  world.addPolicies();
  world.look().pass(1000);
  assert.deepEqual(ids(world), ['paris']);
  assert.equal(world.tunnels.get('paris')?.state, 'up');
  world.removePair(0x1000);
  world.look();
  world.expect([{ name: 'rome', remote: THERE }]);
  assert(!world.events.some(({ kind }) => kind === 'down'));
  world.addPair(0x2000);
  world.look().pass(1000);
  assert(!world.events.some(({ kind }) => kind === 'down'));
  assert.equal(world.tunnels.get('rome')?.rekeys, 1);
});

test('one that takes the place of another is told of no loss, whatever else went at once', () => {
  const wishes = [1, 2, 3].map((reqid) => ({ remote: THERE, daddr: THERE, reqid }));
  const world = new World({ expected: [{ name: 'paris', remote: THERE }] });
  for (const wish of wishes) {
    world.addPolicies(wish);
    world.addPair(0x1000 * wish.reqid, wish);
  }
  world.open().pass(1000);
  assert.equal(world.tunnels.get('paris')?.reqid, 1);
  for (const spi of [0x1000, 0x2000]) world.removePair(spi);
  world.removePolicies(({ templates }) => templates?.[0]?.reqid !== 3);
  world.look().pass(1000);
  const paris = world.tunnels.get('paris');
  assert.deepEqual([paris?.state, paris?.reqid], ['up', 3]);
  const downs = world.events.flatMap((event) => (event.kind === 'down' ? event.tunnel.id : []));
  assert.deepEqual(downs, [`${HERE} > ${THERE} reqid 2`]);
});

test('a name goes to a tunnel that exists rather than to one that lost another name', () => {
  const world = new World({ expected: [{ name: 'paris', remote: THERE, reqid: 1 }] }).open();
  world.addPolicies();
  world.addPair(0x1000);
  world.look();
  world.removePair(0x1000);
  world.removePolicies();
  world.look().pass(1000);
  world.addPolicies({ reqid: 2 });
  world.addPair(0x2000, { reqid: 2 });
  world.look();
  world.expect([{ name: 'rome', remote: THERE }]);
  assert.equal(world.only.id, 'rome');
  assert.equal(world.only.state, 'up');
});

test('one that is down, and expected in another way, takes the place of a tunnel that matches now', () => {
  const world = new World({ expected: [{ name: 'paris', remote: THERE, reqid: 1 }] }).open();
  world.addPolicies({ reqid: 4 });
  world.addPair(0x4000, { reqid: 4 });
  world.look();
  assert.equal(world.tunnels.get('paris')?.state, 'down');
  world.expect([{ name: 'paris', remote: THERE }]);
  assert.deepEqual([world.only.id, world.only.state], ['paris', 'up']);
});

test('one that comes to match is the expected one', () => {
  const world = new World({ expected: [{ name: 'paris', remote: THERE, ifId: 7 }] });
  world.addPolicies();
  world.addPair(0x1000);
  world.open().pass(1000);
  assert.equal(world.tunnels.get('paris')?.state, 'down');
  world.addPolicies({ ifId: 7 });
  world.addPair(0x2000, { ifId: 7 });
  world.removePair(0x1000);
  world.removePolicies(({ ifId }) => ifId === undefined);
  world.look().pass(1000);
  assert.equal(world.only.id, 'paris');
  assert.equal(world.only.state, 'up');
});

const remotes = [THERE, FAR, '192.0.2.4'];
const expectation = fc.record({
  name: fc.constantFrom('a', 'b', 'c'),
  remote: fc.constantFrom(...remotes),
  reqid: fc.option(fc.constantFrom(1, 2, 3), { nil: undefined }),
});
const step = fc.oneof(
  fc.record({
    expect: fc.uniqueArray(expectation, { selector: ({ name }) => name, maxLength: 3 }),
  }),
  // At once.
  fc.record({ toggle: fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 4 }) }),
  fc.record({ pass: fc.constantFrom(10, 200, 60_000, 4_000_000) }),
);

test('changing the list never reports up or down for a remaining tunnel, and all names exist', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const world = new World().open();
      const seen = new Map<string, Tunnel>();
      const there = new Set<number>();
      let read = 0;
      let list: readonly ExpectedTunnel[] = [];
      const follow = () => {
        for (const event of world.events.slice(read)) {
          if (!event.tunnel) continue;
          const { id } = event.tunnel;
          if (event.kind === 'added') assert(!seen.has(id), `${id} is added twice`);
          else assert(seen.has(id), `${event.kind} of ${id}, which is not there`);
          if (event.kind === 'removed') seen.delete(id);
          else seen.set(id, event.tunnel);
        }
        read = world.events.length;
        assert.deepEqual([...seen.keys()].sort(), ids(world));
      };
      for (const one of steps) {
        if ('expect' in one) {
          follow();
          list = one.expect;
          world.expect(list);
          const events = world.events.slice(read);
          assert(events.every(({ kind }) => ['added', 'removed', 'up'].includes(kind)));
        } else if ('pass' in one) world.pass(one.pass);
        else {
          for (const n of one.toggle) {
            const remote = remotes[n % 3] as string;
            const wish = { remote, daddr: remote, reqid: n + 1 };
            if (there.delete(n)) {
              world.removePair(0x1000 * (n + 1));
              world.removePolicies(({ templates }) => templates?.[0]?.reqid === n + 1);
            } else {
              there.add(n);
              world.addPolicies(wish);
              world.addPair(0x1000 * (n + 1), wish);
            }
          }
          world.look();
        }
        follow();
        for (const { name } of list) assert(world.tunnels.get(name as string)?.expected);
        // None that ought to be there is down while one that is as it ought to be is called otherwise.
        world.pass(200);
        follow();
        const all = [...world.tunnels];
        for (const wanted of checkedExpected(list)) {
          if (world.tunnels.get(wanted.name)?.state !== 'down') continue;
          const other = all.find(
            ({ expected, state, local = '', remote = '', directed, reqid = 0 }) =>
              !expected &&
              state !== 'down' &&
              isExpected(wanted, {
                local,
                remote,
                directed,
                reqids: [reqid],
                marks: [],
                ifIds: [],
              }),
          );
          assert.equal(other, undefined, `${wanted.name} is down, and there is ${other?.id}`);
        }
      }
      assert.equal(all(world).filter(({ expected }) => expected).length, list.length);
    }),
    { seed: Number(process.env.NETLINK_XFRM_SEED ?? 1), numRuns: generated(2000) },
  );
});

const all = ({ tunnels }: World) => [...tunnels];
