/** Fetching a kernel, or running it, when something is in the way: what is said, and that the next run works. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openCache } from '../../lib/lab/cache.ts';
import { prepareLab } from '../../lib/lab/index.ts';

const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');
const folder = mkdtempSync(join(tmpdir(), 'lab-fetch-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const SUITE = ['--suite', 'bookworm'];
const env = (cache: string) => ({ ...process.env, NETLINK_XFRM_CACHE: cache });
const lab = (cache: string, before: string[], ...args: string[]) => {
  const [file = '', ...rest] = [...before, process.execPath, program, 'lab', ...SUITE, ...args];
  const { status, stdout, stderr } = spawnSync(file, rest, { encoding: 'utf8', env: env(cache) });
  return { status, stdout, stderr };
};
/** What lies in the cache below a name; empty when nothing does. */
const inside = (cache: string, name: string) =>
  existsSync(join(cache, name)) ? readdirSync(join(cache, name)) : [];

test('no network, a broken download, a damaged kernel, two at once: the next run works', async () => {
  const cache = join(folder, 'cache');
  const alone =
    spawnSync('unshare', ['-Urn', 'true']).status === 0 ? ['unshare', '-Urn'] : undefined;
  if (alone !== undefined) {
    // No network: another user there, so a cache of its own.
    const offline = lab(join(folder, 'offline'), alone, '--', 'true');
    assert.equal(offline.status, 3, offline.stderr);
    assert.match(offline.stderr, /from Debian bookworm failed: /);
    assert.match(offline.stderr, /Check the network .*NETLINK_XFRM_MIRROR/);
    assert.deepEqual(inside(join(folder, 'offline'), 'kernels'), []);
  }

  // Half a download: killed in the middle of it.
  const args = [program, 'lab', ...SUITE];
  const killed = spawn(process.execPath, args, { env: env(cache), stdio: ['ignore', 1, 'pipe'] });
  let said = '';
  for await (const text of killed.stderr as NodeJS.ReadableStream) {
    said += text;
    if (said.includes('fetching user-mode-linux')) killed.kill('SIGKILL');
  }
  assert.deepEqual(inside(cache, 'kernels'), []);

  // Two at once: one fetches, and both have it.
  const both = [1, 2].map(() =>
    spawn(process.execPath, args, { env: env(cache), stdio: 'ignore' }),
  );
  const statuses = await Promise.all(both.map((child) => once(child, 'close')));
  assert.deepEqual(statuses, [
    [0, null],
    [0, null],
  ]);
  assert.equal(inside(cache, 'kernels/v1').length, 1);
  assert.deepEqual(inside(cache, 'work'), [], 'nothing is left of the work');

  // A kernel that is not whole is fetched anew.
  const kernel = () => /^path +(.*)$/m.exec(lab(cache, [], '--list').stdout)?.[1] ?? '';
  truncateSync(join(kernel(), 'linux'), 4096);
  const mended = lab(cache, [], '--', 'sh', '-c', 'exit 7');
  assert.equal(mended.status, 7, mended.stderr);

  // One that is as long as it was, and no kernel, is said to be that, with the way out.
  const { size } = JSON.parse(
    spawnSync('cat', [join(kernel(), 'kernel.json')], { encoding: 'utf8' }).stdout,
  ) as { size: number };
  writeFileSync(join(kernel(), 'linux'), Buffer.alloc(size));
  const damaged = lab(cache, [], '--', 'true');
  assert.equal(damaged.status, 3, damaged.stderr);
  assert.match(damaged.stderr, /did not come up.*\n[\s\S]*refresh of the cached kernel/);
  assert.equal(lab(cache, [], '--refresh', '--', 'sh', '-c', 'exit 8').status, 8);
});

test('a full disk', (t) => {
  const cache = join(folder, 'small');
  const mount = ['unshare', '--mount', '--', 'sh', '-c'];
  if (spawnSync('unshare', ['--mount', 'true']).status !== 0) {
    t.skip('no file system can be mounted');
    return;
  }
  // In one mount namespace: a small file system, the failure, more room, success.
  const run = `"${process.execPath}" "${program}" lab ${SUITE.join(' ')}`;
  const script = `mkdir -p ${cache} && mount -t tmpfs -o size=60M,mode=700 small ${cache} &&
    ${run} -- true; echo "first $?"; ls ${cache} ${cache}/work; mount -o remount,size=600M ${cache} &&
    ${run} -- sh -c 'exit 9'; echo "second $?"`;
  const [file = '', ...args] = [...mount, script];
  const { stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', env: env(cache) });
  assert.match(stdout, /^first 3$/m, stderr);
  assert.match(stdout, /^second 9$/m, stderr);
  assert.match(stderr, /room|space/i);
  assert.doesNotMatch(stderr, /\n +at /, 'no stack');
});

test('a /tmp that nothing may be run from, then such a cache', async (t) => {
  if (spawnSync('unshare', ['--mount', 'true']).status !== 0) {
    t.skip('no file system can be mounted');
    return;
  }
  await prepareLab();
  const cache = openCache();
  const run = `"${process.execPath}" "${program}" lab`;
  // The cache may lie below /tmp.
  const script = `
    mounted() { mount --bind "$2" "$2" && mount -o "remount,bind,$1" "$2"; }
    mounted noexec /tmp && mounted exec "${cache}" && ${run} -- sh -c 'exit 9'; echo "first $?"
    mounted noexec "${cache}" && ${run} -- true; echo "second $?"`;
  const { stdout, stderr } = spawnSync('unshare', ['--mount', '--', 'sh', '-c', script], {
    encoding: 'utf8',
    env: { ...env(cache), TMPDIR: '/tmp' },
  });
  assert.match(stdout, /^first 9$/m, stderr);
  assert.match(stdout, /^second 3$/m, stderr);
  assert.match(
    stderr,
    /^netlink-xfrm lab: The cache .* is mounted noexec.*\nSet NETLINK_XFRM_CACHE .*\n$/,
  );
});
