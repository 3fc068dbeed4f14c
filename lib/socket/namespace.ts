/** Other network namespaces: which one is meant, and opening things in it. @module */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { constants as system } from 'node:os';
import { integer, wrongType } from '../base/argument.ts';
import { addon, type NativeSocket } from './addon.ts';
import { SystemError } from './error.ts';
import { KernelStandIn } from './stand-in.ts';

/**
 * A network namespace: a path such as `/run/netns/NAME` or `/proc/PID/ns/net`, or an open file
 * descriptor of one, which the caller keeps. In tests, a `FakeKernel`.
 */
export type NetnsReference = RealNamespace | KernelStandIn;

/** A real one, not a stand-in. */
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

/** Runs an fs call, and converts its errors to those of this library. */
function attempt<Result>(syscall: string, netns: RealNamespace, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    throw errno === undefined ? error : refused(errno, syscall, netns);
  }
}

/** `value`, if it can refer to a namespace. */
export function optionalNamespace(name: string, value: unknown): NetnsReference | undefined {
  if (value === undefined || value instanceof KernelStandIn) return value;
  if (typeof value === 'number') return integer(name, value, 0, 0x7fff_ffff);
  if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value;
  throw wrongType(name, 'a path without NUL or a file descriptor', value);
}

/** The network namespace of the current thread. */
const OWN = '/proc/thread-self/ns/net';

/** Whether a descriptor refers to the network namespace of this thread. */
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
 * Opens a namespace.
 * @throws SystemError `open ENOENT` and others, with a hint
 */
export function openNamespace(path: string): number {
  // O_NONBLOCK avoids waiting for the writer of a named pipe.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  return attempt('open', path, () => openSync(path, flags));
}

/**
 * Calls `use` with a descriptor of the namespace; with -1 if it is this thread's own, which needs
 * no privilege, while setns requires CAP_SYS_ADMIN even for that (net/core/net_namespace.c,
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

/** Closes files that were garbage-collected without being closed. */
const forgotten = new FinalizationRegistry<OpenFile>((file) => file.close());

/**
 * A network namespace for opening sockets over time: always the same one, even if its name is
 * removed or the caller's descriptor is closed. The kernel keeps it until `close`.
 */
export class HeldNamespace {
  #file: OpenFile | undefined;
  readonly #standIn: KernelStandIn | undefined;

  /**
   * @param netns undefined for the current one, which need not be held
   * @throws SystemError if it is missing, not a namespace, or may not be entered
   */
  constructor(netns: NetnsReference | undefined) {
    if (netns === undefined) return;
    if (netns instanceof KernelStandIn) {
      this.#standIn = netns;
      return;
    }
    // Opened from inside: a descriptor of the path would keep its mount busy for umount(8).
    this.#file = withNamespace(netns, (given) =>
      given < 0 ? undefined : openInside(given, OWN, netns),
    );
    if (this.#file) forgotten.register(this, this.#file, this);
  }

  /** Where to open a socket; undefined for the current namespace. */
  get netns(): NetnsReference | undefined {
    return this.#standIn ?? this.#file?.descriptor;
  }

  /** Whether a program answers there instead of the kernel. */
  get isStandIn(): boolean {
    return this.#standIn !== undefined;
  }

  /** Its identity while it is held: device and inode number. undefined without /proc. */
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

  /** May be called more than once. */
  close(): void {
    forgotten.unregister(this);
    this.#file?.close();
    this.#file = undefined;
  }
}

/**
 * Opens a socket. For another namespace, this uses a thread that exists only for the call
 * (native/namespace.cc): the thread that runs JavaScript never changes its namespace.
 */
export function openSocket(
  protocol: number,
  netns: NetnsReference | undefined,
  readAhead: number,
): NativeSocket {
  if (netns instanceof KernelStandIn) return netns.openSocket(protocol);
  const socket = new (addon().Socket)();
  const result =
    netns === undefined
      ? socket.open(protocol, -1, readAhead)
      : withNamespace(netns, (descriptor) => socket.open(protocol, descriptor, readAhead));
  if (typeof result === 'number') return socket;
  const { errno, syscall } = result;
  if (errno === -system.errno.EPROTONOSUPPORT && syscall === 'socket') {
    const hint = `this kernel has no netlink protocol ${protocol}, or is not allowed to load it`;
    throw new SystemError(errno, syscall, hint);
  }
  throw netns === undefined ? new SystemError(errno, syscall) : refused(errno, syscall, netns);
}

/**
 * Opens a file with information about a namespace, `/proc/thread-self/net/…`, for reading. For a
 * stand-in, it is empty.
 *
 * @param netns undefined for this thread's own
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

/**
 * Opens a file in a thread that has entered the namespace of `descriptor`, which was opened from
 * `netns`.
 */
function openInside(descriptor: number, path: string, netns: RealNamespace): OpenFile {
  const { openFile, closeFile } = addon();
  const result = openFile(descriptor, path);
  if (typeof result === 'number') return { descriptor: result, close: () => closeFile(result) };
  const { errno, syscall } = result;
  throw syscall === 'open' ? new SystemError(errno, syscall) : refused(errno, syscall, netns);
}

/**
 * Creates an empty network namespace. It lasts as long as its descriptor, and as what was opened or
 * started in it.
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
 * Opens any socket in a namespace and returns its descriptor, whose ownership passes to Node. It is
 * non-blocking, and bound to `address`, a struct sockaddr.
 */
export const openForNode = (netns: RealNamespace, kind: SocketKind, address: Uint8Array): number =>
  openAny(netns, kind, address, true);

/** Opens any socket in a namespace, for reading and writing it as a file. */
export function openAsFile(netns: RealNamespace, kind: SocketKind, address: Uint8Array): OpenFile {
  const descriptor = openAny(netns, kind, address, false);
  return { descriptor, close: () => addon().closeFile(descriptor) };
}
