/** What runs the tests (scripts/): events as lines, files of results, the lines that count up. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const script = (name: string) => import(join(import.meta.dirname, '../../../scripts', name));

const failure = Object.assign(new Error('outer', { cause: new TypeError('it is <odd>') }), {
  code: 'ERR_TEST_FAILURE',
  failureType: 'testCodeFailure',
});
const EVENTS = [
  { type: 'test:dequeue', data: { name: 'one', nesting: 0 } },
  { type: 'test:start', data: { name: 'one', nesting: 0 } },
  {
    type: 'test:pass',
    data: { name: 'one', nesting: 0, testNumber: 1, details: { duration_ms: 5 } },
  },
  { type: 'test:start', data: { name: 'two', nesting: 0 } },
  {
    type: 'test:fail',
    data: { name: 'two', nesting: 0, testNumber: 2, details: { duration_ms: 7, error: failure } },
  },
];

test('events are handled by the text printer, whatever else is printed, and keep their errors', async () => {
  const { encodeEvent, decodeEvent } = await script('events.mjs');
  const text = EVENTS.map(({ type, data }) => `half a line${encodeEvent(type, data)}`).join('');
  const lines = text.split('\n').filter((line) => line !== '');
  const events = lines.map(decodeEvent).filter(Boolean) as typeof EVENTS;
  assert.deepEqual(
    events.map(({ type }) => type),
    EVENTS.map(({ type }) => type),
  );
  const last = events.at(-1) as (typeof EVENTS)[number];
  const { error } = last.data.details as { error: typeof failure };
  assert(error instanceof Error && error.cause instanceof Error);
  assert.deepEqual([error.message, error.cause.message], ['outer', 'it is <odd>']);
  assert.equal(error.failureType, 'testCodeFailure');
  assert.equal(lines.length, 2 * EVENTS.length);
});

test('results of lanes are combined into one JUnit or TAP file, leaving no others', async () => {
  const { resultFile } = await script('result-files.mjs');
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    const lanes = [
      { name: 'first', events: EVENTS, seconds: 1, failed: [] },
      { name: 'second', events: [], seconds: 2, failed: ['ended with status 9 and no report'] },
    ];
    for (const format of ['junit', 'tap']) {
      await resultFile(format, join(folder, format)).write(lanes);
    }
    assert.deepEqual(readdirSync(folder).sort(), ['junit', 'tap']);
    const junit = readFileSync(join(folder, 'junit'), 'utf8');
    assert.match(
      junit,
      /<testsuite name="first" [\s\S]*<testcase name="one" [\s\S]*<testcase name="two" /,
    );
    assert.match(junit, /it is &lt;odd/);
    assert.match(junit, /<testcase name="ended with status 9 and no report" /);
    const tap = readFileSync(join(folder, 'tap'), 'utf8');
    assert.match(tap, /^ {4}ok 1 - one\n/m);
    assert.match(
      tap,
      /^ {4}not ok 2 - two\n[\s\S]*^not ok 1 - first\n[\s\S]*^not ok 2 - second\n/m,
    );
    assert.match(tap, /^1\.\.2$/m);
    assert.throws(() => resultFile('tap', join(folder, 'none/such')), { code: 'ENOENT' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the longest lanes run first, and waiting lanes run alongside them', async () => {
  const { schedule } = await script('estimates.mjs');
  const lanes = [
    { name: 'short', seconds: 1 },
    { name: 'long', seconds: 50 },
    { name: 'daemons', seconds: 70, waits: true },
    { name: 'once short', seconds: 2 },
    { name: 'middle' },
  ];
  const order = (estimates: object) => {
    const { queues, expected } = schedule(lanes, 2, estimates);
    const [waiting, first, second, ...more] = queues as { name: string }[][];
    assert.equal(first, second, 'both take from one list');
    assert.deepEqual(more, []);
    const names = [waiting, first].map((queue) => queue?.map(({ name }) => name).join(', '));
    return [...names, expected];
  };
  // Nothing is known yet: by the table.
  assert.deepEqual(order({}), ['daemons', 'long, once short, short, middle', undefined]);
  const last = (seconds: number) => ({ seconds, tests: 1 });
  const all = { short: last(5), long: last(60), 'once short': last(100), middle: last(40) };
  assert.deepEqual(order(all), ['daemons', 'once short, long, middle, short', undefined]);
  // 100 and 5 in parallel with 60 and 40.
  assert.equal(order({ ...all, daemons: last(10) })[2], 105);
  assert.equal(order({ ...all, daemons: last(300) })[2], 300);
});

test('on a terminal the lines of lanes that run are rewritten; elsewhere lines are plain', async () => {
  const { Progress } = await script('progress.mjs');
  const show = (isTTY: boolean) => {
    let text = '';
    const out = {
      isTTY,
      columns: 40,
      write: (more: string) => {
        text += more;
      },
    };
    const progress = new Progress(out, {});
    const lane = {
      name: 'lane',
      begun: Date.now(),
      tests: 3,
      test: 'a test with a long name of its own',
    };
    progress.begin(lane);
    progress.print('said');
    progress.print('said again');
    progress.end(lane, 'lane: 3 passed');
    progress.close();
    return text;
  };
  const terminal = show(true);
  assert.match(terminal, /^said\nlane: 3 tests, 0 s {2}/);
  // One line is erased before each line that follows.
  const erased = '\x1b[1A\r\x1b[J';
  assert(terminal.includes(`${erased}said again\nlane: `));
  assert(terminal.endsWith(`${erased}lane: 3 passed\n`));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
  for (const line of terminal.replace(/\x1b\[\d*[A-Zm]/gi, '').split('\n'))
    assert(line.length < 40);
  assert.equal(show(false), 'lane …\nsaid\nsaid again\nlane: 3 passed\n');
});
