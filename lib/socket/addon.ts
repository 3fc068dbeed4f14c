/** The native addon, with types. @module */
import type { ArenaBatch } from './batch.ts';
import { load } from './load.ts';

/** The failed one of several system calls. */
export interface Failure {
  /** Negative. */
  readonly errno: number;
  readonly syscall: string;
}

/**
 * The exports of native/socket.cc. Methods that make one system call return its result or -errno;
 * those that make several return a result or a {@link Failure}.
 */
export interface NativeSocket {
  /** For a stand-in socket (stand-in.ts): what real sockets take from the addon. */
  readonly standIn?: { readonly constants: Addon['constants']; readonly batch: ArenaBatch };
  /**
   * `netns` is the descriptor of a network namespace, or -1 for that of the current thread. A thread
   * reads ahead into `readAhead` bytes, unless that is 0.
   */
  open(protocol: number, netns: number, readAhead: number): number | Failure;
  bind(portId: number, groups: number): number;
  connect(portId: number, groups: number): number;
  disconnect(): number;
  /**
   * Writes port id and group mask, each 4 bytes: the socket's own, or those of its connected peer.
   */
  address(into: Uint8Array, peer: boolean): number;
  setOption(level: number, name: number, value: Uint8Array): number;
  getOption(level: number, name: number, into: Uint8Array): number;
  /** Consecutive struct sock_filter. */
  attachFilter(instructions: Uint8Array): number;
  /** From now on, control messages are read. */
  control(): void;
  /** How long the thread that reads ahead rests after it read all: milliseconds, up to 1000. Ends a rest. */
  rest(milliseconds: number): void;
  /** Without an address: to the connected peer. */
  send(bytes: Uint8Array, portId?: number, groups?: number): number;
  /** `batch` is the maximum number of datagrams per call, 1 to {@link Addon.batch}. */
  start(callback: NativeCallback, kernelOnly: boolean, batch: number): number | Failure;
  stop(): void;
  ref(): void;
  unref(): void;
  close(callback: () => void): number;
  rejected(): number;
  overruns(): number;
  /** Bytes that were read ahead; not 0 while the thread reads. */
  waiting(): number;
}

/**
 * Called once per wake-up. `count` datagrams are in the arena; `lost` is the errno of a loss found
 * before them, `failed` that of an error that ended receiving; each is 0 if there was none.
 */
export type NativeCallback = (count: number, lost: number, failed: number) => void;

type Constant =
  | 'SOL_SOCKET'
  | 'SO_RCVBUF'
  | 'SO_RCVBUFFORCE'
  | 'SO_SNDBUF'
  | 'SO_SNDBUFFORCE'
  | 'SO_DETACH_FILTER'
  | 'SO_MEMINFO'
  | 'SOL_NETLINK'
  | 'NETLINK_ADD_MEMBERSHIP'
  | 'NETLINK_DROP_MEMBERSHIP'
  | 'NETLINK_PKTINFO'
  | 'NETLINK_BROADCAST_ERROR'
  | 'NETLINK_NO_ENOBUFS'
  | 'NETLINK_LISTEN_ALL_NSID'
  | 'NETLINK_LIST_MEMBERSHIPS'
  | 'NETLINK_CAP_ACK'
  | 'NETLINK_EXT_ACK'
  | 'NETLINK_GET_STRICT_CHK';

/** The exports of native/addon.cc. */
export interface Addon {
  readonly Socket: new () => NativeSocket;
  /** The memory for datagrams: `arenaBytes` of packed datagrams, then `batch` entries. */
  arena(): ArrayBuffer;
  readonly arenaBytes: number;
  readonly batch: number;
  /** Opens a file for reading inside a network namespace, given by descriptor. */
  openFile(netns: number, path: string): number | Failure;
  /** A new network namespace: it lasts as long as its descriptor and what was opened in it. */
  makeNamespace(): number | Failure;
  /**
   * A non-blocking socket; `netns` as for {@link NativeSocket.open}, `address` a struct sockaddr or
   * empty. If `given`, its ownership is passed on, and `closeFile` does not close it.
   */
  openBound(
    netns: number,
    domain: number,
    type: number,
    protocol: number,
    address: Uint8Array,
    given: boolean,
  ): number | Failure;
  /**
   * Sends one datagram from a socket made for it, without waiting. `address` is a struct sockaddr,
   * whose family is that of the socket.
   */
  sendDatagram(address: Uint8Array, bytes: Uint8Array): number | Failure;
  /**
   * Closes what `openFile`, `makeNamespace` or `openBound` opened. (Node warns if fs closes a
   * descriptor that fs did not open.)
   */
  closeFile(descriptor: number): void;
  /** Clock ticks per second, the unit of times in /proc/PID/stat. */
  readonly clockTicks: number;
  /** Numbers from the C headers the addon was compiled with. */
  readonly constants: Readonly<Record<Constant, number>>;
}

let loaded: Addon | undefined;

/**
 * The addon, loaded on first use, so that recordings can be read without it.
 *
 * @throws AddonError with a hint
 */
export function addon(): Addon {
  loaded ??= load() as Addon;
  return loaded;
}
