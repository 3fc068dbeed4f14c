/** Other network namespaces: which one is meant, and what is opened in it. @module */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { constants as system } from 'node:os';
import { addon, type NativeSocket } from './addon.ts';
import { integer, wrongType } from './argument.ts';
import { SystemError } from './error.ts';
import { KernelStandIn } from './stand-in.ts';

/**
 * A network namespace: a path such as `/run/netns/NAME` or `/proc/PID/ns/net`, or the number of an
 * open file descriptor of one, which stays the caller's. In tests, a `FakeKernel`.
 */
export type NetnsReference = RealNamespace | KernelStandIn;

/** One of the kernel's. */
type RealNamespace = string | number;

const SYS_ADMIN =
  'as root with CAP_SYS_ADMIN (docker run --cap-add SYS_ADMIN), or in a user namespace (unshare -Ur)';

const HINTS: Readonly<Record<string, (netns: RealNamespace) => string>> = {
  'open ENOENT': (path) =>
    `${path} does not exist: the namespace of "ip netns add NAME" is /run/netns/NAME, that of a ` +
    'process /proc/PID/ns/net',
  'open EACCES': (path) =>
    `no permission to open ${path}: for the namespace of another process, run as the same user with ` +
    'at least its capabilities, or with CAP_SYS_PTRACE (ptrace(2))',
  'fstat EBADF': (descriptor) => `${descriptor} is not an open file descriptor`,
  'setns EINVAL': (netns) => `${netns} is not a network namespace`,
  'unshare EPERM': () => `make a network namespace ${SYS_ADMIN}`,
  'unshare EINVAL': () => 'this kernel has no network namespaces (CONFIG_NET_NS)',
  'unshare ENOSPC': () =>
    'the limit of network namespaces is reached: see /proc/sys/user/max_net_namespaces',
  'setns EPERM': (netns) =>
    `entering ${netns} needs CAP_SYS_ADMIN in your user namespace and in the one that owns it`,
};

function refused(errno: number, syscall: string, netns: RealNamespace): SystemError {
  const { code } = new SystemError(errno, syscall);
  return new SystemError(errno, syscall, HINTS[`${syscall} ${code}`]?.(netns));
}

/** Does what fs does; its errors become those of this library. */
function attempt<Result>(syscall: string, netns: RealNamespace, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    throw errno === undefined ? error : refused(errno, syscall, netns);
  }
}

/** `value`, if it can be a namespace. */
export function optionalNamespace(name: string, value: unknown): NetnsReference | undefined {
  if (value === undefined || value instanceof KernelStandIn) return value;
  if (typeof value === 'number') return integer(name, value, 0, 0x7fff_ffff);
  if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value;
  throw wrongType(name, 'a path without NUL or a file descriptor', value);
}

/** The network namespace of the thread that looks. */
const OWN = '/proc/thread-self/ns/net';

/** Whether a descriptor is of the network namespace that this thread is in. */
function isOwn(descriptor: number): boolean {
  const given = attempt('fstat', descriptor, () => fstatSync(descriptor, { bigint: true }));
  try {
    const own = statSync(OWN, { bigint: true });
    return own.dev === given.dev && own.ino === given.ino;
  } catch {
    return false; // no /proc
  }
}

/**
 * Opens what should be a namespace.
 * @throws SystemError `open ENOENT` and others, with what to do
 */
export function openNamespace(path: string): number {
  // Not to wait for the writer of a named pipe.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  return attempt('open', path, () => openSync(path, flags));
}

/**
 * Calls `use` with a descriptor of the namespace; with -1 if it is this thread's own, which needs
 * no privilege, while setns asks for CAP_SYS_ADMIN also there (net/core/net_namespace.c,
 * netns_install).
 */
function withNamespace<Result>(netns: RealNamespace, use: (netns: number) => Result): Result {
  if (typeof netns === 'number') return use(isOwn(netns) ? -1 : netns);
  const descriptor = openNamespace(netns);
  try {
    return use(isOwn(descriptor) ? -1 : descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** An open file. It does not outlive the thread that opened it. */
export interface OpenFile {
  readonly descriptor: number;
  close(): void;
}

/** Closes the files of those that nobody closed. */
const forgotten = new FinalizationRegistry<OpenFile>((file) => file.close());

/**
 * A network namespace in which sockets are opened over time: the same one for all of them, whatever
 * becomes of its name or of the caller's descriptor meanwhile. The kernel keeps it until `close`.
 */
export class HeldNamespace {
  #file: OpenFile | undefined;
  readonly #standIn: KernelStandIn | undefined;

  /**
   * @param netns undefined for one's own, which needs no holding
   * @throws SystemError if it is missing, no namespace, or may not be entered
   */
  constructor(netns: NetnsReference | undefined) {
    if (netns === undefined) return;
    if (netns instanceof KernelStandIn) {
      this.#standIn = netns;
      return;
    }
    // Opened from inside: a descriptor by the path would keep the mount there busy for umount(8).
    this.#file = withNamespace(netns, (given) =>
      given < 0 ? undefined : openInside(given, OWN, netns),
    );
    if (this.#file) forgotten.register(this, this.#file, this);
  }

  /** Where to open a socket; undefined for one's own namespace. */
  get netns(): NetnsReference | undefined {
    return this.#standIn ?? this.#file?.descriptor;
  }

  /** What identifies it, while it is held: its device and inode number. undefined: there is no /proc. */
  get id(): string | undefined {
    try {
      const file = this.#file;
      const { dev, ino } = file
        ? fstatSync(file.descriptor, { bigint: true })
        : statSync(OWN, { bigint: true });
      return `${dev}:${ino}`;
    } catch {
      return undefined;
    }
  }

  /** Can be called twice. */
  close(): void {
    forgotten.unregister(this);
    this.#file?.close();
    this.#file = undefined;
  }
}

/**
 * Opens a socket, in another namespace by a thread that lives only for that (native/namespace.cc):
 * the namespace of the thread that runs JavaScript never changes.
 */
export function openSocket(protocol: number, netns: NetnsReference | undefined): NativeSocket {
  if (netns instanceof KernelStandIn) return netns.openSocket(protocol);
  const socket = new (addon().Socket)();
  const result =
    netns === undefined
      ? socket.open(protocol, -1)
      : withNamespace(netns, (descriptor) => socket.open(protocol, descriptor));
  if (typeof result === 'number') return socket;
  const { errno, syscall } = result;
  if (errno === -system.errno.EPROTONOSUPPORT && syscall === 'socket') {
    const hint = `this kernel has no netlink protocol ${protocol}, or is not allowed to load it`;
    throw new SystemError(errno, syscall, hint);
  }
  throw netns === undefined ? new SystemError(errno, syscall) : refused(errno, syscall, netns);
}

/**
 * Opens a file that tells of a namespace, `/proc/thread-self/net/…`, to read. That of a stand-in is empty.
 *
 * @param netns undefined: this thread's own
 */
export function openFile(netns: NetnsReference | undefined, path: string): OpenFile {
  const openHere = (here = path) => {
    const descriptor = attempt('open', here, () => openSync(here, 'r'));
    return { descriptor, close: () => closeSync(descriptor) };
  };
  if (netns instanceof KernelStandIn) return openHere('/dev/null');
  if (netns === undefined) return openHere();
  return withNamespace(netns, (descriptor) =>
    descriptor < 0 ? openHere() : openInside(descriptor, path, netns),
  );
}

/** Opens a file in a thread that has entered the namespace of `descriptor`, which came by `netns`. */
function openInside(descriptor: number, path: string, netns: RealNamespace): OpenFile {
  const { openFile, closeFile } = addon();
  const result = openFile(descriptor, path);
  if (typeof result === 'number') return { descriptor: result, close: () => closeFile(result) };
  const { errno, syscall } = result;
  throw syscall === 'open' ? new SystemError(errno, syscall) : refused(errno, syscall, netns);
}

/**
 * Makes a network namespace that nothing is in. It lasts until it is closed, and what was opened or started in it.
 *
 * @throws SystemError `unshare EPERM` without CAP_SYS_ADMIN
 */
export function makeNamespace(): OpenFile {
  const { makeNamespace: make, closeFile } = addon();
  const result = make();
  if (typeof result === 'number') return { descriptor: result, close: () => closeFile(result) };
  throw refused(result.errno, result.syscall, 'a new namespace');
}

type SocketKind = readonly [domain: number, type: number, protocol: number];

function openAny(
  netns: RealNamespace,
  kind: SocketKind,
  address: Uint8Array,
  given: boolean,
): number {
  const result = withNamespace(netns, (at) => addon().openBound(at, ...kind, address, given));
  if (typeof result === 'number') return result;
  throw refused(result.errno, result.syscall, netns);
}

/**
 * Opens any socket in a namespace, to be given to Node: its descriptor. It does not block, and is bound to `address`, a
 * struct sockaddr.
 */
export const openForNode = (netns: RealNamespace, kind: SocketKind, address: Uint8Array): number =>
  openAny(netns, kind, address, true);

/** Opens any socket in a namespace, to be read and written as a file. */
export function openAsFile(netns: RealNamespace, kind: SocketKind, address: Uint8Array): OpenFile {
  const descriptor = openAny(netns, kind, address, false);
  return { descriptor, close: () => addon().closeFile(descriptor) };
}
