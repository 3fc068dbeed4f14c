/**
 * The join of tunnels over random histories of a kernel: what was joined change by change is what is
 * joined anew from the tables, and the reported changes lead from one state to the next.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type {
  ObjectChange,
  Tunnel,
  TunnelEvent,
  XfrmObjectTypes,
  XfrmPolicy,
} from '../../lib/index.ts';
import { checkedThresholds } from '../../lib/tunnel/thresholds.ts';
import { Tunnels } from '../../lib/tunnel/tunnels.ts';
import { History } from './history.ts';
import { generated, Random } from './random.ts';
import { HERE, World } from './tunnel-world.ts';

const [A, B] = ['192.0.2.1', '192.0.2.2'];
const seed = Number(process.env.NETLINK_XFRM_SEED ?? 1);

/** What depends on when things happened, and not on what there is, is switched off. */
const limits = checkedThresholds({
  idle: 0,
  stalled: 0,
  overlap: 0,
  successor: 0x7fff_ffff,
  settle: 3,
});

/** The program's clock at the start: later than the simulated kernel, whose clock is its own, says of any SA. */
const LATE = 10_000_000;

/** The simulated kernel's policies ask for nothing: give them templates, by what tells them apart. */
function asking(policy: XfrmPolicy): XfrmPolicy {
  const { dport } = policy.selector;
  const [saddr, daddr] = policy.dir === 'out' ? [A, B] : [B, A];
  const wild = { saddr: '0.0.0.0', daddr: '0.0.0.0' };
  const template = {
    saddr,
    daddr,
    reqid: dport & 1,
    proto: 'esp',
    mode: 'tunnel',
    optional: false,
  };
  const templates = [
    [template],
    [template],
    [{ ...template, ...wild, mode: 'transport' }],
    [
      { ...template, optional: true },
      { ...template, mode: 'transport', proto: 'ah' },
    ],
  ][dport];
  const mark = policy.priority === 2 ? { mark: { value: 1, mask: 1 } } : {};
  // Some are for packets of others, and some have no templates.
  const [here, there] = [
    ['0.0.0.0', '0.0.0.0', 0],
    ['10.0.0.0', '10.0.0.0', 8],
    ['10.1.0.0', '10.2.0.0', 16],
    ['10.1.0.0', '10.0.0.0', 8],
  ].map(([own, its, bits]) => [
    { address: own, bits },
    { address: its, bits },
  ])[dport] as [{ address: string; bits: number }, { address: string; bits: number }];
  const [from, to] = policy.dir === 'out' ? [here, there] : [there, here];
  const ends = { saddr: from.address, prefixlenS: from.bits, daddr: to.address };
  const selector = { ...policy.selector, ...ends, prefixlenD: to.bits, family: 'inet' };
  const isPlain = dport === 1 && policy.priority === 1;
  const asks = isPlain ? { action: 'block' } : { templates };
  return { ...policy, ...mark, selector, ...asks } as unknown as XfrmPolicy;
}

function joined(emit: (event: TunnelEvent) => void, time: number): Tunnels {
  const host = {
    has: (address: string) => address === A,
    isLocal: (address: string) => address === A,
    lost: () => undefined,
    emit,
    claimant: (portId: number) => ({ portId, pid: undefined, process: undefined }),
  };
  return new Tunnels(host, [], limits, { wall: time, monotonic: time });
}

/** What of tunnels is a function of the tables. */
function facts(tunnels: Iterable<Tunnel>): string[] {
  const there = [...tunnels].filter(
    ({ sas, larval, policies }) =>
      sas.in.length + sas.out.length + larval.length + policies.length > 0,
  );
  return there
    .map(({ local, remote, directed, reqid, sas, larval, policies, state }) => {
      const uids = (entries: readonly { uid: string }[]) => entries.map(({ uid }) => uid).sort();
      // A hard limit that took the last SA is remembered, what is a hard limit in time is not the same.
      const without = state === 'down' || state === 'blocked' || state === 'expiring';
      return JSON.stringify([
        [local, remote, directed, reqid],
        [uids(sas.in), uids(sas.out), uids(larval), uids(policies)],
        without ? 'without' : state,
      ]);
    })
    .sort();
}

function runHistory(seed: number, steps: number): void {
  const history = new History(seed);
  history.now = LATE;
  const { random, kernel, table } = history;
  let tunnels: Tunnels | undefined;
  const shown = new Map<string, string>();
  const replay = (event: TunnelEvent) => {
    if (event.kind === 'warning') return;
    const { id, state } = event.tunnel;
    if (event.kind === 'added') assert(!shown.has(id), `added twice: ${id}`);
    else assert(shown.has(id), `${event.kind} without being there: ${id}`);
    if ('before' in event && event.before !== undefined) assert.equal(shown.get(id), event.before);
    if (event.kind === 'removed') shown.delete(id);
    else if (event.kind !== 'rekeyed' && event.kind !== 'replaced') shown.set(id, state);
  };
  const now = () => ({ wall: history.now, monotonic: history.now });
  const entries = () =>
    [
      [...table.tables.state],
      [...table.tables.policy].map((entry) => ({ ...entry, value: asking(entry.value) })),
    ] as const;
  const feed = () => {
    const changes = history.changes.splice(0);
    if (tunnels === undefined) {
      if (!table.synced) return;
      tunnels = joined(replay, history.now);
      tunnels.open(...entries(), now());
      for (const { id, state } of tunnels) shown.set(id, state);
      return;
    }
    for (const change of changes) {
      // Readings of the counters are left out: they would have everything looked at anew.
      if (!('object' in change)) continue;
      const value = change.object === 'policy' ? asking(change.value) : change.value;
      tunnels.change({ ...change, value, time: now() } as ObjectChange<XfrmObjectTypes>);
    }
    if (random.chance(1, 2)) tunnels.flush(now());
  };
  for (let i = 0; i < steps; i++) {
    if (random.chance(random.pick([1, 4, 16]), 16)) kernel.step(true);
    if (random.chance(1, 3)) history.read();
    if (random.chance(1, 3)) history.list();
    if (random.chance(1, 4)) history.tick();
    if (random.chance(1, 100)) table.refresh();
    feed();
  }
  kernel.quiet();
  history.settle();
  table.refresh();
  history.settle();
  feed();
  // The end of all waiting but that of what is remembered.
  const live = tunnels as unknown as Tunnels;
  live.flush(now());
  history.now += 100_000;
  live.flush(now());
  const scratch = joined(() => {}, history.now);
  scratch.open(...entries(), now());
  assert.deepEqual(facts(live), facts(scratch));
  assert.deepEqual(
    [...live.states()],
    Array.from(live, ({ state }) => state),
  );
  const view = new Map([...live].map(({ id, state }) => [id, state]));
  assert.deepEqual([...shown].sort(), [...view].sort(), 'replayed');
  // In the end all goes, and nothing is kept.
  history.now += 4_000_000;
  const gone = { kind: 'removed', origin: 'kernel', reason: 'deleted', time: now() } as const;
  for (const entry of table.tables.state) {
    live.change({ ...gone, object: 'state', ...entry });
  }
  for (const entry of entries()[1]) {
    live.change({ ...gone, object: 'policy', ...entry });
  }
  live.flush(now());
  for (let i = 0; i < 100 && live.next < Infinity; i++) {
    history.now = Math.max(history.now, live.next);
    live.flush(now());
  }
  assert.equal(live.size, 0);
  assert.equal(shown.size, 0);
}

test(`after any history, incremental and full joins agree (seed ${seed})`, () => {
  fc.assert(fc.property(fc.integer(), fc.integer({ min: 0, max: 200 }), runHistory), {
    seed,
    numRuns: generated(300),
    examples: [
      // Two groups of which each should find the other: ports that their masks leave open differed.
      [29, 60],
      // Policies of equal priority, in another order; SAs of one second, in another order.
      [15, 199],
      [1765865178, 158],
      [-2147479547, 189],
      // A policy without endpoints sends packets that a policy of another tunnel takes.
      [-2147483642, 191],
    ],
  });
});

const LABELS = [
  {},
  { ifId: 5 },
  { mark: { value: 1, mask: 1 } },
  { mark: { value: 3, mask: 3 }, ifId: 5 },
] as const;
const NETS = [
  ['0.0.0.0', '0.0.0.0', 0],
  ['10.1.0.0', '10.2.0.0', 16],
  ['10.1.1.0', '10.2.1.0', 24],
] as const;

const between = (saddr: string, daddr: string, bits: number) => ({
  ...{ saddr, daddr, prefixlenS: bits, prefixlenD: bits, family: 'inet' },
  ...{ sport: 0, dport: 0, sportMask: 0, dportMask: 0, proto: 0, ifindex: 0, user: 0 },
});

/** A policy is added: one of a tunnel, or without templates; or one is removed. */
function changePolicies(random: Random, world: World): void {
  if (world.policies.length > 3 && random.chance(1, 3)) {
    const { index } = random.pick(world.policies);
    world.removePolicies((one) => one.index === index);
    return;
  }
  const dir = random.pick(['out', 'in', 'fwd'] as const);
  const [own, its, bits] = random.pick(NETS);
  // Packets that are sent on meet the policies for outbound ones, too.
  const leaves = (dir === 'out') !== random.chance(1, 4);
  const selector = leaves ? between(own, its, bits) : between(its, own, bits);
  const priority = random.below(3);
  const isPlain = random.chance(1, 2);
  const action = isPlain && random.chance(1, 2) ? 'block' : 'allow';
  const policy = { priority, action, ...(isPlain && { templates: undefined }) };
  world.addPolicy(dir, { ...random.pick(LABELS), more: { ...policy, selector } });
}

test(`whatever marks and interface IDs policies have, incremental and full joins agree (seed ${seed})`, () => {
  const property = (seed: number, steps: number) => {
    const random = new Random(seed);
    const world = new World({ thresholds: limits });
    const [there, back] = [random.pick(LABELS), random.pick(LABELS)];
    world.addSa(0x1001, there);
    world.addSa(0x9001, { ...back, saddr: B, daddr: A });
    const [own, its, bits] = random.pick(NETS);
    const out = { priority: 1, selector: between(own, its, bits) };
    const into = { priority: 1, selector: between(its, own, bits) };
    world.addPolicy('out', { ...there, more: out });
    world.addPolicy('in', { ...back, more: into });
    world.addPolicy('fwd', { ...back, more: into });
    const block = () => (random.chance(1, 2) ? 'block' : 'accept');
    const defaults = { in: block(), fwd: block(), out: block() } as const;
    world.tunnels.setDefaults(defaults);
    world.open();
    for (let i = 0; i < steps; i++) {
      changePolicies(random, world);
      world.look().pass(10_000);
      const anew = new World({ thresholds: limits });
      anew.time = world.time;
      anew.states = [...world.states];
      anew.policies = [...world.policies];
      anew.tunnels.setDefaults(defaults);
      anew.open().pass(10_000);
      const verdicts = ({ tunnels }: World) =>
        facts(tunnels).map((one) => one.replaceAll(/ #\d+/g, ''));
      assert.deepEqual(verdicts(world), verdicts(anew));
    }
  };
  fc.assert(fc.property(fc.integer(), fc.integer({ min: 1, max: 10 }), property), {
    seed,
    numRuns: generated(1000),
  });
});

/** Something that happens in worlds that are the same. */
function happening(random: Random, { states }: World): (world: World) => unknown {
  const n = random.below(3);
  const wish = { daddr: `10.0.0.${n}`, reqid: n };
  const spi = 0x1000 + random.below(0x4000);
  const known = states.length > 0 ? random.pick(states).spi : undefined;
  const times = random.below(4);
  const limits = random.chance(1, 3) && { soft: 60 * times, hard: 90 * times };
  if (known === undefined || random.chance(1, 4)) {
    const isNew = states.every((one) => (one.spi & 0x7fff) !== spi);
    return random.pick([
      (world: World) => isNew && world.addPair(spi, { ...wish, ...limits }),
      (world: World) => isNew && world.addSa(spi, { ...wish, larval: times > 1 }),
      (world: World) => world.addPolicies({ remote: wish.daddr, reqid: n }),
      (world: World) => world.removePolicies(({ index }) => index % 3 === n),
      (world: World) => world.acquire(HERE, wish.daddr, n),
      (world: World) =>
        world.address(HERE, times > 1 ? { address: HERE, link: 'eth0' } : undefined),
      (world: World) => {
        world.clockSet += 100_000 * (n - 1);
      },
    ]);
  }
  return random.pick([
    (world: World) => world.removeSa(known),
    (world: World) => world.expire(known, times === 0),
    (world: World) => world.carry(known, times),
    (world: World) => world.carry(known, times),
    (world: World) =>
      world.change(known, { stats: { replayWindow: n, replay: n, integrityFailed: n } }),
    (world: World) =>
      world.change(known, { lifetime: { ...world.sa(known).lifetime, softPackets: 2n } }),
    (world: World) => world.mapping(known),
    (world: World) => world.deaf(() => world.removeSa(known)),
  ]);
}

test('tunnels whose counters did not move are as if they had been judged at each reading', () => {
  const property = (seed: number, steps: number) => {
    const random = new Random(seed);
    const thresholds = { idle: 100_000, remember: 200_000, stalled: 15_000, quiet: 30_000 };
    const worlds = [new World({ thresholds }), new World({ thresholds, restless: true })] as const;
    const [one, other] = worlds;
    for (const world of worlds) world.open();
    for (let i = 0; i < steps; i++) {
      const happens = happening(random, one);
      const pass = random.pick([1, 50, 1000, 10_000, 40_000]);
      const [look, refresh] = [random.chance(1, 2), random.chance(1, 2)];
      for (const world of worlds) {
        // No two readings are at one moment.
        world.pass(1);
        happens(world);
        if (look) world.look();
        world.pass(pass);
        if (refresh) world.refresh();
      }
      // Tunnels are looked at in no order.
      assert.deepEqual(one.told().sort(), other.told().sort());
      assert.deepEqual([...one.tunnels], [...other.tunnels]);
    }
  };
  fc.assert(fc.property(fc.integer(), fc.integer({ min: 0, max: 100 }), property), {
    seed,
    numRuns: generated(300),
  });
});

test('what a change costs does not grow with the number of tunnels: others are not looked at', () => {
  const world = new World();
  for (let i = 0; i < 200; i++) {
    const remote = `10.0.${i}.1`;
    world.addPolicies({ remote, reqid: i + 1 });
    world.addPair(0x1000 + i, { daddr: remote, reqid: i + 1 });
  }
  world.open();
  const before = new Map([...world.tunnels].map((tunnel) => [tunnel.id, tunnel]));
  world.addPair(0x2000, { daddr: '10.0.7.1', reqid: 8 });
  world.look();
  const anew = [...world.tunnels].filter((tunnel) => before.get(tunnel.id) !== tunnel);
  assert.deepEqual(
    anew.map(({ remote }) => remote),
    ['10.0.7.1'],
  );
});

test('changes during the evaluation of counters are not delayed by it', () => {
  const world = new World();
  const spis = Array.from({ length: 200 }, (_, i) => 0x1000 + i);
  for (const spi of spis) {
    const remote = `10.0.${spi & 0xff}.1`;
    world.addPolicies({ remote, reqid: spi });
    world.addPair(spi, { daddr: remote, reqid: spi });
  }
  world.open().pass(10_000);
  const { countersReadAt } = world.tunnels;
  for (const spi of spis) world.carry(spi, 1);
  world.read();
  assert.equal(world.tunnels.evaluateSomeCounters(world.now), false);
  const last = spis.at(-1) as number;
  world.removePair(last);
  world.look().pass(200);
  assert.deepEqual(world.told(), ['down blocked was up by deleted 0']);
  assert.deepEqual(world.tunnels.countersReadAt, countersReadAt, 'not all show it yet');
  while (!world.tunnels.evaluateSomeCounters(world.now));
  assert.deepEqual(world.told(), []);
  assert.equal(world.tunnels.countersReadAt.monotonic, 10_000);
  for (const { traffic } of world.tunnels) assert.equal(traffic.out.packets, 1n);
});

test('a tunnel shows one reading of the counters, also if it changes between two slices', () => {
  const world = new World();
  const remotes = Array.from({ length: 300 }, (_, i) => `10.0.${i & 255}.${1 + (i >> 8)}`);
  remotes.forEach((remote, i) => {
    world.addPolicies({ remote, reqid: i + 1 });
  });
  // All outbound ones first, so that a slice ends between those of a tunnel.
  remotes.forEach((daddr, i) => void world.addSa(0x1000 + i, { daddr, reqid: i + 1 }));
  remotes.forEach((saddr, i) => void world.addSa(0x2000 + i, { saddr, daddr: HERE, reqid: i + 1 }));
  world.open();
  const shown = ({ sas, traffic }: Tunnel) => [
    ...[...sas.out, ...sas.in].map(({ countersReadAt }) => countersReadAt.monotonic),
    ...[traffic.out, traffic.in].map(({ packets }) => Number(packets) * 10_000),
  ];
  for (let round = 1; round <= 3; round++) {
    world.pass(10_000);
    for (let i = 0; i < 600; i++) world.carry((i < 300 ? 0x1000 : 0x2000 - 300) + i, 1);
    world.read();
    for (let slice = 0; !world.tunnels.evaluateSomeCounters(world.now); slice++) {
      const at = (slice * 37) % 300;
      world.addPolicies({
        remote: remotes[at] as string,
        reqid: at + 1,
        port: 1000 * round + slice,
      });
      world.look();
      for (const tunnel of world.tunnels) {
        const times = new Set(shown(tunnel));
        assert.equal(times.size, 1, `${tunnel.id}: ${[...times]}`);
      }
    }
    for (const tunnel of world.tunnels) assert.equal(shown(tunnel)[0], 10_000 * round);
  }
});

test('what a reading finds unchanged is shown as of that reading, and evaluated as of it', () => {
  const world = new World();
  for (const reqid of [1, 2]) {
    const remote = `10.0.0.${reqid}`;
    world.addPolicies({ remote, reqid });
    world.addPair(0x1000 + reqid, { daddr: remote, reqid });
  }
  world.open();
  const times = ({ sas }: Tunnel) =>
    [...sas.out, ...sas.in].map(({ countersReadAt }) => countersReadAt.monotonic);
  // The first is never asked for before the end, and the second is, in each round.
  for (let round = 1; round <= 3; round++) {
    world.carry(0x1002, 1);
    world.pass(10_000).refresh();
    const [, second] = world.tunnels;
    assert.deepEqual(times(second as Tunnel), [10_000 * round, 10_000 * round]);
    assert.equal(world.tunnels.get((second as Tunnel).id), second, 'the same until the next one');
  }
  const [first] = world.tunnels;
  assert.deepEqual(times(first as Tunnel), [30_000, 30_000]);
  world.pass(10_000).refresh();
  const [later] = world.tunnels;
  assert.deepEqual(times(later as Tunnel), [40_000, 40_000]);
  assert.deepEqual(times(first as Tunnel), [30_000, 30_000], 'a snapshot');
  const shows = world.tunnels.shows;
  assert.deepEqual([...world.tunnels.shownSince(shows)], []);
  world.carry(0x1001, 1);
  world.pass(10_000).refresh();
  assert.deepEqual(
    Array.from(world.tunnels.shownSince(shows), ({ remote }) => remote),
    ['10.0.0.1'],
  );
});

test('lookups by the other end and by reqid; sorted by trouble', () => {
  const world = new World();
  world.addPolicies();
  world.addPolicies({ remote: '192.0.2.9', reqid: 9 });
  world.addPair(0x1001, { daddr: '192.0.2.9', reqid: 9 });
  world.open();
  assert.deepEqual(
    world.tunnels.byRemote('192.0.2.9').map(({ state }) => state),
    ['up'],
  );
  assert.deepEqual(
    world.tunnels.byReqid(1).map(({ state }) => state),
    ['blocked'],
  );
  assert.deepEqual(world.tunnels.byRemote(A), []);
  const remotes = (tunnels: readonly Tunnel[]) => tunnels.map(({ remote }) => remote);
  assert.deepEqual(remotes(world.tunnels.byLocal(A)).sort(), ['192.0.2.2', '192.0.2.9']);
  assert.deepEqual(remotes(world.tunnels.filter(({ state }) => state === 'up')), ['192.0.2.9']);
  world.expect([{ name: 'far', remote: '203.0.113.5' }]);
  assert.deepEqual(
    world.tunnels.byRemote('203.0.113.5').map(({ id }) => id),
    ['far'],
  );
});

test('lookups by remote address accept any spelling', () => {
  const world = new World();
  world.addPolicies({ local: '2001:db8::1', remote: '2001:db8::2' });
  world.open();
  assert.equal(world.tunnels.byRemote('2001:DB8:0::2').length, 1);
});
