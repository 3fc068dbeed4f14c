/** Every package manager installs the package without a compiler, and what it installs works. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import {
  MONITOR,
  nodeOf,
  type Packed,
  packed,
  pathWithoutCompiler,
  project,
  run,
  temporary,
  tools,
  UNSHARE,
} from './packed.ts';

let what: Packed;
const PATH = pathWithoutCompiler();
/** Caches are the test's own, except npm's, which the next run can use. */
const caches = temporary();
const env: NodeJS.ProcessEnv = {
  ...process.env,
  PATH,
  YARN_CACHE_FOLDER: join(caches, 'yarn'),
  YARN_GLOBAL_FOLDER: join(caches, 'berry'),
  YARN_ENABLE_TELEMETRY: '0',
  BUN_INSTALL_CACHE_DIR: join(caches, 'bun'),
  npm_config_store_dir: join(caches, 'pnpm'),
};
for (const name of Object.keys(env)) {
  // The npm that runs this passes its configuration on.
  if (/^npm_(config_(?!store|userconfig)|package_|lifecycle_|execpath|command)/i.test(name))
    env[name] = undefined;
}

before(async () => {
  what = await packed();
});

/** How to add the tarball, by manager: the arguments of node. */
const MANAGERS: Readonly<Record<string, (tarball: string) => readonly string[]>> = {
  'npm 10': (of) => [join(tools, 'npm10/bin/npm-cli.js'), 'install', of],
  'npm 11': (of) => [join(tools, 'npm11/bin/npm-cli.js'), 'install', of],
  'npm 12': (of) => [join(tools, 'npm12/bin/npm-cli.js'), 'install', of],
  'npm 10, without scripts': (of) => [
    join(tools, 'npm10/bin/npm-cli.js'),
    ...['install', '--ignore-scripts', of],
  ],
  'yarn 1': (of) => [join(tools, 'yarn1/bin/yarn.js'), 'add', `file:${of}`],
  'yarn 4': (of) => [join(tools, 'yarn4/bin/yarn.js'), 'add', `netlink-xfrm@file:${of}`],
  'yarn 4 with Plug’n’Play': (of) => [
    join(tools, 'yarn4/bin/yarn.js'),
    ...['add', `netlink-xfrm@file:${of}`],
  ],
  'pnpm 10': (of) => [join(tools, 'pnpm10/bin/pnpm.cjs'), 'add', of],
  'pnpm 12': (of) => [join(tools, 'pnpm12/bin/pnpm.mjs'), 'add', of],
};

/** The node that a manager needs, where this one is too old for it. */
const node = (name: string) => (/^(npm|pnpm) 12/.test(name) ? nodeOf(24) : process.execPath);

for (const [name, command] of Object.entries(MANAGERS)) {
  test(`${name} installs it without a compiler, and a monitor runs`, async () => {
    const folder = project({ 'monitor.mjs': MONITOR });
    const pnp = name.includes('Plug');
    if (name.startsWith('yarn 4')) {
      writeFileSync(
        join(folder, '.yarnrc.yml'),
        pnp ? 'nodeLinker: pnp\n' : 'nodeLinker: node-modules\n',
      );
      writeFileSync(join(folder, 'yarn.lock'), '');
    }
    const added = await run([node(name), ...command(what.tarball)], folder, env);
    assert.equal(added.status, 0, added.stdout + added.stderr);
    assert.doesNotMatch(
      added.stdout + added.stderr,
      /gyp|install script|build scripts|allowScripts/i,
    );
    const runner = pnp ? [join(tools, 'yarn4/bin/yarn.js'), 'node'] : [];
    const ran = await run([...UNSHARE, node(name), ...runner, 'monitor.mjs'], folder, env);
    assert.equal(ran.stdout, 'synced 0\n', ran.stderr);
  });
}

test('bun installs it without a compiler, and a monitor runs on Node', async (t) => {
  const bun = join(tools, 'bun/bin/bun');
  if (!existsSync(bun)) return t.skip('there is no bun for this machine');
  const folder = project({ 'monitor.mjs': MONITOR });
  const added = await run([bun, 'add', what.tarball], folder, env);
  assert.equal(added.status, 0, added.stdout + added.stderr);
  assert.doesNotMatch(added.stdout + added.stderr, /blocked/i);
  const ran = await run([...UNSHARE, process.execPath, 'monitor.mjs'], folder, env);
  assert.equal(ran.stdout, 'synced 0\n', ran.stderr);
});

test('npm ci installs it from a lock file without a compiler', async () => {
  const folder = project({ 'monitor.mjs': MONITOR });
  const npm = join(tools, 'npm11/bin/npm-cli.js');
  await run([process.execPath, npm, 'install', what.tarball], folder, env);
  const installed = await run([process.execPath, npm, 'ci'], folder, env);
  assert.equal(installed.status, 0, installed.stderr);
  for (const major of [20, 22, 24, 26]) {
    const ran = await run([...UNSHARE, nodeOf(major), 'monitor.mjs'], folder, env);
    assert.equal(ran.stdout, 'synced 0\n', `Node ${major}: ${ran.stderr}`);
    assert.equal(ran.stderr, '', `Node ${major}`);
  }
  // The command, as it was linked.
  const command = join(folder, 'node_modules/.bin/netlink-xfrm');
  const { stdout, stderr, status } = await run([...UNSHARE, command, 'state'], folder, env);
  assert.deepEqual({ stdout, stderr, status }, { stdout: '', stderr: '', status: 0 });
  // Built from source, with one command, it is what was built that is loaded.
  const built = await run(
    ['npm', 'run', 'build:native'],
    join(folder, 'node_modules/netlink-xfrm'),
  );
  assert.equal(built.status, 0, built.stderr);
  mkdirSync(join(folder, 'elsewhere'));
  const which = `import { XfrmMonitor } from 'netlink-xfrm';
    import { readFileSync } from 'node:fs';
    const monitor = await XfrmMonitor.open();
    console.log(/\\/netlink-xfrm\\/.*netlink\\.node/.exec(readFileSync('/proc/self/maps', 'utf8'))[0]);
    await monitor.close();`;
  writeFileSync(join(folder, 'which.mjs'), which);
  const ran = await run([...UNSHARE, process.execPath, 'which.mjs'], folder, env);
  assert.equal(ran.stdout, '/netlink-xfrm/native/build/Release/netlink.node\n', ran.stderr);
});
