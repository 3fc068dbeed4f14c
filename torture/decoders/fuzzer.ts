/**
 * Run as a worker by decoders.ts: makes inputs and checks what becomes of them, until it is told to
 * stop. Its memory may not grow.
 * @module
 */
import { getHeapStatistics } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import fc from 'fast-check';
import { Random } from '../../test/unit/random.ts';
import { checkDatagram, checkExact } from './datagrams.ts';
import { datagrams, type Input } from './inputs.ts';
import { checkRecording, recordings } from './recordings.ts';
import { WORDS } from './words.ts';

/** What a worker is for. */
export interface Task {
  readonly seed: number;
  /** The first round that is not to be done, and the first that is. */
  readonly rounds: number;
  readonly from: number;
  /** The rounds of this worker, counted from the first, are those with this remainder … */
  readonly worker: number;
  /** … by the number of workers. */
  readonly workers: number;
  /** A counter of inputs, then the length of the one under way, and its bytes. */
  readonly shared: SharedArrayBuffer;
}

/** What a worker tells. */
export type News =
  | { readonly kind: 'finding'; readonly text: string }
  /** All rounds of this worker before that one are done. */
  | { readonly kind: 'round'; readonly next: number }
  | { readonly kind: 'end'; readonly messages: number; readonly growth: number };

/** Inputs of a round: of datagrams, of files, of each kind of words. */
const DATAGRAMS = 14_000;
const RECORDINGS = 2000;
const EACH_WORDS = 500;
export const ROUND: number = DATAGRAMS + RECORDINGS + EACH_WORDS * WORDS.length;
/** Rounds until all caches are full and all code is compiled. */
const WARM = 5;
const ENOUGH = 5;

const { seed, rounds, from, worker, workers, shared } = workerData as Task;
const counter = new Int32Array(shared, 0, 2);
const current = new Uint8Array(shared, 8);
const post = (news: News) => parentPort?.postMessage(news);
let failures = 0;
let messages = 0;

/**
 * The seed of a round: that of the run for the first, so that a run with the seed of a finding begins
 * with it; else any, so that runs whose seeds are neighbours (dates) try other inputs.
 */
const seedOf = (number: number): number =>
  number === 0 ? seed : new Random(seed ^ Math.imul(number, 0x9e3779b1)).u32() >>> 1;

/** A property over some inputs; what is wrong is told with the smallest input that shows it. */
function hold<Of>(
  name: string,
  inputs: fc.Arbitrary<Of>,
  [numRuns, seed]: readonly [number, number],
  bytesOf: (input: Of) => Uint8Array,
  check: (input: Of) => void,
): void {
  // A stack for each broken message would take most of the time.
  Error.stackTraceLimit = 0;
  const property = fc.property(inputs, (input) => {
    const bytes = bytesOf(input);
    current.set(bytes.subarray(0, current.length));
    counter[1] = bytes.length;
    check(input);
    Atomics.add(counter, 0, 1);
  });
  const result = fc.check(property, { numRuns, seed });
  if (!result.failed) return;
  failures++;
  Error.stackTraceLimit = 12;
  const [smallest] = result.counterexample ?? [];
  let error: unknown = result.errorInstance;
  try {
    if (smallest !== undefined) check(smallest);
  } catch (again) {
    error = again;
  }
  const shown =
    smallest === undefined || WORDS.some((one) => one.name === name)
      ? fc.stringify(smallest)
      : Buffer.from(bytesOf(smallest)).toString('hex');
  const kept = kindOf(name, smallest);
  const keep = kept ? `\nto keep it: test/fixtures/torture/${kept}-WHAT-IS-ODD.hex` : '';
  const text = `${name}, seed ${seed}\n${shown}${keep}\n${(error as Error)?.stack ?? error}`;
  post({ kind: 'finding', text });
}

/** How names of fixtures begin that hold such an input (test/unit/findings.test.ts); undefined for words. */
function kindOf(name: string, input: unknown): string | undefined {
  if (name === 'datagram') return (input as Input | undefined)?.protocol;
  return name === 'recording' ? name : undefined;
}

const utf8 = new TextEncoder();

function round(seed: number): void {
  hold<Input>(
    'datagram',
    datagrams(seed),
    [DATAGRAMS, seed],
    ({ bytes }) => bytes,
    ({ protocol, bytes, unchanged, truncated }) => {
      messages += checkDatagram(protocol, bytes, truncated);
      if (unchanged) checkExact(protocol, bytes);
    },
  );
  hold(
    'recording',
    recordings(seed),
    [RECORDINGS, seed],
    (bytes) => bytes,
    (bytes) => {
      messages += checkRecording(bytes);
    },
  );
  for (const { name, inputs, check } of WORDS) {
    const bytesOf = (input: unknown) => utf8.encode(typeof input === 'string' ? input : name);
    hold(name, inputs, [EACH_WORDS, seed], bytesOf, check);
  }
}

/** Bytes in use: the least of some looks, since a compiler at work takes megabytes for a while. */
function memory(): number {
  const looks = Array.from({ length: 8 }, () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    globalThis.gc?.();
    const { used_heap_size, external_memory, malloced_memory } = getHeapStatistics();
    return used_heap_size + external_memory + malloced_memory;
  });
  return Math.min(...looks);
}

let before = 0;
let done = 0;
for (let number = from + worker; number < rounds && failures < ENOUGH; number += workers) {
  round(seedOf(number));
  post({ kind: 'round', next: number + workers });
  if (++done === WARM) before = memory();
}
post({ kind: 'end', messages, growth: done > WARM ? memory() - before : 0 });
