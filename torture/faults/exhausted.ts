/**
 * No descriptors left: everything that opens one must report it, and work again once one is free. Run with a low
 * limit of open files.
 * @module
 */
import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import {
  MultiNamespaceXfrmMonitor,
  RouteClient,
  subscribe,
  TunnelMonitor,
  XfrmClient,
  XfrmMonitor,
} from '../../lib/index.ts';
import { NetlinkSocket, SocketOwners } from '../../lib/socket.ts';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { turns } from '../../test/kernel/socket-support.ts';
import { finding, report } from '../part.ts';
import { descriptors } from './descriptors.ts';

await using other = await NetworkNamespace.make();

/** Everything that opens descriptors. */
const OPENS: Readonly<Record<string, () => Promise<unknown>>> = {
  socket: async () => new NetlinkSocket({ protocol: 0 }).close(),
  'socket in a namespace': async () =>
    new NetlinkSocket({ protocol: 0, netns: other.path }).close(),
  subscription: async () => subscribe({ groups: ['link', 'policy'] }).close(),
  'xfrm client': async () => {
    await using client = new XfrmClient();
    for await (const _ of client.listPolicies());
    await client.flushPolicies();
  },
  'route client': async () => {
    await using client = new RouteClient();
    await client.listLinks();
  },
  monitor: async () => (await XfrmMonitor.open()).close(),
  'tunnels in a namespace': async () => (await TunnelMonitor.open({ netns: other.path })).close(),
  'monitors of namespaces': async () =>
    (
      await MultiNamespaceXfrmMonitor.open({ namespaces: { own: undefined, other: other.path } })
    ).close(),
  owners: async () => new SocketOwners({ netns: other.path }).find(0, 4242),
};

/** Takes all descriptors except a few. */
function take(left: number): number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    for (const one of taken.splice(taken.length - left)) closeSync(one);
  }
  return taken;
}

let tries = 0;
// Each needs a few: with none left, one, two …, each of its steps fails once.
for (const [name, open] of Object.entries(OPENS)) {
  try {
    await open();
    await turns();
    for (let left = 0; left < 8; left++) {
      const before = descriptors();
      const taken = take(left);
      let told: unknown;
      try {
        await open();
      } catch (error) {
        told = error;
      } finally {
        for (const one of taken) closeSync(one);
      }
      if (left === 0) assert(told !== undefined, 'it works without a descriptor');
      if (told !== undefined) {
        const { code, message } = told as { code?: string; message: string };
        assert.equal(code, 'EMFILE', message);
        assert.match(message, /EMFILE/);
      }
      tries++;
      await turns(5);
      assert.equal(descriptors(), before, `${left} left: descriptors stay open`);
      await open();
    }
  } catch (wrong) {
    finding(`without descriptors, ${name}: ${(wrong as Error).stack}`);
  }
}
report({ tries });
