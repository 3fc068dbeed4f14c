import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { openCache } from './cache.ts';
import { LabError } from './errors.ts';
import { cachedKernel, type LabKernel, type PrepareLabOptions, prepareKernel } from './kernel.ts';
import type { Machine } from './machine.ts';

/** How long a suite that was passed over is not tried again, in milliseconds: a day. */
const PASSED_OVER = 24 * 3600_000;

/** Which kernel was chosen, for a machine as it was then. */
interface Choice {
  /** The host kernel and its processor: what decides whether a guest kernel boots. */
  readonly machine: string;
  readonly suite: string;
  readonly version: string;
  readonly seccomp: boolean;
  /** Whether a better suite was passed over. */
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

/** Faults that another suite may not have. The rest is the machine's, and the same for each. */
const OF_SUITE = new Set([
  // Not even these, if a kernel of the next suite is in the cache.
  'LAB_MIRROR',
  'LAB_TOOLS',
  'LAB_FETCH',
  'LAB_KEYRING',
  'LAB_BOOT',
  'LAB_PTRACE',
  'LAB_LOST',
]);

/** The kernel as it boots here: by seccomp filters, else by tracing. */
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
 * The first kernel of `suites` that can be had and boots. One that was not run on this machine before is
 * booted once to see that it does, for Debian's sid moves; what was chosen is kept in the cache, and
 * tried anew with a new kernel, here or there, and a day after a suite was passed over.
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
      // Whole or not at all, whoever else writes it.
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
