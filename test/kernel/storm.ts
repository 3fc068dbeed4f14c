/**
 * Random changes of a real kernel, made from a seed, and what a monitor must show after them.
 * @module
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  isIpcompHelper,
  isLarval,
  KernelError,
  type TableEntry,
  type XfrmChange,
  type XfrmClient,
  type XfrmMonitor,
  type XfrmPolicy,
  type XfrmState,
  type XfrmSynced,
} from '../../lib/index.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { assertLarvalAreThere } from '../unit/history.ts';
import type { Random } from '../unit/random.ts';

const ADDRESSES = ['192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2'] as const;
const ALGORITHMS = {
  esp: { aead: { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20).fill(7) } },
  ah: { authTrunc: { name: 'hmac(sha256)', truncBits: 128, key: new Uint8Array(32).fill(7) } },
  comp: { comp: { name: 'deflate', key: new Uint8Array(0) } },
} as const;
const PROTOS = ['esp', 'esp', 'esp', 'ah', 'comp'] as const;

/**
 * Errors that a random change may cause: the object exists already, or not; nothing to migrate, or more
 * than one; a kernel without sub-policies, without MIGRATE, or before 7.2.
 */
const EXPECTED = new Set([
  ...['EEXIST', 'ENOENT', 'ESRCH', 'EINVAL', 'EBUSY', 'ENODATA', 'EPROTONOSUPPORT', 'ENOPROTOOPT'],
]);

/** Deletes everything. */
export async function clear(client: XfrmClient): Promise<void> {
  await client.flushStates();
  await client.flushPolicies();
  await client.flushPolicies('sub').catch((error: unknown) => {
    // A kernel without them (CONFIG_XFRM_SUB_POLICY).
    if (!(error instanceof KernelError && error.code === 'EINVAL')) throw error;
  });
}

/** How many changes are made at a time, of how many different SAs and policies; which of them is a flush or a move. */
const WIDE = { atOnce: 64, spis: 200, ports: 100, seldom: 100 };
/** All changes concern the same few objects. */
export const NARROW = { atOnce: 4, spis: 2, ports: 2, seldom: 20 };

/** Makes `changes` changes, in small groups, to SAs and policies of the client's namespace. */
export async function storm(
  client: XfrmClient,
  random: Random,
  changes: number,
  esp: boolean,
  world = WIDE,
): Promise<void> {
  for (let made = 0; made < changes; ) {
    const some = 1 + random.below(world.atOnce);
    await Promise.all(
      Array.from({ length: some }, () =>
        change(client, random, esp, world).catch((error: unknown) => {
          if (!(error instanceof KernelError && EXPECTED.has(error.code))) throw error;
        }),
      ),
    );
    made += some;
  }
}

function change(
  client: XfrmClient,
  random: Random,
  esp: boolean,
  world: typeof WIDE,
): Promise<unknown> {
  const v6 = random.chance(1, 4) ? 2 : 0;
  const saddr = ADDRESSES[v6] as string;
  const daddr = ADDRESSES[v6 + 1] as string;
  const spi = 0x1000 + random.below(world.spis);
  const selector = {
    saddr: `10.0.${random.below(4)}.0`,
    prefixlenS: 24,
    daddr: '10.9.0.0',
    prefixlenD: 16,
    sport: random.below(world.ports),
    sportMask: 0xffff,
    proto: 17,
  };
  const dir = random.pick(['in', 'out', 'fwd'] as const);
  const mark = random.chance(1, 4) ? { value: random.below(3), mask: 0xff } : undefined;
  const [proto, mode] = [random.pick(PROTOS), random.pick(['tunnel', 'transport'] as const)];
  const [reqid, ifId] = [random.below(3), random.chance(1, 4) ? 1 + random.below(3) : undefined];
  const template = { saddr, daddr, proto, mode, reqid };
  const policy = {
    dir,
    selector,
    priority: random.below(5),
    mark,
    ifId: random.chance(1, 4) ? ifId : undefined,
    policyType: random.chance(1, 8) ? ({ type: 'sub' } as const) : undefined,
    templates: random.chance(1, 2) ? [template] : undefined,
  };
  const larval = { ...template, min: spi, max: spi + random.below(2) };
  const policies = [
    () => client.addPolicy(policy),
    () => client.addPolicy(policy),
    () => client.replacePolicy(policy),
    () => client.deletePolicy(policy),
    () => client.allocateSpi(larval),
    () => client.deleteState({ daddr, spi, proto }),
  ];
  // Those with a mark are where no larval one is: an UPDSA does not say for which of the two it was.
  const key = { daddr, proto, spi: mark ? spi + 0x1000 : spi, mark };
  const state = {
    ...template,
    ...key,
    ...ALGORITHMS[proto],
    ifId,
    seq: random.below(4),
    flags: random.chance(1, 4) ? (['noecn'] as const) : [],
    replayWindow: random.pick([0, 32]),
    lifetime: {
      hardAddSeconds: random.chance(1, 10) ? 1 : NO_LIMIT,
      softBytes: BigInt(random.u32()),
    },
    ...(random.chance(1, 3) && { setMark: random.below(3) }),
    ...(random.chance(1, 3) && { coaddr: random.pick(ADDRESSES.slice(v6, v6 + 2)) }),
    ...(proto === 'esp' && v6 === 0 && random.chance(1, 3) && { encap: encap(random) }),
    ...(proto === 'esp' && random.chance(1, 4) && { tfcPad: 64 }),
  };
  const onRoute = {
    ...{ saddr: ADDRESSES[2], daddr: ADDRESSES[3], coaddr: random.pick(ADDRESSES.slice(2)) },
    ...{ proto: random.pick(['routing', 'dstopts'] as const), mode: 'route-optimization' as const },
    ...{ spi: 0, selector: { ...selector, ...(v6 > 0 && { family: 'inet' as const }) } },
  };
  const other = random.pick(ADDRESSES.slice(v6, v6 + 2));
  const [newDaddr, newFamily] = [other, v6 ? 'inet6' : 'inet'] as const;
  const oldFamily = newFamily;
  const moves = {
    oldDaddr: daddr,
    oldSaddr: saddr,
    newDaddr,
    newSaddr: saddr,
    oldFamily,
    newFamily,
  };
  const states = [
    () => client.addState(state),
    () => client.addState(state),
    () => client.addState(state),
    () => client.updateState(state),
    () => client.updateState(state),
    () => client.deleteState(key),
    () => client.expireState(key, random.chance(1, 2)),
    () => random.pick([client.addState, client.updateState]).call(client, onRoute),
  ];
  const seldom = [
    () => client.migrate(policy, [{ ...moves, proto, mode, reqid }]),
    () => client.flushStates(random.pick(['any', 'esp', 'ah', 'comp', 'routing'] as const)),
    () => client.flushPolicies(random.pick(['main', 'sub'] as const)),
    () => {
      const id = { daddr, spi: key.spi, family: oldFamily, proto };
      const whither = { newDaddr, newSaddr: saddr, newFamily, newReqid: reqid };
      return client.migrateState({ id, ...whither, ...(mark && { oldMark: mark }) });
    },
  ];
  if (random.chance(1, world.seldom)) return random.pick(esp ? seldom : seldom.slice(1, 3))();
  return random.pick(esp ? [...policies, ...states] : policies)();
}

const encap = (random: Random) =>
  ({ type: 'espinudp', sport: 4500, dport: 4500 + random.below(3), oa: '0.0.0.0' }) as const;

const COUNTERS = new Set(['current', 'stats', 'replay', 'replayEsn', 'lastUsedAt']);

/** Objects as texts without their counters, sorted. */
export function texts(values: Iterable<XfrmState | XfrmPolicy>): string[] {
  const all = Array.from(values, (value) => {
    const fields = Object.entries(value).filter(([name]) => !COUNTERS.has(name));
    fields.push(['addedAt', value.current.addedAt]);
    fields.sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify(fields, (_, one) => (typeof one === 'bigint' ? `${one}n` : one));
  });
  return all.sort();
}

async function listed<T>(list: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of list) all.push(one);
  return all;
}

const values = <T>(entries: Iterable<TableEntry<T>>) => Array.from(entries, ({ value }) => value);

/**
 * Asserts that the monitor's tables equal fresh dumps. An SA can reach its limit between reading the one
 * and the other, so differences are checked again after a second, the longest limit in a storm.
 */
export async function assertEqual(monitor: XfrmMonitor, client: XfrmClient): Promise<void> {
  const compare = async () => {
    const [states, policies] = [client.listStates(), client.listPolicies()];
    assert.deepEqual(texts(values(monitor.policies)), texts(await listed(policies)), 'policies');
    const kernels = texts((await listed(states)).filter(isNoHelper));
    assert.deepEqual(texts(values(monitor.states).filter(isNoHelper)), kernels, 'states');
  };
  try {
    await compare();
  } catch {
    await setTimeout(1500);
    await compare();
  }
  await assertHelpersEqual(monitor, client, { again: true });
}

const isNoHelper = (state: XfrmState) => !isIpcompHelper(state);

/**
 * Asserts that IPComp's IP-in-IP states become equal. The kernel's dump shows one slightly too long, and for a request
 * that it rejects. If the monitor's dump was made just then, another is needed (docs/consistency.md).
 */
async function assertHelpersEqual(
  monitor: XfrmMonitor,
  client: XfrmClient,
  { again = false } = {},
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const there = texts((await listed(client.listStates())).filter(isIpcompHelper));
    const shown = texts(values(monitor.states).filter(isIpcompHelper));
    if (isDeepStrictEqual(shown, there)) return;
    if (attempt === 100) assert.deepEqual(shown, there, 'helpers');
    if (again && attempt === 50) await monitor.refresh();
    await setTimeout(20);
  }
}

/**
 * Asserts that the monitor's tables are right by events alone: all have been processed, and no comparison
 * was requested. It need not know all larval SAs.
 */
export async function assertFollowed(monitor: XfrmMonitor, client: XfrmClient): Promise<void> {
  const compare = async () => {
    await allHeard(monitor, client);
    while (!monitor.synced) await once(monitor, 'change');
    const policies = texts(await listed(client.listPolicies()));
    assert.deepEqual(texts(values(monitor.policies)), policies, 'policies');
    const [shown, there] = [values(monitor.states), await listed(client.listStates())];
    const announced = (state: XfrmState) => !isLarval(state) && isNoHelper(state);
    const kernels = texts(there.filter(announced));
    assert.deepEqual(texts(shown.filter(announced)), kernels, 'states');
    assertLarvalAreThere(shown, there);
  };
  try {
    await compare();
  } catch {
    // An SA can reach its limit between the two reads.
    await compare();
  }
  await assertHelpersEqual(monitor, client);
}

let marks = 0xffff;

/** Sets a policy and waits until the monitor reports it: it has then reported all earlier changes. */
async function allHeard(monitor: XfrmMonitor, client: XfrmClient): Promise<void> {
  const priority = ++marks;
  const heard = new Promise<void>((resolve) => {
    monitor.on('change', function hear(change) {
      if (!('object' in change && change.object === 'policy')) return;
      if (change.value.priority !== priority) return;
      monitor.off('change', hear);
      resolve();
    });
  });
  await client.replacePolicy({ dir: 'fwd', selector: { family: 'inet6' }, priority });
  await heard;
}

/** A copy of the tables, built only from the first snapshot and the changes. */
export class Follower {
  readonly objects = new Map<string, XfrmState | XfrmPolicy>();
  readonly counts: Record<string, number> = {};
  overrunsOfMine = 0;
  #last = 0;
  /** Whether a resync is due; unknown where it began in the middle of one. */
  #broken: boolean | undefined;

  take(change: XfrmChange | XfrmSynced): void {
    this.counts[change.kind] = (this.counts[change.kind] ?? 0) + 1;
    if (change.kind !== 'synced') {
      assert(change.time.monotonic >= this.#last, `times go back: ${change.kind}`);
      this.#last = change.time.monotonic;
    }
    if (change.kind === 'synced') {
      this.#broken = change.snapshot.synced ? false : undefined;
      for (const { uid, value } of change.snapshot.states) this.objects.set(`state ${uid}`, value);
      for (const { uid, value } of change.snapshot.policies) {
        this.objects.set(`policy ${uid}`, value);
      }
    } else if (change.kind === 'resynced') {
      assert.notEqual(this.#broken, false, 'resynced, and nothing was lost');
      this.#broken = false;
    } else if (change.kind === 'refreshed') {
      assert(!this.#broken, 'lost, and not resynced');
    } else if (change.kind === 'overrun') {
      this.#broken = true;
      if (change.slowConsumer) this.overrunsOfMine++;
    } else if ('object' in change) {
      const key = `${change.object} ${change.uid}`;
      assert.equal(this.objects.has(key), change.kind !== 'added', `${change.kind} ${key}`);
      if (change.kind === 'removed') this.objects.delete(key);
      else this.objects.set(key, change.value);
    }
  }

  assertEqual(monitor: XfrmMonitor): void {
    assert.deepEqual(texts(this.objects.values()), textsOf(monitor));
  }

  /** Reads pending changes of a loop until the copy equals the monitor's tables: a timer can end an SA at any moment. */
  async catchUp(monitor: XfrmMonitor, loop: AsyncIterator<XfrmChange | XfrmSynced>): Promise<void> {
    while (!isDeepStrictEqual(texts(this.objects.values()), textsOf(monitor))) {
      const next = loop.next().then(({ value }) => value);
      const change = await Promise.race([next, setTimeout(2000, undefined)]);
      if (change) this.take(change);
      else this.assertEqual(monitor);
    }
  }
}

const textsOf = ({ states, policies }: XfrmMonitor): string[] =>
  texts([...values(states), ...values(policies)]);
