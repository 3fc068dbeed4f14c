/** Times and durations on the command line: how they are written, and what is said of those that cannot be meant. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MOMENT_HELP, parseMoment } from '../../lib/cli/moment.ts';
import { wholeProgram } from '../../lib/cli/subcommands.ts';
import { runCommand } from '../warm-command.ts';
import { capture } from './captures.ts';
import { cooked, pcap } from './pcap.ts';

const { commands } = await wholeProgram();
const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-times-'));
after(() => rmSync(folder, { recursive: true }));

test('times are written as people do', () => {
  const now = Date.parse('2026-11-29T10:00:00Z');
  const recorded = { from: now - 3_600_000, to: now };
  const fromNow = { from: now, to: Number.POSITIVE_INFINITY };
  const unknown = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY };
  const at = (hours: number, minutes: number, seconds = 0, ms = 0, day = 29) =>
    new Date(2026, 10, day, hours, minutes, seconds, ms).getTime();
  assert.equal(parseMoment('start', recorded), recorded.from);
  assert.equal(parseMoment('end', recorded), now);
  assert.equal(parseMoment('-5m', recorded), now - 300_000);
  assert.equal(parseMoment('+90s', recorded), recorded.from + 90_000);
  assert.equal(parseMoment('+1h30m', fromNow), now + 5_400_000);
  // Dates, alike everywhere; without a zone, local time.
  for (const bounds of [recorded, fromNow, unknown]) {
    const parse = (text: string) => parseMoment(text, bounds);
    assert.equal(parse('2026-11-29T03:12:00Z'), Date.UTC(2026, 10, 29, 3, 12));
    assert.equal(parse('2026-11-29 03:12:00.5+01:00'), Date.UTC(2026, 10, 29, 2, 12, 0, 500));
    assert.equal(parse('2026-11-29'), at(0, 0));
    assert.equal(parse('2026-11-29 03:12'), at(3, 12));
    for (const text of ['', 'x', '2026-13-01', '2026-11-29T', '2026-11-29 3:12', '+x', '1e9']) {
      assert.throws(() => parse(text), { message: `It must be a time: ${MOMENT_HELP}.` });
    }
    for (const text of ['24:00', '3:60', '3:12:60', '3:1', '2026-02-29', '2026-11-31T03:12Z']) {
      assert.throws(() => parse(text), /It must be a time: 2026-/, text);
    }
    assert.equal(parse('2028-02-29T00:00Z'), Date.UTC(2028, 1, 29));
    assert.throws(() => parse('5m'), /It must be a time \(\+5m or -5m\): 2026-/);
  }
  // A time of day: the last one before the end, or the next one.
  const end = { ...recorded, to: at(10, 0) };
  assert.equal(parseMoment('3:12', end), at(3, 12));
  assert.equal(parseMoment('10:00', end), at(10, 0));
  assert.equal(parseMoment('10:00:00.001', end), at(10, 0, 0, 1, 28));
  const next = { ...fromNow, from: at(10, 0) };
  assert.equal(parseMoment('10:00', next), at(10, 0));
  assert.equal(parseMoment('09:59:59', next), at(9, 59, 59, 0, 30));
  assert.equal(parseMoment('23:12:01', next), at(23, 12, 1));
  // What is relative to something unknown.
  for (const text of ['-5m', 'end']) {
    assert.throws(() => parseMoment(text, fromNow), /depends on the end, which is not known here/);
  }
  for (const text of ['start', '+5m', 'end', '-5m', '03:12']) {
    assert.throws(() => parseMoment(text, unknown), /depends on the .*, which is not known here/);
  }
});

const named = (command: string, long: string) =>
  commands.find((one) => one.name() === command)?.options.some((option) => option.long === long);
const usage = (command: string) => (command === 'check' ? 3 : 2);

test('what is no time, duration or size is wrong usage, of every option that takes one', () => {
  const wrong = ['nonsense', '', '25:99', '1x', '3cats', '-', '+', '2026-02-30', 'NaN'];
  const checked = new Set<string>();
  const parsers = new Set<unknown>();
  for (const command of commands) {
    for (const { long, short, flags, hidden, parseArg } of command.options) {
      if (hidden || !/<(time|duration|size|seconds)>/.test(flags)) continue;
      // Everything that is wrong once for each parser: a command may be a process.
      for (const text of parsers.has(parseArg) ? wrong.slice(0, 1) : wrong) {
        const line = [command.name(), `${long}=${text}`];
        const { status, stdout, stderr } = runCommand(line);
        const flag = short ? `${short}, ${long}` : long;
        assert.match(stdout + stderr, new RegExp(`option '${flag} <\\w+>' argument `), `${line}`);
        assert.match(stdout + stderr, /is invalid\. It must /, `${line}`);
        assert.equal(status, usage(command.name()), `${line}`);
        checked.add(long as string);
      }
      parsers.add(parseArg);
    }
  }
  const TAKEN = [
    '--at',
    '--from',
    '--to',
    '--until',
    '--for',
    '--ring',
    '--snapshots',
    '--timeout',
  ];
  for (const one of TAKEN) assert(checked.has(one), one);
  for (const places of [
    ['x.nxr@nonsense', '@end'],
    ['x.nxr@start', '@25:99'],
  ]) {
    const { status, stderr } = runCommand(['diff', ...places]);
    assert.match(stderr, /is invalid for argument '(before|after)'\. It must be a time: /);
    assert.equal(status, 2);
  }
  const never = runCommand(['record', '-o', join(folder, 'never.nxr'), '--snapshots', '0']);
  assert.equal(never.stderr, 'netlink-xfrm: --snapshots must be more than 0\n');
  assert.equal(never.status, 2);
});

test('a part that ends before it begins is wrong usage; one that was not recorded is a failure', () => {
  const packets = Array.from({ length: 4 }, () => cooked(6, capture('uml-6.1/flushsa.event0')));
  const packed = join(folder, 'all.pcap');
  writeFileSync(packed, pcap(packets));
  const file = join(folder, 'all.nxr');
  assert.equal(runCommand(['convert', packed, file]).status, 0);
  const output = join(folder, 'out.pcapng');
  const of = ['--recording', file];
  const lines = [
    ['state', ...of],
    ['policy', ...of],
    ['tunnels', ...of],
    ['check', ...of],
    ['why', '10.0.0.1 > 10.0.0.2', ...of],
    ['timeline', file],
    ['replay', file],
    ['replay', packed],
    ['convert', file, output],
    ['convert', packed, output],
  ];
  for (const long of ['--at', '--from', '--to']) {
    const taking = commands.map((one) => one.name()).filter((name) => named(name, long));
    assert.deepEqual(
      taking.filter((name) => !lines.some(([one]) => one === name)),
      [],
      `not tested: ${long} of them`,
    );
  }
  const day = '1970-01-12';
  const fails = (line: readonly string[], status: number, reason: RegExp) => {
    const outcome = runCommand(line);
    assert.match(outcome.stdout + outcome.stderr, reason, `${line}`);
    assert.equal(outcome.status, status, `${line}`);
    assert(!existsSync(output), `${line}`);
  };
  for (const line of lines) {
    const [command = ''] = line;
    const failure = command === 'check' ? 3 : 1;
    const isFirst = line === lines[0];
    if (named(command, '--from')) {
      const after = /--from 1970\S+ is after --to 1970/;
      fails([...line, '--from', 'end', '--to', 'start'], usage(command), after);
      fails([...line, '--to', '1970-01-01'], failure, /no part of the recording, which is from/);
      if (isFirst) {
        const dates = ['--from', `${day}T13:46:42Z`, '--to', `${day}T13:46:41Z`];
        fails([...line, ...dates], usage(command), after);
        fails([...line, '--from', '2026-01-01'], failure, /no part of the recording, which is/);
      }
    }
    if (named(command, '--at')) {
      for (const at of ['2026-01-01', ...(isFirst ? ['1970-01-01', '+1h', '-1h'] : [])]) {
        const outside = /--at \S+ is outside of the recording, which is from/;
        fails([...line, '--at', at], failure, outside);
      }
    }
  }
  fails(['diff', `${file}@2026-01-01`, '@end'], 2, /: @2026\S+ is outside of the recording/);
  fails(['diff', `${file}@+1h`, '@end'], 2, /: @1970\S+ is outside of the recording/);
  fails(['diff', '@start', file], 2, /@start names no recording: expected FILE@TIME/);
});
