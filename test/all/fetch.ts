/**
 * Programs and headers of Debian's newest suite, fetched as the lab fetches its kernels.
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openPackages, unpack } from '../../lib/lab/apt.ts';

const LOADER = 'ld-linux-x86-64.so.2';

/** Unpacks packages of a suite into a folder, with all they need where `closure` says so. */
export async function fetchPackages(
  folder: string,
  suite: string,
  names: readonly string[],
  closure = false,
): Promise<string> {
  const packages = openPackages(folder, suite);
  const wanted = closure ? await packages.closure(names) : names;
  const root = join(folder, `root-${names.join('-')}`);
  for (const file of (await packages.download(wanted)).values()) await unpack(file, root);
  return root;
}

/** The command that starts a program of a suite, whatever C library this machine has. */
export async function fetchProgram(
  folder: string,
  suite: string,
  name: string,
  program: string,
): Promise<readonly string[]> {
  const root = await fetchPackages(folder, suite, [name], true);
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  const file = ['usr/bin', 'usr/sbin', 'bin', 'sbin']
    .map((directory) => join(root, directory, program))
    .find((path) => existsSync(path));
  if (file === undefined) throw new Error(`the package ${name} has no ${program}`);
  return [join(libraries, LOADER), '--library-path', libraries, file];
}
