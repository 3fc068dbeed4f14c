/** Guests of the lab: their output, their limits, their ends. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { after, describe, test } from 'node:test';
import { runInLab } from '../../lib/lab/index.ts';
import { capture, PATIENCE, Sink, sha256 } from './support.ts';

describe('guests', { concurrency: 2 }, () => {
  const work = mkdtempSync(join(tmpdir(), 'lab-test-'));
  after(() => rmSync(work, { recursive: true, force: true }));

  test('stdout and stderr arrive apart, byte for byte, as they come', async () => {
    const out = randomBytes(10_000_000);
    const err = randomBytes(1_000_000);
    writeFileSync(join(work, 'out'), out);
    writeFileSync(join(work, 'err'), err);
    const stdout = new Sink();
    const stderr = new Sink();
    const script = 'cat err >&2 & cat out; wait; sleep 2';
    const { status } = await runInLab(['sh', '-c', script], {
      cwd: work,
      stdout,
      stderr,
      timeout: PATIENCE,
    });
    assert.equal(status, 0);
    assert.equal(sha256(stdout.bytes), sha256(out));
    assert.equal(sha256(stderr.bytes), sha256(err));
    assert.ok(performance.now() - stdout.first > 1900, 'the first bytes came before the end');
  });

  test('a reader that takes its time loses nothing', async () => {
    writeFileSync(join(work, 'slow'), randomBytes(500_000));
    let length = 0;
    const stdout = new Writable({
      highWaterMark: 1000,
      write: (chunk: Buffer, _encoding, done) => {
        length += chunk.length;
        setTimeout(done, length > 400_000 ? 20 : 0);
      },
    });
    assert.equal(
      (await runInLab(['cat', 'slow'], { cwd: work, stdout, timeout: PATIENCE })).status,
      0,
    );
    assert.equal(length, 500_000);
  });

  test('two guests at once know nothing of each other', async () => {
    const script = (n: number) =>
      `ip link add d${n} type dummy 2>/dev/null; echo ${n} >/run/n; sleep 1; cat /run/n; exit ${n}`;
    const both = await Promise.all([5, 6].map((n) => capture(['sh', '-c', script(n)])));
    assert.deepEqual(
      both.map(({ status, out }) => [status, out]),
      [
        [5, '5\n'],
        [6, '6\n'],
      ],
    );
  });

  test('the time limit ends it with 124, an abort with its reason', async () => {
    const late = await capture(['sleep', '60'], { timeout: 4000 });
    assert.deepEqual([late.status, late.timedOut], [124, true]);
    await assert.rejects(capture(['sleep', '60'], { signal: AbortSignal.timeout(3000) }), {
      name: 'TimeoutError',
    });
  });

  test('a guest that powers off, or dies, by itself is told as such', async () => {
    await assert.rejects(capture(['sh', '-c', 'echo c >/proc/sysrq-trigger; sleep 9']), {
      code: 'LAB_LOST',
      message: /Kernel panic - not syncing: sysrq triggered crash/,
    });
  });
});
