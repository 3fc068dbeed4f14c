/** Finds a kernel that can run a suite: this one, this one in a user namespace, or the lab's. @module */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type KernelFeature, probe } from './probe.ts';

const program = fileURLToPath(new URL('../../../bin/netlink-xfrm.js', import.meta.url));

const USER_NAMESPACE = ['unshare', '--user', '--map-root-user', '--net', '--mount'] as const;

/** Where to run a suite. */
export type Place =
  /** On this kernel; `words` prefix the command: none, or those that create a user namespace. */
  | { readonly kind: 'here'; readonly words: readonly string[] }
  /** Not on this kernel, and why. */
  | { readonly kind: 'lab'; readonly reason: string };

/** Finds where all of the given features are available. */
export async function findPlace(features: readonly KernelFeature[]): Promise<Place> {
  const here = await probe();
  const lacks = features.filter((name) => !here.features[name].ok);
  if (lacks.length === 0) return { kind: 'here', words: [] };
  const [command, ...words] = USER_NAMESPACE;
  const args = [...words, process.execPath, program, 'probe', '--require', features.join(',')];
  const child = spawn(command, args, { stdio: 'ignore' });
  const status = await once(child, 'exit').then(
    ([code]) => code,
    () => undefined, // no unshare
  );
  if (status === 0) return { kind: 'here', words: USER_NAMESPACE };
  const reasons = lacks.map((name) => {
    const found = here.features[name];
    return `no ${name}: ${found.ok ? '' : found.reason}`;
  });
  return { kind: 'lab', reason: reasons.join('; ') };
}
