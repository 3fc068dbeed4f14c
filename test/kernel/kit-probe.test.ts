/** The testing kit: what a kernel and container can do, and where a suite is run. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { KERNEL_FEATURES, type KernelFeatureFinding, probe } from '../../lib/testing/index.ts';
import { program } from './command.ts';
import { withoutEsp } from './support.ts';

function command(args: readonly string[], env: NodeJS.ProcessEnv = {}, before: string[] = []) {
  const [first = '', ...words] = [...before, process.execPath, program, ...args];
  const options = { encoding: 'utf8', env: { ...process.env, ...env } } as const;
  return spawnSync(first, words, options);
}

test('available features are found, and missing ones have a reason', async (t) => {
  const { features, kernel } = await probe();
  assert.equal(kernel, spawnSync('uname', ['-r'], { encoding: 'utf8' }).stdout.trim());
  for (const name of ['namespaces', 'xfrm', 'veth', 'programs', 'mounts'] as const) {
    assert.deepEqual(features[name], { ok: true }, name);
  }
  assert.equal(features.esp.ok, withoutEsp === false);
  for (const name of KERNEL_FEATURES) {
    const found = features[name];
    if (found.ok) continue;
    t.diagnostic(`${name}: ${found.reason}`);
    assert(found.code === undefined || found.reason.includes(found.code), found.reason);
  }
});

test('missing features are a reason to skip, or a failure if required', async (t) => {
  const found = await probe();
  assert.equal(found.missing('namespaces', 'veth'), false);
  assert.throws(
    () => found.missing('no such' as 'esp'),
    /unknown feature "no such"; valid ones: namespaces, /,
  );
  const before = process.env.NETLINK_XFRM_REQUIRE;
  t.after(() => {
    if (before === undefined) delete process.env.NETLINK_XFRM_REQUIRE;
    else process.env.NETLINK_XFRM_REQUIRE = before;
  });
  process.env.NETLINK_XFRM_REQUIRE = 'eps';
  assert.throws(
    () => found.missing('veth'),
    /NETLINK_XFRM_REQUIRE: unknown feature eps; valid ones: namespaces, /,
  );
  process.env.NETLINK_XFRM_REQUIRE = '';
  const lack = KERNEL_FEATURES.find((name) => !found.features[name].ok);
  if (lack === undefined) return t.skip('this kernel has all');
  assert.match(found.missing(lack, 'veth') as string, new RegExp(`^no ${lack}: `));
  process.env.NETLINK_XFRM_REQUIRE = `veth,${lack}`;
  assert.throws(() => found.missing(lack), { code: 'ERR_LACKING' });
});

test('the command prints lines or JSON, and fails if a required feature is missing', async () => {
  const { features } = await probe();
  const { stdout, status } = command(['probe', '--require', 'esp']);
  assert.equal(status, features.esp.ok ? 0 : 3);
  assert.match(stdout, /^kernel \S+\nnamespaces +yes\n/);
  const json = JSON.parse(command(['probe', '--json']).stdout);
  assert.deepEqual(Object.keys(json.features), [...KERNEL_FEATURES]);
  assert.equal(command(['probe', '--require', 'magic']).status, 2);
});

test('without capabilities each feature states its requirement', () => {
  const { stdout } = command(['probe', '--json'], {}, [
    ...['setpriv', '--inh-caps', '-all', '--bounding-set', '-all'],
  ]);
  const { features } = JSON.parse(stdout) as { features: Record<string, KernelFeatureFinding> };
  for (const [name, found] of Object.entries(features)) {
    assert(!found.ok, name);
    assert.equal(found.code, 'EPERM');
    assert.equal(found.errno, -1);
  }
  assert.match((features.namespaces as { reason: string }).reason, /CAP_SYS_ADMIN/);
});

test('a suite runs on this host if that suffices, and learns which features are required', () => {
  const script = ['sh', '-c', 'echo $NETLINK_XFRM_REQUIRE; exit 7'];
  const { stdout, stderr, status } = command(
    ['test', '--require', 'namespaces,veth', '--', ...script],
    { NETLINK_XFRM_REQUIRE: undefined },
  );
  assert.equal(status, 7);
  assert.equal(stdout, 'namespaces,veth\n');
  assert.equal(stderr, 'netlink-xfrm test: on this kernel\n');
});

const HERE = ['test', '--require', 'namespaces'];

test('a suite’s exit status is that of a shell, also where it ends by a signal or cannot be run', () => {
  assert.equal(command([...HERE, '--', 'sh', '-c', 'kill -9 $$']).status, 137);
  const missing = command([...HERE, '--', 'no-such-runner']);
  assert.match(missing.stderr, /netlink-xfrm test: no-such-runner: not found\n$/);
  assert.equal(missing.status, 127);
  assert.equal(command([...HERE, '--', '/etc/passwd']).status, 126);
  assert.match(
    command([...HERE, '--timeout', 'soon', '--', 'true']).stderr,
    /must be a number above 0/,
  );
});

test('signals are forwarded to the suite', async () => {
  const script = 'trap "echo told; exit 5" TERM; echo ready; while :; do sleep 0.01; done';
  const args = [program, ...HERE, '--', 'sh', '-c', script];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, 'exit');
  assert.equal((await lines.next()).value, 'ready');
  child.kill('SIGTERM');
  assert.equal((await lines.next()).value, 'told');
  assert.deepEqual(await ended, [5, null]);
});
