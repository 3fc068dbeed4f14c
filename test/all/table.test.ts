/**
 * A million histories of the live tables, of SAs and policies and of addresses, over the processors there are. A failure names its seed:
 * NETLINK_XFRM_SEED=<seed> NETLINK_XFRM_HISTORIES=1 runs it again. The same ones each time, unless
 * NETLINK_XFRM_SEED says where to begin and NETLINK_XFRM_HISTORIES how many.
 */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { runAddressHistory } from '../unit/address-history.ts';
import { runHistory, stepsOf } from '../unit/history.ts';

const FIRST = Number(process.env.NETLINK_XFRM_SEED ?? 1);
const HISTORIES = Number(process.env.NETLINK_XFRM_HISTORIES ?? 1_000_000);
/** Of a thread, those that begin at `first`, each `stride` after the last. */
type Share = { first: number; stride: number };
/** What a thread says at its end: how many it ran, and which failed. */
type Outcome = { ran: number; failed: string[] };

/** Runs a thread's share; after a few failures more would tell nothing new. */
function runShare({ first, stride }: Share): Outcome {
  const failed: string[] = [];
  let ran = 0;
  for (let seed = first; seed < FIRST + HISTORIES && failed.length < 5; seed += stride) {
    ran++;
    try {
      runHistory(seed, stepsOf(seed));
      runAddressHistory(seed, stepsOf(seed));
    } catch (error) {
      failed.push(`NETLINK_XFRM_SEED=${seed} NETLINK_XFRM_HISTORIES=1: ${error}`);
    }
  }
  return { ran, failed };
}

if (isMainThread) {
  test(`${HISTORIES} histories from seed ${FIRST} on end in equal tables`, async () => {
    const stride = Math.min(availableParallelism(), HISTORIES);
    const outcomes = await Promise.all(
      Array.from({ length: stride }, (_, n) => {
        const share: Share = { first: FIRST + n, stride };
        const worker = new Worker(import.meta.filename, { workerData: share });
        return new Promise<Outcome>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
      }),
    );
    assert.deepEqual(
      outcomes.flatMap(({ failed }) => failed),
      [],
    );
    assert.equal(
      outcomes.reduce((sum, { ran }) => sum + ran, 0),
      HISTORIES,
    );
  });
} else parentPort?.postMessage(runShare(workerData));
