import { realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { openCache } from './cache.ts';
import { prepareDefault } from './default.ts';
import { LabError } from './errors.ts';
import { type GuestPlan, initScript, modprobeScript } from './guest.ts';
import { initramfs } from './initramfs.ts';
import { Interruption } from './interruption.ts';
import { type LabKernel, type PrepareLabOptions, prepareKernel } from './kernel.ts';
import { chooseSuites, inspectMachine } from './machine.ts';
import {
  checkCommand,
  checkLimits,
  checkOptions,
  commandStreams,
  type LabCommandOptions,
  type LabGuestOptions,
  type LabOptions,
} from './options.ts';
import { accelerators, prepareEmulator, qemuProgram } from './qemu.ts';
import {
  chooseTemp,
  inspectTemp,
  makeRunDirectory,
  type TempCandidate,
  tempCandidates,
} from './tempdir.ts';
import { userModeProgram } from './user-mode.ts';
import { bootGuest, type Guest, type GuestProgram, type GuestRun } from './vm.ts';

/** How a command in the guest ended. */
export interface LabResult {
  /** The command's exit status; 128 + n if signal n killed it; 124 if it timed out. */
  readonly status: number;
  /** Whether it was ended by `timeout`. */
  readonly timedOut: boolean;
  /** Milliseconds until the command started; absent if it never did. */
  readonly bootMs?: number;
  /** Milliseconds until the command, or a guest of its own, had ended. */
  readonly totalMs: number;
  /** The guest kernel's release, for example `6.1.176`. */
  readonly release: string;
  /** The Debian suite of the kernel. */
  readonly suite: string;
}

type RunDirectory = Readonly<{
  run: string;
  memory: number;
  stdin: boolean;
  share: string;
  slots: number;
}>;

/**
 * The ways to start a guest, best first: if one does not bring the kernel up, the next is tried.
 */
async function guestPrograms(
  kernel: LabKernel,
  candidates: readonly TempCandidate[],
  memory: number,
  options: LabGuestOptions,
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
    // Reported below.
  }
  throw new LabError(
    'LAB_DIRECTORY',
    `The ${what} ${full} is not an accessible directory.`,
    'Give an existing directory of the host.',
  );
}

/** The files that a guest starts from. */
function writeRunFiles(plan: GuestPlan, kernel: LabKernel): void {
  const { run } = plan;
  try {
    symlinkSync(kernel.busybox, join(run, 'busybox'));
    // The kernel's command line refers to the command only by this file.
    writeFileSync(join(run, 'init'), initScript(plan), { mode: 0o700 });
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

/** The caller's environment for the command, adapted to the guest. */
function guestEnvironment(options: LabCommandOptions, kernel: LabKernel): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.env ?? process.env)) {
    if (value !== undefined && name !== '' && !name.includes('=')) env[name] = value;
  }
  env.PATH ??= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  env.NETLINK_XFRM_LAB = kernel.release;
  return env;
}

/**
 * Returns the kernel that a run uses: fetches it if it is not in the cache, without root and without installing anything.
 * Several processes may call it concurrently.
 *
 * @throws LabError if it is not available; see {@link LabError} for the codes
 */
export async function prepareLab(options: PrepareLabOptions = {}): Promise<LabKernel> {
  checkOptions(options);
  const machine = inspectMachine();
  const suites = chooseSuites(options.suite, machine);
  if (options.kernel === 'full') return prepareKernel(suites[0] as string, machine, options);
  return suites.length === 1
    ? prepareKernel(suites[0] as string, machine, options)
    : prepareDefault(suites, machine, options, boots);
}

/** Milliseconds for a trial boot, however slow the machine. */
const TRIAL = 10 * 60_000;

/** Boots a kernel as a trial. */
async function boots(kernel: LabKernel, signal: AbortSignal | undefined): Promise<void> {
  const quiet = { stdout: 'ignore', stderr: 'ignore', timeout: TRIAL, signal } as const;
  const { status } = await runOnce(kernel, [kernel.busybox, 'true'], quiet);
  if (status === 0) return;
  const reason = status === 124 ? 'did not come up' : `ended a first program with ${status}`;
  throw new LabError(
    'LAB_BOOT',
    `The guest kernel ${kernel.release} (${kernel.suite}) ${reason}.`,
    'Try another suite.',
  );
}

/** Runs a command in its own guest. */
export async function runOnce(
  kernel: LabKernel,
  command: readonly string[],
  options: LabOptions,
): Promise<LabResult> {
  const run = guestRun(kernel, command, options);
  return interruptible(kernel, options, async (interruption, started) => {
    const slots = 1;
    const stdin = options.stdin === 'inherit';
    const guest = await startGuest(kernel, options, { slots, stdin, cwd: run.cwd }, interruption);
    try {
      return await guest.run(run, commandStreams(options), interruption, started);
    } finally {
      await guest.close();
    }
  });
}

/** Prepares a command for the guest. Throws `LAB_USAGE` and `LAB_DIRECTORY`. */
export function guestRun(
  kernel: LabKernel,
  command: readonly string[],
  options: LabCommandOptions,
): GuestRun {
  checkCommand(command);
  checkOptions(options);
  return {
    command,
    cwd: directory(options.cwd ?? process.cwd(), 'working directory'),
    env: guestEnvironment(options, kernel),
    isolated: options.isolated ?? false,
  };
}

/** The share of a guest as an absolute path, or empty. Throws `LAB_DIRECTORY`. */
export function sharePath({ share }: LabGuestOptions): string {
  return share === undefined ? '' : directory(share, 'shared directory');
}

/** Runs a command within its limits; `body` returns its status. */
export async function interruptible(
  kernel: LabKernel,
  options: LabCommandOptions,
  body: (interruption: Interruption, started: () => void) => Promise<number>,
): Promise<LabResult> {
  const { timeout } = checkLimits({ kernel: kernel.kind, timeout: options.timeout });
  const began = performance.now();
  let bootMs: number | undefined;
  const result = (status: number, timedOut: boolean): LabResult => ({
    status,
    timedOut,
    totalMs: performance.now() - began,
    ...(bootMs !== undefined && { bootMs }),
    release: kernel.release,
    suite: kernel.suite,
  });
  using interruption = new Interruption(options, timeout);
  try {
    const status = await body(interruption, () => {
      bootMs = performance.now() - began;
    });
    return result(status, false);
  } catch (error) {
    // A guest that ended because this process was signalled has no status to report.
    const lost = error instanceof LabError && error.code === 'LAB_LOST';
    const { status } = interruption;
    if (status === undefined || !(lost || interruption.caused(error))) throw error;
    return result(status, interruption.timedOut);
  }
}

/** Starts a guest. */
export async function startGuest(
  kernel: LabKernel,
  options: LabGuestOptions,
  { slots, stdin, cwd }: { slots: number; stdin: boolean; cwd: string },
  { signal }: Pick<Interruption, 'signal'>,
): Promise<Guest> {
  const { memory } = checkLimits({ kernel: kernel.kind, memory: options.memory });
  const share = sharePath(options);
  const candidates = tempCandidates(process.env, openCache())
    .map((path) => inspectTemp(path))
    .filter((found) => found !== undefined);
  const ways = await guestPrograms(kernel, candidates, memory, options);
  for (const [index, way] of ways.entries()) {
    const run = makeRunDirectory(candidates);
    try {
      const plan: GuestPlan = {
        kind: kernel.kind,
        run,
        kernel: kernel.directory,
        share,
        keep: [kernel.directory, run, cwd, dirname(realpathSync(process.execPath))],
        stdin,
        slots,
      };
      writeRunFiles(plan, kernel);
      const program = way({ run, memory, stdin, share, slots });
      return await bootGuest({ kernel, run, program, slots, stdin }, signal);
    } catch (error) {
      rmSync(run, { recursive: true, force: true });
      // The command has not run, and its standard input has not been read.
      const last = index === ways.length - 1;
      if (last || !(error instanceof LabError && error.code === 'LAB_BOOT')) throw error;
    }
  }
  throw new Error('there is always a way to start a guest');
}
