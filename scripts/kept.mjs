// Packages that only some tasks need, installed from a separate lock file, and cached across clones.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Installs the packages in `folder`'s package.json and package-lock.json, without running their scripts.
 * @returns the folder node_modules
 */
export function kept(folder, what) {
  const lock = readFileSync(join(folder, 'package-lock.json'));
  const key = createHash('sha256')
    .update(`${process.arch} `)
    .update(lock)
    .digest('hex')
    .slice(0, 16);
  const cache = join(
    process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
    'netlink-xfrm/packages',
  );
  const place = join(cache, key);
  const modules = join(place, 'node_modules');
  if (existsSync(modules)) return modules;
  console.error(`installing ${what} …`);
  mkdirSync(cache, { recursive: true });
  const made = mkdtempSync(join(cache, 'new-'));
  try {
    for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
      copyFileSync(join(folder, name), join(made, name));
    }
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    // npm passes its settings on: a package may require a different Node than this project does, and
    // `npm pack --dry-run` needs them all the same.
    const args = ['ci', '--engine-strict=false', '--dry-run=false', ...quiet];
    execFileSync('npm', args, { cwd: made, stdio: ['ignore', 2, 2] });
    // What an interrupted removal has left.
    if (!existsSync(modules)) rmSync(place, { recursive: true, force: true });
    renameSync(made, place);
  } catch (error) {
    rmSync(made, { recursive: true });
    // Another process installed it first.
    if (!existsSync(modules)) throw error;
  }
  return modules;
}
