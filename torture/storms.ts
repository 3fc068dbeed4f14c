/**
 * What a socket may receive apart from the truth: forged multicasts, floods of unsolicited and malformed
 * datagrams, losses. All of it must be counted or reported, and the tables of XfrmMonitor must be correct
 * in the end.
 * @module
 */
import assert from 'node:assert/strict';
import { subscribe as tap, unsubscribe as untap } from 'node:diagnostics_channel';
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { SystemError, subscribe, XfrmClient, XfrmMonitor } from '../lib/index.ts';
import { decodeDatagram } from '../lib/netlink/event.ts';
import { addon } from '../lib/socket/addon.ts';
import { NetlinkSocket, type SocketMessageRecord } from '../lib/socket.ts';
import { decodeXfrm } from '../lib/xfrm/decode.ts';
import { addressRequest } from '../test/kernel/socket-support.ts';
import { assertEqual, clear, Follower, storm } from '../test/kernel/storm.ts';
import { Random } from '../test/unit/random.ts';
import { datagrams } from './decoders/inputs.ts';
import { finding, orders, report } from './part.ts';

const { seed, times } = orders();
/** Whether the kernel has ESP: the storms then include real SAs. */
const esp = process.env.NETLINK_XFRM_REQUIRE === 'esp';
/** Number of changes in a storm, and of datagrams forged meanwhile. */
const CHANGES = 3000;
const FORGED = 4000;
/** Group masks of EXPIRE, SA and POLICY; of a mask with several groups the kernel uses the lowest. */
const GROUPS = [2, 4, 8] as const;
/** Errors to expect when a forged datagram is too large. */
const EXPECTED = new Set(['EAGAIN', 'EMSGSIZE', 'ENOBUFS', 'ECONNREFUSED']);

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** XFRM datagrams that nobody would send, and some that the kernel could have sent. */
function forgeries(count: number): Uint8Array[] {
  const some = fc.sample(datagrams(seed), { numRuns: 2 * count, seed });
  const xfrm = some.filter(({ protocol, bytes }) => protocol === 'xfrm' && bytes.length > 0);
  return xfrm.map(({ bytes }) => bytes).slice(0, count);
}

/** Sends to groups, as only a privileged process can; never to the kernel, which would execute the requests. */
class Forger implements AsyncDisposable {
  readonly #socket = new NetlinkSocket({ protocol: 6 });
  sent = 0;

  constructor() {
    this.#socket.bind();
    this.#socket.setSendBufferSize(2 ** 20);
  }

  send(bytes: Uint8Array): void {
    try {
      // Unicast to itself rather than to the kernel; it does not read what it receives.
      const groups = GROUPS[this.sent % GROUPS.length] ?? 0;
      this.#socket.send(bytes, { portId: this.#socket.portId, groups });
      this.sent++;
    } catch (error) {
      const { code = '' } = error as SystemError;
      if (!(error instanceof SystemError) || !EXPECTED.has(code)) throw error;
      // The groups were served before its own buffer was full (netlink_sendmsg).
      if (code === 'EAGAIN') this.sent++;
    }
  }

  async flood(some: readonly Uint8Array[]): Promise<void> {
    for (const [i, bytes] of some.entries()) {
      this.send(bytes);
      if (i % 16 === 0) await turn();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#socket.close();
  }
}

/**
 * Corrupts some of the kernel's datagrams before the monitor reads them: diagnostics channels publish
 * each batch while it is in the arena. What is corrupted is a length, which cannot go unnoticed.
 */
class Breaker implements Disposable {
  readonly #random = new Random(seed);
  readonly #socket: number;
  broken = 0;
  /** Whether to corrupt the next one in any case. */
  next = false;

  /** @param socket its number on the channels */
  constructor(socket: number) {
    this.#socket = socket;
    tap('netlink-xfrm:message', this.#break);
  }

  readonly #break = (record: unknown): void => {
    const { socket, direction } = record as SocketMessageRecord;
    if (socket !== this.#socket || direction !== 'received') return;
    if (!this.next && !this.#random.chance(1, 200)) return;
    this.next = false;
    const { arena, arenaBytes } = addon();
    const memory = arena();
    const [offset = 0] = new Uint32Array(memory, arenaBytes, 1);
    const lie = this.#random.pick([0, 7, 15, 0x7fffffff, 0xffffffff]);
    new DataView(memory).setUint32(offset, lie, true);
    this.broken++;
  };

  [Symbol.dispose](): void {
    untap('netlink-xfrm:message', this.#break);
  }
}

/** The number that the next socket of this thread will have on the channels. */
async function nextSocket(): Promise<number> {
  let number = 0;
  const note = (record: unknown) => {
    number = (record as SocketMessageRecord).socket;
  };
  tap('netlink-xfrm:open', note);
  await new NetlinkSocket({ protocol: 0 }).close();
  untap('netlink-xfrm:open', note);
  return number + 1;
}

interface Storm {
  readonly receiveBufferSize: number | undefined;
  readonly highWaterMark: number | undefined;
}

/** Milliseconds until a monitor is correct again: a few resyncs at its slowest rate (PACE). */
const PATIENCE = 40_000;

/** Waits until the monitor has seen the last change, by event or resync, and is in sync. */
async function settled(monitor: XfrmMonitor, client: XfrmClient, breaker: Breaker): Promise<void> {
  const last = { dir: 'out', selector: { family: 'inet6' }, priority: 0xfffe } as const;
  const known = () => [...monitor.policies].some(({ value }) => value.priority === last.priority);
  const begun = performance.now();
  const wait = async (until: () => boolean) => {
    while (!until() || !monitor.synced) {
      assert(performance.now() - begun < PATIENCE, 'the table does not become right');
      await pause(5);
    }
  };
  await wait(() => true);
  // The event of this policy is corrupted: no later event mentions it.
  breaker.next = true;
  await client.addPolicy(last);
  await wait(known);
  // Remaining larval SAs could expire during the comparison.
  if (!esp) await client.flushStates();
  await client.deletePolicy(last);
  await wait(() => !known());
}

/** A storm with all of the above, and a monitor that must be correct afterwards. */
async function monitored(number: number, how: Storm): Promise<Record<string, number>> {
  const random = new Random(seed + number);
  const forged = forgeries(FORGED);
  await using client = new XfrmClient();
  await using forger = new Forger();
  await storm(client, random, 300, esp);
  const socket = await nextSocket();
  await using monitor = await XfrmMonitor.open(how);
  using breaker = new Breaker(socket);
  const follower = new Follower();
  let malformed = 0;
  const following = (async () => {
    for await (const change of monitor) {
      if (change.kind === 'malformed') malformed++;
      else follower.take(change);
      if (how.highWaterMark !== undefined) await turn();
    }
  })();
  await Promise.all([storm(client, random, CHANGES, esp), forger.flood(forged)]);
  // Without refresh(): the monitor must find out by itself when to resync.
  await settled(monitor, client, breaker);
  breaker[Symbol.dispose]();
  await assertEqual(monitor, client);
  await clear(client);
  await monitor.refresh();
  await assertEqual(monitor, client);
  await monitor.close();
  await following;
  if (breaker.broken > 0) assert(malformed > 0, 'what was broken is not told');
  assert(malformed <= breaker.broken, 'more is told as broken than was');
  return { forged: forger.sent, broken: breaker.broken, dropped: monitor.dropped };
}

/** A subscription rejects and counts each forged datagram, and misses no event because of it. */
async function refused(): Promise<number> {
  const forged = forgeries(FORGED);
  await using client = new XfrmClient();
  await using forger = new Forger();
  await using events = subscribe({ groups: ['sa', 'policy', 'expire'] });
  let heard = 0;
  let wrong = 0;
  events.on('event', ({ kind }) => {
    if (kind === 'NEWPOLICY' || kind === 'DELPOLICY') heard++;
    else if (kind !== 'FLUSHPOLICY') wrong++;
  });
  for (const [i, bytes] of forged.entries()) {
    forger.send(bytes);
    if (i % 8 !== 0) continue;
    const policy = { dir: 'in', selector: { family: 'inet' }, priority: i } as const;
    await client.addPolicy(policy);
    await client.deletePolicy(policy);
  }
  // When a later event arrives, the last ones have been read.
  await client.addPolicy({ dir: 'in', selector: { family: 'inet' }, priority: 1 });
  await client.flushPolicies();
  const expected = 2 * Math.ceil(forged.length / 8) + 1;
  for (let i = 0; i < 1000 && heard < expected; i++) await turn();
  const [status] = events.sockets;
  assert.deepEqual([heard, wrong], [expected, 0], 'events heard, others heard');
  assert.equal(status?.rejected, forger.sent, 'rejected');
  assert.equal(status?.overruns, 0);
  return forger.sent;
}

/** Without the source check, each of them becomes an event, or a record of what is wrong. */
async function decoded(): Promise<number> {
  const forged = forgeries(FORGED);
  await using forger = new Forger();
  await using open = new NetlinkSocket({ protocol: 6, kernelOnly: false });
  open.setReceiveBufferSize(2 ** 26);
  open.bind({ groups: GROUPS.reduce<number>((all, one) => all | one, 0) });
  let datagrams = 0;
  let records = 0;
  open.receive((batch) => {
    const input = {
      view: batch.view,
      bytes: batch.bytes,
      time: { wall: 0, monotonic: 0 },
      keys: true,
    };
    for (let i = 0; i < batch.count; i++) {
      const before = records;
      decodeDatagram(
        input,
        batch.offset(i),
        batch.length(i),
        batch.truncated(i),
        decodeXfrm,
        () => {
          records++;
        },
      );
      assert(records > before, 'a datagram is neither an event nor told as broken');
      datagrams++;
    }
  });
  await forger.flood(forged);
  for (let i = 0; i < 1000 && datagrams < forger.sent; i++) await turn();
  assert.equal(datagrams, forger.sent, 'datagrams that came');
  return records;
}

/** Unsolicited datagrams are not delivered, and take up no buffer space. */
async function irrelevant(): Promise<number> {
  await using client = new XfrmClient();
  await using causes = new NetlinkSocket({ protocol: 0 });
  await using events = subscribe({ groups: ['sa', 'ipv6-route'], receiveBufferSize: 4096 });
  let heard = 0;
  events.on('event', () => heard++);
  for (let i = 0; i < FORGED; i++) {
    causes.send(addressRequest(i, i % 2 === 1));
    const policy = { dir: 'in', selector: { family: 'inet' }, priority: i } as const;
    if (i % 4 === 0) await client.addPolicy(policy);
    if (i % 4 === 0) await client.deletePolicy(policy);
  }
  await turn();
  assert.deepEqual([heard, ...events.sockets.map(({ overruns }) => overruns)], [0, 0, 0]);
  return FORGED;
}

const figures: Record<string, number> = {
  storms: 0,
  forged: 0,
  broken: 0,
  dropped: 0,
  irrelevant: 0,
};
const add = (what: Record<string, number>) => {
  for (const [name, count] of Object.entries(what)) figures[name] = (figures[name] ?? 0) + count;
};

async function attempt(name: string, work: () => Promise<Record<string, number>>): Promise<void> {
  try {
    add(await work());
  } catch (error) {
    finding(`${name}: ${(error as Error).stack?.slice(0, 3000)}`);
  }
}

process.on('uncaughtException', (error) => finding(`an uncaught exception: ${error.stack}`));
const HOW: readonly Storm[] = [
  { receiveBufferSize: undefined, highWaterMark: undefined },
  { receiveBufferSize: 4096, highWaterMark: undefined },
  { receiveBufferSize: 65_536, highWaterMark: 8 },
];
for (let round = 0; round < times; round++) {
  for (const [i, how] of HOW.entries()) {
    await attempt(`storm ${JSON.stringify(how)}`, async () => {
      const all = await monitored(round * HOW.length + i, how);
      return { ...all, storms: 1 };
    });
  }
  await attempt('forged', async () => ({ forged: await refused() }));
  await attempt('decoded', async () => ({ records: await decoded() }));
  await attempt('irrelevant', async () => ({ irrelevant: await irrelevant() }));
}
report(figures);
