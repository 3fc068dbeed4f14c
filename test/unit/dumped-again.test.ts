/** Dumped messages that are the same as in the last dump are told by their digests, and only they. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  NETLINK_XFRM,
  XFRM_MSG_GETDEFAULT,
  XFRM_MSG_GETPOLICY,
  XFRM_MSG_GETSA,
  XFRM_MSG_GETSADINFO,
  XFRMNLGRP_POLICY,
} from '../../lib/constants.ts';
import { XfrmClient, XfrmMonitor } from '../../lib/index.ts';
import { DumpOrder } from '../../lib/monitor/dump-order.ts';
import { type Row, Table } from '../../lib/monitor/table.ts';
import { FakeKernel } from '../../lib/socket.ts';
import { digestOf } from '../../lib/wire/digest.ts';
import { encodeXfrm, MessageWriter } from '../../lib/xfrm.ts';
import { often } from './often.ts';
import { ordinaryMessage } from './ordinary.ts';
import { Random } from './random.ts';

function digest(message: Uint8Array): Int32Array {
  const into = new Int32Array(2);
  const { buffer, byteOffset, length } = message;
  digestOf(new DataView(buffer, byteOffset, length), 0, length, into);
  return into;
}

test('any other bit makes another digest, except in flags, sequence number and port id', () => {
  often((random) => {
    const message = ordinaryMessage(random);
    const before = digest(message);
    const at = 4 + random.below(message.length - 4);
    message[at] = (message[at] as number) ^ (1 << random.below(8));
    const counts = at < 6 || at >= 16;
    assert.equal(digest(message).join() !== before.join(), counts, `byte ${at}`);
    return undefined;
  });
});

test('a digest is that of all bytes, of any number', () => {
  const seen = new Set<string>();
  for (let length = 16; length < 80; length++) {
    const zeros = new Uint8Array(length);
    seen.add(digest(zeros).join());
    for (let at = 16; at < length; at++) seen.add(digest(zeros.slice().fill(1, at, at + 1)).join());
  }
  assert.equal(seen.size, 64 + (64 * 63) / 2);
});

test('messages are found where others came, went or changed', () => {
  const order = new DumpOrder<string>();
  const table = new Table<string>({});
  const keys = Array.from({ length: 1000 }, (_, n) => `${n}`);
  const rows = new Map([...keys, '1001', '1002'].map((key) => [key, table.add(key, key)]));
  const rowOf = (key: string) => rows.get(key) as Row<string>;
  const same = (_key: string) => 0;
  /** A dump. @returns what is decoded */
  const decodedOf = (listed: readonly string[], version: (key: string) => number) => {
    order.begin();
    return listed.filter((key) => {
      const one = Int32Array.of(Number(key) + 1, version(key));
      const row = order.find(one);
      if (row === undefined) order.place(rowOf(key), one);
      else {
        assert.equal(row, rowOf(key));
        order.pass(row);
      }
      return row === undefined;
    });
  };
  assert.deepEqual(decodedOf(keys, same), keys);
  assert.deepEqual(decodedOf(keys, same), []);
  const listed = ['1001', '1002', ...keys.slice(0, 20), ...keys.slice(27)];
  const changed = (key: string) => (key === '50' ? 1 : 0);
  assert.deepEqual(decodedOf(listed, changed), ['1001', '1002', '50']);
  assert.deepEqual(decodedOf(listed, changed), []);
  // Those that are still in the table are found again.
  assert.deepEqual(decodedOf(keys.slice(0, 5), changed), []);
  assert.deepEqual(decodedOf(keys, changed), []);
  // One at another place is found by its key, and nothing else is decoded.
  const moved = [...keys.slice(0, 100), '900', ...keys.slice(100, 900), ...keys.slice(901)];
  assert.deepEqual(decodedOf(moved, changed), ['900']);
  assert.deepEqual(decodedOf(moved, changed), []);
  // Any number may have been removed from the table; where many are still there, some are decoded.
  for (const key of keys.slice(300, 600)) table.delete(key);
  const left = moved.filter((key) => table.row(key));
  assert.deepEqual(decodedOf(left, changed), []);
  const few = [...left.slice(0, 200), ...left.slice(400)];
  assert.deepEqual(decodedOf(few, changed), left.slice(400));
  assert.deepEqual(decodedOf(few, changed), []);
  order.forget();
  assert.deepEqual(decodedOf(few.slice(0, 10), changed), few.slice(0, 10));
});

test('a row with another value is not found by the message of the one before', () => {
  const order = new DumpOrder<string>();
  const table = new Table<string>({});
  const row = table.add('a', 'old');
  const digest = Int32Array.of(1, 2);
  order.begin();
  order.place(row, digest);
  order.begin();
  assert.equal(order.find(digest), row);
  table.update('a', 'new');
  assert.equal(order.find(digest), undefined);
});

/** SAs and policies, of which any two may differ in a few things. */
class World {
  readonly states: ReturnType<World['state']>[] = [];
  readonly policies: ReturnType<World['policy']>[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  state(n: number) {
    const key = new Uint8Array(20).fill(this.#random.below(3));
    const packets = BigInt(this.#random.below(3));
    return {
      ...{ saddr: '192.0.2.1', daddr: `10.0.0.${n}`, spi: 0x1000 + n, proto: 'esp', reqid: n },
      ...{ mode: 'tunnel', aead: { name: 'rfc4106(gcm(aes))', icvBits: 128, key } },
      lifetime: { softAddSeconds: 3000 + this.#random.below(2) },
      current: { bytes: packets * 100n, packets, addedAt: 1_000_000 },
    } as const;
  }

  policy(n: number) {
    const selector = { saddr: '192.0.2.1', prefixlenS: 32, daddr: `10.0.0.${n}`, prefixlenD: 32 };
    const templates = [
      { ...{ saddr: '192.0.2.1', daddr: `10.0.0.${n}`, proto: 'esp' }, mode: 'tunnel', reqid: n },
    ] as const;
    return {
      dir: 'out',
      selector,
      templates,
      index: 8 * n + 1,
      priority: this.#random.below(2),
    } as const;
  }

  /** Adds, removes and replaces a few objects. */
  step(): void {
    change(this.states, (n) => this.state(n), this.#random);
    change(this.policies, (n) => this.policy(n), this.#random);
  }
}

function change<Item extends Listed>(
  list: Item[],
  make: (n: number) => Item,
  random: Random,
): void {
  for (let i = random.below(4); i > 0; i--) {
    const n = 1 + random.below(40);
    const one = make(n);
    const at = list.findIndex((other) => keyOf(other) === keyOf(one));
    if (at < 0) list.splice(random.below(list.length + 1), 0, one);
    else list.splice(at, 1, ...(random.chance(1, 3) ? [] : [one]));
  }
}

type Listed = { readonly index?: number; readonly spi?: number };
const keyOf = ({ index, spi }: Listed) => index ?? spi;

const writer = new MessageWriter();
function bytesOf(message: object): Uint8Array {
  writer.wipe();
  encodeXfrm(writer, message as never);
  return writer.written().slice();
}

/** A kernel that lists what there is at the time. */
function kernelOf(listed: { readonly states: object[]; readonly policies: object[] }): FakeKernel {
  const kernel = new FakeKernel();
  return kernel.answer(NETLINK_XFRM, ({ type, dump }) => {
    if (type === XFRM_MSG_GETDEFAULT) return { refusal: { code: 'EINVAL' } };
    if (type === XFRM_MSG_GETSADINFO) {
      return { messages: [bytesOf({ kind: 'NEWSADINFO', info: { count: 0 } })] };
    }
    if (!dump) return {};
    if (type === XFRM_MSG_GETSA) {
      return { messages: listed.states.map((state) => bytesOf({ kind: 'NEWSA', state })) };
    }
    assert.equal(type, XFRM_MSG_GETPOLICY);
    return { messages: listed.policies.map((policy) => bytesOf({ kind: 'NEWPOLICY', policy })) };
  });
}

test('tables equal a fresh dump, whatever changed without an event', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World(new Random(seed));
    const kernel = kernelOf(world);
    for (let i = 0; i < 20; i++) world.step();
    await using monitor = await XfrmMonitor.open({ netns: kernel, refreshInterval: 0 });
    await using client = new XfrmClient({ netns: kernel });
    const byReqid = (a: { reqid: number }, b: { reqid: number }) => a.reqid - b.reqid;
    const byIndex = (a: { index: number }, b: { index: number }) => a.index - b.index;
    for (let i = 0; i < 20; i++) {
      world.step();
      await monitor.refresh();
      const [states, policies] = [await client.listStates(), await client.listPolicies()];
      assert.deepEqual(
        [...monitor.states].map(({ value }) => value).sort(byReqid),
        [...states.items].sort(byReqid),
      );
      assert.deepEqual(
        [...monitor.policies].map(({ value }) => value).sort(byIndex),
        [...policies.items].sort(byIndex),
      );
    }
  }
});

test('a row that an event changed is not taken for what the dump before had', async () => {
  const world = new World(new Random(1));
  const policy = { ...world.policy(1), priority: 1 };
  const kernel = kernelOf({ states: [], policies: [policy] });
  await using monitor = await XfrmMonitor.open({ netns: kernel, refreshInterval: 0 });
  for (let i = 0; i < 2; i++) await monitor.refresh();
  const told = bytesOf({ kind: 'UPDPOLICY', policy: { ...policy, priority: 2 } });
  kernel.multicast(NETLINK_XFRM, XFRMNLGRP_POLICY, told);
  const priority = () => [...monitor.policies][0]?.value.priority;
  await monitor.waitFor(() => priority() === 2);
  await monitor.refresh();
  assert.equal(priority(), 1);
});

test('of SAs that nothing distinguishes, each has a row, for as long as it is there', async () => {
  const twin = { ...new World(new Random(1)).state(1), spi: 0 };
  const states = [twin];
  const kernel = kernelOf({ states, policies: [] });
  await using monitor = await XfrmMonitor.open({ netns: kernel, refreshInterval: 0 });
  for (const count of [1, 1, 2, 2, 3, 3, 2, 2, 1, 1, 0, 1]) {
    states.splice(0, 3, ...Array.from({ length: count }, () => twin));
    await monitor.refresh();
    assert.equal(monitor.states.size, count);
  }
});
