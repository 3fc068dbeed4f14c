/** A recording by iproute2's rtmon, an independent program, replayed. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { subscribe } from '../../lib/index.ts';
import { checkLine } from '../schema.ts';
import { ip, next, ofKind, words } from './support.ts';

const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');
const folder = mkdtempSync(join(tmpdir(), 'rtmon-'));
const file = join(folder, 'recording');

const replay = (...args: string[]) =>
  spawnSync(process.execPath, [program, 'replay', '--protocol', 'route', file, ...args], {
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC', NO_COLOR: '1' },
  });

before(async () => {
  writeFileSync(file, '');
  const rtmon = spawn('rtmon', ['file', file], { stdio: 'ignore' });
  const exited = once(rtmon, 'exit');
  // It begins with a list of all links, and flushes each message.
  while (readFileSync(file).length === 0) await new Promise((resolve) => setImmediate(resolve));
  await using subscription = subscribe({ groups: ['link'] });
  const events = subscription[Symbol.asyncIterator]();
  ip(...words('link set lo up'));
  ip(...words('nexthop add id 7005 dev lo'));
  ip(...words('nexthop del id 7005'));
  ip(...words('link add recorded type bridge'));
  ip(...words('link del recorded'));
  await next(events, ofKind('DELLINK'));
  while (!replay().stdout.includes('DELLINK')) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  rtmon.kill();
  await exited;
});

after(() => rmSync(folder, { recursive: true }));

test('what rtmon recorded is decoded, with its times', () => {
  const { stdout, stderr, status } = replay();
  assert.deepEqual([status, stderr], [0, '']);
  const lines = stdout.trim().split('\n');
  const told = lines.filter((line) => line.includes('recorded'));
  assert.match(told[0] ?? '', /^\d\d:\d\d:\d\d\.\d{3} NEWLINK +recorded index \d+ bridge/);
  assert.match(told.at(-1) ?? '', /^\d\d:\d\d:\d\d\.\d{3} DELLINK +recorded index \d+ bridge/);
  const json = replay('--json').stdout.trim().split('\n');
  for (const line of json) checkLine(line);
  const { time } = JSON.parse(json.at(-1) ?? '');
  assert(Math.abs(Date.parse(time) - Date.now()) < 600_000, time);
});

test('events of next hop objects are events, though they carry the flag of requests', () => {
  const { stdout, status } = replay('kind=NEWNEXTHOP', '--json');
  assert.equal(status, 0);
  const [line = '', ...more] = stdout.trim().split('\n');
  checkLine(line);
  const { kind, nexthop, header } = JSON.parse(line);
  assert.deepEqual([kind, nexthop.id, header.flags & 1, more], ['NEWNEXTHOP', 7005, 1, []]);
  assert.match(replay('kind=DELNEXTHOP').stdout, /DELNEXTHOP id 7005/);
  assert.equal(replay('kind=request').stdout, '');
});

test('messages of rtnetlink are not printed as iproute2 prints those of XFRM', () => {
  const { stderr, status } = replay('-o', 'iproute2');
  assert.equal(status, 2);
  assert.match(stderr, /'-o iproute2' is for XFRM/);
});
