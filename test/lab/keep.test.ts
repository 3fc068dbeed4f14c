/** Guests that stay: several commands in one, and those that are kept for a user. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
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
import { after, before, describe, test } from 'node:test';
import { type Lab, openLab } from '../../lib/lab/index.ts';
import { captureIn, PATIENCE, Sink, sha256 } from './support.ts';

const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');

/** Waits until `there` is true. */
async function until(there: () => boolean): Promise<void> {
  while (!there()) await new Promise((resume) => setTimeout(resume, 50));
}

describe('several commands in one guest', () => {
  const work = mkdtempSync(join(tmpdir(), 'lab-several-'));
  let lab: Lab;
  before(async () => {
    lab = await openLab({ share: work, timeout: PATIENCE });
  });
  after(async () => {
    await lab.close();
    rmSync(work, { recursive: true, force: true });
  });
  const sh = (script: string, options = {}) => captureIn(lab, ['sh', '-c', script], options);

  test('each has its status, its streams, its directory and its environment', async () => {
    const out = randomBytes(2_000_000);
    const err = randomBytes(300_000);
    writeFileSync(join(work, 'out'), out);
    writeFileSync(join(work, 'err'), err);
    for (const status of [3, 0]) {
      const stdout = new Sink();
      const stderr = new Sink();
      const script = `cat err >&2 & cat out; wait; echo "$A" >a; exit ${status}`;
      const options = { cwd: work, env: { A: `is ${status}`, PATH: process.env.PATH } };
      const result = await lab.run(['sh', '-c', script], { ...options, stdout, stderr });
      assert.equal(result.status, status);
      assert.equal(sha256(stdout.bytes), sha256(out));
      assert.equal(sha256(stderr.bytes), sha256(err));
      assert.equal(readFileSync(join(work, 'a'), 'utf8'), `is ${status}\n`);
    }
    assert.equal((await sh('kill -TERM $$')).status, 143);
    assert.equal((await captureIn(lab, ['no-such-program'])).status, 127);
    await assert.rejects(sh('true', { cwd: '/no-such' }), { code: 'LAB_DIRECTORY' });
  });

  test('more than run at the same time wait; each gets its own', async () => {
    const numbers = [1, 2, 3, 4, 5, 6, 7];
    const all = await Promise.all(numbers.map((n) => sh(`sleep 0.3; echo ${n}; exit ${n}`)));
    assert.deepEqual(
      all.map(({ status, out }) => [status, out]),
      numbers.map((n) => [n, `${n}\n`]),
    );
  });

  test('the state of the kernel stays, that of an isolated command does not', async () => {
    const policy = 'ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out';
    const look = 'ip xfrm policy; ip netns; ip -o link show type dummy; ls /sys/class/net';
    const change = `${policy} && ip netns add stays && ip link add stays0 type dummy`;
    assert.equal((await sh(change, { isolated: true })).err, '');
    const untouched = (await sh(look)).out;
    assert.doesNotMatch(untouched, /10\.1|stays/);
    assert.equal((await sh(change)).err, '');
    assert.match((await sh(look)).out, /10\.1\.0\.0\/16[\s\S]*^stays$[\s\S]*stays0/m);
    assert.equal((await sh(look, { isolated: true })).out, 'lo\n');
    assert.match((await sh('ip addr show lo', { isolated: true })).out, /127\.0\.0\.1[\s\S]*::1/);
  });

  test('what a command leaves running ends with it, and nothing of another', async () => {
    const other = sh('echo up >/run/up; sleep 2; echo whole');
    await sh('until [ -e /run/up ]; do sleep 0.1; done; setsid sleep 4711 & sleep 4711 & exit 0');
    assert.equal((await sh('ps ax | grep -c "[s]leep 4711"')).out, '0\n');
    assert.equal((await other).out, 'whole\n');
  });

  test('files that change on the host meanwhile are seen', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'lab-changes-'));
    try {
      const look = `cat ${outside}/a ${outside}/b; true`;
      writeFileSync(join(outside, 'a'), 'one\n');
      assert.equal((await sh(look)).out, 'one\n');
      writeFileSync(join(outside, 'a'), 'another\n');
      writeFileSync(join(outside, 'b'), 'new\n');
      assert.equal((await sh(look)).out, 'another\nnew\n');
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  test('a time limit and an abort end the command, not the guest', async () => {
    const late = await sh('setsid sleep 4712', { timeout: 1000 });
    assert.deepEqual([late.status, late.timedOut], [124, true]);
    const reason = new Error('enough');
    const controller = new AbortController();
    const aborted = sh('sleep 4712', { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(aborted, reason);
    assert.equal((await sh('ps ax | grep -c "[s]leep 4712"')).out, '0\n');
  });

  test('a guest that has ended says so', async () => {
    await using own = await openLab({ timeout: PATIENCE });
    const running = captureIn(own, ['sleep', '4713']);
    const dying = captureIn(own, ['sh', '-c', 'echo c >/proc/sysrq-trigger; sleep 9']);
    await assert.rejects(running, { code: 'LAB_LOST' });
    await assert.rejects(dying, { code: 'LAB_LOST', message: /sysrq triggered crash/ });
    await assert.rejects(captureIn(own, ['true']), { code: 'LAB_LOST' });
    await own.close();
    await own.close();
  });
});

describe('a kept guest', () => {
  // Its own cache directory, with the kernels of the real one, so that no guest of the user's is touched.
  const home = mkdtempSync(join(tmpdir(), 'lab-keep-'));
  const temporary = join(home, 'tmp');
  mkdirSync(temporary);
  let env: NodeJS.ProcessEnv;
  before(async () => {
    const lab = await openLab({ timeout: PATIENCE });
    await lab.close();
    const cache = join(lab.kernel.directory, '../../../..');
    env = { ...process.env, NETLINK_XFRM_CACHE: cache, TMPDIR: temporary };
  });

  // A share of its own makes it a guest of its own.
  const share = join(home, 'share');
  mkdirSync(share);
  const KEEP = ['lab', '--keep', '--share', share, '--timeout', String(PATIENCE / 1000), '--'];
  const start = (...command: string[]) =>
    spawn(process.execPath, [program, ...KEEP, ...command], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const keep = (command: string[], input: string | Buffer = '') => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...KEEP, ...command], {
      env,
      input,
    });
    return { status, out: stdout.toString(), err: stderr.toString() };
  };
  const list = () => {
    const args = [program, 'lab', '--list', '--json'];
    const { stdout } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    return stdout
      .split('\n')
      .filter(Boolean)
      .map(
        (text) =>
          JSON.parse(text) as { type: string; share?: string; pid: number; running: number },
      )
      .filter((one) => one.type === 'guest' && one.share === share);
  };
  const guest = () => list()[0] ?? assert.fail('no guest is kept');
  /** Waits until nothing of the guest is left: its files, which the kernel's keeper removes at the end. */
  const gone = () => until(() => readdirSync(temporary).length === 0);
  after(async () => {
    for (const { pid } of list()) process.kill(pid, 'SIGTERM');
    await gone();
    rmSync(home, { recursive: true, force: true });
  });

  test('the second command finds what the first left; two users boot one guest', async () => {
    const both = [start('sh', '-c', 'echo 1 >>/run/who'), start('sh', '-c', 'echo 1 >>/run/who')];
    assert.deepEqual(await Promise.all(both.map((child) => once(child, 'close'))), [
      [0, null],
      [0, null],
    ]);
    assert.deepEqual(keep(['sh', '-c', 'cat /run/who; echo bad >&2; exit 9']), {
      status: 9,
      out: '1\n1\n',
      err: 'bad\n',
    });
    assert.equal(list().length, 1);
  });

  test('standard input, also after a command that left some of it unread', () => {
    const input = Buffer.concat([randomBytes(200_000), Buffer.from([0x0a, 0x04, 0x16, 0x04])]);
    assert.equal(keep(['head', '-c', '1'], input).status, 0);
    assert.equal(keep(['sha256sum'], input).out.slice(0, 64), sha256(input));
    assert.equal(keep(['cat'], 'abc').out, 'abc');
  });

  test('its socket is for this user alone', () => {
    const guests = join(env.NETLINK_XFRM_CACHE ?? '', 'guests');
    assert.equal(statSync(guests).mode & 0o777, 0o700);
    for (const name of readdirSync(guests)) {
      const place = join(guests, name);
      assert.equal(statSync(place).mode & 0o777, 0o700);
      assert.equal(statSync(join(place, 'socket')).mode & 0o777, 0o600);
    }
    chmodSync(guests, 0o755);
    const refused = keep(['true']);
    chmodSync(guests, 0o700);
    assert.equal(refused.status, 3);
    assert.match(refused.err, /is not private\.\nRemove it/);
  });

  test('a signal reaches the command; one whose caller is killed ends', async () => {
    const trap = 'trap "echo got; exit 5" INT; echo up; while :; do sleep 0.1; done';
    const child = start('sh', '-c', trap);
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'close'), [5, null]);
    const killed = start('sh', '-c', 'echo up; exec sleep 4714');
    await once(killed.stdout, 'data');
    killed.kill('SIGKILL');
    while (keep(['sh', '-c', 'ps ax | grep -c "[s]leep 4714"']).out !== '0\n');
  });

  test('what keeps it is killed, or its kernel dies: said, nothing is left, the next run works', async () => {
    const lost = keep(['sh', '-c', 'echo c >/proc/sysrq-trigger; sleep 9']);
    assert.equal(lost.status, 3);
    assert.match(lost.err, /sysrq triggered crash/);
    await gone();
    assert.equal(keep(['sh', '-c', 'echo 1 >/run/who']).status, 0);

    const running = start('sh', '-c', 'echo up; exec sleep 4715');
    await once(running.stdout, 'data');
    let said = '';
    running.stderr.on('data', (text) => {
      said += text;
    });
    process.kill(guest().pid, 'SIGKILL');
    assert.deepEqual(await once(running, 'close'), [3, null]);
    assert.match(said, /The process that keeps the guest has ended.*\nRun the command again/);
    await gone();
    // Its socket is still there.
    assert.deepEqual(list(), []);
    assert.deepEqual(keep(['sh', '-c', 'cat /run/who || echo fresh']).out, 'fresh\n');
  });

  test('a command that waits when the guest dies runs in the next, with all of its input', async () => {
    const busy = [1, 2, 3, 4].map(() => start('sh', '-c', 'echo up; exec sleep 4716'));
    await Promise.all(busy.map((child) => once(child.stdout, 'data')));
    const input = randomBytes(100_000);
    const waiting = spawn(process.execPath, [program, ...KEEP, 'sha256sum'], { env });
    let sum = '';
    waiting.stdout.on('data', (text) => {
      sum += text;
    });
    waiting.stdin.end(input);
    await until(() => guest().running === 5);
    process.kill(guest().pid, 'SIGKILL');
    assert.deepEqual(await once(waiting, 'close'), [0, null]);
    assert.equal(sum.slice(0, 64), sha256(input));
  });

  test('it ends when nothing has run for a while', async () => {
    const args = [...KEEP.slice(0, -1), '--idle', '0.2', '--', 'true'];
    assert.equal(spawnSync(process.execPath, [program, ...args], { env }).status, 0);
    await gone();
    assert.deepEqual(list(), []);
  });

  test('wrong usage', () => {
    for (const args of [
      ...[['--keep'], ['--isolated'], ['--idle', '5', 'true']],
      ...[
        ['--stop', 'true'],
        ['--list', '--', 'true'],
        ['--stop', '--list'],
      ],
    ]) {
      const { status, stderr } = spawnSync(process.execPath, [program, 'lab', ...args], { env });
      assert.equal(status, 2, stderr.toString());
    }
  });
});
