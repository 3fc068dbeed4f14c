/** The native addon, typed. @module */
import type { ArenaBatch } from './batch.ts';
import { load } from './load.ts';

/** What failed of several system calls. */
export interface Failure {
  /** Negative. */
  readonly errno: number;
  readonly syscall: string;
}

/**
 * What native/socket.cc exports. Methods that make a system call return its result or -errno, those
 * that make several a result or a {@link Failure}.
 */
export interface NativeSocket {
  /** Of a socket that is none (stand-in.ts): what the addon has for all others. */
  readonly standIn?: { readonly constants: Addon['constants']; readonly batch: ArenaBatch };
  /** `netns` is the descriptor of a network namespace, or -1 for this thread's own. */
  open(protocol: number, netns: number): number | Failure;
  bind(portId: number, groups: number): number;
  connect(portId: number, groups: number): number;
  disconnect(): number;
  /** Writes port id and group mask, each 4 bytes: the socket's, or where it is connected to. */
  address(into: Uint8Array, peer: boolean): number;
  setOption(level: number, name: number, value: Uint8Array): number;
  getOption(level: number, name: number, into: Uint8Array): number;
  /** struct sock_filter, one after the other. */
  attachFilter(instructions: Uint8Array): number;
  /** Control messages are read from now on. */
  control(): void;
  /** Without an address: to where it is connected to. */
  send(bytes: Uint8Array, portId?: number, groups?: number): number;
  /** `batch` is the most datagrams a call, 1 to {@link Addon.batch}. */
  start(callback: NativeCallback, kernelOnly: boolean, batch: number): number | Failure;
  stop(): void;
  ref(): void;
  unref(): void;
  close(callback: () => void): number;
  rejected(): number;
  overruns(): number;
}

/**
 * One call a wake-up. `count` datagrams are in the arena; `lost` is the errno of a loss found
 * before them, `failed` that of an error which ended receiving; both 0 if there was none.
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

/** What native/addon.cc exports. */
export interface Addon {
  readonly Socket: new () => NativeSocket;
  /** The memory datagrams are packed into: `arenaBytes` of them, then `batch` entries. */
  arena(): ArrayBuffer;
  readonly arenaBytes: number;
  readonly batch: number;
  /** A descriptor to read, opened inside a network namespace that is given by descriptor. */
  openFile(netns: number, path: string): number | Failure;
  /** A new network namespace: it lasts as long as its descriptor and what was opened in it. */
  makeNamespace(): number | Failure;
  /**
   * A socket that does not block; `netns` as for {@link NativeSocket.open}, `address` a struct sockaddr or empty. One that
   * is `given` away is not closed by `closeFile`.
   */
  openBound(
    netns: number,
    domain: number,
    type: number,
    protocol: number,
    address: Uint8Array,
    given: boolean,
  ): number | Failure;
  /** Closes what `openFile`, `makeNamespace` or `openBound` opened. Node warns of descriptors that fs closes and did not open. */
  closeFile(descriptor: number): void;
  /** Clock ticks a second, the unit of times in /proc/PID/stat. */
  readonly clockTicks: number;
  /** Numbers from the C headers this was compiled with. */
  readonly constants: Readonly<Record<Constant, number>>;
}

let loaded: Addon | undefined;

/**
 * The addon, loaded at the first use: recordings can be read where there is none.
 *
 * @throws AddonError which says what to do
 */
export function addon(): Addon {
  loaded ??= load() as Addon;
  return loaded;
}
