/**
 * Fuzzes everything that parses foreign bytes or text: only typed errors, no reads outside the input,
 * work in proportion to the input, no memory leak, no hang.
 * @module
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { checkTime, checkWork } from './decoders/effort.ts';
import type { News, Task } from './decoders/fuzzer.ts';
import { finding, orders, report } from './part.ts';

/** See decoders/fuzzer.ts, which cannot be imported because it is a worker's script. */
const ROUND = 20_000;
/** Seconds on a single input after which it counts as a hang. */
const PATIENCE = 30;
/** Milliseconds between progress lines of a long run. */
const PROGRESS = 5 * 60_000;
/** Bytes by which a heap may differ after garbage collection, … */
const GROWTH = 3 * 2 ** 20;
/** … plus, per input of a long run: the engine keeps type feedback from inputs that occur once in a million. */
const GROWTH_EACH = 0.25;

/** For each worker, the first round not yet done. */
let next: number[] = [];

/** Runs a worker to completion. */
function fuzz(
  task: Omit<Task, 'shared'>,
): Promise<{ inputs: number; messages: number; growth: number }> {
  const shared = new SharedArrayBuffer(8 + 128 * 1024);
  const counter = new Int32Array(shared, 0, 2);
  const worker = new Worker(new URL('./decoders/fuzzer.js', import.meta.url), {
    workerData: { ...task, shared } satisfies Task,
  });
  let last = -1;
  let waited = 0;
  const watch = setInterval(() => {
    const now = Atomics.load(counter, 0);
    waited = now === last ? waited + 1 : 0;
    last = now;
    if (waited < PATIENCE) return;
    const bytes = Buffer.from(shared, 8, Math.min(counter[1] ?? 0, shared.byteLength - 8));
    finding(`an input takes more than ${PATIENCE} s: ${bytes.toString('hex')}`);
    void worker.terminate();
  }, 1000);
  return new Promise((resolve) => {
    let end = { messages: 0, growth: 0 };
    worker.on('message', (news: News) => {
      if (news.kind === 'finding') finding(news.text);
      else if (news.kind === 'round') next[task.worker] = news.next;
      else end = news;
    });
    worker.on('error', (error) => finding(`the fuzzer ended: ${error.stack}`));
    worker.on('exit', () => {
      clearInterval(watch);
      resolve({ inputs: Atomics.load(counter, 0), messages: end.messages, growth: end.growth });
    });
  });
}

const { seed, inputs, skip, times } = orders();
let shapes = 0;
try {
  checkWork();
  shapes = checkTime();
} catch (error) {
  finding(`${(error as Error).stack}`);
}
// Alongside the other parts one processor is available; a long run has all of them.
const workers = times > 1 ? availableParallelism() : 1;
const rounds = Math.ceil(inputs / ROUND);
const from = Math.floor(skip / ROUND);
next = Array.from({ length: workers }, (_, worker) => from + worker);
const progress = setInterval(() => {
  const tried = Math.min(rounds, ...next) * ROUND;
  console.log(`${tried} of ${rounds * ROUND} inputs; to go on: --seed ${seed} --skip ${tried}`);
}, PROGRESS);
const ends = await Promise.all(
  Array.from({ length: workers }, (_, worker) => fuzz({ seed, rounds, from, worker, workers })),
);
clearInterval(progress);
const sum = (of: 'inputs' | 'messages') => ends.reduce((all, one) => all + one[of], 0);
const growth = Math.max(...ends.map((end) => end.growth));
if (growth > GROWTH + GROWTH_EACH * sum('inputs')) finding(`the heap grew by ${growth} bytes`);
report({
  inputs: sum('inputs'),
  messages: sum('messages'),
  'shapes of long inputs': shapes,
  'KiB of growth': Math.round(growth / 1024),
});
