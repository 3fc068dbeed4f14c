// Sets up a fresh clone: packages, the addon, compiled TypeScript.
// Needs only Node. All output goes to standard error.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export const root = join(import.meta.dirname, '..');

/** Free bytes below which a disk counts as full: what the whole setup takes. */
const FULL = 16 * 1024 * 1024;

/** Runs a step to completion. Reports a failure and exits. */
async function run(what, command, args) {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(`: ${error.message}`));
    child.on('exit', (status) => resolve(status === 0 ? undefined : ''));
  });
  const reason = await ended;
  if (reason === undefined) return;
  console.error(`netlink-xfrm: ${what} failed${reason}`);
  try {
    const { bavail, bsize } = statfsSync(root);
    if (bavail * bsize < FULL)
      console.error(`There is no room left on the disk that holds ${root}.`);
  } catch {
    // The step has already reported what it could.
  }
  process.exit(1);
}

/** The npm that is running this, or the one in PATH. */
function npm(...args) {
  const cli = process.env.npm_execpath;
  return cli?.endsWith('.js') ? [process.execPath, [cli, ...args]] : ['npm', args];
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/**
 * Waits until no other process is setting up this clone. A name in the abstract socket namespace (unix(7))
 * belongs to one process at a time, and is released when that process ends, for whatever reason.
 */
async function turn() {
  for (let waited = false; ; waited = true) {
    const server = createServer();
    try {
      await once(server.listen(nameOf('setup')), 'listening');
      return server;
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error;
      if (!waited) console.error('another process is setting up this clone; waiting for it …');
      await pause(200);
    }
  }
}

/** Names of this clone in the abstract socket namespace. */
const nameOf = (what) => {
  const { dev, ino } = statSync(root);
  return `\0netlink-xfrm ${what} ${dev} ${ino}`;
};

/** Number of processes using this build: each holds its own name while it lives (proc(5), /proc/net/unix). */
const runs = () =>
  readFileSync('/proc/net/unix', 'latin1').split(`${nameOf('run').replace('\0', '@')} `).length - 1;

/** Announces to others that this build is in use until this process ends. */
async function use() {
  const server = createServer().unref();
  await once(server.listen(`${nameOf('run')} ${process.pid}`), 'listening');
}

/** Time of the newest change to a source, in milliseconds. */
function newest(path) {
  const own = statSync(path);
  if (!own.isDirectory()) return own.mtimeMs;
  // A folder's own time reflects deleted files.
  return Math.max(own.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

const SOURCES = [
  'lib',
  'page',
  'test',
  'tools',
  'bench',
  'torture',
  'tsconfig.json',
  'package.json',
];

/** Its time is that of the last complete compilation. */
const STAMP = join(root, 'dist/.compiled');

/** Whether this is a complete build that cannot be written to: a clone that was built and then mounted read-only. */
function builtForReading() {
  try {
    accessSync(root, constants.W_OK);
    return false;
  } catch {
    const made = ['node_modules', 'native/build/Release/netlink.node', 'dist/lib/index.js'];
    return made.every((path) => existsSync(join(root, path)));
  }
}

/**
 * Installs packages if the lock file is newer than the installation, then rebuilds what changed. First waits for
 * processes that still use the previous build.
 */
export async function setup() {
  if (builtForReading()) return;
  const server = await turn();
  try {
    const installed = join(root, 'node_modules/.package-lock.json');
    const toInstall = modified(installed) < modified(join(root, 'package-lock.json'));
    const changed = Math.max(...SOURCES.map((name) => newest(join(root, name))));
    const toCompile = toInstall || modified(STAMP) < changed;
    for (let waited = false; toCompile && runs() > 0; waited = true) {
      if (!waited)
        console.error(
          'sources changed, and a run of what was built before goes on; waiting for its end …',
        );
      await pause(500);
    }
    if (toInstall) {
      console.error('installing packages …');
      await run('npm ci', ...npm('ci', '--no-audit', '--no-fund', '--loglevel=error'));
    }
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    await Promise.all([
      run('building the addon', process.execPath, [join(root, 'scripts/build-native.mjs')]),
      toCompile && run('compiling', process.execPath, [tsc]),
      toCompile &&
        run('bundling the page', process.execPath, [join(root, 'scripts/bundle-page.mjs')]),
    ]);
    if (toCompile) {
      writeFileSync(STAMP, '');
      // Not later than when the sources were checked.
      utimesSync(STAMP, changed / 1000, changed / 1000);
    }
    await use();
  } finally {
    server.close();
  }
}
