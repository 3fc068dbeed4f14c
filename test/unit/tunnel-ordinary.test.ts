/** Ordinary tunnels are recognized without the full look, and are what the full look finds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { XfrmPolicy, XfrmState } from '../../lib/index.ts';
import { mergedGroup, partsOfGroup } from '../../lib/tunnel/sa-group.ts';
import { SaGroups } from '../../lib/tunnel/sa-groups.ts';
import { HERE, THERE, World } from './tunnel-world.ts';

const ELSEWHERE = '192.0.2.3';
const mark = { value: 1, mask: 1 };
const now = { wall: 1_000_000_000, monotonic: 0 };

/** Mostly as usual: what is rare is one of many. */
const rarely = <Value>(usual: Value, ...rare: readonly Value[]) =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 6 }, fc.constantFrom(...rare));

const net = (address: string) => address.replace(/\d+$/, '0');
const sa = fc.record({
  out: fc.boolean(),
  peer: rarely(THERE, ELSEWHERE, '0.0.0.0'),
  reqid: rarely(1, 2, 0),
  mark: rarely(undefined, mark),
  ifId: rarely(0, 7),
  larval: rarely(false, true),
  mode: rarely('tunnel' as const, 'transport' as const),
  more: rarely<object>({}, { setMark: 0 }, { setMark: 1 }, { dir: 'out' }, { dir: 'in' }),
});
const policy = fc.record({
  dir: fc.constantFrom('out' as const, 'in' as const, 'fwd' as const),
  peer: fc.constantFrom(THERE, ELSEWHERE),
  reqid: rarely(1, 2, 0),
  prefix: fc.constantFrom(32, 24, 0),
  templates: rarely<'own' | 'none' | 'two' | 'optional' | 'open' | 'back'>(
    ...(['own', 'none', 'two', 'optional', 'open', 'back'] as const),
  ),
  action: rarely('allow' as const, 'block' as const),
  proto: rarely(0, 6),
  mark: rarely(undefined, mark),
  priority: fc.constantFrom(0, 1000),
  mode: rarely('tunnel' as const, 'transport' as const),
});
const whole = fc.record({
  sas: fc.array(sa, { maxLength: 2 }),
  policies: fc.array(policy, { maxLength: 2 }),
  local: fc.boolean(),
  fwd: rarely('accept' as const, 'block' as const),
});

type Whole = typeof whole extends fc.Arbitrary<infer Value> ? Value : never;
type PolicyChoice = Whole['policies'][number];
const PAIR = (['out', 'in', 'fwd'] as const).map(
  (dir): PolicyChoice => ({
    ...{ dir, peer: THERE, reqid: 1, prefix: 32, templates: 'own', action: 'allow', proto: 0 },
    ...{ mark: undefined, priority: 1000, mode: 'tunnel' },
  }),
);

function statesOf({ sas }: Whole): XfrmState[] {
  const world = new World();
  for (const [i, one] of sas.entries()) {
    const [saddr, daddr] = one.out ? [HERE, one.peer] : [one.peer, HERE];
    const { reqid, ifId, larval, mode, more } = one;
    const rest = { reqid, ifId, larval, mode, more, ...(one.mark && { mark: one.mark }) };
    world.addSa(0x1000 + i, { saddr, daddr, ...rest });
  }
  return world.states;
}

function policyOf(one: PolicyChoice, i: number): XfrmPolicy {
  const [saddr, daddr] = one.dir === 'out' ? [HERE, one.peer] : [one.peer, HERE];
  const [prefix, at] = [
    one.prefix,
    one.prefix === 0 ? () => '0.0.0.0' : one.prefix === 24 ? net : String,
  ];
  const selector = {
    ...{ saddr: at(saddr), daddr: at(daddr), prefixlenS: prefix, prefixlenD: prefix },
    ...{ sport: 0, sportMask: 0, dport: 0, dportMask: 0, proto: one.proto },
    ...{ family: 'inet', ifindex: 0, user: 0 },
  };
  const ends =
    one.templates === 'open'
      ? { saddr: '0.0.0.0', daddr: '0.0.0.0' }
      : one.templates === 'back'
        ? { saddr: daddr, daddr: saddr }
        : { saddr, daddr };
  const { reqid, mode } = one;
  const optional = one.templates === 'optional';
  const template = { ...ends, reqid, mode, proto: 'esp', spi: 0, optional };
  const templates =
    one.templates === 'none'
      ? undefined
      : one.templates === 'two'
        ? [template, template]
        : [template];
  const { dir, action, priority } = one;
  const index = 8 * (i + 1) + { in: 0, out: 1, fwd: 2 }[dir];
  return { dir, action, priority, index, selector, templates, mark: one.mark } as never;
}

test('an ordinary tunnel is what the full look finds', () => {
  let found = 0;
  fc.assert(
    fc.property(whole, rarely(true, false), rarely(true, false), (given, paired, served) => {
      const groups = new SaGroups();
      const policies = [...(paired ? PAIR : []), ...given.policies].map(policyOf);
      const pair = [true, false].map((out) => ({
        ...{ out, peer: THERE, reqid: 1, mark: undefined, ifId: 0, larval: false },
        ...{ mode: 'tunnel' as const, more: {} },
      }));
      const states = statesOf({ ...given, sas: [...(served ? pair : []), ...given.sas] });
      const isLocal = (address: string) => given.local && address === HERE;
      groups.setDefaults({ in: 'accept', out: 'accept', fwd: given.fwd });
      for (const [i, value] of states.entries()) {
        const uid = `sa #${i}`;
        groups.addSa({ id: uid, uid, value, countersReadAt: now }, now, true);
      }
      for (const [i, value] of policies.entries()) {
        const uid = `policy #${i}`;
        groups.addPolicy({ id: uid, uid, value, countersReadAt: now }, -Infinity);
      }
      groups.opened();
      for (const group of [...groups.groups]) {
        const ordinary = groups.ordinary(group, isLocal);
        if (ordinary === undefined) continue;
        found++;
        const linked = groups.linked(group);
        assert.deepEqual(linked, [group]);
        const all = mergedGroup(linked);
        const surroundings = groups.surroundings(all, linked);
        assert.deepEqual(ordinary, partsOfGroup(all, surroundings, { has: isLocal, isLocal }));
        assert.deepEqual(group.labels, []);
      }
    }),
    { numRuns: 3000 },
  );
  assert(found > 100, `${found} of 3000 were ordinary`);
});
