// npm test: set up, then all lanes of tests, each in the surroundings it needs.
// npm run test:all (--all): the lanes that take longer.
//
// A lane that runs no test fails. A test that needs something this machine lacks is skipped with
// its reason, and counts as left out unless it ran in another lane, or is of a file that test:all
// runs in the lab. With CI=true nothing may be left out.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { LANE_MARK } from './lane-reporter.mjs';
import { root, setup } from './setup.mjs';
import { NotHere, unshare, withTools } from './surroundings.mjs';

const strict = process.env.CI === 'true';
const started = Date.now();
const wrong = process.argv.slice(2).find((argument) => argument !== '--all');
if (wrong !== undefined) {
  console.error(`npm test knows no '${wrong}'; CONTRIBUTING.md tells how to run one file.`);
  process.exit(2);
}
const all = process.argv.includes('--all');
/** Milliseconds a lane may take, and of the tests that take long, a test. */
const LIMIT = (all ? 50 : 15) * 60_000;
await setup();
const { prepareLab } = await import('../dist/lib/lab/index.js');

/** The compiled test files of a folder. An expanded list: Node 20 and 24 differ on globs. */
function files(folder) {
  const path = join(root, 'dist/test', folder);
  return readdirSync(path)
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(path, name));
}

/**
 * Whether only test:all runs a file in the lab: tests of sockets and of rtnetlink hardly need its
 * IPsec, and those of the command start many processes, which takes seconds each there.
 */
const later = (path) => /^(socket|route|command)-/.test(basename(path));

/** The command that runs files of tests, so many at a time. */
function nodeTest(paths, { flags = [], timeout = 180_000, concurrency = 1 } = {}) {
  const reporter = join(root, 'scripts/lane-reporter.mjs');
  const limits = [`--test-concurrency=${concurrency}`, `--test-timeout=${timeout}`];
  return [process.execPath, ...flags, '--test', ...limits, `--test-reporter=${reporter}`, ...paths];
}

const EXPOSE_GC = { flags: ['--expose-gc'] };

/** Process groups of the lanes that are running. */
const running = new Set();
process.on('exit', () => {
  for (const group of running) process.kill(-group, 'SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** Runs a lane's command, and gives its output and the line of its reporter. */
function run(command, env) {
  return new Promise((resolve) => {
    const [program, ...args] = command;
    const child = spawn(program, args, {
      cwd: root,
      env: { ...env, NODE_TEST_CONTEXT: undefined },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that all of it can be ended.
      detached: true,
    });
    const output = [];
    let result;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        if (line.startsWith(LANE_MARK)) result = JSON.parse(line.slice(LANE_MARK.length));
        else output.push(line);
      });
    }
    if (child.pid !== undefined) running.add(child.pid);
    const timer = setTimeout(() => {
      output.push(`not ended after ${LIMIT / 60_000} minutes`);
      process.kill(-child.pid, 'SIGKILL');
    }, LIMIT);
    child.on('error', (error) => output.push(error.message));
    child.on('close', (status) => {
      clearTimeout(timer);
      running.delete(child.pid);
      resolve({ status, result, output });
    });
  });
}

const lanes = [];
const leftOut = [];

async function lane(name, command, env = process.env) {
  const begun = Date.now();
  console.log(`${name} …`);
  const { status, result, output } = await run(command, env);
  const { passed = [], failed = [], skipped = {} } = result ?? {};
  if (result === undefined) failed.push(`${name}: ended with status ${status} and no report`);
  else if (passed.length + failed.length === 0) failed.push(`${name}: ran no test`);
  else if (status !== 0 && failed.length === 0) failed.push(`${name}: status ${status}`);
  lanes.push({ name, passed, failed, skipped });
  for (const line of output) console.log(`  ${line}`);
  const seconds = ((Date.now() - begun) / 1000).toFixed(0);
  const more = Object.keys(skipped).length;
  console.log(
    `${name}: ${passed.length} passed, ${failed.length} failed${more ? `, ${more} not possible here` : ''} (${seconds} s)`,
  );
}

async function labLane(suite, paths, env) {
  const progress = (text) => console.error(text);
  const kernel = await prepareLab({ suite, progress });
  const command = join(root, 'bin/netlink-xfrm.js');
  const lab = [process.execPath, command, 'lab', '--timeout', String(LIMIT / 1000)];
  await lane(
    `kernel tests on Linux ${kernel.release} (lab, ${kernel.suite})`,
    [...lab, '--suite', kernel.suite, '--', ...nodeTest(paths, EXPOSE_GC)],
    { ...env, NETLINK_XFRM_REQUIRE: 'esp' },
  );
}

/** Runs a part. One that can't run on this machine is left out with its reason. */
async function part(name, work) {
  try {
    await work();
  } catch (error) {
    const reason = [error.message, error.hint].filter(Boolean).join(' ');
    if (error instanceof NotHere || error.code?.startsWith('LAB_'))
      leftOut.push(`${name}: ${reason}`);
    else lanes.push({ name, passed: [], failed: [`${name}: ${error.stack}`], skipped: {} });
  }
}

let env = process.env;
await part('iproute2', async () => {
  env = await withTools();
});
/** Lanes one after the other. The lab's kernel has one processor, so two such rows go side by side. */
async function row(...works) {
  for (const work of works) await work();
}

const inLab = (name, suite, paths) => () => part(name, () => labLane(suite, paths, env));
const plain = (name, folder, options) => () =>
  part(name, () => lane(name, nodeTest(files(folder), options), env));

const kernel = files('kernel');
if (all) {
  await Promise.all([
    row(
      inLab("kernel tests on trixie's kernel", 'trixie', [...kernel, ...files('recent')]),
      inLab("kernel tests on sid's kernel", 'sid', [...kernel, ...files('recent')]),
    ),
    row(
      plain('tests that take long', 'all', { timeout: LIMIT }),
      inLab('the other kernel tests in the lab', undefined, kernel.filter(later)),
    ),
  ]);
} else {
  await Promise.all([
    row(
      inLab(
        'kernel tests in the lab',
        undefined,
        kernel.filter((path) => !later(path)),
      ),
      plain('tests of the lab', 'lab'),
      () =>
        part('building without a network', async () => {
          await lane(
            'building without a network',
            [...(await unshare()), ...nodeTest(files('build'))],
            env,
          );
        }),
    ),
    row(
      // The row of the lab has time to spare.
      plain('unit tests', 'unit', { concurrency: 2 }),
      () =>
        part('kernel tests on this kernel', async () => {
          const here = [...(await unshare()), ...nodeTest(kernel, EXPOSE_GC)];
          await lane('kernel tests on this kernel', here, env);
        }),
    ),
  ]);
}

/** How many tests need what this machine lacks, and run with test:all. */
let leftToAll = 0;
const ran = new Set(lanes.flatMap(({ passed, failed }) => [...passed, ...failed]));
for (const { name, skipped } of lanes) {
  for (const [test, { file, reason }] of Object.entries(skipped)) {
    if (ran.has(test)) continue;
    if (!all && later(file)) leftToAll++;
    else leftOut.push(`${test} (${name}): ${reason}`);
  }
}
const count = (of) => lanes.reduce((all, one) => all + one[of].length, 0);
for (const { name, failed } of lanes) {
  for (const test of failed) console.log(`failed: ${test} (${name})`);
}
if (leftToAll > 0)
  console.log(`left to npm run test:all, which runs them in the lab: ${leftToAll}`);
for (const text of leftOut) console.log(`left out: ${text}`);
console.log(`${((Date.now() - started) / 1000).toFixed(0)} s in ${lanes.length} lanes`);
console.log(`${count('passed')} passed, ${count('failed')} failed, ${leftOut.length} skipped`);
process.exit(count('failed') > 0 || lanes.length === 0 || (strict && leftOut.length > 0) ? 1 : 0);
