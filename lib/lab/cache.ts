import { spawn } from 'node:child_process';
import { addAbortListener } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { LabError } from './errors.ts';
import { plainEnvironment } from './programs.ts';
import { inspectTemp } from './tempdir.ts';

/** Where the cache belongs: NETLINK_XFRM_CACHE, else $XDG_CACHE_HOME/netlink-xfrm, else ~/.cache. */
export function cachePath(env: NodeJS.ProcessEnv = process.env, home = homedir()): string {
  if (env.NETLINK_XFRM_CACHE) return resolve(env.NETLINK_XFRM_CACHE);
  // XDG Base Directory Specification: ignore a path that is not absolute.
  const base = env.XDG_CACHE_HOME?.startsWith('/') ? env.XDG_CACHE_HOME : join(home, '.cache');
  return join(base, 'netlink-xfrm');
}

/**
 * Creates a directory and its parents. Node's `recursive` never returns if mkdir(2) fails with ENOENT although
 * the parent exists, as in /proc.
 */
function makeDirectory(path: string): void {
  const above = dirname(path);
  if (!existsSync(above)) makeDirectory(above);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // It already existed, or another process has just created it.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Creates the cache directory (mode 0700) if it does not exist. Files in it are executed, so it is refused if another
 * user could change it, or if nothing can be executed from it. Returns its real path; throws `LAB_CACHE`.
 */
export function openCache(path: string = cachePath()): string {
  const hint =
    'Set NETLINK_XFRM_CACHE to a directory that belongs to you and that nobody else can write to.';
  // The path is used in an ELF search path, a preload list and apt's configuration, all of which
  // give these characters a meaning.
  const [meant] = /[\s:;"'\\$]/.exec(path) ?? [];
  if (meant !== undefined) {
    const character = /\s/.test(meant) ? 'a blank' : `the character ${meant}`;
    const reason = `The cache path ${JSON.stringify(path)} cannot be used: it has ${character} in it.`;
    throw new LabError('LAB_CACHE', reason, hint);
  }
  let real: string;
  try {
    makeDirectory(path);
    real = realpathSync(path);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new LabError('LAB_CACHE', `Cannot make the cache directory ${path}: ${reason}.`, hint, {
      cause,
    });
  }
  const me = process.getuid?.() ?? 0;
  const own = statSync(real);
  if (own.uid !== me) {
    throw new LabError('LAB_CACHE', `The cache ${real} belongs to user ${own.uid}, not you.`, hint);
  }
  if ((own.mode & 0o022) !== 0) {
    throw new LabError('LAB_CACHE', `The cache ${real} can be written by other users.`, hint);
  }
  // Whoever owns a parent directory, or can write to one without the sticky bit, can swap ours.
  for (let above = dirname(real); ; above = dirname(above)) {
    const { uid, mode } = statSync(above);
    if ((uid !== me && uid !== 0) || ((mode & 0o002) !== 0 && (mode & 0o1000) === 0)) {
      const message = `Another user can replace the cache ${real}: ${above} is open to change.`;
      throw new LabError('LAB_CACHE', message, hint);
    }
    if (above === '/') break;
  }
  if (inspectTemp(real)?.executable === false) {
    throw new LabError(
      'LAB_CACHE',
      `The cache ${real} is mounted noexec, and what lies in it is run.`,
      'Set NETLINK_XFRM_CACHE to a directory on a file system that is not.',
    );
  }
  return real;
}

/** A held lock; the kernel releases it when this process ends, for whatever reason. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Waits for an exclusive lock on the file `path`. Node has no flock(2), so a small program holds the lock
 * until our end of its standard input closes.
 */
export async function lockFile(path: string, signal?: AbortSignal): Promise<Lock> {
  signal?.throwIfAborted();
  const child = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; exec cat'], {
    env: plainEnvironment(),
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  child.stdin.on('error', () => {});
  const ended = new Promise<void>((done) => child.once('close', () => done()));
  const release = async () => {
    child.stdin.end();
    await ended;
  };
  // While it is still waiting, flock does not read its input: it has to be killed.
  const abort = () => {
    if (child.pid !== undefined) child.kill('SIGKILL');
  };
  const aborted = signal && addAbortListener(signal, abort);
  try {
    await new Promise<void>((held, failed) => {
      child.stdout.once('data', () => held());
      child.once('error', (cause) =>
        failed(
          new LabError(
            'LAB_TOOLS',
            'Cannot run flock, which guards the cache against two downloads at once.',
            'Install the package util-linux.',
            { cause },
          ),
        ),
      );
      child.once('close', (code) =>
        failed(
          signal?.aborted
            ? signal.reason
            : new LabError(
                'LAB_CACHE',
                `Cannot lock ${path} (flock ended with ${code}).`,
                'See that the cache directory is writable and on a file system with locks.',
              ),
        ),
      );
    });
  } catch (error) {
    abort();
    throw error;
  } finally {
    aborted?.[Symbol.dispose]();
  }
  return { release };
}

/**
 * Creates a private directory below the cache to build something in, which a rename then publishes.
 * Call it while holding the lock for `name`: leftovers of an aborted run under that name are removed.
 */
export function workDirectory(cache: string, name: string): string {
  const parent = join(cache, 'work');
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  for (const left of readdirSync(parent)) {
    if (left.startsWith(`${name}.`)) rmSync(join(parent, left), { recursive: true, force: true });
  }
  return mkdtempSync(join(parent, `${name}.`));
}
