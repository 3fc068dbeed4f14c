/**
 * Two hosts in one kernel: this network namespace and another, joined by a cable.
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

/** A network namespace that acts as a host. */
export interface Host {
  readonly name: string;
  /** Its namespace, for clients and monitors; undefined for that of this process. */
  readonly netns: string | undefined;
  /** The command line that runs something on it. */
  command(program: string, ...args: string[]): [program: string, args: string[]];
  /** Runs `ip` on it; rejects if it fails. */
  ip(line: string): Promise<void>;
}

/** The address of the left host's cable, and that of the right one's. */
export const UNDERLAY = { left: '192.0.2.1', right: '192.0.2.2' } as const;
/** The address behind each host, which only the tunnel reaches. */
export const INNER = { left: '10.0.1.1', right: '10.0.2.1' } as const;

export function host(name: string, netns: string | undefined): Host {
  const prefix = netns === undefined ? [] : ['nsenter', `--net=${netns}`];
  const command = (...line: string[]): [string, string[]] => {
    const [program = '', ...args] = [...prefix, ...line];
    return [program, args];
  };
  return {
    name,
    netns,
    command,
    ip: async (line) => {
      const [program, args] = command('ip', ...line.split(' '));
      const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
      const [status] = await once(child, 'exit');
      if (status !== 0) throw new Error(`ip ${line}: status ${status}`);
    },
  };
}

/** Both hosts, until disposed of: then the left one has again what it had before. */
export interface TwoHosts extends Disposable {
  readonly left: Host;
  readonly right: Host;
}

/**
 * Makes the right host and the cable. This process must be in a network namespace of its own, which
 * becomes the left one, with CAP_NET_ADMIN and CAP_SYS_ADMIN over it. The namespace of the right
 * host ends with the process that holds it.
 */
export async function twoHosts(): Promise<TwoHosts> {
  const holder = await hold();
  const left = host('left', undefined);
  const right = host('right', `/proc/${holder.pid}/ns/net`);
  const dispose = () => {
    // The namespace of the right host takes its end of the cable along, but later.
    for (const line of ['link del cable', `address del ${INNER.left}/32 dev lo`]) {
      spawnSync('ip', line.split(' '), { stdio: 'ignore' });
    }
    holder.kill('SIGKILL');
  };
  try {
    await left.ip(`link add name cable type veth peer name cable netns ${holder.pid}`);
    for (const [one, other, side] of [
      [left, right, 'left'],
      [right, left, 'right'],
    ] as const) {
      const far = other.name as 'left' | 'right';
      await one.ip('link set lo up');
      await one.ip('link set cable up');
      await one.ip(`address add ${UNDERLAY[side]}/24 dev cable`);
      await one.ip(`address add ${INNER[side]}/32 dev lo`);
      await one.ip(`route add ${INNER[far]}/32 via ${UNDERLAY[far]} src ${INNER[side]}`);
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return { left, right, [Symbol.dispose]: dispose };
}

/** A process that holds a network namespace of its own, until it is killed or this process ends. */
export async function hold(): Promise<ChildProcess> {
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await ready(holder);
  return holder;
}

/** Until the process has printed something. */
async function ready(child: ChildProcess): Promise<void> {
  const failed = once(child, 'exit').then(([status]) => {
    throw new Error(`a second network namespace could not be made (unshare: status ${status})`);
  });
  failed.catch(() => {});
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), failed]);
}
