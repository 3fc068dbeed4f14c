/** All checks of `doctor`, in the order in which one depends on another. @module */

import { namespacePath } from '../../monitor/namespace-path.ts';
import { HeldNamespace } from '../../socket/namespace.ts';
import { checkAddon } from './addon.ts';
import { hintOf, messageOf } from './error-text.ts';
import type { Check, Examined } from './examined.ts';
import type { Finding } from './finding.ts';
import {
  checkAlgorithms,
  checkOptions,
  checkProtocols,
  checkStatistics,
  checkXfrm,
} from './kernel.ts';
import { isContainer, KernelConfig } from './kernel-config.ts';
import { checkObjects } from './objects.ts';
import { checkCapabilities, checkEvents, checkLockdown, checkNamespaces } from './permissions.ts';
import { tryAnywhere } from './sa-trials.ts';
import { checkXfrmSysctls } from './sysctls.ts';

/** By the group of their ids. */
const CHECKS: readonly [group: string, check: Check][] = [
  ['kernel.xfrm', checkXfrm],
  ['permission.capabilities', checkCapabilities],
  ['permission.events', checkEvents],
  ['permission.namespaces', checkNamespaces],
  ['permission.lockdown', checkLockdown],
  ['protocol', checkProtocols],
  ['algorithm', checkAlgorithms],
  ['kernel.options', checkOptions],
  ['kernel.statistics', checkStatistics],
  ['sysctl.xfrm', checkXfrmSysctls],
  ['object', checkObjects],
];

/** Runs all checks. @param netns a name or path @param program the path of this command @throws SystemError if it cannot be entered */
export async function* examine(
  netns: string | undefined,
  program: string,
): AsyncGenerator<Finding> {
  const [addon, ...more] = checkAddon();
  if (addon) yield addon;
  yield* more;
  if (addon?.severity === 'error') return;
  const held = new HeldNamespace(netns === undefined ? undefined : namespacePath(netns));
  try {
    const inContainer = isContainer();
    const kernel = new KernelConfig(inContainer);
    const trials = await tryAnywhere(program);
    const examined: Examined = { held, netns, kernel, inContainer, trials };
    for (const [group, check] of CHECKS) {
      try {
        yield* await check(examined);
      } catch (error) {
        // One check that fails must not hide the others.
        yield {
          id: group,
          severity: 'warning',
          found: `this could not be checked: ${messageOf(error)}`,
          meaning: 'it is unknown',
          ...(hintOf(error) === undefined ? {} : { remedy: hintOf(error) as string }),
        };
      }
    }
  } finally {
    held.close();
  }
}
