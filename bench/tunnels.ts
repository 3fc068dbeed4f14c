/**
 * Time from a request until a tunnel outcome (up, down, rekeyed) is reported, with default options. Another thread adds
 * and deletes SAs. The clock starts just before it sends the deciding request: for up and rekeyed that of the last SA,
 * for down the first of the two deletions; the request itself is therefore included. Needs a kernel with ESP.
 * @module
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { RouteClient, TunnelMonitor, XfrmClient } from '../lib/index.ts';
import { deletePair, type Spis, sentBy, setPolicies } from '../test/kernel/by-hand.ts';
import { UNDERLAY } from '../test/kernel/here.ts';
import { median, quantile } from './stats.ts';

/** Milliseconds from the request to the reported change. */
export interface Told {
  readonly outcome: Outcome;
  /** Number of other tunnels. */
  readonly beside: number;
  readonly samples: number;
  readonly median: number;
  readonly p99: number;
  readonly most: number;
}

export type Outcome = 'up' | 'rekeyed' | 'down';
/** Index of lo, the first interface of each namespace. */
const LOOPBACK = 1;
const OUTCOMES: readonly Outcome[] = ['up', 'rekeyed', 'down'];
const pair = (n: number): Spis => ({ out: 0x10000 + n, in: 0x20000 + n });

/** Causes an outcome; returns when the request was sent, on the machine's monotonic clock. */
async function make(client: XfrmClient, outcome: Outcome, n: number): Promise<bigint> {
  const [old, next] = [pair(2 * n), pair(2 * n + 1)];
  if (outcome === 'up') {
    await client.addState(sentBy('right', old.in));
    const asked = process.hrtime.bigint();
    await client.addState(sentBy('left', old.out));
    return asked;
  }
  if (outcome === 'rekeyed') await client.addState(sentBy('right', next.in));
  const asked = process.hrtime.bigint();
  if (outcome === 'rekeyed') await client.addState(sentBy('left', next.out));
  await deletePair(client, 'left', outcome === 'rekeyed' ? old : next);
  return asked;
}

/** The thread that makes the changes. */
function act(): void {
  const client = new XfrmClient();
  parentPort?.on('message', async ([outcome, n]: [Outcome, number]) => {
    parentPort?.postMessage(await make(client, outcome, n));
  });
}

/** Adds tunnels that do not change. */
async function standBy(client: XfrmClient, count: number): Promise<void> {
  for (let i = 1; i <= count; i++) {
    const [host, peer, reqid] = [UNDERLAY.left, `10.9.${i >> 8}.${i & 255}`, 1 + i];
    for (const [dir, saddr, daddr] of [
      ['out', host, peer],
      ['in', peer, host],
    ] as const) {
      const selector = { saddr, prefixlenS: 32, daddr, prefixlenD: 32 };
      const templates = [{ saddr, daddr, proto: 'esp', mode: 'tunnel', reqid }] as const;
      await client.addState({ ...sentBy('left', 0x100000 + i), saddr, daddr, reqid });
      await client.addPolicy({ dir, selector, templates });
    }
  }
}

async function measure(client: XfrmClient, beside: number, rounds: number): Promise<Told[]> {
  await standBy(client, beside);
  await setPolicies(client, 'left');
  await using monitor = await TunnelMonitor.open();
  assert.equal(monitor.tunnels.size, beside + 1);
  const worker = new Worker(new URL(import.meta.url));
  const waits: Record<Outcome, number[]> = { up: [], rekeyed: [], down: [] };
  for (let n = 0; n < rounds; n++) {
    for (const outcome of OUTCOMES) {
      // At a random moment relative to timers and counter readings.
      await pause(Math.random() * 50);
      const told = once(monitor, outcome).then(() => process.hrtime.bigint());
      worker.postMessage([outcome, n]);
      const [asked] = (await once(worker, 'message')) as [bigint];
      waits[outcome].push(Number((await told) - asked) / 1e6);
    }
  }
  await worker.terminate();
  await client.flushStates();
  await client.flushPolicies();
  return OUTCOMES.map((outcome) => {
    const values = waits[outcome];
    const [middle, p99, most] = [median(values), quantile(values, 0.99), Math.max(...values)];
    return { outcome, beside, samples: rounds, median: middle, p99, most };
  });
}

/** Temporarily assigns the hub's address to this host: a tunnel whose local address is missing is down. */
export async function withHubAddress(): Promise<AsyncDisposable> {
  const route = new RouteClient();
  const address = { index: LOOPBACK, local: UNDERLAY.left, prefixLength: 32 };
  await route.setLinkUp({ index: LOOPBACK });
  await route.addAddress(address);
  return {
    async [Symbol.asyncDispose]() {
      await route.deleteAddress(address);
      await route.close();
    },
  };
}

/** Measures with a single tunnel, and with many others. */
export async function tunnels(
  { beside, rounds }: { beside: number; rounds: number },
  progress: (text: string) => void,
): Promise<Told[]> {
  await using client = new XfrmClient();
  await using _ = await withHubAddress();
  const all: Told[] = [];
  for (const others of [0, beside]) {
    progress(`outcomes of a tunnel, ${others} others`);
    all.push(...(await measure(client, others, rounds)));
  }
  return all;
}

if (!isMainThread) act();
