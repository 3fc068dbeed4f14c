/** The state of a tunnel: each by itself, then what holds of all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isUpState, TUNNEL_STATES, TUNNEL_THRESHOLDS } from '../../lib/index.ts';
import { CLEAR, type Obstacle } from '../../lib/tunnel/policy-match.ts';
import {
  evaluateState,
  type Observation,
  type ObservedSa,
  type StateEvaluation,
} from '../../lib/tunnel/state.ts';
import { generated } from './random.ts';

const WALL = 1_000_000_000;
const at = (monotonic: number) => ({ wall: WALL + monotonic, monotonic });
const L = TUNNEL_THRESHOLDS;
const NO_AH: Obstacle = { ...CLEAR, missing: ['ah'] };
const CAUGHT: Obstacle = { ...CLEAR, caught: 'block' };

const sa = (spi: number, more: Partial<ObservedSa> = {}): ObservedSa => ({
  spi,
  slot: 'esp',
  addedAt: 0,
  softAt: undefined,
  hardAt: undefined,
  exhausted: false,
  ...more,
});

const WORKS: Observation = {
  sas: { out: [sa(1)], in: [sa(2)] },
  obstacles: { out: CLEAR, in: CLEAR },
  larvalAt: undefined,
  policies: 3,
  sends: true,
  acquiredAt: undefined,
  unreachable: undefined,
  expired: false,
  packets: { out: 0n, in: 0n },
  lastUsed: { out: undefined, in: undefined },
  countedAt: at(0),
  words: { out: 'outbound', in: 'inbound' },
  isFound: false,
};
const EMPTY = { ...WORKS, sas: { out: [], in: [] } };
const ALONE = { policies: 0, sends: false };

/** The state when it has been so for long enough. */
function settled(seen: Observation, time = 1000, before?: StateEvaluation): StateEvaluation {
  const first = evaluateState(seen, before, at(time), L);
  return evaluateState(seen, first, at(time + L.settle), L);
}

for (const [what, seen, state, reason] of [
  ['SAs both ways and policies', WORKS, 'up', /both/],
  ['nothing', { ...EMPTY, ...ALONE }, 'down', /no SAs or policies/],
  ['policies alone', EMPTY, 'blocked', /no SA/],
  ['policies, after a hard limit', { ...EMPTY, expired: true }, 'down', /hard limit/],
  ['a larval SA', { ...EMPTY, larvalAt: 900 }, 'acquiring', /requested/],
  ['an ACQUIRE', { ...EMPTY, acquiredAt: 900 }, 'acquiring', /requested/],
  ['SAs alone', { ...WORKS, ...ALONE }, 'orphan', /no outbound policy/],
  [
    'one SA alone',
    { ...WORKS, ...ALONE, sas: { out: [sa(1)], in: [] } },
    'orphan',
    /no outbound policy/,
  ],
  ['no outbound policy', { ...WORKS, sends: false }, 'orphan', /no outbound policy/],
  ['inbound policies alone', { ...EMPTY, sends: false }, 'blocked', /no SA/],
  ['no inbound SA', { ...WORKS, sas: { out: [sa(1)], in: [] } }, 'one-way', /no inbound SA/],
  ['no outbound SA', { ...WORKS, sas: { out: [], in: [sa(1)] } }, 'one-way', /no outbound SA/],
  ['no SA of AH', { ...WORKS, obstacles: { out: NO_AH, in: CLEAR } }, 'one-way', /outbound ah SA/],
  ['nor inbound', { ...WORKS, obstacles: { out: NO_AH, in: NO_AH } }, 'blocked', / ah SA/],
  [
    'a shunt',
    { ...WORKS, obstacles: { out: CAUGHT, in: CLEAR } },
    'one-way',
    /outbound, an earlier policy/,
  ],
  [
    'old and new',
    { ...WORKS, sas: { out: [sa(1), sa(3)], in: [sa(2)] } },
    'rekeying',
    /0x00000003/,
  ],
  [
    'two that stand beside each other',
    { ...WORKS, sas: { out: [sa(1), sa(3, { slot: 'esp cpu 1' })], in: [sa(2)] } },
    'up',
    /both/,
  ],
  [
    'past a soft limit',
    { ...WORKS, sas: { out: [sa(1, { softAt: WALL - L.successor })], in: [sa(2)] } },
    'expiring',
    /outbound SA 0x00000001 is past a soft/,
  ],
  [
    'past a soft limit, with a successor',
    { ...WORKS, sas: { out: [sa(1, { softAt: WALL - L.successor }), sa(3)], in: [sa(2)] } },
    'rekeying',
    /successor/,
  ],
  [
    'near a hard limit',
    { ...WORKS, sas: { out: [sa(1)], in: [sa(2, { hardAt: WALL })] } },
    'expiring',
    /inbound SA 0x00000002 is near a hard/,
  ],
  ['its address gone', { ...WORKS, unreachable: 'no address' }, 'down', /no address/],
] as const) {
  test(`${what}: ${state}`, () => {
    const verdict = settled(seen as Observation);
    assert.equal(verdict.state, state);
    assert.match(verdict.reason, reason);
    assert.equal(verdict.upSince !== undefined, isUpState(state));
  });
}

test('a missing SA is reported after `settle`, with the time at which it went missing', () => {
  const up = evaluateState(WORKS, undefined, at(0), L);
  const missing = evaluateState(EMPTY, up, at(500), L);
  assert.equal(missing.state, 'up');
  assert.equal(missing.next, 500 + L.settle);
  assert.equal(evaluateState(EMPTY, missing, at(599), L).state, 'up');
  const told = evaluateState(EMPTY, missing, at(600), L);
  assert.deepEqual([told.state, told.since], ['blocked', at(500)]);
  // What comes back meanwhile was never away.
  const back = evaluateState(WORKS, missing, at(550), L);
  assert.deepEqual([back.state, back.since, back.pending], ['up', up.since, undefined]);
  // Improvements are reported immediately, and so is a new tunnel that works.
  assert.equal(evaluateState(WORKS, told, at(601), L).state, 'up');
  assert.equal(evaluateState(EMPTY, undefined, at(0), L).state, undefined);
});

test('a tunnel set up step by step has no intermediate states except acquiring', () => {
  const down = settled({ ...EMPTY, ...ALONE }, 0);
  assert.equal(down.state, 'down');
  const orphan = evaluateState({ ...WORKS, ...ALONE }, down, at(500), L);
  assert.deepEqual([orphan.state, orphan.since], ['down', down.since]);
  assert.equal(evaluateState(WORKS, orphan, at(501), L).state, 'up');
  assert.equal(
    evaluateState({ ...WORKS, ...ALONE }, orphan, at(500 + L.settle), L).state,
    'orphan',
  );
  const blocked = settled(EMPTY, 0);
  const half = evaluateState({ ...WORKS, sas: { out: [], in: [sa(2)] } }, blocked, at(500), L);
  assert.equal(half.state, 'blocked');
  assert.equal(evaluateState({ ...EMPTY, larvalAt: 500 }, blocked, at(500), L).state, 'acquiring');
});

test('idle, by last use or by unchanged counters, whichever the kernel reports', () => {
  const used = { ...WORKS, lastUsed: { out: WALL + 5000, in: WALL } };
  const first = evaluateState(used, undefined, at(5000), L);
  assert.equal(first.next, 5000 + L.idle);
  const read = (time: number) => ({ ...used, countedAt: at(time) });
  assert.equal(evaluateState(read(5000 + L.idle), first, at(5000 + L.idle), L).state, 'idle');
  // What was carried since the last reading nobody knows, however long ago that is.
  assert.equal(evaluateState(used, first, at(5000 + 10 * L.idle), L).state, 'up');
  // An older kernel: only the first use is known, and the counters move.
  const moved = { ...used, packets: { out: 9n, in: 9n }, countedAt: at(100_000) };
  const second = evaluateState(moved, first, at(100_000), L);
  const still = (time: number) =>
    evaluateState({ ...moved, countedAt: at(time) }, second, at(time), L);
  assert.equal(still(5000 + L.idle).state, 'up');
  assert.equal(still(100_000 + L.idle).state, 'idle');
});

test('no time-based state changes while unread events may be pending', () => {
  const up = evaluateState(WORKS, undefined, at(0), L);
  const missing = evaluateState(EMPTY, up, at(500), L);
  const late = evaluateState(EMPTY, missing, at(90_000), L, 599);
  assert.deepEqual([late.state, late.pending, late.next], ['up', at(500), 600]);
  assert.equal(evaluateState(WORKS, late, at(90_001), L, 599).state, 'up');
  assert.equal(evaluateState(EMPTY, late, at(90_001), L, 600).state, 'blocked');
});

test('a tunnel found at open has the time its SAs indicate, or an unknown one', () => {
  const found = (seen: Partial<Observation>) => {
    const { state, since, sinceKnown, upSince } = evaluateState(
      { ...WORKS, ...seen, isFound: true },
      undefined,
      at(9000),
      L,
    );
    return [state, since.monotonic, sinceKnown, upSince?.monotonic];
  };
  const pair = (out: ObservedSa[], into: ObservedSa[]) => ({ sas: { out, in: into } });
  assert.deepEqual(found({}), ['up', 0, true, 0]);
  const younger = sa(2, { addedAt: 4000 });
  assert.deepEqual(found(pair([sa(1)], [younger])), ['up', 4000, true, 4000]);
  assert.deepEqual(found(pair([sa(1), younger], [sa(3)])), ['rekeying', 4000, true, 0]);
  const ends = [sa(2, { hardAt: WALL + 7000 })];
  assert.deepEqual(found(pair([sa(1)], ends)), ['expiring', 7000, true, 0]);
  const past = [sa(2, { softAt: WALL + 1000 })];
  assert.deepEqual(found(pair([sa(1)], past)), ['expiring', 1000 + L.successor, true, 0]);
  assert.deepEqual(found({ ...EMPTY, larvalAt: 8000 }), ['acquiring', 8000, true, undefined]);
  assert.deepEqual(found({ ...EMPTY, acquiredAt: 7000 }), ['acquiring', 7000, true, undefined]);
  for (const [seen, state] of [
    [EMPTY, 'blocked'],
    [{ ...EMPTY, ...ALONE }, 'down'],
    [ALONE, 'orphan'],
    [pair([sa(1)], []), 'one-way'],
  ] as const) {
    assert.deepEqual(found(seen), [state, 9000, false, undefined]);
  }
  // It stays so, and the next state has a time.
  const blocked = evaluateState({ ...EMPTY, isFound: true }, undefined, at(9000), L);
  assert.equal(evaluateState(EMPTY, blocked, at(9500), L).sinceKnown, false);
  assert.equal(evaluateState(WORKS, blocked, at(9500), L).sinceKnown, true);
});

const moment = fc.integer({ min: -50_000, max: 700_000 });
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const anySa = fc.record({
  spi: fc.integer({ min: 1, max: 9 }),
  slot: fc.constantFrom('esp', 'esp cpu 1'),
  addedAt: moment,
  softAt: optional(moment.map((time) => WALL + time)),
  hardAt: optional(moment.map((time) => WALL + time)),
  exhausted: fc.boolean(),
});
const each = <T>(of: fc.Arbitrary<T>) => fc.record({ out: of, in: of });
const anySighting: fc.Arbitrary<Observation> = fc.record({
  sas: each(fc.array(anySa, { maxLength: 3 })),
  obstacles: each(fc.constantFrom(CLEAR, CLEAR, NO_AH, CAUGHT)),
  larvalAt: optional(moment),
  policies: fc.integer({ min: 0, max: 2 }),
  sends: fc.boolean(),
  acquiredAt: optional(moment),
  unreachable: fc.option(fc.constant('gone'), { nil: undefined, freq: 9 }),
  expired: fc.boolean(),
  packets: each(fc.bigInt({ min: 0n, max: 3n })),
  lastUsed: each(optional(moment.map((time) => WALL + time))),
  countedAt: moment.map(at),
  words: fc.constant(WORKS.words),
  isFound: fc.boolean(),
});
/** What is seen, and how long it is looked at; sometimes the same as before. */
const history = fc.array(
  fc.record({ seen: optional(anySighting), after: fc.integer({ min: 0, max: 200_000 }) }),
  { minLength: 1, maxLength: 12 },
);

test('for any input: a deterministic state, `since` never decreases, and no deadline is missed', () => {
  fc.assert(
    fc.property(history, fc.nat(), (steps, chance) => {
      let [seen, time, before]: [Observation, number, StateEvaluation | undefined] = [
        WORKS,
        0,
        undefined,
      ];
      for (const step of steps) {
        // Counters are never read in the future, nor read backwards.
        const sighting: Observation = step.seen ?? seen;
        const countedAt = at(
          Math.min(Math.max(sighting.countedAt.monotonic, seen.countedAt.monotonic), time),
        );
        seen = { ...sighting, countedAt };
        const verdict: StateEvaluation = evaluateState(seen, before, at(time), L);
        assert.deepEqual(evaluateState(seen, before, at(time), L), verdict);
        if (verdict.state === undefined) assert(verdict.next <= time + L.settle);
        else assert(TUNNEL_STATES.includes(verdict.state) && verdict.reason !== '');
        if (before?.state) {
          assert(verdict.since.monotonic >= before.since.monotonic, 'since goes forward');
          if (verdict.state === before.state) assert.deepEqual(verdict.since, before.since);
        }
        assert(verdict.since.monotonic <= time);
        assert(verdict.next > time, 'the next moment is to come');
        assert.equal(
          verdict.upSince !== undefined,
          verdict.state !== undefined && isUpState(verdict.state),
        );
        // Before the moment it names it says the same, if nothing else changes.
        const until = Math.min(verdict.next, time + 1_000_000);
        const between = time + Math.floor(((chance % 1000) / 1000) * (until - time));
        if (between < verdict.next) {
          const again = evaluateState(seen, verdict, at(between), L);
          assert.deepEqual(
            [again.state, again.since, again.reason],
            [verdict.state, verdict.since, verdict.reason],
          );
        }
        before = verdict;
        time += step.after;
      }
      // Left alone, it comes to an end: no moment asks for another without end.
      let looks = 0;
      for (let last = before as StateEvaluation; last.next < Number.POSITIVE_INFINITY; looks++) {
        time = Math.max(time, last.next);
        last = evaluateState(seen, last, at(time), L);
        assert(looks < 20, 'it looks again and again');
      }
    }),
    { numRuns: generated(3000), seed: Number(process.env.NETLINK_XFRM_SEED ?? 1) },
  );
});
