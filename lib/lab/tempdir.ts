import {
  accessSync,
  constants,
  mkdtempSync,
  readFileSync,
  realpathSync,
  statfsSync,
} from 'node:fs';
import { join } from 'node:path';
import { LabError } from './errors.ts';

/** A candidate directory for the guest's memory, or for its start files. */
export interface TempCandidate {
  readonly path: string;
  /** Bytes available to this user. */
  readonly free: number;
  readonly writable: boolean;
  readonly executable: boolean;
  /** In memory, and so without disk traffic. */
  readonly tmpfs: boolean;
}

/** Bytes to spare beyond the guest's memory: other files may fill the same file system meanwhile. */
const MARGIN = 16 * 1024 * 1024;

interface Mount {
  readonly point: string;
  readonly options: readonly string[];
  readonly type: string;
}

/** Parses /proc/self/mountinfo (proc(5)); octal escapes stand for blanks in paths. */
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

/** The mount that holds `path`: the longest matching mount point, the latest if there are several. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    const prefix = mount.point === '/' ? '/' : `${mount.point}/`;
    if (path !== mount.point && !path.startsWith(prefix)) continue;
    if (!best || mount.point.length >= best.point.length) best = mount;
  }
  return best;
}

/** Inspects a directory as a candidate. */
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

/** Where to look, best first; the user's TMPDIR takes precedence. */
export function tempCandidates(env: NodeJS.ProcessEnv, cache: string): string[] {
  const all = [env.TMPDIR, '/dev/shm', env.XDG_RUNTIME_DIR, '/tmp', '/var/tmp', cache];
  return [...new Set(all.filter((path): path is string => path?.startsWith('/') ?? false))];
}

/** Why a directory cannot hold files that a guest executes. */
function unfit({ writable, executable }: TempCandidate): string | undefined {
  if (!writable) return 'cannot be written';
  return executable ? undefined : 'is mounted noexec';
}

/** The candidates, each with its problem. */
const listed = (candidates: readonly TempCandidate[], reason: (of: TempCandidate) => string) =>
  candidates.map((one) => `${one.path} ${reason(one)}`).join('; ') || 'none exists';

/**
 * Chooses the directory for the file that backs the guest's memory: the kernel maps it executable, and
 * dies with a bus error if the file system fills up. The file is sparse and unnamed; it grows with use.
 *
 * @param memory - the guest's memory in MiB
 * @throws LabError `LAB_TMPDIR` if none is suitable
 */
export function chooseTemp(candidates: readonly TempCandidate[], memory: number): string {
  const needed = memory * 1024 * 1024 + MARGIN;
  const chosen = candidates.find((one) => unfit(one) === undefined && one.free >= needed);
  if (chosen) return chosen.path;
  const reason = (one: TempCandidate) =>
    unfit(one) ?? `has ${Math.floor(one.free / 1024 / 1024)} MiB free`;
  throw new LabError(
    'LAB_TMPDIR',
    `No directory can hold ${memory} MiB of guest memory: ${listed(candidates, reason)}.`,
    'Set TMPDIR to a directory on a file system that has room and is not mounted noexec, or ask ' +
      'for less memory.',
  );
}

/** Why a file system cannot hold the run directory. The path is resolved by {@link inspectTemp}. */
function unfitForRun(candidate: TempCandidate): string | undefined {
  const { path } = candidate;
  // It is part of the kernel's command line.
  if (/\s|"/.test(path)) return 'has a blank or a quote in its path';
  // Paths on which the guest mounts before its first program starts.
  if (/^\/(dev|proc|sys|run)(\/|$)/.test(path)) return 'is hidden in the guest';
  return unfit(candidate);
}

/**
 * Creates a private directory for the files from which a guest starts. The guest runs programs there, and its hostfs asks
 * the host for permission: access(2) fails with EACCES for them on a noexec file system, and the kernel panics with
 * "Requested init … failed (error -13)".
 *
 * @throws LabError `LAB_TMPDIR` if none is suitable
 */
export function makeRunDirectory(candidates: readonly TempCandidate[]): string {
  const failed = new Map<TempCandidate, string>();
  for (const candidate of candidates) {
    if (unfitForRun(candidate) !== undefined) continue;
    try {
      return mkdtempSync(join(candidate.path, 'netlink-xfrm-lab-'));
    } catch (error) {
      // The next one may work.
      failed.set(candidate, `cannot be written (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  const reason = (one: TempCandidate) => unfitForRun(one) ?? failed.get(one) ?? '';
  throw new LabError(
    'LAB_TMPDIR',
    `No directory can hold the files that start the guest: ${listed(candidates, reason)}.`,
    'Set TMPDIR to a writable directory outside /dev and /run that is not mounted noexec. In a container, ' +
      '--tmpfs /tmp:exec makes one.',
  );
}
