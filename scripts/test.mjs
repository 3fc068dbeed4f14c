// npm test, npm run test:all (--all), npm run test:full (--full): set up, then run the lanes of a set (lanes.mjs),
// as many concurrently as this machine has processors, the longest first.
//
// A lane that runs no test fails. A test that needs something this machine lacks is skipped with its
// reason, and counts as left out unless it ran in another lane, test:all runs it elsewhere, or its lane
// declares that no available kernel can run it. With CI=true only lanes marked optional may be left out.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { decodeEvent } from './events.mjs';
import { root, setup } from './setup.mjs';

const strict = process.env.CI === 'true';
const started = Date.now();
await setup();
const { Command } = await import('commander');
const { SETS } = await import('./lanes.mjs');
const { NotHere, withTools } = await import('./surroundings.mjs');
const { Progress, duration } = await import('./progress.mjs');
const { keepEstimates, readEstimates, schedule } = await import('./estimates.mjs');
const { resultFile } = await import('./result-files.mjs');

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

/** Milliseconds without activity after which a lane is killed. */
const silence = (lane) => (lane.long ? 60 : 15) * 60_000;
/** Time limit of a test file in milliseconds, if each has its own process. */
const LIMIT = 24 * 3600_000;

const progress = new Progress();
const { colors } = progress;
const estimates = readEstimates();

/** Process groups of running lanes, and incomplete files. */
const running = new Set();
const unfinished = new Set();
process.on('exit', () => {
  for (const group of running) process.kill(-group, 'SIGKILL');
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

/** The command that runs the files of a lane. */
function nodeTest({ files, flags = [], together, before }) {
  const reporter = `--test-reporter=${join(root, 'scripts/lane-reporter.mjs')}`;
  const node = [process.execPath, ...flags, reporter];
  if (together) {
    const first = before === undefined ? [] : ['--before', before];
    return [...node, join(root, 'scripts/together.mjs'), ...first, ...files];
  }
  return [...node, '--test', '--test-concurrency=1', `--test-timeout=${LIMIT}`, ...files];
}

/** Whether an event concerns a group of tests: its tests are counted instead, unless the group itself fails. */
const isGroup = (data) => data.details.type === 'suite' || data.name === data.file;

/** Results of a lane, from its events. */
class Tally {
  passed = [];
  failed = [];
  skipped = {};
  events = [];
  /** [seconds, name] of each test. */
  times = [];
  ended = false;

  take(event) {
    const { type, data } = event;
    if (type === 'lane:end') this.ended = true;
    else this.events.push(event);
    if (type !== 'test:pass' && type !== 'test:fail') return undefined;
    const { name, details, skip, todo } = data;
    if (!isGroup(data)) this.times.push([details.duration_ms / 1000, name]);
    if (type === 'test:fail' && details.error?.failureType !== 'subtestsFailed') {
      this.failed.push(name);
      const { cause = details.error } = details.error ?? {};
      const place = `${data.file ?? ''}:${data.line ?? ''}`;
      return `not ok: ${name} (${place})\n${cause?.stack ?? cause?.message ?? cause}`;
    }
    if (type === 'test:fail' || isGroup(data)) return undefined;
    const reason = skip ?? todo;
    if (reason === undefined) this.passed.push(name);
    else {
      const said = typeof reason === 'string' && reason !== '' ? reason : 'no reason given';
      this.skipped[name] = { file: data.file, reason: said };
    }
    return undefined;
  }
}

/** Runs a command to completion, and adds the results of its tests to the tally. */
function run(command, env, lane, tally, output) {
  return new Promise((resolve) => {
    const [program, ...args] = command;
    const child = spawn(program, args, {
      cwd: root,
      env: { ...env, ...lane.env, NODE_TEST_CONTEXT: undefined },
      stdio: ['ignore', 'pipe', 'pipe'],
      // In its own process group, so that all of it can be killed.
      detached: true,
    });
    if (child.pid !== undefined) running.add(child.pid);
    const end = () => {
      output.push(`ended after ${duration(silence(lane) / 1000)} without a sign of life`);
      if (lane.test !== undefined) output.push(`it was in: ${lane.test}`);
      process.kill(-child.pid, 'SIGKILL');
    };
    let timer = setTimeout(end, silence(lane));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        const event = decodeEvent(line);
        if (event === undefined) {
          if (line !== '') output.push(line);
          return;
        }
        clearTimeout(timer);
        timer = setTimeout(end, silence(lane));
        // If each file has its own process, the process is named by the path.
        if (event.type === 'test:dequeue') lane.test = event.data.name.replace(`${root}/`, '');
        const text = tally.take(event);
        lane.tests = tally.times.length;
        if (text !== undefined) output.push(...text.split('\n'));
      });
    }
    child.on('error', (error) => output.push(error.message));
    child.on('close', (status) => {
      clearTimeout(timer);
      running.delete(child.pid);
      resolve(status);
    });
  });
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
  const { passed, skipped, events, times } = tally;
  lanes.push({
    ...tally,
    name,
    seconds,
    events,
    beyond: lane.beyond ?? [],
    failed: [...tally.failed, ...failed],
    own: failed,
  });
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
async function worker(queue) {
  for (let lane = queue.shift(); lane !== undefined; lane = queue.shift()) {
    await runLane(lane, env);
  }
}
await Promise.all(queues.map(worker));
progress.close();
keepEstimates(estimates);

/** Number of tests that cannot run on this machine, but run elsewhere with test:all. */
let leftToAll = 0;
/** Tests that no available kernel can run. */
const beyond = [];
const ran = new Set(lanes.flatMap(({ passed, failed }) => [...passed, ...failed]));
const filesOf = (set) =>
  SETS[set].filter(({ env }) => env?.NETLINK_XFRM_REQUIRE).flatMap(({ files }) => files);
const [inLabHere, inLabWithAll] = [filesOf(set), filesOf('all')];
for (const { name, skipped, beyond: declared } of lanes) {
  for (const [test, { file, reason }] of Object.entries(skipped)) {
    if (ran.has(test)) continue;
    if (declared.includes(test)) {
      beyond.push(`${test}: ${reason}`);
      continue;
    }
    if (set === 'test' && !inLabHere.includes(file) && inLabWithAll.includes(file)) leftToAll++;
    else leftOut.push(`${test} (${name}): ${reason}`);
  }
}

const slowest = lanes
  .flatMap(({ name, times }) => times.map(([seconds, test]) => ({ seconds, test, name })))
  .sort((a, b) => b.seconds - a.seconds)
  .slice(0, 10);
console.log('slowest tests:');
for (const { seconds, test, name } of slowest) {
  console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${test} ${colors.dim(`(${name})`)}`);
}
console.log('lanes:');
for (const { name, seconds, passed } of lanes) {
  console.log(`  ${seconds.toFixed(0).padStart(6)} s  ${name}: ${passed.length} passed`);
}
for (const { name, failed } of lanes) {
  for (const test of failed) console.log(colors.red(`failed: ${test} (${name})`));
}
if (leftToAll > 0)
  console.log(`left to npm run test:all, which runs them in the lab: ${leftToAll}`);
for (const text of beyond) console.log(`no kernel of the lab can run it: ${text}`);
for (const text of optional) console.log(`left out, which is no failure: ${text}`);
for (const text of leftOut) console.log(`left out: ${text}`);
for (const file of results) {
  await file.write(lanes.map(({ own, ...lane }) => ({ ...lane, failed: own })));
  unfinished.delete(file.part);
}
const count = (of) => lanes.reduce((all, one) => all + one[of].length, 0);
const total = duration((Date.now() - started) / 1000);
console.log(`${total} in ${counted(lanes.length)}`);
console.log(`${count('passed')} passed, ${count('failed')} failed, ${leftOut.length} skipped`);
process.exit(count('failed') > 0 || lanes.length === 0 || (strict && leftOut.length > 0) ? 1 : 0);
