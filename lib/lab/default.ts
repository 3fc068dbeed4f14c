import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { openCache } from './cache.ts';
import { LabError } from './errors.ts';
import { cachedKernel, type LabKernel, type PrepareLabOptions, prepareKernel } from './kernel.ts';
import type { Machine } from './machine.ts';

/** Milliseconds for which a suite that was skipped is not tried again: a day. */
const PASSED_OVER = 24 * 3600_000;

/** The chosen kernel, and the state of the machine when it was chosen. */
interface Choice {
  /** Host kernel and processor: these decide whether a guest kernel boots. */
  readonly machine: string;
  readonly suite: string;
  readonly version: string;
  readonly seccomp: boolean;
  /** Whether a better suite was skipped. */
  readonly second: boolean;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Boots a kernel; rejects with a LabError if it does not come up. */
type Trial = (kernel: LabKernel, signal: AbortSignal | undefined) => Promise<void>;

function readChoice(path: string): Partial<Choice> {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Partial<Choice>;
  } catch {
    return {};
  }
}

/** Errors that another suite may avoid. All others concern the machine, whatever the suite. */
const OF_SUITE = new Set([
  // Not fatal either if a kernel of the next suite is in the cache.
  'LAB_MIRROR',
  'LAB_TOOLS',
  'LAB_FETCH',
  'LAB_KEYRING',
  'LAB_BOOT',
  'LAB_PTRACE',
  'LAB_LOST',
]);

/** Boots the kernel using seccomp filters, else ptrace; returns it as it works here. */
async function booted(
  kernel: LabKernel,
  { signal, progress }: Omit<PrepareLabOptions, 'suite'>,
  trial: Trial,
): Promise<LabKernel> {
  try {
    await trial(kernel, signal);
    return kernel;
  } catch (error) {
    if (!(error instanceof LabError) || !OF_SUITE.has(error.code) || !kernel.seccomp) throw error;
    const traced = { ...kernel, seccomp: false };
    await trial(traced, signal);
    progress?.(`Linux ${kernel.release} (${kernel.suite}) runs here without seccomp alone: slower`);
    return traced;
  }
}

/**
 * The first kernel of `suites` that is available and boots. One that has not run on this machine is booted once as a
 * trial, because Debian's sid changes. The choice is kept in the cache; it is made again when the host's or guest's
 * kernel changes, and a day after a suite was skipped.
 */
export async function prepareDefault(
  suites: readonly string[],
  machine: Machine,
  options: Omit<PrepareLabOptions, 'suite'>,
  trial: Trial,
): Promise<LabKernel> {
  const cache = openCache();
  const path = join(cache, 'default.json');
  const host = `${release()}${machine.amx ? ' amx' : ''}`;
  const before = readChoice(path);
  const suite = suites.find((one) => one === before.suite);
  if (!options.refresh && suite !== undefined && before.machine === host) {
    const known = cachedKernel(cache, suite, machine);
    const recent = Math.abs(Date.now() - (before.at ?? 0)) < PASSED_OVER;
    if (known !== undefined && known.version === before.version && (!before.second || recent)) {
      return { ...known, seccomp: known.seccomp && before.seccomp !== false };
    }
  }
  for (const [index, suite] of suites.entries()) {
    try {
      const kernel = await booted(await prepareKernel(suite, machine, options), options, trial);
      const { version, seccomp } = kernel;
      const choice: Choice = {
        machine: host,
        suite,
        version,
        seccomp,
        second: index > 0,
        at: Date.now(),
      };
      // Write atomically: other processes may write it, too.
      writeFileSync(`${path}.${process.pid}`, `${JSON.stringify(choice)}\n`);
      renameSync(`${path}.${process.pid}`, path);
      return kernel;
    } catch (error) {
      const next = suites[index + 1];
      if (!(error instanceof LabError) || !OF_SUITE.has(error.code) || next === undefined)
        throw error;
      const [reason = ''] = error.message.split(/\. |\n/);
      options.progress?.(`${reason.replace(/\.$/, '')}; taking the kernel of ${next} instead`);
    }
  }
  throw new Error('there is no suite to choose from');
}
