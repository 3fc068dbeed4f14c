import { mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { openCache } from './cache.ts';
import { prepareDefault } from './default.ts';
import { LabError } from './errors.ts';
import { commandScript, type GuestPlan, initScript, modprobeScript } from './guest.ts';
import { type LabKernel, type PrepareOptions, prepareKernel } from './kernel.ts';
import { chooseSuites, inspectMachine } from './machine.ts';
import { checkCommand, checkLimits, type LabOptions } from './options.ts';
import { chooseTemp, inspectTemp, type TempCandidate, tempCandidates } from './tempdir.ts';
import { bootGuest, type GuestResult } from './vm.ts';

/** How a command in the guest ended. */
export interface LabResult extends GuestResult {
  /** The guest kernel's release, for example `6.1.176`. */
  readonly release: string;
  /** The Debian suite it is of. */
  readonly suite: string;
}

/** A directory as the guest will see it; it must exist. */
function directory(path: string, what: string): string {
  const full = resolve(path);
  try {
    if (statSync(full).isDirectory()) return full;
  } catch {
    // Told below.
  }
  throw new LabError(
    'LAB_DIRECTORY',
    `The ${what} ${full} is no directory that can be entered.`,
    'Give an existing directory of the host.',
  );
}

/**
 * A private directory for one guest. Its path stands on the kernel's command line, so it must hold
 * no blanks, and it must not lie below what the guest mounts anew before its first program starts.
 */
function makeRunDirectory(candidates: readonly TempCandidate[]): string {
  for (const { path, writable } of candidates) {
    if (!writable || /\s|"/.test(path) || /^\/(dev|proc|sys|run)(\/|$)/.test(path)) continue;
    try {
      return mkdtempSync(join(path, 'netlink-xfrm-lab-'));
    } catch {
      // The next one may do.
    }
  }
  throw new LabError(
    'LAB_TMPDIR',
    'No directory can hold the files that start the guest.',
    'Make /tmp writable, or set TMPDIR to a directory outside /dev and /run.',
  );
}

/** The caller's environment for the command, as the guest needs it. */
function guestEnvironment(options: LabOptions, kernel: LabKernel): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.env ?? process.env)) {
    if (value !== undefined && name !== '' && !name.includes('=')) env[name] = value;
  }
  env.PATH ??= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  env.NETLINK_XFRM_LAB = kernel.release;
  return env;
}

/**
 * The kernel that a run uses: fetches it if it is not in the cache, without root and without installing
 * anything. Safe to call from several processes at once.
 *
 * @throws LabError when it cannot be had; see {@link LabError} for the codes
 */
export async function prepareLab(options: PrepareOptions = {}): Promise<LabKernel> {
  const machine = inspectMachine();
  const suites = chooseSuites(options.suite, machine);
  return suites.length === 1
    ? prepareKernel(suites[0] as string, machine, options)
    : prepareDefault(suites, machine, options, boots);
}

/** Milliseconds in which a kernel that boots at all has booted, on a machine however slow. */
const TRIAL = 10 * 60_000;

/** Boots a kernel to see that it does. */
async function boots(kernel: LabKernel, signal: AbortSignal | undefined): Promise<void> {
  const quiet = { stdout: 'ignore', stderr: 'ignore', timeout: TRIAL, signal } as const;
  const { status } = await runOn(kernel, [kernel.busybox, 'true'], quiet);
  if (status === 0) return;
  const reason = status === 124 ? 'did not come up' : `ended a first program with ${status}`;
  throw new LabError(
    'LAB_BOOT',
    `The guest kernel ${kernel.release} (${kernel.suite}) ${reason}.`,
    'Try another suite.',
  );
}

/**
 * Runs a command as root of a guest kernel that has IPsec. The guest sees the host's files, so that
 * the same programs lie at the same paths; what it may change of them, see `share`. It has network
 * namespaces and its own loopback, and no way to the host's network.
 *
 * Resolves when the guest has powered off. An exit status other than 0 is a result, not an error.
 *
 * @throws LabError when the lab cannot work here; the signal's reason when aborted
 */
export async function runInLab(
  command: readonly string[],
  options: LabOptions = {},
): Promise<LabResult> {
  checkCommand(command);
  checkLimits(options);
  return runOn(await prepareLab(options), command, options);
}

async function runOn(
  kernel: LabKernel,
  command: readonly string[],
  options: LabOptions,
): Promise<LabResult> {
  const limits = checkLimits(options);
  const cwd = directory(options.cwd ?? process.cwd(), 'working directory');
  const share = options.share === undefined ? '' : directory(options.share, 'shared directory');

  const candidates = tempCandidates(process.env, openCache())
    .map((path) => inspectTemp(path))
    .filter((found) => found !== undefined);
  const memoryDirectory = chooseTemp(candidates, limits.memory);
  const run = makeRunDirectory(candidates);
  try {
    const plan: GuestPlan = {
      run,
      kernel: kernel.directory,
      command,
      cwd,
      env: guestEnvironment(options, kernel),
      share,
      keep: [kernel.directory, run, cwd, dirname(realpathSync(process.execPath))],
      stdin: options.stdin === 'inherit',
    };
    symlinkSync(kernel.busybox, join(run, 'busybox'));
    // The path to this file is all that the kernel's command line says of the command.
    writeFileSync(join(run, 'init'), initScript(plan), { mode: 0o700 });
    writeFileSync(join(run, 'command'), commandScript(plan), { mode: 0o600 });
    writeFileSync(join(run, 'modprobe'), modprobeScript(plan), { mode: 0o700 });
    const result = await bootGuest({ kernel, run, memoryDirectory, ...limits }, options);
    return { ...result, release: kernel.release, suite: kernel.suite };
  } finally {
    rmSync(run, { recursive: true, force: true });
  }
}
