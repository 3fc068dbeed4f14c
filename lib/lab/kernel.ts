import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { openPackages, type PackageSource, unpack } from './apt.ts';
import { lockFile, openCache, workDirectory } from './cache.ts';
import { LabError } from './errors.ts';
import { fetchFullKernel } from './full-kernel.ts';
import { bindToLibrary, runsAsIs, runsWithLibrary } from './library.ts';
import { isOwnSuite, type Machine } from './machine.ts';
import { firstOf } from './package-files.ts';
import { prepareEmulator } from './qemu.ts';
import { buildWideRegisters, needsWideRegisters } from './wide-registers.ts';

/** Changes with the layout of a kernel's directory; older ones are then left alone. */
const LAYOUT = 'v1';

/**
 * Kinds of guest kernel: `user-mode`, Debian's user-mode-linux, an ordinary program that starts in a second or two;
 * `full`, Debian's standard kernel in an emulator, which has all that Debian's users have (xfrm interfaces,
 * WireGuard, two processors) and takes ten seconds or more to start.
 */
export type LabKernelKind = 'user-mode' | 'full';

/** Options of {@link prepareLab}. */
export interface PrepareLabOptions {
  /** Default `user-mode`. */
  readonly kernel?: LabKernelKind | undefined;
  /**
   * Debian suite of the kernel: `bookworm`, `trixie` or `sid`. Default: NETLINK_XFRM_SUITE, else `sid`, whose kernel is
   * the fastest; if that is unavailable or does not boot here, the machine's own suite on Debian, else `bookworm`. (For
   * a full kernel: only `sid`.)
   */
  readonly suite?: string | undefined;
  /** Look for a newer kernel even if one is cached. */
  readonly refresh?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with a short message in English before each download. */
  readonly progress?: ((message: string) => void) | undefined;
}

/** A kernel in the cache, ready to boot. */
export interface LabKernel {
  readonly kind: LabKernelKind;
  /** Debian suite, for example `bookworm`. */
  readonly suite: string;
  /** Kernel release as `uname -r` prints it, for example `6.1.176`. */
  readonly release: string;
  /** The package's version, for example `6.1um4+b13`. */
  readonly version: string;
  /** Its directory, which is also the root for loading modules. */
  readonly directory: string;
  /** The kernel: a program, or for a full kernel the image that the emulator boots. */
  readonly program: string;
  /** Statically linked busybox, for host and guest. */
  readonly busybox: string;
  /** Library to preload into the kernel, or empty (see wide-registers.ts). */
  readonly preload: string;
  /** Whether it uses seccomp filters, where the host allows it, to run programs: faster than ptrace. */
  readonly seccomp: boolean;
  /** When it was fetched, ISO 8601. */
  readonly fetched: string;
}

type Recorded = Pick<LabKernel, 'suite' | 'release' | 'version' | 'fetched' | 'directory'> & {
  size: number;
  /** Absent in a user-mode kernel. */
  kind?: LabKernelKind;
};

/** A kernel that was fetched and laid out. */
export interface FetchedKernel {
  readonly release: string;
  /** File name of the package whose version it has. */
  readonly file: string;
}

/** The version in a package's file name. */
const versionOf = (file: string) => /_([^_]+)_[^_]+\.deb$/.exec(file)?.[1] ?? 'unknown';

/** Where the kernel of a package is kept. */
const targetOf = (parent: string, file: string) =>
  join(parent, versionOf(file).replaceAll('%', '-'));

/** The kind of machine that a cached kernel was prepared for: C library and register set. */
function flavour(kind: LabKernelKind, suite: string, machine: Machine): string {
  if (kind === 'full') return 'full';
  return `${isOwnSuite(suite, machine) ? 'own' : 'moved'}${machine.amx ? '-amx' : ''}`;
}

/** Whether a kernel of this release supports `seccomp=` (6.1 and 6.12 do not list it in --help, 7.2 does). */
const hasSeccomp = (release: string): boolean => Number.parseInt(release, 10) >= 7;

function load(directory: string): LabKernel | undefined {
  try {
    const text = readFileSync(join(directory, 'kernel.json'), 'utf8');
    const { size, ...recorded } = JSON.parse(text) as Recorded;
    const program = join(directory, 'linux');
    // After a power failure the name may exist without the contents.
    if (statSync(program).size !== size) return undefined;
    // The cache was moved: the path to the C library is stored in the program.
    if (recorded.directory !== directory) return undefined;
    const preload = join(directory, 'wide-registers.so');
    return {
      kind: 'user-mode',
      ...recorded,
      program,
      busybox: join(directory, 'bin/busybox'),
      preload: existsSync(preload) ? preload : '',
      seccomp: recorded.kind !== 'full' && hasSeccomp(recorded.release),
    };
  } catch {
    return undefined;
  }
}

/** The kernels in one directory of the cache, newest first. */
function cachedIn(parent: string): LabKernel[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .map((name) => load(join(parent, name)))
    .filter((kernel) => kernel !== undefined)
    .sort((a, b) => b.fetched.localeCompare(a.fetched));
}

/** Where the kernels of a suite are kept. */
const kept = (cache: string, kind: LabKernelKind, suite: string, machine: Machine) =>
  join(cache, 'kernels', LAYOUT, `${suite}-${flavour(kind, suite, machine)}`);

/** The newest cached user-mode kernel of a suite. */
export function cachedKernel(
  cache: string,
  suite: string,
  machine: Machine,
): LabKernel | undefined {
  return cachedIn(kept(cache, 'user-mode', suite, machine))[0];
}

/**
 * Ensures that the kernel of a suite is in the cache: fetches it if there is none, without root and without installing
 * anything. Several processes may call it concurrently.
 *
 * @throws LabError if it is not available; see {@link LabError} for the codes
 */
export async function prepareKernel(
  suite: string,
  machine: Machine,
  options: Omit<PrepareLabOptions, 'suite'>,
): Promise<LabKernel> {
  const cache = openCache();
  const kind = options.kernel ?? 'user-mode';
  // The emulator is part of it: once prepared, nothing needs to be fetched at start.
  if (kind === 'full') await prepareEmulator(options);
  const parent = kept(cache, kind, suite, machine);
  const cached = options.refresh ? undefined : cachedIn(parent)[0];
  if (cached) return cached;

  const { signal } = options;
  const lock = await lockFile(join(cache, `${suite}.lock`), signal);
  try {
    // Another process may have fetched it while we waited.
    const meanwhile = options.refresh ? undefined : cachedIn(parent)[0];
    if (meanwhile) return meanwhile;
    return await fetchKernel(kind, suite, machine, cache, parent, options);
  } finally {
    await lock.release();
  }
}

/** Fetches Debian's user-mode-linux and lays it out in `result`. */
async function fetchUserModeKernel(
  packages: PackageSource,
  machine: Machine,
  parent: string,
  work: string,
  result: string,
  signal?: AbortSignal,
): Promise<FetchedKernel> {
  const own = isOwnSuite(packages.suite, machine);
  const names = ['user-mode-linux', 'busybox-static'];
  if (!own) names.push('libc6', 'patchelf');
  // Whether it is needed is known only once the release is, but it is small.
  if (machine.amx) names.push('tcc');
  const files = await packages.download(names);
  const file = (name: string) => files.get(name) ?? '';

  const parts = (name: string) => join(work, 'parts', name);
  mkdirSync(join(result, 'bin'), { recursive: true });
  mkdirSync(join(result, 'proc'));
  mkdirSync(join(result, 'lib/modules'), { recursive: true });
  for (const name of names) await unpack(file(name), parts(name), signal);

  const busybox = join(result, 'bin/busybox');
  renameSync(firstOf(parts('busybox-static'), ['bin/busybox', 'usr/bin/busybox']), busybox);
  const modules = firstOf(parts('user-mode-linux'), ['usr/lib/uml/modules']);
  const release = readdirSync(modules)[0] ?? '';
  renameSync(join(modules, release), join(result, 'lib/modules', release));
  await runsAsIs(signal)(busybox, ['depmod', '-b', result, release]);

  const program = join(result, 'linux');
  renameSync(firstOf(parts('user-mode-linux'), ['usr/bin/linux.uml']), program);
  const target = targetOf(parent, file('user-mode-linux'));
  const library = join(result, 'libc');
  const run = own ? runsAsIs(signal) : runsWithLibrary(parts('libc6'), library, signal);
  if (!own) {
    const patchelf = firstOf(parts('patchelf'), ['usr/bin/patchelf']);
    await bindToLibrary(program, join(target, 'libc'), patchelf, run);
  }
  if (needsWideRegisters(release, machine.amx)) {
    const tcc = firstOf(parts('tcc'), ['usr/bin/tcc']);
    await buildWideRegisters(tcc, run, join(result, 'wide-registers.so'), work);
  }
  return { release, file: file('user-mode-linux') };
}

async function fetchKernel(
  kind: LabKernelKind,
  suite: string,
  machine: Machine,
  cache: string,
  parent: string,
  { signal, progress }: PrepareLabOptions,
): Promise<LabKernel> {
  const packages = openPackages(cache, suite, { signal, ...(progress && { progress }) });
  const work = workDirectory(cache, `kernel-${suite}`);
  const result = join(work, 'kernel');
  const { release, file } =
    kind === 'full'
      ? await fetchFullKernel(packages, work, result, signal)
      : await fetchUserModeKernel(packages, machine, parent, work, result, signal);

  const target = targetOf(parent, file);
  const recorded: Recorded = {
    ...(kind === 'full' && { kind }),
    suite,
    release,
    version: decodeURIComponent(versionOf(file)),
    directory: target,
    fetched: new Date().toISOString(),
    size: statSync(join(result, 'linux')).size,
  };
  // Written last, so that a directory with this file is complete.
  writeFileSync(join(result, 'kernel.json'), `${JSON.stringify(recorded, null, 2)}\n`);
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  // The same version again (a refresh): running guests keep their open files.
  if (existsSync(target)) renameSync(target, join(work, 'replaced'));
  renameSync(result, target);
  rmSync(work, { recursive: true, force: true });
  packages.clear();

  const kernel = load(target);
  if (kernel) return kernel;
  throw new LabError(
    'LAB_CACHE',
    `The kernel in ${target} cannot be read back.`,
    'Check that the cache has room, remove that directory and try again.',
  );
}

/** All kernels in the cache, the newest of each kind first; fetches nothing. */
export function listLabKernels(): LabKernel[] {
  const all = join(openCache(), 'kernels', LAYOUT);
  if (!existsSync(all)) return [];
  return readdirSync(all)
    .sort()
    .flatMap((kind) => cachedIn(join(all, kind)));
}
