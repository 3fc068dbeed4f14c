import { accessSync, constants, readFileSync, realpathSync, statfsSync } from 'node:fs';
import { LabError } from './errors.ts';

/** A directory that may hold the guest's memory. */
export interface TempCandidate {
  readonly path: string;
  /** Free bytes for this user. */
  readonly free: number;
  readonly writable: boolean;
  readonly executable: boolean;
  /** In memory, and so without disc traffic. */
  readonly tmpfs: boolean;
}

/** Bytes the guest needs beside its memory: what else may fill the same file system meanwhile. */
const MARGIN = 16 * 1024 * 1024;

interface Mount {
  readonly point: string;
  readonly options: readonly string[];
  readonly type: string;
}

/** Reads the format of /proc/self/mountinfo (proc(5)); octal escapes stand for blanks in paths. */
export function parseMountInfo(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-');
    const point = fields[4];
    if (point === undefined || dash < 0) continue;
    mounts.push({
      point: point.replace(/\\([0-7]{3})/g, (_, code: string) =>
        String.fromCharCode(Number.parseInt(code, 8)),
      ),
      options: (fields[5] ?? '').split(','),
      type: fields[dash + 1] ?? '',
    });
  }
  return mounts;
}

/** The mount that holds `path`: the longest mount point above it, the latest if it has several. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    const prefix = mount.point === '/' ? '/' : `${mount.point}/`;
    if (path !== mount.point && !path.startsWith(prefix)) continue;
    if (!best || mount.point.length >= best.point.length) best = mount;
  }
  return best;
}

/** Looks at a directory as a place for the guest's memory. */
export function inspectTemp(path: string): TempCandidate | undefined {
  try {
    const real = realpathSync(path);
    const { bavail, bsize } = statfsSync(real);
    const mount = mountOf(real, parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8')));
    let writable = true;
    try {
      accessSync(real, constants.W_OK | constants.X_OK);
    } catch {
      writable = false;
    }
    return {
      path: real,
      free: bavail * bsize,
      writable,
      executable: !(mount?.options.includes('noexec') ?? false),
      tmpfs: mount?.type === 'tmpfs',
    };
  } catch {
    return undefined;
  }
}

/** Where to look, best first; what the user set in TMPDIR comes before all. */
export function tempCandidates(env: NodeJS.ProcessEnv, cache: string): string[] {
  const all = [env.TMPDIR, '/dev/shm', env.XDG_RUNTIME_DIR, '/tmp', '/var/tmp', cache];
  return [...new Set(all.filter((path): path is string => path?.startsWith('/') ?? false))];
}

/**
 * Chooses the directory for the file that is the guest's memory: the kernel maps it executable, and
 * dies with a bus error when it fills up. The file is sparse and has no name; it grows with use.
 *
 * @param memory - the guest's memory in MiB
 * @throws LabError `LAB_TMPDIR` when none will do
 */
export function chooseTemp(candidates: readonly TempCandidate[], memory: number): string {
  const needed = memory * 1024 * 1024 + MARGIN;
  const chosen = candidates.find((one) => one.writable && one.executable && one.free >= needed);
  if (chosen) return chosen.path;
  const reasons = candidates.map((one) => {
    if (!one.writable) return `${one.path} cannot be written`;
    if (!one.executable) return `${one.path} is mounted noexec`;
    return `${one.path} has ${Math.floor(one.free / 1024 / 1024)} MiB free`;
  });
  throw new LabError(
    'LAB_TMPDIR',
    `No directory can hold ${memory} MiB of guest memory: ${reasons.join('; ') || 'none exists'}.`,
    'Set TMPDIR to a directory on a file system that has room and is not mounted noexec, or ask ' +
      'for less memory.',
  );
}
