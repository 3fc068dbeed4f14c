/**
 * Random changes of a real kernel, made from a seed, and what a monitor must show after them.
 * @module
 */
import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import {
  type Entry,
  KernelError,
  type Synced,
  type XfrmChange,
  type XfrmClient,
  type XfrmMonitor,
  type XfrmPolicy,
  type XfrmState,
} from '../../lib/index.ts';
import type { Random } from '../unit/random.ts';

const ADDRESSES = ['192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2'] as const;
const GCM = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20).fill(7) };

/** What a change may well meet: what it is for is there already, or not. */
const EXPECTED = new Set(['EEXIST', 'ENOENT', 'ESRCH', 'EINVAL', 'EBUSY']);

/** Makes `changes` changes, many at a time, of SAs and policies of the client's namespace. */
export async function storm(
  client: XfrmClient,
  random: Random,
  changes: number,
  esp: boolean,
): Promise<void> {
  for (let made = 0; made < changes; ) {
    const some = 1 + random.below(64);
    await Promise.all(
      Array.from({ length: some }, () =>
        change(client, random, esp).catch((error: unknown) => {
          if (!(error instanceof KernelError && EXPECTED.has(error.code))) throw error;
        }),
      ),
    );
    made += some;
  }
}

function change(client: XfrmClient, random: Random, esp: boolean): Promise<unknown> {
  const v6 = random.chance(1, 4) ? 2 : 0;
  const saddr = ADDRESSES[v6] as string;
  const daddr = ADDRESSES[v6 + 1] as string;
  const spi = 0x1000 + random.below(200);
  const selector = {
    saddr: `10.0.${random.below(4)}.0`,
    prefixlenS: 24,
    daddr: '10.9.0.0',
    prefixlenD: 16,
    sport: random.below(100),
    sportMask: 0xffff,
    proto: 17,
  };
  const dir = random.pick(['in', 'out', 'fwd'] as const);
  const marked = random.chance(1, 4) && { mark: { value: random.below(3), mask: 0xff } };
  const policy = { dir, selector, priority: random.below(5), ...marked };
  const ends = { saddr, daddr, proto: 'esp', spi } as const;
  const state = {
    ...ends,
    mode: random.pick(['tunnel', 'transport'] as const),
    reqid: random.below(5),
    aead: GCM,
    replayWindow: 32,
    lifetime: { hardAddSeconds: random.chance(1, 10) ? 1 : 0, softBytes: BigInt(random.u32()) },
    ...(random.chance(1, 3) && { ifId: 1 + random.below(3) }),
    ...(random.chance(1, 3) && { setMark: random.below(3) }),
  };
  const larval = { saddr, daddr, proto: 'esp', mode: 'tunnel', min: spi, max: spi } as const;
  const policies = [
    () => client.addPolicy(policy),
    () => client.addPolicy(policy),
    () => client.updatePolicy(policy),
    () => client.deletePolicy(policy),
    () => client.allocateSpi(larval),
    () => client.deleteState({ daddr, spi }),
  ];
  const states = [
    () => client.addState(state),
    () => client.addState(state),
    () => client.updateState(state),
    () => client.deleteState({ daddr, spi }),
    () => client.expireState({ daddr, spi }, random.chance(1, 2)),
  ];
  if (random.chance(1, 300)) return client.flushPolicies();
  if (random.chance(1, 300)) return client.flushStates(random.pick(['any', 'esp'] as const));
  return random.pick(esp ? [...policies, ...states] : policies)();
}

const COUNTERS = new Set(['current', 'stats', 'replay', 'replayEsn', 'lastUsed']);

/** Objects as texts without their counters, sorted. */
export function texts(values: Iterable<XfrmState | XfrmPolicy>): string[] {
  const all = Array.from(values, (value) => {
    const fields = Object.entries(value).filter(([name]) => !COUNTERS.has(name));
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

const values = <T>(entries: Iterable<Entry<T>>) => Array.from(entries, ({ value }) => value);

/**
 * That the monitor's tables equal fresh lists. An SA can reach its limit between the look at the one
 * and at the other, so what differs is looked at again when those of a storm, a second, have passed.
 */
export async function assertEqual(monitor: XfrmMonitor, client: XfrmClient): Promise<void> {
  const compare = async () => {
    const [states, policies] = [client.listStates(), client.listPolicies()];
    assert.deepEqual(texts(values(monitor.policies)), texts(await listed(policies)), 'policies');
    const kernels = texts(await listed(states));
    assert.deepEqual(texts(values(monitor.states)), kernels, 'states');
  };
  try {
    await compare();
  } catch {
    await setTimeout(1500);
    await compare();
  }
}

/** A picture made of nothing but the first snapshot and the changes. */
export class Follower {
  readonly objects = new Map<string, XfrmState | XfrmPolicy>();
  readonly counts: Record<string, number> = {};
  overrunsOfMine = 0;

  take(change: XfrmChange | Synced): void {
    this.counts[change.kind] = (this.counts[change.kind] ?? 0) + 1;
    if (change.kind === 'synced') {
      for (const { uid, value } of change.snapshot.states) this.objects.set(`state ${uid}`, value);
      for (const { uid, value } of change.snapshot.policies) {
        this.objects.set(`policy ${uid}`, value);
      }
    } else if (change.kind === 'overrun') {
      if (change.slowConsumer) this.overrunsOfMine++;
    } else if ('object' in change) {
      const key = `${change.object} ${change.uid}`;
      assert.equal(this.objects.has(key), change.kind !== 'added', `${change.kind} ${key}`);
      if (change.kind === 'removed') this.objects.delete(key);
      else this.objects.set(key, change.value);
    }
  }

  assertEqual(monitor: XfrmMonitor): void {
    const all = [...values(monitor.states), ...values(monitor.policies)];
    assert.deepEqual(texts(this.objects.values()), texts(all));
  }
}
