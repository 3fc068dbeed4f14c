import { runInKept } from './kept.ts';
import { checkCommand, checkLimits, type LabOptions } from './options.ts';
import { type LabResult, prepareLab, runOnce } from './run.ts';

/**
 * Runs a command as root of a guest kernel that has IPsec. The guest sees the host's files, with the same programs at the
 * same paths; see `share` for what it may change. It has network namespaces and its own loopback, but no access to the
 * host's network.
 *
 * Resolves when the guest has powered off. An exit status other than 0 is a result, not an error.
 *
 * @throws LabError if the lab cannot work here; the signal's reason if aborted
 */
export async function runInLab(
  command: readonly string[],
  options: LabOptions = {},
): Promise<LabResult> {
  checkCommand(command);
  checkLimits(options);
  const kernel = await prepareLab(options);
  return options.keep ? runInKept(kernel, command, options) : runOnce(kernel, command, options);
}
