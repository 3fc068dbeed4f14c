// npm run torture: deliberately tries everything that could break the library. docs/reliability.md explains
// each part. Takes some minutes by default (see --help).
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root, setup } from './setup.mjs';
import { here, lab, NotHere, namespace, withTools } from './surroundings.mjs';

/** Prefix of the line that ends a part (torture/part.ts); followed by JSON. */
const MARK = '@torture ';

const strict = process.env.CI === 'true';
/** Time limit of a part in a bounded run, in milliseconds. */
const LIMIT = 15 * 60_000;

/**
 * Each part with its script (in dist/torture) and place. Two rows run concurrently, one for each of two
 * processors.
 */
const ROWS = [
  [['decoders', 'decoders', here]],
  [
    ['arguments', 'arguments', namespace],
    ['faults', 'faults', namespace],
    ['workers', 'workers', namespace],
    ['storms', 'storms', namespace],
    ['storms-esp', 'storms', lab()],
    ['keys', 'keys', lab()],
    ['sanitizers', 'sanitizers', namespace],
  ],
];

await setup();
const { Command, InvalidArgumentError, Option } = await import('commander');
/** Parses an integer written in full. */
const whole = (least, most) => (text) => {
  if (/^\d{1,15}$/.test(text) && Number(text) >= least && Number(text) <= most) return text;
  throw new InvalidArgumentError(`It must be an integer from ${least} to ${most}.`);
};
const parts = ROWS.flat().map(([name]) => name);
const options = new Command('npm run torture --')
  .addOption(new Option('--only <part...>', 'those parts').choices(parts))
  .option('--seed <n>', 'repeats what a run with that seed did', whole(0, 2 ** 31 - 1))
  .option('--inputs <n>', 'so many inputs for the decoders (1 million)', whole(1, 1e12))
  .option(
    '--skip <n>',
    'leaves out the first of them, which a run with that seed tried',
    whole(0, 1e12),
  )
  .option('--times <n>', 'the other parts so many times (1)', whole(1, 1e6))
  .option('--nightly', '200 million inputs, on all processors, and the other parts ten times')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse()
  .opts();
const seed = options.seed ?? String(Math.floor(Math.random() * 2 ** 31));
const skip = options.skip ?? '0';
const inputs = options.inputs ?? (options.nightly ? '200000000' : '1000000');
const times = options.times ?? (options.nightly ? '10' : '1');
const bounded = !options.nightly && options.inputs === undefined && options.times === undefined;

const started = Date.now();
console.log(`seed ${seed}`);
const env = await withTools();
/** Process groups of the running parts. */
const running = new Set();
process.on('exit', () => {
  for (const group of running) process.kill(-group, 'SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** Runs a part; returns the result in its last line, undefined if there is none. */
function run(name, script, surroundings) {
  return new Promise((resolve) => {
    const node = [process.execPath, '--expose-gc', join(root, 'dist/torture', `${script}.js`)];
    const orders = ['--seed', seed, '--inputs', inputs, '--skip', skip, '--times', times];
    const [program, ...args] = [...surroundings, ...node, ...orders];
    const child = spawn(program, args, {
      cwd: root,
      // Only has an effect in the lab's kernel, which has ESP.
      env: { ...env, NETLINK_XFRM_REQUIRE: name.endsWith('-esp') ? 'esp' : undefined },
      stdio: ['ignore', 'pipe', 'pipe'],
      // In its own process group, so that all of it can be killed.
      detached: true,
    });
    let result;
    if (child.pid !== undefined) running.add(child.pid);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        if (line.startsWith(MARK)) result = JSON.parse(line.slice(MARK.length));
        else console.log(`  ${name}: ${line}`);
      });
    }
    const end = () => {
      console.log(`  ${name}: not ended after ${LIMIT / 60_000} minutes`);
      process.kill(-child.pid, 'SIGKILL');
    };
    const timer = bounded ? setTimeout(end, LIMIT) : undefined;
    child.on('error', (error) => console.log(`  ${name}: ${error.message}`));
    child.on('close', (status) => {
      clearTimeout(timer);
      running.delete(child.pid);
      resolve({ status, ...result });
    });
  });
}

const number = new Intl.NumberFormat('en');
const line = (figures) =>
  Object.entries(figures)
    .map(([what, count]) => `${number.format(count)} ${what}`)
    .join(', ');

let findings = 0;
const leftOut = [];
const results = new Map();

async function part(name, script, surroundings) {
  const begun = Date.now();
  let command;
  try {
    command = await surroundings();
  } catch (error) {
    if (!(error instanceof NotHere) && !error.code?.startsWith('LAB_')) throw error;
    leftOut.push(name);
    console.log(`${name}: left out: ${error.message}`);
    return;
  }
  const { status, figures, findings: found = 0 } = await run(name, script, command);
  const failed = figures === undefined || (status !== 0 && found === 0);
  findings += failed ? 1 : found;
  if (figures !== undefined) results.set(name, figures);
  const seconds = ((Date.now() - begun) / 1000).toFixed(0);
  const said = figures === undefined ? 'no report' : line(figures);
  const end = failed ? `, ended with status ${status}` : '';
  console.log(`${name}: ${said}, ${found} findings${end} (${seconds} s)`);
}

await Promise.all(
  ROWS.map(async (row) => {
    for (const one of row) {
      if (options.only === undefined || options.only.includes(one[0])) await part(...one);
    }
  }),
);

// The first figure of each part is its main one; a part that ran twice is summed.
const sums = {};
for (const figures of results.values()) {
  const [[what, count] = []] = Object.entries(figures);
  if (what !== undefined) sums[what] = (sums[what] ?? 0) + count;
}
const seconds = ((Date.now() - started) / 1000).toFixed(0);
const missing = leftOut.length > 0 ? `, left out ${leftOut.join(' ')}` : '';
console.log(`torture: ${line(sums)}; ${findings} findings${missing} (seed ${seed}, ${seconds} s)`);
process.exit(findings > 0 || results.size === 0 || (strict && leftOut.length > 0) ? 1 : 0);
