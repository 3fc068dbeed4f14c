import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { Writable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import {
  fetchTools,
  type LabKernel,
  type LabOptions,
  type LabResult,
  prepareLab,
  runInLab,
} from '../../lib/lab/index.ts';

/** Keeps what is written to it, and when the first of it came. */
class Sink extends Writable {
  readonly chunks: Buffer[] = [];
  first = 0;
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.first ||= performance.now();
    this.chunks.push(chunk);
    done();
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

interface Captured extends LabResult {
  readonly out: string;
  readonly err: string;
}

async function capture(command: string[], options: LabOptions = {}): Promise<Captured> {
  const stdout = new Sink();
  const stderr = new Sink();
  const result = await runInLab(command, { timeout: 60_000, stdout, stderr, ...options });
  return { ...result, out: stdout.bytes.toString(), err: stderr.bytes.toString() };
}

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');

/** Processes that name the directory: the keeper and the kernel of a guest that has its files there. */
function guestsOf(directory: string): number {
  let found = 0;
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(directory)) found += 1;
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}

async function gone(directory: string): Promise<boolean> {
  for (let tries = 0; tries < 50; tries++) {
    if (guestsOf(directory) === 0) return true;
    await new Promise((resume) => setTimeout(resume, 100));
  }
  return false;
}

describe('the lab', { concurrency: 2 }, () => {
  let kernel: LabKernel;
  let work = '';
  before(async () => {
    work = mkdtempSync(join(tmpdir(), 'lab-test-'));
    kernel = await prepareLab({ progress: (message) => console.error(message) });
  });
  after(() => rmSync(work, { recursive: true, force: true }));

  test('statuses pass through: 0, 7, a signal, no such program', async () => {
    const zero = await capture(['true']);
    assert.equal(zero.status, 0);
    assert.equal(zero.release, kernel.release);
    assert.ok((zero.bootMs ?? 0) > 0 && zero.totalMs >= (zero.bootMs ?? 0));
    const [seven, killed, none] = await Promise.all([
      capture(['sh', '-c', 'exit 7']),
      capture(['sh', '-c', 'kill -TERM $$']),
      capture(['no-such-program']),
    ]);
    assert.deepEqual([seven.status, killed.status, none.status], [7, 143, 127]);
    assert.match(none.err, /no-such-program/);
    assert.equal(seven.err + seven.out, '', 'the kernel is silent');
  });

  test('stdout and stderr arrive apart, byte for byte, as they come', async () => {
    const out = randomBytes(10_000_000);
    const err = randomBytes(1_000_000);
    writeFileSync(join(work, 'out'), out);
    writeFileSync(join(work, 'err'), err);
    const stdout = new Sink();
    const stderr = new Sink();
    const script = 'cat err >&2 & cat out; wait; sleep 2';
    const { status } = await runInLab(['sh', '-c', script], { cwd: work, stdout, stderr });
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
    assert.equal((await runInLab(['cat', 'slow'], { cwd: work, stdout })).status, 0);
    assert.equal(length, 500_000);
  });

  test('ESP works, also with algorithms that are loaded when asked for', async () => {
    const tools = existsSync('/sbin/ip') || existsSync('/bin/ip') ? undefined : ['iproute2'];
    const env = { ...process.env, ...(tools && (await fetchTools(tools)).env) };
    const script = `
      ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x11 mode tunnel \
        aead 'rfc4106(gcm(aes))' 0x${'01'.repeat(20)} 128 &&
      ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x12 mode transport \
        enc 'cbc(camellia)' 0x${'02'.repeat(16)} auth 'hmac(sha256)' 0x${'03'.repeat(32)} &&
      ip xfrm state && ip netns add a && ip link add v type veth peer name w netns a &&
      ip -6 addr show lo && ip link show lo`;
    const { out, err } = await capture(['sh', '-c', script], { env });
    assert.equal(err, '');
    assert.match(out, /proto esp spi 0x00000011 reqid 0 mode tunnel/);
    assert.match(out, /rfc4106\(gcm\(aes\)\)/);
    assert.match(out, /proto esp spi 0x00000012[\s\S]*cbc\(camellia\)/);
    assert.match(out, /inet6 ::1\/128/);
    assert.match(out, /lo: <LOOPBACK,UP,LOWER_UP>/);
  });

  test('node runs in it, in the same place, with the environment and arguments given', async () => {
    const script =
      'console.log(JSON.stringify([process.cwd(), process.getuid(), process.env, process.argv]))';
    const words = ["it's", '$HOME', 'two\nlines', 'ü'];
    const { out, err } = await capture([process.execPath, '-e', script, ...words], {
      cwd: work,
      env: { A: 'q\'"$x\n', PATH: process.env.PATH },
    });
    assert.equal(err, '');
    const [cwd, uid, env, argv] = JSON.parse(out) as [string, number, NodeJS.ProcessEnv, string[]];
    assert.deepEqual([cwd, uid, argv.slice(1)], [work, 0, words]);
    assert.deepEqual([env.A, env.NETLINK_XFRM_LAB], ['q\'"$x\n', kernel.release]);
  });

  test('the host is read-only, /tmp takes writes that end, a share keeps them', async () => {
    const share = join(work, 'a share');
    mkdirSync(share);
    const script = `touch /etc/lab-was-here 2>&1; echo kept >kept; echo lost >${work}/lost && cat ${work}/lost`;
    const { out } = await capture(['sh', '-c', script], { cwd: share, share });
    assert.match(out, /Read-only file system\nlost\n$/);
    assert.equal(readFileSync(join(share, 'kept'), 'utf8'), 'kept\n');
    assert.equal(existsSync(join(work, 'lost')), false);
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
    assert.ok(late.totalMs < 6000);
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

describe('the lab and its caller', () => {
  const library = new URL('../../lib/lab/index.js', import.meta.url).href;
  const program = (body: string) => `import { runInLab } from ${JSON.stringify(library)}; ${body}`;

  test('stdin is passed on byte for byte, to its end', async () => {
    const body = `process.exitCode = (await runInLab(['sha256sum'], { stdin: 'inherit' })).status;`;
    const input = Buffer.concat([randomBytes(1_000_000), Buffer.from([0x0a, 0x04, 0x16, 0x04])]);
    const { stdout, status } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', program(body)],
      { input, timeout: 60_000 },
    );
    assert.deepEqual([stdout.toString().slice(0, 64), status], [sha256(input), 0]);
  });

  test('a signal reaches the command; nothing outlives a killed parent', async (t) => {
    // The guest's files lie below TMPDIR: other guests of this user are none of our business.
    const directory = mkdtempSync(join(tmpdir(), 'lab-killed-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const body = `process.exitCode = (await runInLab(
      ['sh', '-c', 'trap "exit 5" INT; echo up; while :; do sleep 0.1; done'],
      { forwardSignals: true })).status;`;
    const start = async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program(body)], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, TMPDIR: directory },
      });
      await once(child.stdout, 'data');
      return child;
    };
    const first = await start();
    first.kill('SIGINT');
    assert.deepEqual(await once(first, 'exit'), [5, null]);
    const second = await start();
    assert.ok(guestsOf(directory) > 0);
    second.kill('SIGKILL');
    await once(second, 'exit');
    assert.equal(await gone(directory), true);
    assert.deepEqual(readdirSync(directory), [], 'its files are gone as well');
  });

  const root = process.getuid?.() === 0;
  test('an unprivileged user can do it', {
    skip: !root && 'not root: the others show it',
  }, async (t) => {
    const nobody = 65534;
    // A copy of the cache that belongs to that user.
    const kernel = await prepareLab();
    const home = mkdtempSync(join(tmpdir(), 'lab-nobody-'));
    t.after(() => rmSync(home, { recursive: true, force: true }));
    const parent = dirname(kernel.directory);
    const cache = dirname(dirname(dirname(parent)));
    const copy = join(home, relative(cache, parent), basename(kernel.directory));
    if (readdirSync(kernel.directory).includes('libc')) {
      t.skip('the kernel is bound to the path of its C library');
      return;
    }
    cpSync(kernel.directory, copy, { recursive: true });
    const record = join(copy, 'kernel.json');
    const { size } = JSON.parse(readFileSync(record, 'utf8')) as { size: number };
    const { suite, release, version, fetched } = kernel;
    writeFileSync(
      record,
      JSON.stringify({ suite, release, version, fetched, size, directory: copy }),
    );
    spawnSync('chown', ['-R', `${nobody}:${nobody}`, home]);
    chownSync(home, nobody, nobody);
    chmodSync(home, 0o700);

    const body = `process.exitCode = (await runInLab(['sh', '-c', 'id -u; exit 3'])).status;`;
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', program(body)],
      {
        uid: nobody,
        gid: nobody,
        cwd: home,
        env: { PATH: process.env.PATH, HOME: home, NETLINK_XFRM_CACHE: home },
        timeout: 60_000,
      },
    );
    if (/EACCES|ERR_MODULE_NOT_FOUND/.test(stderr.toString())) {
      t.skip('this checkout cannot be read by other users');
      return;
    }
    assert.deepEqual([stdout.toString(), stderr.toString(), status], ['0\n', '', 3]);
  });
});
