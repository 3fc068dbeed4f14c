import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { openPackages, unpack } from './apt.ts';
import { lockFile, openCache, workDirectory } from './cache.ts';
import { LabError } from './errors.ts';
import type { PrepareLabOptions } from './kernel.ts';
import { checkSuite, hostSuite, inspectMachine } from './machine.ts';
import { checkOptions } from './options.ts';

/** Fetched programs, and how to run them. */
export interface LabTools {
  /** Debian suite they come from. */
  readonly suite: string;
  /** Root directory they are unpacked in, with the layout of a Debian system. */
  readonly root: string;
  /** Directories of programs, colon-separated as in PATH. */
  readonly path: string;
  /** Directories of shared libraries. */
  readonly libraries: readonly string[];
  /**
   * PATH and LD_LIBRARY_PATH with these tools in front of this process's values. Merge it into the environment of what
   * runs them, here or in the guest.
   */
  readonly env: { readonly PATH: string; readonly LD_LIBRARY_PATH: string };
}

/** Options of {@link fetchLabTools}. */
export type LabToolsOptions = Pick<PrepareLabOptions, 'suite' | 'signal' | 'progress'>;

/** Changes with the layout of a tools directory. */
const LAYOUT = 'v1';

const PROGRAMS = ['usr/local/sbin', 'usr/local/bin', 'usr/sbin', 'usr/bin', 'sbin', 'bin'];
/** The last is for strongSwan's programs, which look only at that absolute path. */
const LIBRARIES = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu', 'usr/lib/ipsec'];

/**
 * Packages of the C library and the compiler's run time: every machine has its own, and a second copy of the C library in
 * LD_LIBRARY_PATH crashes programs.
 */
const OWN_OF_MACHINE = /^(libc6|libc-bin|libcrypt1|libgcc-s1|gcc-\d+-base)$/;

/** Packages named lib… without a shared library that a program could need. */
const NO_LIBRARY = /^libperl|-(perl|common|bin|data)$/;

/** Selects what to unpack from the closure: the requested packages and shared libraries. */
export function selectPackages(names: readonly string[], closure: readonly string[]): string[] {
  const library = (name: string) =>
    /^(lib|zlib1g)/.test(name) && !OWN_OF_MACHINE.test(name) && !NO_LIBRARY.test(name);
  return [...new Set(closure.filter((name) => names.includes(name) || library(name)))].sort();
}

function toolsIn(suite: string, root: string): LabTools {
  const path = PROGRAMS.map((part) => join(root, part)).filter((one) => existsSync(one));
  const libraries = LIBRARIES.map((part) => join(root, part)).filter((one) => existsSync(one));
  const before = (own: readonly string[], name: string) =>
    [...own, ...(process.env[name] ? [process.env[name]] : [])].join(delimiter);
  return {
    suite,
    root,
    path: path.join(delimiter),
    libraries,
    env: { PATH: before(path, 'PATH'), LD_LIBRARY_PATH: before(libraries, 'LD_LIBRARY_PATH') },
  };
}

/**
 * Fetches programs that this machine lacks: Debian packages and the shared libraries they need,
 * unpacked into the cache without root and without installing anything. Packages that need more
 * than files in place (a daemon's user, alternatives) may not work.
 *
 * @param names - Debian package names, for example `['iproute2']`
 * @param options - `suite`: default the machine's own, whose programs run with its C library
 * @throws LabError if they are not available
 */
export async function fetchLabTools(
  names: readonly string[],
  options: LabToolsOptions = {},
): Promise<LabTools> {
  const isName = (name: unknown) => typeof name === 'string' && /^[a-z0-9][a-z0-9+.-]+$/.test(name);
  checkOptions(options);
  if (!Array.isArray(names) || names.length === 0 || !names.every(isName)) {
    const bad = Array.isArray(names) ? names.find((name) => !isName(name)) : undefined;
    throw new LabError(
      'LAB_USAGE',
      typeof bad === 'string'
        ? `${JSON.stringify(bad)} is not a package name.`
        : 'No packages are named.',
      'Give names of Debian packages, for example iproute2.',
    );
  }
  const machine = inspectMachine();
  // Not the kernel's suite from NETLINK_XFRM_SUITE: these run with the machine's C library.
  const suite = options.suite === undefined ? hostSuite(machine) : checkSuite(options.suite);
  const cache = openCache();
  const asked = [...new Set(names)].sort();
  const key = createHash('sha256').update(asked.join(' ')).digest('hex').slice(0, 16);
  const target = join(cache, 'tools', LAYOUT, suite, key);
  const root = join(target, 'root');
  const record = join(target, 'tools.json');
  if (existsSync(record)) return toolsIn(suite, root);

  const { signal, progress } = options;
  const lock = await lockFile(join(cache, `${suite}.lock`), signal);
  try {
    if (existsSync(record)) return toolsIn(suite, root);
    const packages = openPackages(cache, suite, { signal, ...(progress && { progress }) });
    const selected = selectPackages(asked, await packages.closure(asked));
    const files = await packages.download(selected);
    const work = workDirectory(cache, `tools-${suite}`);
    const result = join(work, 'tools');
    mkdirSync(join(result, 'root'), { recursive: true });
    for (const file of files.values()) await unpack(file, join(result, 'root'), signal);
    const versions = [...files.values()].map((file) => file.replace(/^.*\//, ''));
    writeFileSync(join(result, 'tools.json'), `${JSON.stringify({ asked, versions }, null, 2)}\n`);
    mkdirSync(join(target, '..'), { recursive: true, mode: 0o700 });
    if (existsSync(target)) renameSync(target, join(work, 'replaced'));
    renameSync(result, target);
    rmSync(work, { recursive: true, force: true });
    packages.clear();
  } finally {
    await lock.release();
  }
  return toolsIn(suite, root);
}
