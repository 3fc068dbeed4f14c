/** What the daemon keeps: histories in bounded rings, and the state file. */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TunnelSeries } from '../../lib/metrics/tunnel-series.ts';
import { AT } from '../../lib/metrics/tunnel-totals.ts';
import { DEFAULTS } from '../../lib/serve/config.ts';
import { History, STEP } from '../../lib/serve/history.ts';
import { LifeCycle } from '../../lib/serve/life-cycle.ts';
import { Service } from '../../lib/serve/service.ts';
import { StateFile } from '../../lib/serve/state-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-state-'));
after(() => rmSync(folder, { recursive: true }));
const NOW = 1_800_000_000_000;

test('a history holds the last hour, and the state before it', () => {
  const history = new History();
  const series = new TunnelSeries('paris', NOW);
  Object.assign(series, { tunnel: { id: 'paris' }, current: true });
  history.state('paris', NOW, 'up', 'as it should be');
  history.state('paris', NOW + 1, 'up', 'again');
  for (let i = 0; i < 200; i++) {
    series.totals.sums[AT.bytesIn] = i;
    history.sample([series], NOW + i * STEP);
    // Too early for another one.
    history.sample([series], NOW + i * STEP + STEP / 2);
  }
  history.state('paris', NOW + 100 * STEP, 'down', 'gone');
  history.rekeyed('paris', NOW + 50 * STEP);
  const all = history.since('paris', 0);
  assert.equal(all?.traffic.length, 120);
  assert.deepEqual(all?.traffic.at(-1), [NOW + 199 * STEP, 199, 0]);
  assert.deepEqual(
    all?.states.map(([, state]) => state),
    ['up', 'down'],
  );
  const late = history.since('paris', NOW + 150 * STEP);
  assert.deepEqual(
    late?.states.map(([, state]) => state),
    ['down'],
  );
  assert.deepEqual([late?.rekeys, late?.traffic.length], [[], 50]);
  for (let i = 0; i < 1000; i++) history.state('paris', NOW + i, i % 2 ? 'up' : 'down', '');
  for (let i = 0; i < 1000; i++) history.rekeyed('paris', NOW + i);
  const bounded = history.since('paris', 0);
  assert.deepEqual([bounded?.states.length, bounded?.rekeys.length], [64, 64]);
  history.remove('paris');
  assert.equal(history.since('paris', 0), undefined);
});

test('a tunnel added later has no earlier samples', () => {
  const history = new History();
  const early = Object.assign(new TunnelSeries('a', NOW), { tunnel: { id: 'a' }, current: true });
  const later = Object.assign(new TunnelSeries('b', NOW), { tunnel: { id: 'b' }, current: true });
  history.sample([early as TunnelSeries], NOW);
  history.sample([early, later] as TunnelSeries[], NOW + STEP);
  assert.equal(history.since('a', 0)?.traffic.length, 2);
  assert.deepEqual(history.since('b', 0)?.traffic, [[NOW + STEP, 0, 0]]);
  // A clock that was set back does not stop it.
  history.sample([early, later] as TunnelSeries[], NOW - 1_000_000);
  assert.equal(history.since('b', 0)?.traffic.length, 2);
});

const SERIES = { label: 'paris', countingSince: NOW, sums: [1, 2, 3], downs: [0, 4] };
const saved = (isLast = true) => ({
  namespaces: new Map([
    [null, [SERIES]],
    ['red', [SERIES]],
  ]),
  isLast,
});
const never = (why: string) => assert.fail(why);

test('saved state is read back, and only its owner may read the file', async () => {
  const directory = join(folder, 'new/deeper');
  const file = new StateFile(directory);
  assert.equal(file.read(never), undefined);
  await Promise.all([file.write(saved(false), NOW), file.write(saved(), NOW)]);
  await file.write(saved(), NOW);
  assert.deepEqual(new StateFile(directory).read(never), saved());
  const [name, ...more] = readdirSync(directory).filter((one) => !one.endsWith('.tmp'));
  assert.deepEqual(more, []);
  assert.equal(statSync(join(directory, String(name))).mode & 0o777, 0o600);
});

test('a damaged file is set aside and reported', async () => {
  const directory = join(folder, 'damaged');
  const path = join(directory, 'serve-state.ndjson');
  const file = new StateFile(directory);
  await file.write(saved(), NOW);
  const good = readFileSync(path, 'utf8');
  const bad = {
    'cut off': good.slice(0, -10),
    'cut at a line': good.slice(0, good.indexOf('\n') + 1),
    empty: '',
    'a bit': good.replace('paris', 'pasis'),
    'something else': '{"format":"x"}\n',
    binary: '\0\0\0\0',
  };
  for (const [what, text] of Object.entries(bad)) {
    writeFileSync(path, text);
    const told: string[] = [];
    assert.equal(
      new StateFile(directory).read((why, kept) => told.push(why, kept)),
      undefined,
      what,
    );
    assert.deepEqual(told, ['its checksum does not match its content', `${path}.damaged`], what);
    assert.equal(readFileSync(`${path}.damaged`, 'utf8'), text);
    assert.equal(new StateFile(directory).read(never), undefined);
  }
});

test('a failed write leaves the old file in place', async () => {
  const directory = join(folder, 'failing');
  const file = new StateFile(directory);
  await file.write(saved(), NOW);
  const broken = function* () {
    yield SERIES;
    throw new Error('of a test');
  };
  await assert.rejects(
    file.write({ namespaces: new Map([[null, broken()]]), isLast: true }, NOW),
    /of a test/,
  );
  // Nor does it leave a part of the new one.
  assert.deepEqual(readdirSync(directory), ['serve-state.ndjson']);
  assert.deepEqual(new StateFile(directory).read(never), saved());
});

test('an unusable directory is rejected at startup', () => {
  const path = join(folder, 'a-file');
  writeFileSync(path, '');
  assert.throws(() => new StateFile(path), /EEXIST|ENOTDIR/);
  const inPlace = join(folder, 'in-place');
  mkdirSync(join(inPlace, 'serve-state.ndjson'), { recursive: true });
  assert.throws(
    () => new StateFile(inPlace).read(never),
    /serve-state\.ndjson is not a regular file$/,
  );
  const temporary = join(folder, 'temporary');
  mkdirSync(join(temporary, 'serve-state.ndjson.tmp'), { recursive: true });
  assert.throws(() => new StateFile(temporary), /EISDIR.*serve-state\.ndjson\.tmp/);
});

test('a daemon that starts does not disturb another that is writing', async () => {
  const directory = join(folder, 'shared');
  const file = new StateFile(directory);
  const slow = function* () {
    for (let i = 0; i < 1000; i++) yield { ...SERIES, label: 'x'.repeat(1000) };
    new StateFile(directory);
    yield SERIES;
  };
  await file.write({ namespaces: new Map([[null, slow()]]), isLast: true }, NOW);
  const found = new StateFile(directory).read(never);
  assert.equal([...(found?.namespaces.get(null) ?? [])].length, 1001);
});

test('namespaces that never come back are forgotten, the oldest first', () => {
  const service = new Service(DEFAULTS, new LifeCycle());
  const names = Array.from({ length: 1500 }, (_, i) => `n${i}`);
  service.restore({ namespaces: new Map(names.map((name) => [name, [SERIES]])), isLast: true });
  assert.deepEqual([...service.save(true).namespaces.keys()], names.slice(500));
});

test('a directory that was removed is made again', async () => {
  const directory = join(folder, 'removed');
  const file = new StateFile(directory);
  rmSync(directory, { recursive: true });
  await file.write(saved(), NOW);
  assert.deepEqual(new StateFile(directory).read(never), saved());
});
