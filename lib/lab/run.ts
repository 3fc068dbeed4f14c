import { mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { openCache } from './cache.ts';
import { prepareDefault } from './default.ts';
import { LabError } from './errors.ts';
import { commandScript, type GuestPlan, initScript, modprobeScript } from './guest.ts';
import { initramfs } from './initramfs.ts';
import { type LabKernel, type PrepareOptions, prepareKernel } from './kernel.ts';
import { chooseSuites, inspectMachine } from './machine.ts';
import { checkCommand, checkLimits, type LabOptions } from './options.ts';
import { accelerators, prepareEmulator, qemuProgram } from './qemu.ts';
import { chooseTemp, inspectTemp, type TempCandidate, tempCandidates } from './tempdir.ts';
import { userModeProgram } from './user-mode.ts';
import { bootGuest, type GuestProgram, type GuestResult } from './vm.ts';

/** How a command in the guest ended. */
export interface LabResult extends GuestResult {
  /** The guest kernel's release, for example `6.1.176`. */
  readonly release: string;
  /** The Debian suite it is of. */
  readonly suite: string;
}

type RunDirectory = Readonly<{ run: string; memory: number; stdin: boolean; share: string }>;

/**
 * The ways to start a guest, best first: one that does not bring the kernel up is followed by the
 * next.
 */
async function guestPrograms(
  kernel: LabKernel,
  candidates: readonly TempCandidate[],
  memory: number,
  options: LabOptions,
): Promise<((directory: RunDirectory) => GuestProgram)[]> {
  if (kernel.kind === 'user-mode') {
    const memoryDirectory = chooseTemp(candidates, memory);
    return [(directory) => userModeProgram(kernel, { ...directory, memoryDirectory })];
  }
  const emulator = await prepareEmulator(options);
  return accelerators().map(
    (accelerator) => (directory) => qemuProgram(emulator, kernel, { ...directory, accelerator }),
  );
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

/** The files that a guest starts from. */
function writeRunFiles(plan: GuestPlan, kernel: LabKernel): void {
  const { run } = plan;
  try {
    symlinkSync(kernel.busybox, join(run, 'busybox'));
    // The path to this file is all that the kernel's command line says of the command.
    writeFileSync(join(run, 'init'), initScript(plan), { mode: 0o700 });
    writeFileSync(join(run, 'command'), commandScript(plan), { mode: 0o600 });
    writeFileSync(join(run, 'modprobe'), modprobeScript(plan), { mode: 0o700 });
    if (kernel.kind === 'full') {
      const modules = join(kernel.directory, 'lib/modules', kernel.release);
      writeFileSync(join(run, 'initramfs'), initramfs(kernel.busybox, modules, `${run}/init`));
    }
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new LabError(
      'LAB_TMPDIR',
      `Cannot write the files that start the guest to ${run}: ${reason}.`,
      'Make room there, or set TMPDIR to a directory that has some.',
      { cause },
    );
  }
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
  if (options.kernel === 'full') return prepareKernel(suites[0] as string, machine, options);
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
  const ways = await guestPrograms(kernel, candidates, limits.memory, options);
  const stdin = options.stdin === 'inherit';
  for (const [index, way] of ways.entries()) {
    const run = makeRunDirectory(candidates);
    try {
      const plan: GuestPlan = {
        kind: kernel.kind,
        run,
        kernel: kernel.directory,
        command,
        cwd,
        env: guestEnvironment(options, kernel),
        share,
        keep: [kernel.directory, run, cwd, dirname(realpathSync(process.execPath))],
        stdin,
      };
      writeRunFiles(plan, kernel);
      const program = way({ run, memory: limits.memory, stdin, share });
      const result = await bootGuest({ kernel, run, program, timeout: limits.timeout }, options);
      return { ...result, release: kernel.release, suite: kernel.suite };
    } catch (error) {
      // Nothing of the command has run, nor of its standard input been read.
      const last = index === ways.length - 1;
      if (last || !(error instanceof LabError && error.code === 'LAB_BOOT')) throw error;
    } finally {
      rmSync(run, { recursive: true, force: true });
    }
  }
  throw new Error('there is always a way to start a guest');
}
