/**
 * Worker of decoders.ts: generates inputs and checks the results until it is stopped. Its
 * memory must not grow.
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

/** The task of a worker. */
export interface Task {
  readonly seed: number;
  /** The end of the range of rounds (exclusive), and its start. */
  readonly rounds: number;
  readonly from: number;
  /** This worker does the rounds whose number has this remainder … */
  readonly worker: number;
  /** … modulo the number of workers. */
  readonly workers: number;
  /** A counter of inputs, then the length of the current input, and its bytes. */
  readonly shared: SharedArrayBuffer;
}

/** Messages from a worker. */
export type News =
  | { readonly kind: 'finding'; readonly text: string }
  /** This worker has done all its rounds before that one. */
  | { readonly kind: 'round'; readonly next: number }
  | { readonly kind: 'end'; readonly messages: number; readonly growth: number };

/** Inputs per round: datagrams, files, and each kind of text. */
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
 * The seed of a round: for the first, that of the run, so that a run with the seed of a finding starts
 * with it; then pseudorandom, so that runs with adjacent seeds (dates) try different inputs.
 */
const seedOf = (number: number): number =>
  number === 0 ? seed : new Random(seed ^ Math.imul(number, 0x9e3779b1)).u32() >>> 1;

/** Checks a property for some inputs; a failure is reported with the smallest input that shows it. */
function hold<Of>(
  name: string,
  inputs: fc.Arbitrary<Of>,
  [numRuns, seed]: readonly [number, number],
  bytesOf: (input: Of) => Uint8Array,
  check: (input: Of) => void,
): void {
  // A stack trace for each malformed message would take most of the time.
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

/** Name prefix of fixtures for such an input (test/unit/findings.test.ts); undefined for text. */
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

/** Bytes in use: the minimum of several measurements, because a running compiler briefly takes megabytes. */
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
