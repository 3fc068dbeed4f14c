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
  /** The command's exit status; 128 + n if signal n killed it; 124 if the time was up. */
  readonly status: number;
  /** Whether `timeout` ended it. */
  readonly timedOut: boolean;
  /** Milliseconds until the command started; absent if it never did. */
  readonly bootMs?: number;
  /** Milliseconds until it had ended; of a guest of one command, until that had. */
  readonly totalMs: number;
  /** The guest kernel's release, for example `6.1.176`. */
  readonly release: string;
  /** The Debian suite it is of. */
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
 * The ways to start a guest, best first: one that does not bring the kernel up is followed by the
 * next.
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
    // Told below.
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
    // The path to this file is all that the kernel's command line says of the command.
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

/** The caller's environment for the command, as the guest needs it. */
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
 * The kernel that a run uses: fetches it if it is not in the cache, without root and without installing
 * anything. Safe to call from several processes at once.
 *
 * @throws LabError when it cannot be had; see {@link LabError} for the codes
 */
export async function prepareLab(options: PrepareLabOptions = {}): Promise<LabKernel> {
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
  const { status } = await runOnce(kernel, [kernel.busybox, 'true'], quiet);
  if (status === 0) return;
  const reason = status === 124 ? 'did not come up' : `ended a first program with ${status}`;
  throw new LabError(
    'LAB_BOOT',
    `The guest kernel ${kernel.release} (${kernel.suite}) ${reason}.`,
    'Try another suite.',
  );
}

/** Runs a command in a guest of its own. */
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

/** A command as the guest gets it. Throws `LAB_USAGE` and `LAB_DIRECTORY`. */
export function guestRun(
  kernel: LabKernel,
  command: readonly string[],
  options: LabCommandOptions,
): GuestRun {
  checkCommand(command);
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

/** Runs a command that `body` gives the status of, within its limits. */
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
    // A guest that ends as this process was told to end has no status to tell.
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
      // Nothing of the command has run, nor of its standard input been read.
      const last = index === ways.length - 1;
      if (last || !(error instanceof LabError && error.code === 'LAB_BOOT')) throw error;
    }
  }
  throw new Error('there is always a way to start a guest');
}
