// Where things run: this machine, a network namespace, the lab's kernel; and a tool they need: the program ip.
//
// A place is an async function that returns the words to prefix a command with so that it runs there.
import { execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, renameSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

/** Why something cannot run on this machine. */
export class NotHere extends Error {}

/** The error output of `command` if it cannot run here; undefined if it can. */
function whyNot(command) {
  return new Promise((resolve) => {
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr.on('data', (data) => {
      text += data;
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', (status) =>
      resolve(status === 0 ? undefined : text.trim() || `status ${status}`),
    );
  });
}

/** This machine as it is. */
export const here = async () => [];

/** Whether the sysctls of network namespaces cannot be written, as in containers with /proc/sys mounted read-only. */
function readOnlySettings() {
  try {
    accessSync('/proc/sys/net/ipv4/ip_forward', constants.W_OK);
    return false;
  } catch ({ code }) {
    return code === 'EROFS';
  }
}

/** Makes them writable in a separate mount namespace, then runs the command. */
const WRITABLE = ['sh', '-c', 'mount -o remount,bind,rw /proc/sys && exec "$@"', 'sh'];

/** As `ip netns exec` and `ip -n` do (iproute2, lib/namespace.c); a container's user namespaces may not permit it. */
const MOUNTS = ['unshare', '--mount', 'mount', '-t', 'sysfs', 'sysfs', '/sys'];

/** A network namespace that can contain others: as root, or in a user namespace. */
export async function namespace() {
  const ways = [
    ...(readOnlySettings() ? [['unshare', '--net', '--mount', ...WRITABLE]] : []),
    ['unshare', '--net'],
    ['unshare', '--user', '--map-root-user', '--net'],
  ];
  let reason;
  for (const way of ways) {
    reason = await whyNot([...way, ...MOUNTS]);
    if (reason === undefined) return way;
  }
  const [said] = reason.split(/\.?\n|\.$/);
  throw new NotHere(
    `no network namespaces can be made and entered (${said}). In a container that takes --cap-add SYS_ADMIN (docs/containers.md).`,
  );
}

/** Time limit of a guest in seconds: a week, because its starter knows better when to end it. */
const UNBOUNDED = 7 * 86_400;

/** The lab's kernel of a Debian suite, or the default one. `kind` as in lib/lab/kernel.ts. */
export const lab =
  (suite, kind = 'user-mode') =>
  async () => {
    const { prepareLab } = await import('../dist/lib/lab/index.js');
    await prepareLab({ suite, kernel: kind, progress: (text) => console.error(text) });
    const program = join(root, 'bin/netlink-xfrm.js');
    const options = ['--timeout', String(UNBOUNDED), '--kernel', kind];
    if (suite) options.push('--suite', suite);
    return [process.execPath, program, 'lab', ...options, '--'];
  };

/** Unpacks the compiled files from the tar file $0 over the folder $1, then runs the command. */
const OWN_COPY = `mkdir /run/compiled && tar xf "$0" -C /run/compiled && mount --bind /run/compiled "$1" &&
shift && exec "$@"`;

/**
 * A full kernel of a suite, with a copy of the compiled files in its memory: hundreds of small files are read many
 * times faster as one (docs/lab.md).
 */
export const fullLab = (suite) => async () => {
  const start = await lab(suite, 'full')();
  const compiled = join(root, 'dist');
  const archive = join(compiled, '.compiled.tar');
  const part = `${archive}.${process.pid}`;
  // Guests that are reading it keep the old file open.
  execFileSync('tar', ['cf', part, '-C', compiled, 'lib', 'test', 'tools']);
  renameSync(part, archive);
  return [...start, 'sh', '-c', OWN_COPY, archive, compiled];
};

/** This machine, if it can run a container engine (test/containers/engine.ts). */
export async function containers() {
  const { NoEngine, probe } = await import('../dist/test/containers/engine.js');
  try {
    await probe();
  } catch (error) {
    if (error instanceof NoEngine) throw new NotHere(error.message);
    throw error;
  }
  return [];
}

/**
 * Node for arm64 on this machine, using qemu's user-mode emulation. A command begins with this machine's node,
 * which is left out.
 */
export const arm64 = async () => {
  const { makeNode } = await import('../dist/test/emulator/arm64.js');
  const node = await makeNode(join(root, 'dist/arm64'));
  return ['sh', '-c', 'shift; exec "$0" "$@"', node];
};

/** An environment in which `ip` is found; fetched if the machine has none. */
export async function withTools() {
  if ((await whyNot(['ip', '-V'])) === undefined) return process.env;
  console.log('fetching iproute2 …');
  // Exists only after compilation.
  const { fetchLabTools } = await import('../dist/lib/lab/index.js');
  const { env } = await fetchLabTools(['iproute2']);
  return { ...process.env, ...env };
}
