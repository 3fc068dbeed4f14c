import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { openCache } from './cache.ts';
import { LabError } from './errors.ts';
import type { LabKernel } from './kernel.ts';

/** Changes with the protocol of a kept guest's socket. */
const PROTOCOL = 1;

const digest = (text: string, length: number) =>
  createHash('sha256').update(text).digest('hex').slice(0, length);

/** Identifies this machine and boot: the cache may be on a shared file system, and survives a reboot. */
function machineNow(): { machine: string; prefix: string } {
  const machine = digest(hostname(), 8);
  const boot = digest(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'), 8);
  return { machine, prefix: `${machine}-${boot}-` };
}

/** Directory with a subdirectory per kept guest of this user: private, because it holds their sockets. */
export function keptGuests(): string {
  const path = join(openCache(), 'guests');
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(path);
  if (uid === process.getuid?.() && (mode & 0o170077) === constants.S_IFDIR) return path;
  throw new LabError(
    'LAB_CACHE',
    `The directory ${path} is not private.`,
    'Remove it, or set its mode to 0700: whoever can reach what is in it can run commands as you.',
  );
}

/**
 * Place of a suitable kept guest: one with this kernel, memory and share, started by this copy of the package, which sees
 * the same files as this process.
 */
export function keptPlace(kernel: LabKernel, memory: number, share: string): string {
  const root = statSync('/', { bigint: true });
  const seen = [
    ...[PROTOCOL, import.meta.url, process.getuid?.(), process.getgid?.()],
    ...['mnt', 'user'].map((name) => readlinkSync(`/proc/self/ns/${name}`)),
    ...[`${root.dev}:${root.ino}`, kernel.program, kernel.fetched, kernel.seccomp, memory, share],
  ];
  return join(keptGuests(), `${machineNow().prefix}${digest(JSON.stringify(seen), 16)}`);
}

/** Places of guests that may be running, for any kernel and copy of the package. */
export function keptPlaces(): string[] {
  const directory = keptGuests();
  const { prefix } = machineNow();
  return readdirSync(directory)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(directory, name));
}

/** Removes what guests from before this machine's last boot left behind. */
export function removeEarlier(): void {
  const directory = keptGuests();
  const { machine, prefix } = machineNow();
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(`${machine}-`) || name.startsWith(prefix)) continue;
    rmSync(join(directory, name), { recursive: true, force: true });
  }
}

/** PID of the process that keeps the guest, if it is alive. */
export function keeperOf(place: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(join(place, 'pid'), 'utf8'), 10);
    // The PID may have been reused by another process.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(place)
      ? pid
      : undefined;
  } catch {
    return undefined;
  }
}

/** Connects to the process that keeps the guest; undefined if there is none. */
export async function connectKept(place: string): Promise<Socket | undefined> {
  let directory: number;
  try {
    directory = openSync(place, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch {
    return undefined;
  }
  try {
    // By directory descriptor, because a socket path is limited to 107 bytes (unix(7)).
    const socket = connect({ path: `/proc/self/fd/${directory}/socket`, allowHalfOpen: true });
    await new Promise<void>((done, failed) => {
      socket.once('connect', done);
      socket.once('error', failed);
    });
    // Whoever is waiting for an answer sees the close.
    socket.on('error', () => {});
    return socket;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    throw error;
  } finally {
    closeSync(directory);
  }
}
