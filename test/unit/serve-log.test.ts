/** Lines of the daemon's log. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isJournal, LOG_LEVELS, Log, type LogOptions } from '../../lib/serve/log.ts';

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function record(options: Partial<LogOptions> = {}): [Log, string[]] {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const now = () => TIME;
  const all = { level: 'info', format: 'text', journal: false, write, now, ...options } as const;
  return [new Log(all), lines];
}

test('text: time, level, message, fields; lines below the level are dropped', () => {
  const [log, lines] = record();
  log.debug('refreshed', 'counters were read');
  log.info('ready', 'listening on 127.0.0.1:9786', { tunnels: 2, netns: null, none: undefined });
  log.warning('tunnel-down', 'paris is down: no SA', { tunnel: 'paris', reason: 'no "SA"', n: 5n });
  assert.deepEqual(lines, [
    '2026-01-02T03:04:05.678Z info    listening on 127.0.0.1:9786 event=ready tunnels=2\n',
    '2026-01-02T03:04:05.678Z warning paris is down: no SA event=tunnel-down tunnel=paris reason="no \\"SA\\"" n=5\n',
  ]);
});

test('JSON: one object per line', () => {
  const [log, lines] = record({ format: 'json', level: 'debug' });
  log.debug('x', 'a "b"', { bytes: 2n ** 60n, ok: true, none: undefined });
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    time: '2026-01-02T03:04:05.678Z',
    level: 'debug',
    event: 'x',
    message: 'a "b"',
    bytes: '1152921504606846976',
    ok: true,
  });
});

test('for journald, the priority comes first, and fields it records itself are omitted', () => {
  const [log, lines] = record({ journal: true, level: 'debug' });
  for (const level of LOG_LEVELS) log[level]('x', level);
  assert.deepEqual(lines, [
    '<7>debug event=x\n',
    '<6>info event=x\n',
    '<4>warning event=x\n',
    '<3>error event=x\n',
  ]);
  const [json, objects] = record({ journal: true, format: 'json' });
  json.error('d', 'e');
  assert.match(objects[0] ?? '', /^<3>\{"time"/);
});

test('foreign text cannot start a new line or control a terminal', () => {
  for (const format of ['text', 'json'] as const) {
    const [log, lines] = record({ format });
    log.info('request', 'from \u001b[2Ja\n<0>b\u2028', { path: '/\u202e\r\n\u001b]0;x' });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    assert.match(lines[0] ?? '', /^[^\x00-\x1f\u2028\u202e]+\n$/);
  }
});

test('standard error is the journal only if JOURNAL_STREAM names it', () => {
  const file = openSync('/dev/null', 'r');
  const { dev, ino } = fstatSync(file, { bigint: true });
  assert.equal(isJournal(`${dev}:${ino}`, file), true);
  assert.equal(isJournal(`${dev}:${ino + 1n}`, file), false);
  assert.equal(isJournal(undefined, file), false);
  closeSync(file);
  assert.equal(isJournal(`${dev}:${ino}`, file), false);
});

test('a reader of standard error that has gone does not end the process', async () => {
  const module = join(import.meta.dirname, '../../lib/serve/log.js');
  const program = `
    const { Log } = await import(${JSON.stringify(module)});
    const log = new Log({ level: 'info', format: 'text' });
    process.stdin.resume().on('end', () => {
      for (let i = 0; i < 100; i++) log.info('a', 'x'.repeat(1000));
      setImmediate(() => console.log('lives'));
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program]);
  child.stderr.destroy();
  await once(child.stderr, 'close');
  child.stdin.end();
  const [line] = await once(child.stdout, 'data');
  assert.equal(`${line}`, 'lives\n');
});
