/** Building the addon. Runs in a network namespace without a network. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { networkInterfaces, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../../..');

test('the addon builds without a network, an npm configuration or a home', () => {
  assert.deepEqual(Object.keys(networkInterfaces()), [], 'there is no network here');
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    for (const name of ['package.json', 'native', 'scripts', 'dist']) {
      cpSync(join(root, name), join(folder, name), {
        recursive: true,
        filter: (path) => path !== join(root, 'native/build'),
      });
    }
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const home = join(folder, 'home');
    mkdirSync(home);
    const path = `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
    const env = { PATH: path, HOME: home };
    const built = spawnSync(process.execPath, ['scripts/build-native.mjs'], {
      cwd: folder,
      env,
      encoding: 'utf8',
    });
    assert.equal(built.status, 0, built.stderr);
    assert.deepEqual(readdirSync(home), [], 'nothing was fetched into the home');
    const addon = createRequire(import.meta.url)(join(folder, 'native/build/Release/netlink.node'));
    assert.equal(typeof addon.Socket, 'function');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a missing addon is told with what to do', () => {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    for (const name of ['package.json', 'bin', 'dist']) {
      cpSync(join(root, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const { stderr, status } = spawnSync(process.execPath, ['bin/netlink-xfrm.js', 'monitor'], {
      cwd: folder,
      encoding: 'utf8',
    });
    assert.equal(status, 3);
    assert.match(
      stderr,
      /^netlink-xfrm: no native addon for linux-.*was found; looked for .*netlink\.node\n/,
    );
    assert.match(stderr, /npm run build:native\n$/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
