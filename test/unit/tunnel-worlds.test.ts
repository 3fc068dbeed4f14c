/**
 * Random hosts, of every shape that SAs and policies can have: after any changes, the tunnels that
 * were joined change by change are those of a monitor that opens now.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ExpectedTunnel, Tunnel } from '../../lib/index.ts';
import type { PolicyDefaults } from '../../lib/xfrm.ts';
import { generated, Random } from './random.ts';
import { HERE, type PolicyWish, THERE, World } from './tunnel-world.ts';

const seed = Number(process.env.NETLINK_XFRM_SEED ?? 1);

const ANY = '0.0.0.0';
const FAR = '192.0.2.3';
const PEERS = [THERE, FAR];
const HOSTS = [HERE, '10.1.0.7'];
/** What depends on when things happened, and not on what there is, is switched off. */
const thresholds = { idle: 0, stalled: 0, overlap: 0, successor: 0x7fff_ffff };

const LABELS = [
  ...new Array<object>(10).fill({}),
  { ifId: 1 },
  { ifId: 1 },
  { mark: { value: 1, mask: 1 } },
  { mark: { value: 1, mask: 3 } },
];
const REQIDS = [0, 1, 1, 2];
const NETS = [
  ['10.1.0.0', 16, '10.2.0.0', 16],
  ['10.1.0.0', 16, '10.2.0.0', 24],
  ['10.0.0.0', 8, '10.2.0.0', 16],
  [ANY, 0, '10.2.0.0', 16],
  ['10.1.0.7', 32, '10.2.0.0', 24],
  [HERE, 32, THERE, 32],
  [ANY, 0, ANY, 0],
] as const;
const EXPECTED: readonly (readonly ExpectedTunnel[])[] = [
  [],
  [{ name: 'x', remote: THERE }],
  [
    { name: 'x', remote: THERE, reqid: 1 },
    { name: 'y', remote: FAR },
  ],
  [{ name: 'z', reqid: 2 }],
  [{ name: 'w', ifId: 1 }],
];
const DEFAULTS: readonly (PolicyDefaults | undefined)[] = [
  undefined,
  { in: 'accept', fwd: 'block', out: 'accept' },
  { in: 'block', fwd: 'accept', out: 'block' },
];

function addSa(random: Random, world: World): void {
  const source = random.chance(1, 8) ? ANY : undefined;
  const [there, back] = [{ daddr: random.pick(PEERS) }, { saddr: random.pick(PEERS), daddr: HERE }];
  world.addSa(0x100 + random.below(0x7fff_ffff), {
    ...(random.pick(LABELS) as object),
    reqid: random.pick(REQIDS),
    proto: random.pick(['esp', 'esp', 'esp', 'ah', 'comp']),
    mode: random.pick(['tunnel', 'tunnel', 'transport']),
    larval: random.chance(1, 10),
    ...random.pick([there, back]),
    ...(source && { saddr: source }),
  });
}

function addPolicy(random: Random, world: World): void {
  const dir = random.pick(['out', 'out', 'in', 'fwd'] as const);
  const protos = random.pick([['esp'], ['esp'], ['ah'], ['comp', 'esp'], ['esp', 'ah']] as const);
  const wish: PolicyWish = {
    ...(random.pick(LABELS) as object),
    remote: random.chance(1, 10) ? ANY : random.pick(PEERS),
    local: random.chance(1, 7) ? ANY : HERE,
    reqid: random.pick(REQIDS),
    mode: random.pick(['tunnel', 'tunnel', 'transport']),
    protos,
    optional: random.chance(1, 10),
    // So that no other has its selector.
    port: 1 + random.below(0xffff),
  };
  const { selector, templates } = new World().addPolicy(dir, wish);
  let more: object = {};
  if (protos.length > 1 && random.chance(1, 2)) {
    more = { templates: templates?.map((one, i) => ({ ...one, reqid: i + 1 })) };
  }
  if (random.chance(2, 3)) {
    const [own, bits, its, itsBits] = random.pick(NETS);
    const nets =
      dir === 'out'
        ? { saddr: own, prefixlenS: bits, daddr: its, prefixlenD: itsBits }
        : { saddr: its, prefixlenS: itsBits, daddr: own, prefixlenD: bits };
    const priority = random.pick([0, 0, 1, -1]);
    more = { ...more, priority, selector: { ...selector, ...nets } };
    const isPlain = random.chance(1, 5) && { templates: undefined };
    more = { ...more, ...isPlain, action: isPlain && random.chance(1, 2) ? 'block' : 'allow' };
  }
  world.addPolicy(dir, { ...wish, more });
}

function removeSa(random: Random, world: World): void {
  if (world.states.length === 0) return;
  const { spi } = random.pick(world.states);
  if (random.chance(1, 4)) world.expire(spi, true);
  else world.removeSa(spi);
}

function removePolicy(random: Random, world: World): void {
  if (world.policies.length === 0) return;
  const gone = random.pick(world.policies);
  world.removePolicies((one) => one === gone);
}

function moveAddress({ tunnels, locals }: World, address: string): void {
  if (!locals.delete(address)) locals.add(address);
  tunnels.addressesChanged([address]);
}

/** What of tunnels is a function of what there is. */
function facts({ tunnels }: World): string[] {
  const numbers = ({ sas: { in: inbound, out } }: Tunnel) =>
    [out, inbound].map((sas) => sas.map(({ value }) => value.spi).sort());
  return [...tunnels]
    .filter(({ sas, larval, policies }) => {
      return sas.in.length + sas.out.length + larval.length + policies.length > 0;
    })
    .map((tunnel) => {
      const { local, remote, directed, reqid, state, reason, policies } = tunnel;
      // A hard limit that took the last SA is remembered.
      const isWithout = state === 'down' || state === 'blocked';
      const verdict = isWithout ? ['without'] : [state, reason];
      const all = [local, remote, directed, reqid, numbers(tunnel), policies.length, verdict];
      return JSON.stringify(all);
    })
    .sort();
}

test(`tunnels are those of a monitor that opens now, whatever happened (seed ${seed})`, () => {
  const property = (seed: number, steps: number) => {
    const random = new Random(seed);
    const expected = random.pick(EXPECTED);
    const world = new World({ expected, thresholds, locals: HOSTS });
    let defaults: PolicyDefaults | undefined;
    const happenings: readonly [times: number, happens: () => unknown][] = [
      [15, () => addSa(random, world)],
      [10, () => addPolicy(random, world)],
      [12, () => removeSa(random, world)],
      [10, () => removePolicy(random, world)],
      [1, () => world.expect(random.pick(EXPECTED))],
      [1, () => moveAddress(world, random.pick(HOSTS))],
      [1, () => world.acquire(HERE, random.pick(PEERS), random.below(2))],
      [
        1,
        () => {
          defaults = random.pick(DEFAULTS);
          world.tunnels.setDefaults(defaults);
        },
      ],
    ];
    const often = happenings.flatMap(([times, happens]) => new Array(times).fill(happens));
    for (let i = 0; i < 8; i++) random.pick([addSa, addPolicy])(random, world);
    world.open();
    for (let i = 0; i < steps; i++) {
      const some = random.pick([1, 1, 2, 4]);
      for (let n = 0; n < some; n++) random.pick(often)();
      world.look().pass(random.pick([10, 1000, 200_000]));
      if (random.chance(1, 3)) world.refresh();
      if (random.chance(1, 7)) {
        world.deaf(() => {
          addSa(random, world);
          removePolicy(random, world);
        });
      }
      world.pass(1_000_000).refresh().pass(1000);
      const anew = new World({ thresholds, locals: [...world.locals] });
      anew.states = [...world.states];
      anew.policies = [...world.policies];
      anew.time = world.time;
      anew.tunnels.setDefaults(defaults);
      anew.open().pass(1000);
      assert.deepEqual(facts(world), facts(anew));
    }
  };
  fc.assert(fc.property(fc.integer(), fc.integer({ min: 1, max: 20 }), property), {
    seed,
    numRuns: generated(4000),
    examples: [
      // A policy that takes answers whose networks differ in size.
      [857481511, 13],
      // A policy whose source the kernel chooses, with a reqid that nothing else has.
      [-277340343, 2],
      [-179698308, 1],
    ],
  });
});
