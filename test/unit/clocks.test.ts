/** The wall clock and the monotonic clock are read one after the other: deadlines must not depend on what happens in between. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { now } from '../../lib/netlink/event.ts';
import { World } from './tunnel-world.ts';

test('both clocks are read again if time passed between the readings', () => {
  let time = 0;
  // The process is stopped after the first reading of the wall clock, and twice before the second.
  const stops = [300, 40, 40];
  const wall = () => {
    const read = 1_000_000_000 + Math.floor(time);
    time += stops.shift() ?? 0;
    return read;
  };
  const monotonic = () => (time += 0.001);
  const read = now(wall, monotonic);
  assert.equal(stops.length, 0);
  assert.equal(Math.floor(read.monotonic), read.wall - 1_000_000_000);
});

test('a process that is stopped at every reading gets a time all the same', () => {
  let time = 0;
  assert.deepEqual(
    now(
      () => 7,
      () => (time += 100),
    ),
    { wall: 7, monotonic: 600 },
  );
});

test('a tunnel that is expiring stays so, however far the readings of the two clocks are apart', () => {
  const world = new World({ thresholds: { successor: 0, expiring: 200 } });
  world.addPolicies();
  world.addPair(0x1001, { soft: 1, hard: 2 });
  world.open();
  const states = [world.only.state];
  // The wall clock is read up to 40 ms before the monotonic one, now more, now less.
  for (let i = 0; i < 180; i++) {
    world.clockSet = [0, -40, -13, -27][i % 4] as number;
    world.pass(10);
    world.removePolicies(({ dir }) => dir === 'fwd');
    world.addPolicy('fwd');
    world.look();
    if (world.only.state !== states.at(-1)) states.push(world.only.state);
  }
  assert.deepEqual(states, ['up', 'expiring']);
});

test('if the wall clock is set, limits of SAs are reached by the new time', () => {
  const world = new World({ thresholds: { idle: 0 } });
  world.addPolicies();
  world.addPair(0x1001, { soft: 3600, hard: 4000 });
  world.open();
  world.clockSet = 3_650_000;
  world.pass(10).refresh();
  assert.equal(world.only.state, 'expiring');
  // Set back: the deadline really moved.
  world.clockSet = 0;
  world.pass(10).refresh();
  assert.equal(world.only.state, 'up');
});
