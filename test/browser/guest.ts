/**
 * Runs in the lab, or in a network namespace: the daemon, and tunnels that it watches, as the tests on the other side of the bridge ask for them.
 * This namespace is one gateway; each tunnel leads to another one, 198.51.100.N.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  cable,
  Host,
  type KeyedTunnel,
  keyedTunnel,
  loseEvents,
  ping,
} from '../../lib/testing/index.ts';
import { Bridge } from './bridge.ts';

const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');
export const PORT = 9786;

const here = await Host.create({
  name: 'gateway',
  address: '192.0.2.1',
  inner: '10.0.0.1',
  here: true,
});

interface Site {
  readonly host: Host;
  readonly tunnel: KeyedTunnel;
}
const sites = new Map<string, Site>();
const site = (name: string): Site => {
  const found = sites.get(name);
  if (found === undefined) throw new Error(`there is no site ${name}`);
  return found;
};

let daemon: ChildProcess | undefined;

/** Waits until the daemon answers that it is ready. */
async function ready(): Promise<void> {
  for (;;) {
    if (daemon?.exitCode != null) throw new Error(`the daemon ended with ${daemon.exitCode}`);
    const answer = await fetch(`http://127.0.0.1:${PORT}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(50);
  }
}

const actions = {
  async startDaemon(...args: string[]): Promise<void> {
    const command = [program, 'serve', '--refresh', '1s', '--log-level', 'error', ...args];
    daemon = spawn(process.execPath, command, { stdio: ['ignore', 'ignore', 'inherit'] });
    await ready();
  },

  /** A daemon that asks for a token. */
  async startLocked(token: string): Promise<void> {
    const file = join(tmpdir(), 'token');
    writeFileSync(file, token, { mode: 0o600 });
    await actions.startDaemon('--token-file', file);
  },

  async stopDaemon(): Promise<void> {
    if (daemon === undefined) return;
    const ended = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await ended;
    daemon = undefined;
  },

  /** Adds a gateway, and a tunnel to it. */
  async addSite(name: string, options: Parameters<typeof keyedTunnel>[2]): Promise<void> {
    const n = sites.size + 1;
    const host = await Host.create({
      name,
      address: `198.51.100.${n}`,
      inner: `10.0.${n}.1`,
    });
    await cable(here, host);
    sites.set(name, { host, tunnel: await keyedTunnel(here, host, { reqid: n, ...options }) });
  },

  /** Exchanges packets. @returns how many came back */
  async traffic(name: string, count: number, size: number): Promise<number> {
    return (await ping(here, site(name).host, { count, size })).received;
  },

  rekey: (name: string) => site(name).tunnel.rekey(),

  /** The SAs go, the policies stay. */
  async cut(name: string): Promise<void> {
    const { toRight, toLeft } = site(name).tunnel.pair;
    for (const { daddr, spi } of [toRight, toLeft]) await here.xfrm.deleteState({ daddr, spi });
  },

  /** The inbound SA goes. */
  async cutInbound(name: string): Promise<void> {
    const { daddr, spi } = site(name).tunnel.pair.toLeft;
    await here.xfrm.deleteState({ daddr, spi });
  },

  /** A hard limit is reached. */
  expire: (name: string) => site(name).tunnel.expire({ on: here }),

  /** New SAs. */
  async mend(name: string): Promise<void> {
    await site(name).tunnel.replace();
  },

  /** Only the daemon loses events: it does not run meanwhile. */
  lose(): void {
    daemon?.kill('SIGSTOP');
    try {
      loseEvents(here);
    } finally {
      daemon?.kill('SIGCONT');
    }
  },

  /** Adds tunnels that wait for their first packet: policies without SAs, which any kernel takes. */
  async addTraps(first: number, count: number): Promise<void> {
    // A cable brings it otherwise.
    if (first === 0) await here.addAddress(here.address);
    const addOne = (n: number) =>
      here.xfrm.addPolicy({
        dir: 'out',
        selector: { saddr: here.inner, daddr: `10.${64 + (n >> 8)}.${n & 255}.1` },
        templates: [
          {
            saddr: here.address,
            daddr: `198.18.${n >> 8}.${n & 255}`,
            proto: 'esp',
            mode: 'tunnel',
            reqid: 100_000 + n,
          },
        ],
      });
    const AT_ONCE = 64;
    const end = first + count;
    for (let i = first; i < end; i += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, end - i) }, (_, n) => addOne(i + n));
      await Promise.all(some);
    }
  },

  end(): void {
    daemon?.kill('SIGKILL');
    setImmediate(() => process.exit(0));
  },
};

export type GuestActions = typeof actions;

new Bridge(process.stdin, process.stdout, actions);
