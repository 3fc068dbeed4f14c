/**
 * Namespaces for the kernel tests: two hosts, of which the left one is the namespace that the tests run in, and one of
 * a process.
 * @module
 */
import { once } from 'node:events';
import { NetworkNamespace } from '../../lib/testing/network-namespace.ts';
import { LEFT, RIGHT, type TwoHosts, twoHosts } from '../../lib/testing/topologies.ts';

export type { Host } from '../../lib/testing/host.ts';
export type { TwoHosts };

/** The address of each host's cable, and the one behind it. */
export const UNDERLAY = { left: LEFT.address, right: RIGHT.address } as const;
export const INNER = { left: LEFT.inner, right: RIGHT.inner } as const;

/** This namespace and another, joined by a cable that is called so on both. */
export const hostsHere = (): Promise<TwoHosts> => twoHosts({ left: { here: true } });

/** A process in a network namespace of its own, which is found by the path of the process as long as that runs. */
export interface ProcessApart extends AsyncDisposable {
  readonly host: NetworkNamespace;
  readonly pid: number;
  readonly path: string;
}

export async function processApart(): Promise<ProcessApart> {
  const host = await NetworkNamespace.make('apart');
  const child = host.spawn('sh', ['-c', 'echo; exec sleep infinity']);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  const pid = child.pid as number;
  const end = () => host.close();
  return { host, pid, path: `/proc/${pid}/ns/net`, [Symbol.asyncDispose]: end };
}
