import { LabError } from './errors.ts';
import { Interruption } from './interruption.ts';
import type { LabKernel } from './kernel.ts';
import { SLOTS } from './lines.ts';
import {
  checkLimits,
  commandStreams,
  type LabCommandOptions,
  type LabGuestOptions,
} from './options.ts';
import { guestRun, interruptible, type LabResult, prepareLab, startGuest } from './run.ts';
import type { Guest } from './vm.ts';

/** A guest that runs commands until it is closed, or this process ends. See {@link openLab}. */
export class Lab {
  /** The running kernel. */
  readonly kernel: LabKernel;
  /** Duration of the boot in milliseconds. */
  readonly bootMs: number;
  readonly #guest: Guest;

  /** @internal */
  constructor(kernel: LabKernel, guest: Guest) {
    this.kernel = kernel;
    this.bootMs = guest.bootMs;
    this.#guest = guest;
  }

  /**
   * Runs a command, as `runInLab` does. Up to four run concurrently; more wait for one to end. Changes that a command
   * makes in the kernel (SAs, policies, links, network namespaces) or below /tmp, /run and /mnt are visible to the next
   * command; `isolated` separates the kernel state. Processes left running are killed.
   *
   * @throws LabError `LAB_LOST` if the guest has ended; the signal's reason if aborted, after the command was killed
   */
  run(command: readonly string[], options: LabCommandOptions = {}): Promise<LabResult> {
    const run = guestRun(this.kernel, command, options);
    const streams = commandStreams(options);
    return interruptible(this.kernel, options, (interruption, started) =>
      this.#guest.run(run, streams, interruption, started),
    );
  }

  /** Shuts down the guest and everything in it. Resolves when nothing of it is left. */
  close(): Promise<void> {
    return this.#guest.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Boots a guest for several commands, which then start in milliseconds. It belongs to this process only, and ends with
 * it.
 *
 *     await using lab = await openLab();
 *     await lab.run(['ip', 'xfrm', 'state', 'flush']);
 *     const { status } = await lab.run(['node', 'test.js'], { isolated: true });
 *
 * @param options - `timeout` is in milliseconds and covers the boot; the default is that of a command
 * @throws LabError if the lab cannot work here; the signal's reason if aborted before it is up
 */
export async function openLab(
  options: LabGuestOptions & Pick<LabCommandOptions, 'timeout' | 'signal'> = {},
): Promise<Lab> {
  const { timeout } = checkLimits(options);
  const kernel = await prepareLab(options);
  const stdin = kernel.kind === 'user-mode';
  using interruption = new Interruption(options, timeout);
  const setup = { slots: SLOTS, stdin, cwd: process.cwd() };
  try {
    return new Lab(kernel, await startGuest(kernel, options, setup, interruption));
  } catch (error) {
    if (!interruption.caused(error)) throw error;
    const message = `The guest kernel ${kernel.release} (${kernel.suite}) did not come up in ${timeout} ms.`;
    throw new LabError('LAB_BOOT', message, 'Give it a longer timeout.');
  }
}
