/** The lab: what a command in it finds, and what its caller gets. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fetchLabTools, type Lab, openLab } from '../../lib/lab/index.ts';
import { capture, captureIn, PATIENCE } from './support.ts';

describe('the lab', { concurrency: 2 }, () => {
  // For what a command finds in any guest.
  let lab: Lab;
  let work = '';
  before(async () => {
    work = mkdtempSync(join(tmpdir(), 'lab-test-'));
    lab = await openLab({ timeout: PATIENCE, progress: (message) => console.error(message) });
  });
  after(async () => {
    await lab.close();
    rmSync(work, { recursive: true, force: true });
  });

  test('statuses pass through: 7, a signal, no such program', async () => {
    const [seven, killed, none] = await Promise.all([
      capture(['sh', '-c', 'exit 7']),
      captureIn(lab, ['sh', '-c', 'kill -TERM $$']),
      captureIn(lab, ['no-such-program']),
    ]);
    assert.deepEqual([seven.status, killed.status, none.status], [7, 143, 127]);
    assert.equal(seven.release, lab.kernel.release);
    assert.ok((seven.bootMs ?? 0) > 0 && seven.totalMs >= (seven.bootMs ?? 0));
    assert.match(none.err, /no-such-program/);
    assert.equal(seven.err + seven.out, '', 'the kernel is silent');
  });

  test('io_uring is off: a process with its rings would crash the kernel when it forks', async () => {
    const setting = '/proc/sys/kernel/io_uring_disabled';
    const { out } = await captureIn(lab, ['sh', '-c', `[ ! -e ${setting} ] || cat ${setting}`]);
    assert.match(out, lab.kernel.suite === 'bookworm' ? /^$/ : /^2\n$/);
  });

  test('ESP works, also with algorithms that are loaded when asked for', async () => {
    const tools = existsSync('/sbin/ip') || existsSync('/bin/ip') ? undefined : ['iproute2'];
    const env = { ...process.env, ...(tools && (await fetchLabTools(tools)).env) };
    const script = `
      ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x11 mode tunnel \
        aead 'rfc4106(gcm(aes))' 0x${'01'.repeat(20)} 128 &&
      ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x12 mode transport \
        enc 'cbc(camellia)' 0x${'02'.repeat(16)} auth 'hmac(sha256)' 0x${'03'.repeat(32)} &&
      ip xfrm state && ip netns add a && ip link add v type veth peer name w netns a &&
      ip -6 addr show lo && ip link show lo`;
    const { out, err } = await captureIn(lab, ['sh', '-c', script], { env });
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
    const { out, err } = await captureIn(lab, [process.execPath, '-e', script, ...words], {
      cwd: work,
      env: { A: 'q\'"$x\n', PATH: process.env.PATH },
    });
    assert.equal(err, '');
    const [cwd, uid, env, argv] = JSON.parse(out) as [string, number, NodeJS.ProcessEnv, string[]];
    assert.deepEqual([cwd, uid, argv.slice(1)], [work, 0, words]);
    assert.deepEqual([env.A, env.NETLINK_XFRM_LAB], ['q\'"$x\n', lab.kernel.release]);
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

  test('what a command leaves in the kernel is there for the next, what it leaves running is not', async () => {
    const sh = (script: string, options = {}) => captureIn(lab, ['sh', '-c', script], options);
    await sh('echo 77 >/proc/sys/net/ipv4/ip_default_ttl; sleep 4716 &');
    const look = 'cat /proc/sys/net/ipv4/ip_default_ttl; ps ax | grep -c "[s]leep 4716"';
    assert.equal((await sh(look)).out, '77\n0\n');
    assert.equal((await sh(look, { isolated: true })).out, '64\n0\n');
  });
});
