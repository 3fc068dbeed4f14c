/** The other side of guest.ts: a guest of the lab, and the address of the daemon there for a browser here. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Bridge } from './bridge.ts';
import type { GuestActions } from './guest.ts';

const root = join(import.meta.dirname, '../../..');
/** As in guest.ts, which cannot be imported here: it would begin. */
const PORT = 9786;

/** The actions of the guest, from here. */
type Remote = {
  readonly [Name in keyof GuestActions]: (
    ...args: Parameters<GuestActions[Name]>
  ) => Promise<Awaited<ReturnType<GuestActions[Name]>>>;
};

export interface GuestHost extends AsyncDisposable {
  /** The address of the daemon. */
  readonly url: string;
  readonly guest: Remote;
}

const guest = [process.execPath, join(import.meta.dirname, 'guest.js')];

/** A guest of the lab. In a user namespace the daemon cannot have a large receive buffer (SO_RCVBUFFORCE): it is soon full. */
const LAB = [
  ...[process.execPath, join(root, 'bin/netlink-xfrm.js'), 'lab', '--timeout', '1800', '--'],
  ...['unshare', '-Urn', ...guest],
];
/** A network namespace of this machine: its kernel may lack ESP, but takes policies a hundred times faster. */
const NAMESPACE = ['unshare', process.getuid?.() === 0 ? '-n' : '-Urn', ...guest];

/** Opens a place with a gateway. Its daemon is started by `guest.startDaemon()`. */
export async function openGuest(where: 'lab' | 'namespace' = 'lab'): Promise<GuestHost> {
  const [program = '', ...args] = where === 'lab' ? LAB : NAMESPACE;
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined },
  });
  const exit = once(child, 'exit');
  // It has ended.
  child.stdin.on('error', () => {});
  const bridge = new Bridge(child.stdout, child.stdin);
  const server = await bridge.listen(PORT);
  const guest = new Proxy({} as Remote, {
    get:
      (_, name: string) =>
      (...args: unknown[]) =>
        bridge.call(name, ...args),
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    guest,
    async [Symbol.asyncDispose]() {
      server.close();
      await guest.end().catch(() => {});
      await exit;
    },
  };
}
