import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { LabError, lastLines } from './errors.ts';
import { firstOf } from './package-files.ts';
import { runProgram } from './programs.ts';

/** Runs a program from an unpacked package with arguments; rejects if it fails. */
export type RunUnpacked = (file: string, args: readonly string[]) => Promise<void>;

const LOADER = 'ld-linux-x86-64.so.2';

async function must(file: string, args: readonly string[], signal?: AbortSignal): Promise<void> {
  const result = await runProgram(file, args, { signal });
  if (result.status === 0) return;
  throw new LabError(
    'LAB_FETCH',
    `${file} failed with status ${result.status}: ${lastLines(result.stderr, 1)}`,
    'The cache must have room and must not be mounted noexec (NETLINK_XFRM_CACHE moves it).',
    { log: lastLines(result.stderr, 12) },
  );
}

/** For programs of the machine's own suite, and static ones: they run as they are. */
export function runsAsIs(signal?: AbortSignal): RunUnpacked {
  return (file, args) => must(file, args, signal);
}

/**
 * For programs of another suite than the machine's: extracts the C library from the unpacked package `libc6` into
 * `directory`, and runs programs with its loader.
 */
export function runsWithLibrary(
  libc6: string,
  directory: string,
  signal?: AbortSignal,
): RunUnpacked {
  const from = firstOf(libc6, ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu']);
  cpSync(from, directory, { recursive: true, verbatimSymlinks: true });
  return (file, args) =>
    must(join(directory, LOADER), ['--library-path', directory, file, ...args], signal);
}

/**
 * Makes `program` use the C library in `directory`, an absolute path that need not exist yet. Starting
 * it with the loader does not work for the guest kernel, which executes itself again by path.
 */
export async function bindToLibrary(
  program: string,
  directory: string,
  patchelf: string,
  run: RunUnpacked,
): Promise<void> {
  const loader = join(directory, LOADER);
  await run(patchelf, ['--set-interpreter', loader, '--set-rpath', directory, program]);
}
