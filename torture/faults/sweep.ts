/**
 * Runs library operations with the first of a system call failing, then the second, and so on: each run must
 * end, with or without an error, which must have a code, and leave nothing behind. Runs with the shim
 * loaded.
 * @module
 */
import assert from 'node:assert/strict';
import {
  MultiNamespaceXfrmMonitor,
  RouteClient,
  subscribe,
  TunnelMonitor,
  XfrmClient,
  XfrmMonitor,
} from '../../lib/index.ts';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import { SocketOwners } from '../../lib/socket.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { addressRequest, turns } from '../../test/kernel/socket-support.ts';
import { finding, report } from '../part.ts';
import { ALL_CALLS, outcomeOf } from './calls.ts';
import { descriptors } from './descriptors.ts';
import { fail, stop } from './injection.ts';

/** Milliseconds after which an operation counts as hanging. */
const PATIENCE = 10_000;
const POLICY = { dir: 'fwd', selector: { family: 'inet' }, priority: 7 } as const;

await using other = await NetworkNamespace.make();
await using causes = new NetlinkSocket({ protocol: 0 });

async function all<T>(list: AsyncIterable<T>): Promise<number> {
  let count = 0;
  for await (const _ of list) count++;
  return count;
}

function cause(): void {
  try {
    causes.send(addressRequest(9));
  } catch {
    // It was just this call that had to fail: another follows.
  }
}

/** Operations of a typical program. */
const WORKS: Readonly<Record<string, () => Promise<void>>> = {
  async subscription() {
    const events = subscribe({ groups: ['ipv4-ifaddr', 'link', 'policy'] });
    try {
      const timer = setInterval(cause, 1);
      try {
        for await (const event of events) if (event.kind === 'NEWADDR') break;
      } finally {
        clearInterval(timer);
      }
    } finally {
      await events.close();
    }
  },
  async 'requests and a list'() {
    await using client = new XfrmClient();
    await client.flushPolicies();
    await client.addPolicy(POLICY);
    await all(client.listPolicies());
    await client.flushPolicies();
  },
  async 'links and routes'() {
    await using client = new RouteClient({ netns: other.path });
    await client.listLinks();
    await client.setLinkUp({ name: 'lo' });
    await client.replaceRoute({ dst: '198.51.100.0', dstLength: 24, oif: 1 });
    await client.getRoute({ dst: '198.51.100.1' });
  },
  async monitor() {
    await using monitor = await XfrmMonitor.open();
    monitor.on('error', () => {});
    await monitor.refresh();
    // Again, for what fails while it runs.
    await monitor.refresh();
  },
  async tunnels() {
    await using monitor = await TunnelMonitor.open({ netns: other.path });
    monitor.on('error', () => {});
    await monitor.refresh();
  },
  async 'monitors of namespaces'() {
    await using monitors = await MultiNamespaceXfrmMonitor.open({
      namespaces: { own: undefined, other: other.path },
    });
    monitors.on('change', () => {});
    await monitors.remove('own');
  },
  async 'owners in a namespace'() {
    await new SocketOwners({ netns: other.path }).find(0, 4242);
    await subscribe({ groups: ['link'], netns: other.path }).close();
  },
};

/** Runs an operation to completion. @returns its error @throws if it does not end */
async function end(work: () => Promise<void>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it does not end')), PATIENCE);
  });
  try {
    return await Promise.race([work().catch((error: unknown) => error ?? 'nothing'), hang]);
  } finally {
    clearTimeout(timer);
  }
}

async function closed(before: number): Promise<void> {
  for (let i = 0; i < 20 && descriptors() !== before; i++) await turns();
  assert.equal(descriptors(), before, 'descriptors are left');
}

let uncaught: unknown;
process.on('uncaughtException', (error) => {
  uncaught = error;
});

/** Makes the nth call fail, for all n. @returns how many did */
async function sweep(work: () => Promise<void>, name: string, error: string): Promise<number> {
  const call = ALL_CALLS.find((one) => one.name === name);
  assert(call);
  for (let nth = 0; ; nth++) {
    const before = descriptors();
    fail(name, error, nth);
    const told = await end(work);
    const hits = stop();
    await closed(before);
    assert.equal(uncaught, undefined, `${nth}: uncaught ${(uncaught as Error)?.stack}`);
    if (hits === 0) {
      assert.equal(told, undefined, `without a failure it fails: ${(told as Error)?.stack}`);
      return nth;
    }
    const outcome = outcomeOf(call, error);
    if (told === undefined) continue;
    assert(outcome === 'error' || outcome === 'loss', `${nth}: ${outcome}, but told as ${told}`);
    assert.match(String((told as { code?: unknown }).code), /^E[A-Z0-9_]+$/, `${nth}: ${told}`);
  }
}

let failures = 0;
for (const [title, work] of Object.entries(WORKS)) {
  const warm = await end(work);
  if (warm !== undefined) finding(`${title}: ${(warm as Error).stack}`);
  for (const { name, errors } of ALL_CALLS) {
    // Mapped once per thread; see each.ts.
    if (name === 'mmap64' || name === 'munmap') continue;
    // One error for each possible outcome.
    const kinds = new Map(
      errors
        .split(' ')
        .map((error) => [
          outcomeOf(ALL_CALLS.find((one) => one.name === name) as never, error),
          error,
        ]),
    );
    for (const error of kinds.values()) {
      try {
        failures += await sweep(work, name, error);
      } catch (wrong) {
        stop();
        uncaught = undefined;
        finding(`${title}, ${name} ${error}: ${(wrong as Error).message}`);
      }
    }
  }
}
report({ failures });
// A hanging operation would keep the process alive.
process.exit();
