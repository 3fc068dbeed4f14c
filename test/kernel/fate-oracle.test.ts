/**
 * An oracle: random policies, SAs and packets on real kernels. Each packet is really sent, and what
 * becomes of it — whether it arrives, which SAs carry it on either host, which counter of
 * /proc/net/xfrm_stat counts it — is compared with what lib/fate says from the tables. A world is
 * made from a number; NETLINK_XFRM_WORLD makes that one alone, or several (17,23).
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pc from 'picocolors';
import { describePolicy, describeState } from '../../lib/cli/text/event.ts';
import { sending } from '../../lib/fate/fate.ts';
import { describeFlow, type Flow, type Packet } from '../../lib/fate/flow.ts';
import { arrive } from '../../lib/fate/receive.ts';
import { arriving } from '../../lib/fate/sa-lookup.ts';
import { send } from '../../lib/fate/send.ts';
import type { Tables } from '../../lib/fate/tables.ts';
import type { Receiving, Sending } from '../../lib/fate/verdict.ts';
import { readXfrmStat, subscribe, XfrmClient, type XfrmState } from '../../lib/index.ts';
import { Wire } from '../../lib/testing/wire.ts';
import { Random } from '../unit/random.ts';
import { type FateWorld, fateWorldOf, type Sent } from './fate-worlds.ts';
import {
  type Ability,
  ADDRESSES,
  FENCES,
  OracleHosts,
  type Side,
  XFRM_INTERFACE,
} from './oracle-hosts.ts';
import { withoutEsp } from './support.ts';

const chosen = process.env.NETLINK_XFRM_WORLD;
/** They take a sixth of the time that those of tunnels take. */
const COUNT = 6 * Number(process.env.NETLINK_XFRM_WORLDS ?? 25);
const SEEDS =
  chosen === undefined
    ? Array.from({ length: COUNT }, (_, i) => i + Number(process.env.NETLINK_XFRM_SEED ?? 1))
    : chosen.split(',').map(Number);

const SIDES = ['left', 'right'] as const;
const plain = pc.createColors(false);
let abilities: ReadonlySet<Ability>;
let oracle: OracleHosts;
let clients: Record<Side, XfrmClient>;

before(async () => {
  if (withoutEsp) return;
  oracle = await OracleHosts.open();
  wire = await Wire.tap(oracle.hosts.left);
  abilities = await oracle.abilities();
  clients = { left: new XfrmClient(), right: new XfrmClient({ netns: oracle.hosts.right.netns }) };
});
after(async () => {
  if (withoutEsp) return;
  wire.close();
  await clients.left.close();
  await clients.right.close();
  await oracle.close();
});

const ACCEPT = { in: 'accept', fwd: 'accept', out: 'accept' } as const;

async function clear(): Promise<void> {
  for (const client of Object.values(clients)) {
    await client.setDefaults(ACCEPT);
    await client.flushStates();
    await client.flushPolicies();
  }
}

/** What a kernel refuses is left out: the tables that count are those that it has then. */
async function attempt(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!/^(EEXIST|EINVAL|EPROTONOSUPPORT)$/.test((error as { code?: string }).code ?? ''))
      throw error;
  }
}

async function build(world: FateWorld): Promise<void> {
  for (const side of SIDES) {
    const client = clients[side];
    for (const sa of world.sas[side]) await attempt(() => client.addState(sa));
    if (side === 'left') {
      for (const one of world.reserved) await attempt(() => client.allocateSpi(one));
    }
    for (const policy of world.policies[side]) await attempt(() => client.addPolicy(policy));
    for (const policy of world.replaced[side]) await attempt(() => client.replacePolicy(policy));
    await client.setDefaults(world.defaults[side]);
  }
}

async function tablesOf(side: Side): Promise<Tables> {
  const client = clients[side];
  const [{ items: states }, { items: policies }, defaults] = [
    await client.listStates(),
    await client.listPolicies(),
    await client.getDefaults(),
  ];
  const outer = Object.values(ADDRESSES.outer).map((one) =>
    side === 'left' ? one.left : one.right[0],
  );
  return {
    states,
    policies,
    defaults,
    now: Date.now(),
    sourceFor: (remote) => outer.find((one) => one.includes(':') === remote.includes(':')),
    isLocal: () => true,
  };
}

/** What happens, as numbers: names of counters, of SAs, and how often. */
class Tally {
  readonly #counts = new Map<string, number>();
  add(what: string, times = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
  }
  addAll(other: Tally): void {
    for (const [what, n] of other.#counts) this.add(what, n);
  }
  get lines(): string[] {
    return [...this.#counts].flatMap(([what, n]) => (n === 0 ? [] : [`${what} ${n}`])).sort();
  }
}

const nameOf = (side: Side, { daddr, proto, spi }: XfrmState) =>
  `${side} SA ${daddr} ${proto} 0x${spi.toString(16)}`;

async function readCounts(): Promise<ReadonlyMap<string, bigint>> {
  const counts = new Map<string, bigint>();
  for (const side of SIDES) {
    const netns = side === 'left' ? undefined : oracle.hosts.right.netns;
    const stat = (await readXfrmStat({ netns })) ?? {};
    for (const [name, count] of Object.entries(stat)) counts.set(`${side} ${name}`, count);
    for await (const state of clients[side].listStates()) {
      counts.set(nameOf(side, state), state.current.packets);
    }
  }
  return counts;
}

const flowOf = ({ source, target, family, protocol = 17, port = 9, sport }: Sent): Flow => ({
  saddr: source,
  daddr: target,
  family,
  proto: protocol,
  ...(protocol === 253 ? { sport: undefined, dport: undefined } : { sport, dport: port }),
});

/** Counters of the check of policies. */
const CHECKED = new Set([
  'XfrmInNoPols',
  'XfrmInPolBlock',
  'XfrmInTmplMismatch',
  'XfrmInStateMismatch',
]);

/** The kernel decides, and the tables do not tell how: such a packet is not sent. */
class Doubt extends Error {}
const certain = <Judged extends { readonly doubts: readonly string[] }>(judged: Judged): Judged => {
  if (judged.doubts.length > 0) throw new Doubt(judged.doubts.join());
  return judged;
};

/** The SAs that were asked for by their SPI, and the source of each. */
type Asked = Map<string, string | undefined>;

/** An SA that is being negotiated for another packet has the SPI that this one asks for. */
function ask(asked: Asked, { templates }: Sending): void {
  for (const { sa, demand } of templates) {
    const { template, from, to } = demand;
    if (sa || template.spi === 0) continue;
    const what = `${to} ${template.proto} ${template.spi}`;
    if (asked.has(what) && asked.get(what) !== from) throw new Doubt(`${what} is taken`);
    asked.set(what, from);
  }
}

/**
 * What is said to become of a packet.
 *
 * @param asked by packets before; undefined if nobody negotiates
 * @returns whether it arrives, and the steps in words
 */
function foretell(
  sent: Sent,
  tables: Record<Side, Tables>,
  tally: Tally,
  asked: Asked | undefined,
): [boolean, string[]] {
  const words: string[] = [];
  const packet: Packet = {
    flow: flowOf(sent),
    mark: sent.mark ?? 0,
    ifId: 0,
    ifindex: indexOf(sent),
  };
  const dropped = (side: Side, counters: readonly string[], because: string): [false, string[]] => {
    for (const counter of counters) tally.add(`${side} ${counter}`);
    words.push(`${side}: dropped, ${because} (${counters})`);
    return [false, words];
  };
  const forwarded = sent.from === 'leftSite';
  if (forwarded) {
    const come = certain(arrive(tables.left, 'fwd', { ...packet, ifindex: 0 }, []));
    if (come.outcome === 'dropped') return dropped('left', come.counters, come.because);
  }
  const stages: (Receiving | Sending)[] = [];
  const { device = 'cable' } = sent;
  const ifId = device === XFRM_INTERFACE.name ? XFRM_INTERFACE.ifId : undefined;
  const way = { device, ifindex: packet.ifindex, ifId, under: cableIndex, noXfrm: false };
  const end = sending(tables.left, packet, way, stages);
  for (const stage of stages) {
    certain(stage);
    if (asked && stage.stage === 'send') ask(asked, stage);
  }
  const passed = stages.flatMap((stage) => ('through' in stage ? stage.through : []));
  for (const sa of passed) tally.add(nameOf('left', sa));
  if (end.outcome === 'dropped') return dropped('left', end.counters, end.because);
  words.push(`left: ${end.outcome}, ${end.because}`);
  const through: XfrmState[] = [];
  const outermost = passed.at(-1);
  tally.add(
    outermost
      ? `wire ${outermost.proto} ${outermost.daddr} 0x${outermost.spi.toString(16)}`
      : `wire clear ${sent.source} > ${sent.target}`,
  );
  if (passed.some((sa) => sa.mode !== 'transport' && sa.saddr === '0.0.0.0')) {
    words.push('its source is a wildcard: it gets lost on the way');
    return [false, words];
  }
  for (const sa of passed.toReversed()) {
    const theirs = arriving(tables.right, sa, 0);
    if (theirs === undefined) {
      for (const one of through) tally.add(nameOf('right', one));
      return dropped('right', ['XfrmInNoStates'], `no SA ${sa.spi}`);
    }
    through.push(theirs);
  }
  const come = certain(
    arrive(
      tables.right,
      forwarded ? 'fwd' : 'in',
      { ...packet, mark: 0, ifindex: 0, ifId: comesBy(through) },
      through,
    ),
  );
  if (!come.counters.some((one) => /State(Dir|Exp)|Acquire/.test(one))) {
    for (const sa of through) tally.add(nameOf('right', sa));
  }
  if (come.outcome === 'dropped') {
    // A packet of ICMP meets the policies twice: for the socket, and for the kernel.
    const isIcmp = !forwarded && (packet.flow.proto === 1 || packet.flow.proto === 58);
    const again = isIcmp && come.counters.every((one) => CHECKED.has(one)) ? come.counters : [];
    return dropped('right', [...come.counters, ...again], come.because);
  }
  words.push(`right: ${come.outcome}, ${come.because}`);
  if (!forwarded) return [true, words];
  const onward = certain(send(tables.right, { ...packet, mark: come.mark, ifindex: 0, ifId: 0 }));
  if (onward.outcome === 'dropped') return dropped('right', onward.counters, onward.because);
  words.push(`right, onward: ${onward.outcome}, ${onward.because}`);
  return [onward.outcome === 'clear', words];
}

let cableIndex = 0;
let xfrmIndex = 0;
let wire: Wire;
let doubtful = 0;
/** The kernel knows the interface of an IPv6 packet of its own only from a socket bound to it. */
const indexOf = ({ family, from, device }: Sent) => {
  if (device !== undefined) return xfrmIndex;
  return family === 'inet' || from === 'leftSite' ? cableIndex : 0;
};

/**
 * The interface id of the xfrm interface that a packet comes by on the right: that of one of its SAs, but not of those
 * of transport mode that others follow, which are taken off at once (net/xfrm/xfrm_input.c, xfrm_input). SAs without an
 * interface do not change it.
 */
const comesBy = (through: readonly XfrmState[]): number => {
  const { ifId } = XFRM_INTERFACE;
  const last = through.at(-1);
  const isBy = (sa: XfrmState) => sa.ifId === ifId && (sa.mode !== 'transport' || sa === last);
  return abilities.has('xfrm') && through.some(isBy) ? ifId : 0;
};

/** What the left host sent on the cable, but for fences. */
function onWire(from: number): string[] {
  const frames = wire.sent.slice(from).filter(({ index }) => index === cableIndex);
  return frames.flatMap(({ kind, source, target, payload, bytes }) => {
    if (kind === 'clear') return isFence(source) ? [] : [`wire clear ${source} > ${target}`];
    if (kind !== 'esp' && kind !== 'ah') return [];
    const spi = bytes.readUInt32BE(kind === 'esp' ? payload : payload + 4);
    return [`wire ${kind} ${target} 0x${spi.toString(16)}`];
  });
}
const isFence = (source: string) => FENCES.flat().some((one) => one === source);

async function judge(seed: number): Promise<{ wrong: string | undefined; packets: number }> {
  const world = fateWorldOf(new Random(seed), abilities, cableIndex);
  await using _ = world.heard ? subscribe({ groups: ['acquire'] }) : undefined;
  try {
    await build(world);
    const tables = { left: await tablesOf('left'), right: await tablesOf('right') };
    const foretold = new Tally();
    const packets: Sent[] = [];
    const asked: Asked | undefined = world.heard ? new Map() : undefined;
    const told = world.packets.flatMap((sent) => {
      try {
        const trial = new Tally();
        const one = foretell(sent, tables, trial, asked);
        foretold.addAll(trial);
        packets.push(sent);
        return [one];
      } catch (error) {
        if (!(error instanceof Doubt)) throw error;
        doubtful++;
        return [];
      }
    });
    const before = await readCounts();
    const sentBefore = wire.sent.length;
    const arrived = await oracle.sendAll(packets, told.filter(([arrives]) => arrives).length);
    const happened = new Tally();
    for (const one of onWire(sentBefore)) happened.add(one);
    for (const [what, count] of await readCounts()) {
      happened.add(what, Number(count - (before.get(what) ?? 0n)));
    }
    const [a, b] = [foretold.lines, happened.lines];
    const differ = told.some(([arrives], i) => arrives !== arrived[i]);
    if (!differ && a.join() === b.join()) return { wrong: undefined, packets: told.length };
    const lines = [
      `WRONG in world ${seed}:`,
      ...told.map(([arrives, words], i) => {
        const sent = packets[i] as Sent;
        const mark = arrives === arrived[i] ? ' ' : '!';
        const said = arrived[i] ? 'arrived' : 'did not arrive';
        return ` ${mark} ${sent.from} ${describeFlow(flowOf(sent))} mark ${sent.mark} ${sent.device ?? ''}: ${words.join('; ')}; ${said}`;
      }),
      ...a.filter((one) => !b.includes(one)).map((one) => `  foretold: ${one}`),
      ...b.filter((one) => !a.includes(one)).map((one) => `  happened: ${one}`),
      ...SIDES.flatMap((side) => [
        `  ${side}: default ${JSON.stringify(tables[side].defaults)}`,
        ...tables[side].policies
          .filter(({ priority }) => priority > 1)
          .map((one) => `    ${describePolicy(one, plain)}`),
        ...tables[side].states.map((one) => `    ${describeState(one, plain)}`),
      ]),
    ];
    return { wrong: lines.join('\n'), packets: told.length };
  } finally {
    await clear();
  }
}

test('what becomes of packets is foretold', { skip: withoutEsp }, async () => {
  await clear();
  cableIndex = (await oracle.hosts.left.route.getLink({ name: 'cable' })).index;
  if (abilities.has('xfrm')) xfrmIndex = await oracle.addXfrmInterfaces();
  let wrong = 0;
  let packets = 0;
  for (const [i, seed] of SEEDS.entries()) {
    if (i > 0 && i % 100 === 0) console.log(`${i} worlds, ${packets} packets`);
    let found = await judge(seed);
    packets += found.packets;
    if (found.wrong === undefined) continue;
    // What is wrong is so again: a busy host may have kept a packet back for longer than it was waited for.
    console.log(`world ${seed} is judged again`);
    found = await judge(seed);
    if (found.wrong === undefined) continue;
    wrong++;
    // At once: what is printed is there also if the kernel does not come to the end.
    console.log(found.wrong);
  }
  const sums = `${SEEDS.length} worlds from ${SEEDS[0]} on, ${packets} packets (${doubtful} others doubtful): ${wrong} worlds wrong`;
  console.log(sums);
  assert(FENCES.length > 0 && packets > 0);
  assert.equal(wrong, 0, sums);
});
