// npm test, npm run test:all (--all), npm run test:full (--full): set up, then run the lanes of a set (lanes.mjs),
// as many concurrently as this machine has processors, the longest first.
//
// A lane that runs no test fails. A test that needs something this machine lacks is skipped with its
// reason, and counts as left out unless it ran in another lane, test:all runs it elsewhere, or its lane
// declares that no available kernel can run it. With CI=true only lanes marked optional may be left out.
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setup } from './setup.mjs';

const strict = process.env.CI === 'true';
const started = Date.now();
await setup();
const { Command } = await import('commander');
const { SETS } = await import('./lanes.mjs');
const { NotHere, withTools } = await import('./surroundings.mjs');
const { Progress, duration } = await import('./progress.mjs');
const { keepEstimates, readEstimates, schedule } = await import('./estimates.mjs');
const { resultFile } = await import('./result-files.mjs');
const { nodeTest, run, Tally } = await import('./lane-run.mjs');
const { filesToRepeat, MOST, repeat, withoutChance } = await import('./repeat.mjs');

const options = new Command('npm test --')
  .description('Run the tests. CONTRIBUTING.md says what runs where, and how to run one file.')
  .option('--all', 'the lanes that take longer (npm run test:all)')
  .option('--full', 'the lanes of the full kernel (npm run test:full)')
  .option('--only <text>', 'only lanes whose name holds it')
  .option('--junit <file>', 'write the results as JUnit XML')
  .option('--tap <file>', 'write the results as TAP')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse()
  .opts();
const set = options.full ? 'full' : options.all ? 'all' : 'test';
const chosen = SETS[set].filter(({ name }) => name.includes(options.only ?? ''));
if (chosen.length === 0) {
  console.error(`npm test: no lane of ${Object.keys(SETS)} is named so: ${options.only ?? set}`);
  process.exit(2);
}

const progress = new Progress();
const { colors } = progress;
const estimates = readEstimates();

/** Incomplete result files. */
const unfinished = new Set();
process.on('exit', () => {
  for (const path of unfinished) rmSync(path, { force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** Requested result files. */
const results = [];
for (const format of ['junit', 'tap']) {
  if (options[format] === undefined) continue;
  try {
    const file = resultFile(format, options[format]);
    unfinished.add(file.part);
    results.push(file);
  } catch (error) {
    console.error(`npm test: --${format}: ${error.message}`);
    process.exit(2);
  }
}

const lanes = [];
const leftOut = [];
/** Optional lanes that were left out. */
const optional = [];

async function runLane(lane, env) {
  const { name } = lane;
  const tally = new Tally();
  const output = [];
  /** Failures of the lane itself. */
  const failed = [];
  const shown = {
    name,
    begun: Date.now(),
    tests: 0,
    last: estimates[name],
    env: lane.env,
    long: lane.long,
  };
  progress.begin(shown);
  try {
    const command = [...(await lane.place()), ...nodeTest(lane)];
    const status = await run(command, env, shown, tally, output);
    const ran = tally.passed.length + tally.failed.length;
    if (!tally.ended) failed.push(`ended with status ${status} and no report`);
    else if (ran === 0) failed.push('ran no test');
    else if (status !== 0 && tally.failed.length === 0) failed.push(`status ${status}`);
    for (const test of lane.beyond ?? []) {
      if (!tally.passed.includes(test)) continue;
      failed.push(`ran after all: ${test}. Take it off the list in scripts/lanes.mjs.`);
    }
    if (!tally.ended && shown.test !== undefined) output.push(`it was in: ${shown.test}`);
  } catch (error) {
    if (error instanceof NotHere || error.code?.startsWith('LAB_')) {
      const reason = [error.message, error.hint].filter(Boolean).join(' ');
      (lane.optional ? optional : leftOut).push(`${name}: ${reason}`);
      progress.end(shown, `${name}: ${colors.yellow('left out')}: ${reason}`);
      return;
    }
    failed.push(error.stack);
  }
  const seconds = (Date.now() - shown.begun) / 1000;
  const { passed, skipped, times } = tally;
  lanes.push({ lane, tally, seconds, own: failed, unsteady: [] });
  const bad = tally.failed.length + failed.length;
  const more = Object.keys(skipped).length;
  const counts = [
    `${passed.length} passed`,
    bad > 0 ? colors.red(`${bad} failed`) : '0 failed',
    ...(more > 0 ? [`${more} not possible here`] : []),
  ];
  if (tally.ended && times.length > 0) estimates[name] = { seconds, tests: times.length };
  for (const text of failed) output.push(text);
  const said = output.map((line) => `  ${name}: ${line}\n`).join('');
  progress.end(shown, `${said}${name}: ${counts.join(', ')} (${duration(seconds)})`);
}

let env = process.env;
try {
  env = await withTools();
} catch (error) {
  if (!error.code?.startsWith('LAB_')) throw error;
  leftOut.push(`iproute2: ${error.message} ${error.hint}`);
}

const slots = Math.min(availableParallelism(), 4);
const { queues, expected } = schedule(chosen, slots, estimates);
const counted = (number) => `${number} lane${number === 1 ? '' : 's'}`;
const wait = expected === undefined ? '' : `: about ${duration(expected)} by the last run`;
progress.print(`${counted(chosen.length)}, ${slots} at a time${wait}`);

/** Repeats what may have failed by chance, one lane after the other. */
async function repeatFailures() {
  if (lanes.reduce((all, { tally }) => all + tally.failed.length, 0) > MOST) return;
  for (const result of lanes) {
    const { lane, tally } = result;
    const files = tally.failed.length > 0 ? filesToRepeat(result) : undefined;
    if (files === undefined) continue;
    progress.print(`${lane.name}: repeating ${tally.failed.map(({ name }) => name).join(', ')} …`);
    const output = [];
    const steady = await repeat(result, files, env, output);
    for (const line of output) progress.print(`  ${lane.name}: ${line}`);
    const names = steady.map(({ name }) => name);
    result.unsteady = steady;
    tally.failed = tally.failed.filter((one) => !steady.includes(one));
    tally.passed.push(...names);
    if (tally.failed.length === 0) tally.events = withoutChance(tally.events, names);
  }
}

async function worker(queue) {
  for (let lane = queue.shift(); lane !== undefined; lane = queue.shift()) {
    await runLane(lane, env);
  }
}
await Promise.all(queues.map(worker));
await repeatFailures();
progress.close();
keepEstimates(estimates);

/** Number of tests that cannot run on this machine, but run elsewhere with test:all. */
let leftToAll = 0;
/** Tests that no available kernel can run. */
const beyond = [];
const namesOf = ({ failed }) => failed.map(({ name }) => name);
const ran = new Set(lanes.flatMap(({ tally }) => [...tally.passed, ...namesOf(tally)]));
const filesOf = (set) =>
  SETS[set].filter(({ env }) => env?.NETLINK_XFRM_REQUIRE).flatMap(({ files }) => files);
const [inLabHere, inLabWithAll] = [filesOf(set), filesOf('all')];
for (const { lane, tally } of lanes) {
  for (const [test, { file, reason }] of Object.entries(tally.skipped)) {
    if (ran.has(test)) continue;
    if (lane.beyond?.includes(test)) {
      beyond.push(`${test}: ${reason}`);
      continue;
    }
    if (set === 'test' && !inLabHere.includes(file) && inLabWithAll.includes(file)) leftToAll++;
    else leftOut.push(`${test} (${lane.name}): ${reason}`);
  }
}

const slowest = lanes
  .flatMap(({ lane, tally }) =>
    tally.times.map(([seconds, test]) => ({ seconds, test, name: lane.name })),
  )
  .sort((a, b) => b.seconds - a.seconds)
  .slice(0, 10);
console.log('slowest tests:');
for (const { seconds, test, name } of slowest) {
  console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${test} ${colors.dim(`(${name})`)}`);
}
console.log('lanes:');
for (const { lane, seconds, tally } of lanes) {
  console.log(`  ${seconds.toFixed(0).padStart(6)} s  ${lane.name}: ${tally.passed.length} passed`);
}
if (leftToAll > 0)
  console.log(`left to npm run test:all, which runs them in the lab: ${leftToAll}`);
for (const text of beyond) console.log(`no kernel of the lab can run it: ${text}`);
for (const text of optional) console.log(`left out, which is no failure: ${text}`);
for (const text of leftOut) console.log(`left out: ${text}`);
/** Why tests failed, once more, where it is found: at the end. */
const why = (failures, lane) => {
  for (const { text } of failures) console.log(text.replace(/^/gm, `  ${lane.name}: `));
};
for (const { lane, tally, unsteady } of lanes) {
  why([...tally.failed, ...unsteady], lane);
}
for (const { lane, unsteady } of lanes) {
  for (const { name } of unsteady)
    console.log(colors.yellow(`failed, and passed when repeated: ${name} (${lane.name})`));
}
for (const { lane, tally, own } of lanes) {
  for (const test of [...namesOf(tally), ...own])
    console.log(colors.red(`failed: ${test} (${lane.name})`));
}
for (const file of results) {
  await file.write(
    lanes.map(({ lane, tally, seconds, own }) => ({
      name: lane.name,
      events: tally.events,
      seconds,
      failed: own,
    })),
  );
  unfinished.delete(file.part);
}
const sum = (of) => lanes.reduce((all, one) => all + of(one), 0);
const passed = sum(({ tally }) => tally.passed.length);
const failed = sum(({ tally, own }) => tally.failed.length + own.length);
const unsteady = sum((one) => one.unsteady.length);
const total = duration((Date.now() - started) / 1000);
console.log(`${total} in ${counted(lanes.length)}`);
const repeated = unsteady > 0 ? ` (${unsteady} when repeated)` : '';
console.log(`${passed} passed${repeated}, ${failed} failed, ${leftOut.length} skipped`);
process.exit(failed > 0 || lanes.length === 0 || (strict && leftOut.length > 0) ? 1 : 0);
