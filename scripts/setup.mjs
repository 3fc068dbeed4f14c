// What a fresh clone needs before anything runs: packages, the addon, compiled TypeScript.
// Works from plain Node. Everything it prints goes to standard error.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export const root = join(import.meta.dirname, '..');

function run(what, command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status === 0) return;
  console.error(`netlink-xfrm: ${what} failed${result.error ? `: ${result.error.message}` : ''}`);
  process.exit(1);
}

/** npm as it is running this, or as it is found. */
function npm(...args) {
  const cli = process.env.npm_execpath;
  return cli?.endsWith('.js') ? [process.execPath, [cli, ...args]] : ['npm', args];
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/**
 * Waits until no other process sets up this clone. A name in the abstract socket namespace (unix(7))
 * is one process's at a time, and free again when that process ends, however it ends.
 */
async function turn() {
  const { dev, ino } = statSync(root);
  for (let waited = false; ; waited = true) {
    const server = createServer();
    try {
      await once(server.listen(`\0netlink-xfrm setup ${dev} ${ino}`), 'listening');
      return server;
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error;
      if (!waited) console.error('another process is setting up this clone; waiting for it …');
      await pause(200);
    }
  }
}

/** Whether nothing can be written here, and all is there: a clone that was built and then mounted. */
function builtForReading() {
  try {
    accessSync(root, constants.W_OK);
    return false;
  } catch {
    const made = ['node_modules', 'native/build/Release/netlink.node', 'dist/lib/index.js'];
    return made.every((path) => existsSync(join(root, path)));
  }
}

/** Installs if the lock file is newer than what is installed, then builds what changed. */
export async function setup() {
  if (builtForReading()) return;
  const server = await turn();
  try {
    const installed = join(root, 'node_modules/.package-lock.json');
    if (modified(installed) < modified(join(root, 'package-lock.json'))) {
      console.error('installing packages …');
      run('npm ci', ...npm('ci', '--no-audit', '--no-fund', '--loglevel=error'));
    }
    run('building the addon', process.execPath, [join(root, 'scripts/build-native.mjs')]);
    run('compiling', process.execPath, [join(root, 'node_modules/typescript/bin/tsc')]);
  } finally {
    server.close();
  }
}
