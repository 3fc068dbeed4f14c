/**
 * Another version of the code, built alongside this one for comparison.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A built version. */
export interface Version {
  readonly folder: string;
  readonly commit: string;
  remove(): void;
}

/**
 * Checks out a commit in a temporary worktree, and builds it with this version's packages.
 *
 * @throws if it does not exist or cannot be built
 */
export function buildVersion(root: string, ref: string): Version {
  const run = (cwd: string, file: string, ...args: string[]) => {
    const { status, stdout, stderr, error } = spawnSync(file, args, { cwd, encoding: 'utf8' });
    if (error) throw error;
    if (status === 0) return stdout.trim();
    throw new Error(`${file} ${args.join(' ')}: ${(stderr || stdout).trim()}`);
  };
  const commit = run(root, 'git', 'rev-parse', '--short', '--verify', `${ref}^{commit}`);
  const parent = mkdtempSync(join(tmpdir(), 'netlink-xfrm-bench-'));
  const folder = join(parent, commit);
  const remove = () => {
    rmSync(parent, { recursive: true, force: true });
    run(root, 'git', 'worktree', 'prune');
  };
  try {
    run(root, 'git', 'worktree', 'add', '--detach', folder, commit);
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    run(folder, process.execPath, 'scripts/build-native.mjs');
    run(folder, join(root, 'node_modules/.bin/tsc'));
    return { folder, commit, remove };
  } catch (error) {
    remove();
    throw error;
  }
}
