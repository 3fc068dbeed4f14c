/**
 * A program that does not run for a while, in the middle of what happens to a tunnel, or that loses events: no
 * false `down`, each rekey, and `down` where it is true.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './tunnel-world.ts';

type Step = (world: World) => void;

const [OLD, NEW] = [0x1001, 0x1002];
const inbound = { saddr: '192.0.2.2', daddr: '192.0.2.1' };
const come: Step[] = [(world) => world.addSa(NEW + 0x8000, inbound), (world) => world.addSa(NEW)];
const go: Step[] = [(world) => world.removeSa(OLD), (world) => world.removeSa(OLD + 0x8000)];
const REKEYS: Readonly<Record<string, readonly Step[]>> = {
  'make before break': [...come, ...go],
  'break before make': [...go, ...come],
  'one direction after the other': [come[0], go[1], go[0], come[1]] as Step[],
};

function running(): World {
  const world = new World();
  world.addPolicies();
  world.addPair(OLD);
  return world.open().pass(1000);
}

/** The changes an operator sees, without the parts of a rekey. */
const heard = (world: World) =>
  world.events.splice(0).flatMap((event) => {
    if (event.kind === 'replaced' || (event.kind === 'state' && event.rekey)) return [];
    if (event.kind !== 'rekeyed') return [`${event.kind} ${event.tunnel?.state}`];
    const spis = (['out', 'in'] as const).map((one) =>
      event[one].map(({ from, to }) => [from, to]),
    );
    return [`rekeyed ${JSON.stringify(spis)}`];
  });
const REKEYED = [`rekeyed ${JSON.stringify([[[OLD, NEW]], [[OLD + 0x8000, NEW + 0x8000]]])}`];

/** Each stretch of so many steps. */
function* stretches(steps: number): Generator<readonly [number, number]> {
  for (let from = 0; from < steps; from++) {
    for (let to = from + 1; to <= steps; to++) yield [from, to];
  }
}

/** The kernel takes its steps at its pace; from one of them on the program does not run for a while. */
function play(
  steps: readonly Step[],
  pace: number,
  from: number,
  away: number,
  batch: number,
): World {
  const world = running();
  const begun = world.time;
  let back = Number.POSITIVE_INFINITY;
  const passUntil = (time: number) => {
    if (back <= time) {
      world.pass(back - world.time).resume(batch);
      back = Number.POSITIVE_INFINITY;
    }
    world.pass(time - world.time);
  };
  for (let i = 0; i < steps.length; i++) {
    passUntil(begun + i * pace);
    if (i === from) {
      world.stop();
      back = world.time + away;
    }
    steps[i]?.(world);
    if (back === Number.POSITIVE_INFINITY) world.look();
  }
  passUntil(world.time + away + 5000);
  return world;
}

for (const [name, steps] of Object.entries(REKEYS)) {
  test(`a program that does not run for 50 ms to 10 s at any step of a rekey: ${name}`, () => {
    for (const from of steps.keys()) {
      for (const away of [30, 50, 99, 100, 101, 200, 1000, 10_000]) {
        for (const pace of [0, 20, 30]) {
          for (const batch of [1, 2, 64]) {
            const told = heard(play(steps, pace, from, away, batch));
            const what = `stopped at ${from} for ${away} ms, ${pace} ms apart, ${batch} at once`;
            assert.deepEqual(told, REKEYED, what);
          }
        }
      }
    }
  });

  test(`events lost at any step of a rekey, and resynced late: ${name}`, () => {
    for (const [from, to] of stretches(steps.length)) {
      for (const late of [5, 150, 5000]) {
        const world = running();
        steps.forEach((step, i) => {
          if (i >= from && i < to) world.lose(() => step(world));
          else step(world);
          world.look().pass(10);
        });
        world.pass(late).refresh().pass(5000);
        assert.deepEqual(heard(world), REKEYED, `lost from ${from} to ${to}, ${late} ms`);
      }
    }
  });
}

test('a down is reported, whatever delayed the program', () => {
  for (const away of [50, 150, 10_000]) {
    for (const from of go.keys()) {
      for (const batch of [1, 64]) {
        const told = heard(play(go, 20, from, away, batch));
        assert.deepEqual(told, ['down blocked'], `stopped at ${from} for ${away} ms`);
      }
    }
  }
  const world = running();
  world.lose(() => {
    for (const step of go) step(world);
  });
  world.pass(5000);
  assert.deepEqual(heard(world), [], 'nobody knows yet');
  world.refresh().pass(100);
  assert.deepEqual(heard(world), ['down blocked']);
});

test('pending events are read before a warning ends, a policy is stale, or a tunnel is forgotten', () => {
  const world = running();
  for (const step of go) step(world);
  world.look().pass(50_000);
  assert.deepEqual(heard(world), ['down blocked']);
  world.stop().pass(30_000);
  for (const step of come) step(world);
  world.resume(1).pass(1000);
  assert.deepEqual(heard(world), ['up up'], 'no stale-policy');
  for (const spi of [NEW, NEW + 0x8000]) world.removeSa(spi);
  world.removePolicies();
  world.look().pass(1000);
  assert.deepEqual(heard(world), ['down down']);
  world.stop().pass(4_000_000);
  world.addPolicies();
  for (const step of come) step(world);
  world.resume(64).pass(1000);
  assert.deepEqual(heard(world), ['up up'], 'not removed, and added again');
});

test('a missed counter reading makes no tunnel idle, and ends no warning', () => {
  const world = running();
  const refused = (count: number) => ({
    stats: { replayWindow: 0, replay: 0, integrityFailed: count },
  });
  world.watch(1, () => {
    world.carry(OLD, 5, refused(1));
    world.carry(OLD + 0x8000, 5);
  });
  world.told();
  world.stop().pass(1_000_000);
  world.carry(OLD, 5, refused(2));
  world.carry(OLD + 0x8000, 5);
  world.resume(1).pass(1);
  assert.deepEqual(world.told(), []);
  world.refresh();
  assert.deepEqual(world.told(), []);
  assert.equal(world.only.warnings[0]?.value, 2);
  world.watch(31);
  assert.deepEqual(world.told(), ['warning cleared integrity', 'state idle was up']);
});

test('two SAs of a direction that go in the batch of their successor are two rekeys', () => {
  for (const batch of [1, 2, 3, 64]) {
    const world = running();
    world.addPair(0x1002);
    world.look().pass(800).stop();
    world.addPair(0x1003);
    world.removePair(0x1001);
    world.removePair(0x1002);
    world.pass(60).resume(batch).pass(1000);
    assert.deepEqual(
      world.told().filter((line) => line.startsWith('rekeyed')),
      [
        'rekeyed rekeying out 1001 > 1002 in 9001 > 9002',
        `rekeyed ${batch > 6 ? 'up' : 'rekeying'} out 1002 > 1003 in 9002 > 9003`,
      ],
    );
    assert.equal(world.only.rekeys, 2);
  }
});

test('an SA that came and went while the program did not run is part of the story', () => {
  const world = running();
  world.stop();
  world.addPair(0x1002);
  world.removePair(0x1001);
  world.addPair(0x1003);
  world.removePair(0x1002);
  world.pass(3000).resume(64).pass(1000);
  assert.equal(world.only.rekeys, 1);
  assert.deepEqual(world.told(), [
    'rekeyed up out 1001 > 1002 out 1002 > 1003 in 9001 > 9002 in 9002 > 9003',
  ]);
});

test('two short gaps read late do not count as one long gap', () => {
  const world = running();
  world.told();
  world.removeSa(OLD + 0x8000);
  world.look().pass(40);
  world.stop();
  world.addSa(NEW + 0x8000, inbound);
  world.pass(150);
  world.removeSa(OLD);
  world.pass(30).resume(64);
  assert.deepEqual(heard(world), []);
  world.pass(40);
  world.addSa(NEW);
  world.look().pass(1000);
  assert.deepEqual(heard(world), REKEYED);
  // A long gap is reported.
  world.removeSa(NEW);
  world.look().pass(500);
  assert.deepEqual(heard(world), ['state one-way']);
});
