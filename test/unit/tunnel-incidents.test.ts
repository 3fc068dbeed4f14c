/**
 * What went wrong for people who run tunnels (docs/tunnels.md has the sources), each as a story that a
 * kernel would send, and the changes then reported for the tunnel.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TUNNEL_THRESHOLDS, type XfrmPolicy } from '../../lib/index.ts';
import { HERE, type SaWish, THERE, World } from './tunnel-world.ts';

/** A tunnel that is up, and watched from then on. */
function running(wish: SaWish = {}, options?: ConstructorParameters<typeof World>[0]): World {
  const world = new World(options);
  world.addPolicies({ ...(wish.mode && { mode: wish.mode }) });
  world.addPair(0x1001, wish);
  world.open().pass(1000);
  assert.equal(world.only.state, 'up');
  return world;
}

/** Packets both ways. */
const chat = (world: World, spi = 0x1001) => {
  world.carry(spi, 5);
  world.carry(spi + 0x8000, 5);
};

test('old SAs that remain after rekeys are a leak', () => {
  const world = running();
  world.addPair(0x1002);
  world.look().pass(1000);
  world.addPair(0x1003);
  world.look().pass(1000);
  assert.deepEqual(world.told(), [
    'state rekeying was up',
    'rekeyed rekeying out 1001 > 1002 in 9001 > 9002',
    'rekeyed rekeying out 1002 > 1003 in 9002 > 9003',
    'warning raised piling-up out',
    'warning raised piling-up in',
  ]);
  world.removePair(0x1001);
  world.removePair(0x1002);
  world.look().pass(1000);
  assert.deepEqual(world.told(), [
    'state up was rekeying',
    'warning cleared piling-up out',
    'warning cleared piling-up in',
  ]);
});

test('a remaining old SA is reported eventually, although two SAs are not a leak', () => {
  const world = running();
  world.addSa(0x1002);
  world.look().pass(600_000);
  const told = world.told();
  assert(told.includes('warning raised piling-up out'), told.join('\n'));
  assert.notEqual(world.only.state, 'rekeying');
});

test('per-CPU SAs are not a leak', () => {
  const world = new World();
  world.addPolicies();
  world.addPair(0x1000);
  for (let cpu = 0; cpu < 8; cpu++) world.addPair(0x1001 + cpu, { pcpu: cpu });
  world.open().pass(1000);
  assert.equal(world.only.state, 'up');
  world.addPair(0x1101, { pcpu: 3 });
  world.look().pass(100);
  world.removePair(0x1004);
  world.look().pass(1000);
  assert.deepEqual(world.told(), [
    'state rekeying was up',
    'rekeyed rekeying out 1004 > 1101 in 9004 > 9101',
    'state up was rekeying',
  ]);
});

test('what has policies and no child SA is not up', () => {
  const world = new World();
  world.addPolicies();
  world.open();
  assert.equal(world.only.state, 'blocked');
  assert.match(world.only.reason, /no SA/);
  assert.equal(world.only.upSince, undefined);
});

test('a tunnel that is down stays in the lists: remembered for a time, or for good if expected', () => {
  const expected = [
    { name: 'paris', remote: THERE },
    { name: 'rome', remote: '192.0.2.3' },
  ];
  for (const [options, stays] of [
    [{}, 0],
    [{ expected }, 2],
  ] as const) {
    const world = new World(options);
    world.addPolicies();
    world.addPair(0x1001);
    world.open();
    world.removePolicies();
    world.removePair(0x1001, 812);
    world.look().pass(1000);
    assert.deepEqual(world.told(), ['down down was up by deleted 812']);
    world.pass(3_500_000);
    assert.equal(world.tunnels.size, stays || 1);
    world.pass(200_000);
    assert.equal(world.tunnels.size, stays);
    assert.deepEqual(world.told(), stays ? [] : ['removed down']);
  }
});

test('an expected tunnel that was never seen is down, and becomes the one that appears', () => {
  const world = new World({ expected: [{ name: 'paris', remote: THERE }] }).open();
  assert.equal(world.only.id, 'paris');
  assert.equal(world.only.state, 'down');
  world.addPair(0x1001);
  world.addPolicies();
  world.look();
  assert.deepEqual(world.told(), ['up up was down']);
  assert.equal(world.only.name, 'paris');
  assert.equal(world.only.local, HERE);
});

test('a thousand rekeys, in whichever order their messages come: not one down', () => {
  const world = running({}, { thresholds: { idle: 0 } });
  for (let i = 1; i <= 1000; i++) {
    const [old, young] = [0x1000 + i, 0x1001 + i];
    if (i % 3 === 0) {
      world.removePair(old);
      if (i % 2 === 0) world.look().pass(20);
      world.addPair(young);
    } else {
      world.addPair(young);
      if (i % 2 === 0) world.look().pass(5000);
      world.removePair(old);
    }
    world.look().pass(1000);
  }
  const told = world.told();
  assert.equal(told.filter((line) => line.startsWith('rekeyed')).length, 1000);
  assert.deepEqual([...new Set(told.map((line) => line.replace(/ (out|in) .*/, '')))].sort(), [
    'rekeyed rekeying',
    'rekeyed up',
    'state rekeying was up',
    'state up was rekeying',
  ]);
  assert.equal(world.only.rekeys, 1000);
});

test('an SA added around `settle` after its predecessor: reported as rekeyed or as missing, never neither or both', () => {
  const seen = new Set<string>();
  for (const looked of [0, 0.5, 3, 120]) {
    for (const late of [0, 1.5, 20, Number.POSITIVE_INFINITY]) {
      for (let gap = Math.max(90, looked); gap <= 240; gap += 1.25) {
        const world = running();
        const began = world.time;
        world.removeSa(0x1001);
        world.time = began + looked;
        world.look();
        for (;;) {
          const at = world.tunnels.next + late;
          if (at >= began + gap) break;
          world.time = at;
          world.look();
        }
        world.time = began + gap;
        world.addSa(0x1002);
        world.look().pass(TUNNEL_THRESHOLDS.acquiring);
        const told = world.told();
        const rekeyed = `rekeyed up out 1001 > 1002 after ${gap} ms`;
        const missing = ['stalled', 'state', 'down'].some((kind) => told[0]?.startsWith(kind));
        const what = `looked ${looked}, late ${late}, gap ${gap}: ${told}`;
        assert.deepEqual(told, missing ? [told[0], 'up up was one-way'] : [rekeyed], what);
        assert.equal(world.only.rekeys, missing ? 0 : 1, what);
        seen.add(`${missing} ${gap > 100}`);
      }
    }
  }
  assert.deepEqual([...seen].sort(), ['false false', 'false true', 'true true']);
});

test('idle is distinguished from down by last use', () => {
  const world = running();
  world.watch(3, () => chat(world));
  world.watch(40);
  assert.deepEqual(world.told(), ['state idle was up']);
  assert(world.only.upSince);
  world.watch(1, () => chat(world));
  assert.deepEqual(world.told(), ['state up was idle']);
});

test('a rekey that fails: past the soft limit, then gone with the hard one', () => {
  const world = running({ soft: 10, hard: 20 });
  world.pass(9000);
  world.expire(0x1001, false);
  world.look().pass(3000);
  world.pass(7000);
  world.expire(0x1001, true);
  world.expire(0x9001, true);
  world.look().pass(1000);
  assert.deepEqual(world.told(), ['state expiring was up', 'down down was expiring by expired']);
  assert.equal(world.only.unreplaced, 2);
  assert.match(world.only.reason, /hard limit/);
});

test('policies that outlive their last SA raise a warning; reinstalled trap policies do not', () => {
  const world = running();
  world.pass(10_000);
  world.removePair(0x1001);
  world.look().pass(70_000);
  assert.deepEqual(world.told(), [
    'down blocked was up by deleted 0',
    'warning raised stale-policy',
  ]);
  world.addPair(0x1002);
  world.look();
  assert.deepEqual(world.told(), ['up up was blocked', 'warning cleared stale-policy']);
  world.pass(10_000);
  world.removePair(0x1002);
  world.removePolicies();
  world.addPolicies();
  world.look().pass(70_000);
  assert.deepEqual(world.told(), ['down blocked was up by deleted 0']);
});

test('a growing number of policies without SAs is a leak; a growing number of tunnels is not', () => {
  for (const leaking of [true, false]) {
    const world = running();
    for (let i = 1; i <= 70; i++) {
      const remote = `10.0.0.${i}`;
      world.addPolicies({ remote, reqid: 100 + i });
      if (!leaking) world.addPair(0x2000 + i, { daddr: remote, reqid: 100 + i });
      world.watch(1);
    }
    const leaks = world.told().filter((line) => line.includes('leak'));
    assert.deepEqual(leaks, leaking ? ['warning raised leak policies'] : []);
  }
});

test('missed changes are found by a resync, without an invented cause', () => {
  const world = running();
  world.deaf(() => {
    world.removePolicies();
    world.removePair(0x1001);
  });
  world.pass(1000);
  assert.deepEqual(world.told(), ['down down was up by found-missing']);
});

test('a rekey that was missed by an overrun is a rekey all the same', () => {
  const world = running();
  world.pass(3000);
  world.deaf(() => {
    world.addPair(0x1002);
    world.removePair(0x1001);
  });
  world.pass(1000);
  // Whether both were there, nobody knows.
  assert.deepEqual(world.told(), ['rekeyed up out 1001 > 1002 not heard in 9001 > 9002 not heard']);
});

test('requests for an SA that come again and again', () => {
  const world = new World();
  world.addPolicies();
  world.open();
  for (let i = 0; i < 12; i++) {
    world.acquire();
    world.look().pass(3000);
  }
  assert.deepEqual(world.told(), ['state acquiring was blocked', 'warning raised acquire-storm']);
  assert.equal(world.only.acquires, 12);
  world.pass(120_000);
  assert.deepEqual(world.told(), ['state blocked was acquiring', 'warning cleared acquire-storm']);
});

test('sequence numbers run out', () => {
  const world = running();
  world.watch(1, () => world.change(0x1001, { replay: { oseq: 0xe000_0000, seq: 0, bitmap: 0 } }));
  assert.deepEqual(world.told(), ['warning raised sequence out']);
  assert.match(world.only.warnings[0]?.text ?? '', /87 %/);
});

test('bytes run out', () => {
  const world = new World();
  world.addPolicies();
  world.addPair(0x1001);
  const { lifetime } = world.sa(0x1001);
  world.change(0x1001, { lifetime: { ...lifetime, hardBytes: 1000n, softBytes: 950n } });
  world.open();
  world.watch(1, () => world.carry(0x1001, 9));
  assert.deepEqual(world.told(), ['warning raised lifetime out bytes']);
  world.watch(1, () => world.carry(0x1001, 1));
  assert.deepEqual(world.told(), []);
  world.pass(2000);
  assert.deepEqual(world.told(), ['state expiring was up']);
});

test('packets too late for the replay window, replayed, or forged', () => {
  for (const [kind, counter] of [
    ['replay-window', 'replayWindow'],
    ['replay', 'replay'],
    ['integrity', 'integrityFailed'],
  ] as const) {
    const world = running();
    const stats = { replayWindow: 0, replay: 0, integrityFailed: 0, [counter]: 3 };
    world.watch(1, () => world.change(0x9001, { stats }));
    assert.deepEqual(world.told(), [`warning raised ${kind}`]);
    assert.equal(world.only.warnings[0]?.value, 3);
    world.watch(7, () => chat(world));
    assert.deepEqual(world.told(), [`warning cleared ${kind}`]);
  }
});

test('keys that rotate by mark: one tunnel, rekeyed', () => {
  const [three, four] = [
    { value: 0x3e00, mask: 0xff00 },
    { value: 0x4e00, mask: 0xff00 },
  ];
  const arriving = { value: 0xd00, mask: 0xf00 };
  const world = new World();
  const inbound = { saddr: THERE, daddr: HERE, mark: arriving };
  world.addPolicy('out', { mark: three });
  world.addPolicy('in', { mark: arriving });
  world.addSa(3, { mark: three });
  world.addSa(0x9003, inbound);
  world.open().pass(1000);
  world.addSa(0x9004, inbound);
  world.addSa(4, { mark: four });
  world.addPolicy('out', { mark: four });
  world.look().pass(2000);
  world.removePolicies(({ mark }) => mark?.value === three.value);
  world.removeSa(3);
  world.look().pass(1000);
  world.removeSa(0x9003);
  world.look().pass(1000);
  assert.deepEqual(world.told(), [
    'state rekeying was up',
    'rekeyed rekeying out 3 > 4 in 9003 > 9004',
    'state up was rekeying',
  ]);
  assert.equal(world.only.state, 'up');
});

test('one SPI for two destinations; those that are reserved may be', () => {
  const world = running();
  world.addPair(0x1001 + 0x100, { daddr: '192.0.2.3', reqid: 2 });
  world.addSa(0x1001, { daddr: '192.0.2.3', reqid: 2 });
  world.addSa(0x10, { daddr: '192.0.2.4', reqid: 3 });
  world.addSa(0x10, { daddr: '192.0.2.5', reqid: 4 });
  world.look().pass(1000);
  const told = world.told().filter((line) => line.includes('spi-shared'));
  assert.deepEqual(told, ['warning raised spi-shared out', 'warning raised spi-shared out']);
  world.removeSa(0x1001);
  world.look();
  const after = world.told().filter((line) => line.includes('spi-shared'));
  assert.equal(after.length, 2);
});

test('up, but one-way: packets go out and none come in', () => {
  const world = running();
  world.watch(3, () => chat(world));
  world.watch(5, () => world.carry(0x1001, 5));
  assert.deepEqual(world.told(), ['stalled one-way was up']);
  assert.match(world.only.reason, /no inbound/);
  // Still so after a rekey.
  world.addPair(0x1002);
  world.removePair(0x1001);
  world.look();
  world.watch(1, () => world.carry(0x1002, 5));
  assert.equal(world.only.state, 'one-way');
  world.events.length = 0;
  world.watch(1, () => chat(world, 0x1002));
  assert.deepEqual(world.told(), ['up up was one-way']);
});

test('a tunnel that recovers is not one-way because of earlier traffic', () => {
  for (const away of [200, 9000, 60_000]) {
    const world = running({}, { thresholds: { stalePolicy: 0 } });
    world.watch(3, () => chat(world));
    world.watch(5, () => world.carry(0x1001, 5));
    world.removePair(0x1001);
    world.look().pass(away);
    world.addPair(0x1002);
    world.look().pass(1000);
    assert.deepEqual(world.told(), [
      'stalled one-way was up',
      'down blocked was one-way by deleted 0',
      'up up was blocked',
    ]);
    world.watch(1, () => world.carry(0x1002, 5));
    assert.equal(world.only.state, 'up', 'counted from the beginning');
    world.watch(4, () => world.carry(0x1002, 5));
    assert.deepEqual(world.told(), ['stalled one-way was up']);
  }
});

test('nor because of packets sent without its address or an inbound SA', () => {
  const world = running();
  world.removeSa(0x9001);
  world.look();
  world.watch(5, () => world.carry(0x1001, 5));
  world.addSa(0x9002, { saddr: THERE, daddr: HERE });
  world.look().pass(1000);
  assert.deepEqual(world.told(), ['state one-way was up', 'up up was one-way']);
  world.watch(2, () => world.carry(0x1001, 5));
  world.address(HERE, { address: HERE, link: undefined });
  world.look();
  world.watch(5, () => world.carry(0x1001, 5));
  world.address(HERE, undefined);
  world.look();
  assert.deepEqual(world.told(), ['down down was up by address-gone', 'up up was down']);
});

test('a tunnel that recovers is not idle because of earlier use', () => {
  const world = running();
  world.watch(1, () => chat(world));
  world.removePair(0x1001);
  world.look().pass(600_000);
  world.told();
  world.addPair(0x1002);
  world.look();
  world.watch(1);
  assert.deepEqual(world.told(), ['up up was blocked', 'warning cleared stale-policy']);
  world.watch(30);
  assert.deepEqual(world.told(), ['state idle was up']);
});

test('a tunnel that ends and leaves old SAs behind is down, by whom its policies went', () => {
  const world = running();
  world.addPair(0x1002);
  world.look().pass(60_000);
  world.told();
  // As a daemon does that was killed, and begun again: it does not know the first pair.
  world.removePolicies();
  world.removePair(0x1002);
  world.look().pass(1000);
  assert.deepEqual(world.told(), ['down orphan was rekeying by policy-gone 0']);
  // The rest goes by its hard limits.
  world.expire(0x1001, true);
  world.expire(0x9001, true);
  world.look().pass(1000);
  assert.deepEqual(world.told(), ['state down was orphan']);
});

test('the policy that went is the last one that sent through its SAs, whatever else went', () => {
  const byOut = 'down orphan was up by policy-gone 7';
  const out = ({ dir }: XfrmPolicy) => dir === 'out';
  const other = ({ dir }: XfrmPolicy) => dir !== 'out';
  const went = (remove: (world: World) => void, source = HERE) => {
    const world = new World();
    world.addPair(0x1001);
    world.addPolicies({ local: source });
    world.open().pass(60_000);
    remove(world);
    world.look().pass(1000);
    return world.told();
  };
  const before = (world: World) => {
    world.removePolicies(out, 7);
    world.removePolicies(other, 8);
  };
  const after = (world: World) => {
    world.removePolicies(other, 8);
    world.removePolicies(out, 7);
  };
  assert.deepEqual(went(before), [byOut]);
  assert.deepEqual(went(after), [byOut]);
  // Its source is chosen by the kernel.
  assert.deepEqual(
    went((world) => world.removePolicies(out, 7), '0.0.0.0'),
    [byOut],
  );
});

test('the end of a tunnel with leaked SAs is not a rekey', () => {
  const world = running();
  for (let spi = 0x1002; spi <= 0x1005; spi++) {
    world.addPair(spi);
    world.look().pass(9000);
  }
  assert.equal(world.told().filter((line) => line.startsWith('rekeyed')).length, 4);
  for (let spi = 0x1001; spi <= 0x1005; spi++) {
    world.removePair(spi);
    world.look().pass(30);
  }
  world.pass(1000);
  assert.deepEqual(
    world.told().filter((line) => !line.startsWith('warning')),
    ['state up was rekeying', 'down blocked was up by deleted 0'],
  );
  assert.equal(world.only.rekeys, 4);
});

test('a rekey is one change, preceded by its parts on request', () => {
  const world = running();
  world.addSa(0x9002, { saddr: THERE, daddr: HERE });
  world.look().pass(500);
  world.addSa(0x1002);
  world.look().pass(500);
  world.removePair(0x1001);
  world.look().pass(1000);
  const all = world.events.splice(0);
  assert.deepEqual(
    all.map((event) => [event.kind, 'rekey' in event ? event.rekey : undefined]),
    [
      ['state', true],
      ['replaced', undefined],
      ['replaced', undefined],
      ['rekeyed', undefined],
      ['state', true],
    ],
  );
  // In one direction only: reported when the other does not follow.
  world.addSa(0x1003);
  world.look().pass(TUNNEL_THRESHOLDS.acquiring - 1);
  assert.deepEqual(world.told(), ['state rekeying was up']);
  world.pass(1);
  assert.deepEqual(world.told(), ['rekeyed rekeying out 1002 > 1003']);
  // Or before the tunnel goes down.
  world.addSa(0x1004);
  world.look().pass(500);
  world.flush();
  world.look().pass(1000);
  assert.deepEqual(
    world.told().filter((line) => !line.startsWith('warning')),
    ['rekeyed blocked out 1003 > 1004', 'down blocked was rekeying by flushed 0'],
  );
});

test('a rekey with more replacements in one direction is reported, and so are later ones', () => {
  const world = running();
  world.addSa(0x1002);
  world.look().pass(300);
  world.addSa(0x1003);
  world.addSa(0x9003, { saddr: THERE, daddr: HERE });
  world.look().pass(TUNNEL_THRESHOLDS.settle - 1);
  const told = () => world.told().filter((line) => line.startsWith('rekeyed'));
  assert.deepEqual(told(), []);
  world.pass(1);
  assert.deepEqual(told(), ['rekeyed rekeying out 1001 > 1002 out 1002 > 1003 in 9001 > 9003']);
  world.addPair(0x1004);
  world.look();
  assert.deepEqual(told(), ['rekeyed rekeying out 1003 > 1004 in 9003 > 9004']);
  assert.equal(world.only.rekeys, 2);
  // Two in a moment, of which the second is not whole yet.
  world.addPair(0x1005);
  world.addSa(0x1006);
  world.look().pass(30);
  assert.deepEqual(told(), []);
  world.addSa(0x9006, { saddr: THERE, daddr: HERE });
  world.look();
  assert.deepEqual(told(), [
    'rekeyed rekeying out 1004 > 1005 out 1005 > 1006 in 9004 > 9005 in 9005 > 9006',
  ]);
});

test('an idle tunnel is idle before and after a rekey; intermediate states are parts of the rekey', () => {
  const world = running();
  world.watch(31);
  assert.deepEqual(world.told(), ['state idle was up']);
  world.addPair(0x1002);
  world.look().pass(500);
  world.removePair(0x1001);
  world.look();
  const parts = world.events.flatMap((event) => (event.kind === 'state' ? [event.rekey] : []));
  assert.deepEqual(parts, [true, true]);
  assert.deepEqual(world.told(), [
    'state rekeying was idle',
    'rekeyed rekeying out 1001 > 1002 in 9001 > 9002',
    'state idle was rekeying',
  ]);
});

test('the mode of a bundle is that of the outer transform, whichever SA is the newest', () => {
  const world = new World();
  world.addPolicies({ protos: ['comp', 'esp'] });
  world.addPair(0x101, { proto: 'comp' });
  world.addPair(0x1001, { mode: 'transport' });
  world.open();
  assert.equal(world.only.mode, 'tunnel');
  const alone = running({ mode: 'transport' });
  assert.equal(alone.only.mode, 'transport');
});

test('a burst after a pause is not one-way', () => {
  const world = running({}, { thresholds: { idle: 0 } });
  world.watch(2, () => chat(world));
  world.watch(20);
  world.watch(2, () => world.carry(0x1001, 5));
  world.watch(1, () => chat(world));
  assert.deepEqual(world.told(), []);
});

test('only one SA is left', () => {
  const world = running();
  world.removeSa(0x9001);
  world.look().pass(99);
  assert.deepEqual(world.told(), []);
  world.pass(1);
  assert.deepEqual(world.told(), ['state one-way was up']);
  assert.match(world.only.reason, /no inbound esp SA/);
  assert.equal(world.only.since.monotonic, 1000, 'since it is missing, not since it was told');
});

test("a flush hits others' tunnels, and says who asked for it", () => {
  const world = new World();
  for (let i = 1; i <= 5; i++) {
    world.addPolicies({ remote: `10.0.0.${i}`, reqid: i });
    world.addPair(0x1000 + i, { daddr: `10.0.0.${i}`, reqid: i });
  }
  world.open().pass(1000);
  world.flush(4242);
  world.look().pass(1000);
  assert.deepEqual(world.told(), Array(5).fill('down blocked was up by flushed 4242'));
});

test("the age shown is the child's, and time up goes through rekeys", () => {
  const world = running();
  const { upSince } = world.only;
  world.pass(60_000);
  world.addPair(0x1002);
  world.removePair(0x1001);
  world.look();
  assert.equal(world.only.installedAt, 1_000_000_000 + 61_000);
  assert.deepEqual(world.only.upSince, upSince);
});

test("the peer's NAT mapping changes", () => {
  const world = running();
  for (let i = 0; i < 3; i++) {
    world.mapping(0x9001);
    world.look().pass(60_000);
  }
  assert.deepEqual(world.told(), ['warning raised nat-mapping']);
  assert.equal(world.only.natMappings, 3);
  assert.equal(world.only.id, `${HERE} > ${THERE} reqid 1`);
  world.pass(600_000);
  assert(world.told().includes('warning cleared nat-mapping'));
});

test('a peer with another address is another tunnel, and the old one says so', () => {
  const world = running();
  const there = '198.51.100.7';
  world.removePair(0x1001);
  world.removePolicies();
  world.addPair(0x1001, { daddr: there });
  world.addPolicies({ remote: there });
  world.look().pass(1000);
  assert.deepEqual(world.told(), [
    'added up',
    'up up',
    `down down was up by migrated ${HERE} > ${there} reqid 1`,
    'removed down',
  ]);
  assert.equal(world.only.remote, there);
});

test('policies that follow a moved peer later: the old tunnel is not remembered either', () => {
  const world = running();
  const there = '198.51.100.7';
  world.removePair(0x1001);
  world.addPair(0x1001, { daddr: there });
  world.look().pass(1000);
  world.removePolicies();
  world.addPolicies({ remote: there });
  world.look().pass(1000);
  assert.deepEqual(world.told(), [
    `down blocked was up by migrated ${HERE} > ${there} reqid 1`,
    'added orphan',
    'up up was orphan',
    'state down was blocked',
    'removed down',
  ]);
  assert.equal(world.only.remote, there);
});

test('an expected peer with another address is the same tunnel', () => {
  const world = running({}, { expected: [{ name: 'paris', reqid: 1 }] });
  const there = '198.51.100.7';
  world.removePair(0x1001);
  world.removePolicies();
  world.addPair(0x1001, { daddr: there });
  world.addPolicies({ remote: there });
  world.look().pass(1000);
  assert.deepEqual(world.told(), []);
  assert.equal(world.only.remote, there);
  assert.equal(world.only.state, 'up');
});

test('the local address is removed, and its link', () => {
  const world = running();
  const { settle } = TUNNEL_THRESHOLDS;
  world.address(HERE, { address: HERE, link: undefined });
  world.look().pass(settle);
  world.address(HERE, undefined);
  world.look();
  // Taken off and set again, as programs do that configure a network.
  world.address(HERE, { address: HERE, link: undefined });
  world.look().pass(settle - 1);
  world.address(HERE, undefined);
  world.look().pass(settle);
  world.address(HERE, { address: HERE, link: 'x\x1b[31m' });
  world.look().pass(settle);
  assert.deepEqual(world.told(), [
    'down down was up by address-gone',
    'up up was down',
    'down down was up by link-gone',
  ]);
  // As it is: whoever prints it escapes it, once.
  assert.equal(world.only.reason, `link x\x1b[31m of local address ${HERE} is down or gone`);
});

test('a tunnel being set up: requested, established, used', () => {
  const world = new World().open();
  world.addPolicies();
  world.look().pass(500);
  world.acquire();
  world.look().pass(80);
  world.addSa(0x9001, { saddr: THERE, daddr: HERE });
  world.addSa(0x1001);
  world.look().pass(1000);
  assert.deepEqual(world.told(), [
    'added blocked',
    'state acquiring was blocked',
    'up up was acquiring',
  ]);
});

test('SAs to a group, and of an address that talks to itself, serve both directions', () => {
  for (const daddr of ['224.0.0.5', '239.255.0.1', 'ff02::5', HERE]) {
    const world = new World();
    world.addPolicies({ remote: daddr });
    world.addSa(0x1001, { daddr });
    world.open();
    world.watch(10, () => world.carry(0x1001, 5));
    assert.equal(world.only.state, 'up', daddr);
    world.addSa(0x1002, { daddr });
    world.look();
    assert.equal(world.only.state, 'rekeying');
    world.removeSa(0x1001);
    world.removeSa(0x1002);
    world.look().pass(1000);
    assert.equal(world.only.state, 'blocked');
  }
  // Those of two hosts do not.
  for (const daddr of ['223.255.255.255', '240.0.0.1', 'fe80::ff02']) {
    const world = new World();
    world.addPolicies({ remote: daddr });
    world.addSa(0x1001, { daddr });
    world.open();
    assert.equal(world.only.state, 'one-way', daddr);
  }
});

test('without the outbound policy the tunnel is not up, whatever inbound policies remain', () => {
  const world = running();
  world.removePolicies(({ dir }) => dir === 'out');
  world.look().pass(1000);
  // One for any peer sends them too, but only through SAs of its own reqid.
  const anybody = { local: '0.0.0.0', remote: '0.0.0.0' };
  world.addPolicy('out', { ...anybody, reqid: 0, port: 7, more: { priority: 1 } });
  world.look().pass(1000);
  world.addPolicy('out', anybody);
  world.look();
  assert.deepEqual(world.told(), ['down orphan was up by policy-gone 0', 'up up was orphan']);
});

test('SAs added shortly before their policies are not orphans', () => {
  const world = new World().open();
  world.addPair(0x1001);
  world.look().pass(50);
  assert.equal(world.tunnels.size, 0);
  world.addPolicies();
  world.look().pass(1000);
  assert.deepEqual(world.told(), ['added up', 'up up']);
});

test('a down waits for the lookup of its requester, and nothing else does', () => {
  const claims: number[] = [];
  let known = false;
  const world = running(
    {},
    {
      claimant: (portId) => {
        claims.push(portId);
        return known ? { portId, pid: 7, process: 'charon' } : undefined;
      },
    },
  );
  world.addPair(0x2001, { daddr: '192.0.2.3', reqid: 2 });
  world.addPolicies({ remote: '192.0.2.3', reqid: 2 });
  world.look().pass(1000);
  world.told();
  world.removePair(0x1001, 812);
  world.look();
  assert.deepEqual(claims, [812], 'asked at once');
  world.pass(1000);
  assert.deepEqual(world.told(), []);
  assert.equal(world.tunnels.byReqid(1)[0]?.state, 'up');
  // Changes of other tunnels are reported meanwhile, also a down that needs no lookup.
  world.addPair(0x2002, { daddr: '192.0.2.3', reqid: 2 });
  world.look();
  assert.deepEqual(world.told(), [
    'state rekeying was up',
    'rekeyed rekeying out 2001 > 2002 in a001 > a002',
  ]);
  known = true;
  world.tunnels.requesterFound();
  world.look();
  assert.deepEqual(world.told(), ['down blocked was up by deleted 812']);
  const [tunnel] = world.tunnels.byReqid(1);
  assert.equal(tunnel?.since.monotonic, 2000, 'since its SAs went');
});

test('SAs added during the requester lookup for deleted ones are a rekey', () => {
  const world = running({}, { claimant: () => undefined });
  world.removePair(0x1001, 812);
  world.look().pass(1000);
  world.addPair(0x1002);
  world.look();
  assert.deepEqual(world.told(), [
    'rekeyed up out 1001 > 1002 after 1000 ms in 9001 > 9002 after 1000 ms',
  ]);
});

test('what a tunnel was is shown when it is down, whether or not someone looked before', () => {
  for (const look of [true, false]) {
    const world = new World();
    world.addPolicies();
    world.addPair(0x1001, { mode: 'tunnel' });
    world.open().pass(1000);
    if (look) assert.equal(world.only.mode, 'tunnel');
    world.removePair(0x1001);
    world.removePolicies();
    world.look().pass(1000);
    const { state, mode } = world.only;
    assert.deepEqual([state, mode], ['down', 'tunnel'], `looked: ${look}`);
  }
});

test('a tunnel that is rekeyed and ends before it settled is never told of, and time goes on', () => {
  const world = new World().open().pass(1);
  world.addPair(0x1001);
  world.look();
  world.addPair(0x1002);
  world.look().pass(8);
  world.removePair(0x1001);
  world.removePair(0x1002);
  world.look().pass(60_000);
  assert.deepEqual(world.told(), []);
});

test('a tunnel that nobody was told of leaves its id to the next', () => {
  const world = new World().open().pass(1);
  world.addPair(0x1001);
  world.look().pass(8);
  world.removePair(0x1001);
  world.look().pass(8);
  world.addPair(0x1002);
  world.look().pass(1000);
  assert.equal(world.only.id, `${HERE} > ${THERE} reqid 1`);
});
