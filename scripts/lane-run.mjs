// Runs the test files of a lane as one command, and counts their results.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { decodeEvent } from './events.mjs';
import { duration } from './progress.mjs';
import { root } from './setup.mjs';

/** Milliseconds without activity after which a lane is killed. */
const silence = (lane) => (lane.long ? 60 : 15) * 60_000;
/** Time limit of a test file in milliseconds, if each has its own process. */
const LIMIT = 24 * 3600_000;

/** Process groups of running lanes. */
const running = new Set();
process.on('exit', () => {
  for (const group of running) process.kill(-group, 'SIGKILL');
});

/** The command that runs the files of a lane. */
export function nodeTest({ files, flags = [], together, before }) {
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

/** Whether an event is the failure of a test, and not of a group because of the tests in it. */
const isFailure = ({ type, data }) =>
  type === 'test:fail' && data.details.error?.failureType !== 'subtestsFailed';

/** The results of a lane, from its events. */
export class Tally {
  passed = [];
  /** { name, file, text } of each failed test. */
  failed = [];
  skipped = {};
  events = [];
  /** [seconds, name] of each test. */
  times = [];
  ended = false;

  /** Returns the text of a failure. */
  take(event) {
    const { type, data } = event;
    if (type === 'lane:end') this.ended = true;
    else this.events.push(event);
    if (type !== 'test:pass' && type !== 'test:fail') return undefined;
    const { name, details, skip, todo, file } = data;
    if (!isGroup(data)) this.times.push([details.duration_ms / 1000, name]);
    if (isFailure(event)) {
      const { cause = details.error } = details.error ?? {};
      const place = `${file ?? ''}:${data.line ?? ''}`;
      const text = `not ok: ${name} (${place})\n${cause?.stack ?? cause?.message ?? cause}`;
      this.failed.push({ name, file, text });
      return text;
    }
    if (type === 'test:fail' || isGroup(data)) return undefined;
    const reason = skip ?? todo;
    if (reason === undefined) this.passed.push(name);
    else {
      const said = typeof reason === 'string' && reason !== '' ? reason : 'no reason given';
      this.skipped[name] = { file, reason: said };
    }
    return undefined;
  }
}

/** Runs a command to completion, and adds the results of its tests to the tally. */
export function run(command, env, lane, tally, output) {
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
