// What a fresh clone needs before anything runs: packages, the addon, compiled TypeScript.
// Works from plain Node. Everything it prints goes to standard error.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

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

/** Installs if the lock file is newer than what is installed, then builds what changed. */
export function setup() {
  const installed = join(root, 'node_modules/.package-lock.json');
  if (modified(installed) < modified(join(root, 'package-lock.json'))) {
    console.error('installing packages …');
    run('npm ci', ...npm('ci', '--no-audit', '--no-fund', '--loglevel=error'));
  }
  run('building the addon', process.execPath, [join(root, 'scripts/build-native.mjs')]);
  run('compiling', process.execPath, [join(root, 'node_modules/typescript/bin/tsc')]);
}
