/** An AF_NETLINK socket. @module */
import { AsyncResource } from 'node:async_hooks';
import {
  integer,
  optionalBoolean,
  optionalInteger,
  optionalSignal,
  options as optionsOf,
  U32_MAX,
  wrongType,
} from '../base/argument.ts';
import { onAbort } from './abort.ts';
import type { NativeSocket } from './addon.ts';
import { ArenaBatch, type DatagramBatch, MAX_BATCH } from './batch.ts';
import { channels, publishReceived, publishSent } from './channels.ts';
import { StateError, SystemError } from './error.ts';
import { type BpfInstruction, encodeFilter } from './filter.ts';
import { type NetnsReference, openSocket, optionalNamespace } from './namespace.ts';
import type { NetlinkOption } from './options.ts';
import * as option from './options.ts';

/** Options of a {@link NetlinkSocket}. */
export interface NetlinkSocketOptions {
  /** NETLINK_ROUTE 0, NETLINK_XFRM 6 …, to 31 (MAX_LINKS in linux/netlink.h is 32). */
  protocol: number;
  /**
   * Whether to receive only datagrams from the kernel (source port 0); default true. A process with
   * CAP_NET_ADMIN can send to a multicast group just as the kernel does, and only the source port
   * tells the difference. Use false for protocols between processes.
   */
  kernelOnly?: boolean;
  /**
   * The network namespace to open it in: a path or a descriptor. Default: that of the process. The
   * socket stays in it, and keeps it alive until it is closed, even if its name is removed.
   */
  netns?: NetnsReference | undefined;
  /** Closes the socket. */
  signal?: AbortSignal | undefined;
  /**
   * Maximum number of datagrams per read, 1 to 64; default 64. With 1, the kernel produces a dump
   * at most one piece ahead of its reader (net/netlink/af_netlink.c, netlink_recvmsg), unless it is
   * read ahead.
   */
  batch?: number;
  /**
   * Bytes of memory, up to 2^30, into which a thread of its own reads datagrams, so that the
   * receive buffer does not fill up while the event loop is busy or receiving is paused. It reads
   * from the first {@link NetlinkSocket.receive} on. If the memory is full, it stops until half of
   * it is free, and datagrams wait in the receive buffer again. Rounded up to a multiple of 256
   * KiB; default 0: no thread. See docs/sockets.md, section 10.
   */
  readAhead?: number;
}

const OPTIONS: ReadonlySet<string> = new Set<keyof NetlinkSocketOptions>([
  'protocol',
  'kernelOnly',
  'netns',
  'signal',
  'batch',
  'readAhead',
]);

/** A netlink address, struct sockaddr_nl. */
export interface NetlinkAddress {
  /** Unsigned. As a destination, 0 is the kernel. */
  portId: number;
  /** A mask of the groups 1 to 32: group n is bit n − 1. */
  groups: number;
}

const arena = new ArenaBatch();
const KERNEL: NetlinkAddress = { portId: 0, groups: 0 };
const ADDRESS: ReadonlySet<string> = new Set<keyof NetlinkAddress>(['portId', 'groups']);

/** The least memory to read ahead into, and its unit (native/ring.h). */
const UNIT = 2 ** 18;

/** Checks an option `readAhead`. @returns bytes; 0: no thread */
export function optionalReadAhead(name: string, value: unknown): number {
  const bytes = optionalInteger(name, value, 0, 0, 2 ** 30);
  return Math.ceil(bytes / UNIT) * UNIT;
}

let opened = 0;

function numbers(name: string, address: Partial<NetlinkAddress>): NetlinkAddress {
  optionsOf(name, address, ADDRESS);
  const portId = optionalInteger(`${name}.portId`, address.portId, 0, 0, U32_MAX);
  return { portId, groups: optionalInteger(`${name}.groups`, address.groups, 0, 0, U32_MAX) };
}

/**
 * A raw netlink socket of any protocol.
 *
 * To receive events: `bind()` first, then `joinGroup()`, then `receive()`. An unbound socket
 * receives no multicasts, and binding replaces the memberships of groups 1 to 32
 * (net/netlink/af_netlink.c, do_one_broadcast and netlink_bind).
 *
 * The socket keeps the process alive only while it receives, and not after {@link unref}. An open
 * socket that is not receiving and is no longer referenced is closed by the garbage collector; do
 * not rely on when.
 *
 * Methods that need the socket throw a {@link StateError} with the code `ERR_SOCKET_CLOSED` after
 * {@link close}; a failed system call throws a {@link SystemError}.
 */
export class NetlinkSocket {
  readonly #native: NativeSocket;
  /** Its identity in diagnostics records. */
  readonly #of: { readonly socket: number; readonly protocol: number };
  readonly #kernelOnly: boolean;
  readonly #aborted: Disposable;
  #peer: NetlinkAddress | undefined;
  readonly #batch: number;
  #listener: ((batch: DatagramBatch) => void) | undefined;
  #failed: ((error: SystemError) => void) | undefined;
  /** The async context of {@link receive}, kept even if {@link resume} is called from another. */
  #context: AsyncResource | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Opens the socket. It is close-on-exec.
   *
   * @throws SystemError `EPROTONOSUPPORT` if the kernel lacks the protocol, `EMFILE` … With
   *   `netns`: syscall `open` with `ENOENT` if the file does not exist, `setns` with `EINVAL` if it
   *   is not a network namespace, `setns` with `EPERM` if it may not be entered
   * @throws AddonError if the native addon could not be loaded
   * @throws the signal's reason, if it is already aborted
   */
  constructor(options: NetlinkSocketOptions) {
    optionsOf('options', options, OPTIONS);
    const protocol = integer('options.protocol', options.protocol, 0, 31);
    this.#kernelOnly = optionalBoolean('options.kernelOnly', options.kernelOnly, true);
    this.#batch = optionalInteger('options.batch', options.batch, MAX_BATCH, 1, MAX_BATCH);
    const readAhead = optionalReadAhead('options.readAhead', options.readAhead);
    const netns = optionalNamespace('options.netns', options.netns);
    const signal = optionalSignal('options.signal', options.signal);
    signal?.throwIfAborted();
    this.#native = openSocket(protocol, netns, readAhead);
    this.#of = { socket: ++opened, protocol };
    if (channels.open.hasSubscribers) channels.open.publish({ ...this.#of, netns });
    // Weakly, so that the signal does not keep an unused socket alive.
    const self = signal && new WeakRef(this);
    this.#aborted = onAbort(signal, () => void self?.deref()?.close());
  }

  /**
   * Assigns the port id and joins groups.
   *
   * With port id 0, the default, the kernel chooses: the process id if it is free in this network
   * namespace and protocol, otherwise a random one from 2^31 up (af_netlink.c, netlink_autobind).
   * Binding again requires the same port id, and replaces the memberships of groups 1 to 32 with
   * `groups`.
   *
   * @throws SystemError `EADDRINUSE` if another socket has the port id, `EINVAL` for a port id
   *   other than the current one, `EPERM` if the groups need a privilege (all groups of XFRM do)
   */
  bind(address: Partial<NetlinkAddress> = {}): void {
    const { portId, groups } = numbers('address', address);
    option.checkMembership(this.#open().bind(portId, groups), 'bind');
  }

  /**
   * Sets the default destination of {@link send}, and from then on accepts unicasts only from it:
   * other senders get `ECONNREFUSED` (af_netlink.c, netlink_connect and netlink_getsockbyportid).
   * Multicasts are not affected. An unbound socket is assigned a port id. The default destination
   * is the kernel.
   *
   * @throws SystemError `EPERM` for a destination other than the kernel without CAP_NET_ADMIN
   */
  connect(to: Partial<NetlinkAddress> = {}): void {
    const { portId, groups } = numbers('to', to);
    option.checkDestination(this.#open().connect(portId, groups), 'connect');
    this.#peer = { portId, groups };
  }

  /** Undoes {@link connect}. The port id stays. */
  disconnect(): void {
    option.check(this.#open().disconnect(), 'connect');
    this.#peer = undefined;
  }

  /**
   * The connected destination, read from the kernel: of several groups it keeps the lowest. Zeros
   * if not connected.
   */
  get peer(): NetlinkAddress {
    return this.#address(true);
  }

  /** The port id, 0 if unbound, and the joined groups 1 to 32, read from the kernel. */
  get address(): NetlinkAddress {
    return this.#address(false);
  }

  /**
   * The port id, 0 if unbound; after a bind that failed with `EADDRINUSE`, the kernel shows the
   * refused id (af_netlink.c, netlink_insert). In /proc/net/netlink it is the column Pid.
   */
  get portId(): number {
    return this.address.portId;
  }

  /**
   * Joins a multicast group by its number, which may be above 32.
   *
   * @throws SystemError `EINVAL` if the protocol has no such group, `EPERM` as for {@link bind}
   */
  joinGroup(group: number): void {
    option.changeMembership(this.#opener, group, true);
  }

  /**
   * Leaves a multicast group. Leaving a group that was not joined succeeds.
   *
   * @throws SystemError as {@link joinGroup}: leaving needs the same privilege
   */
  leaveGroup(group: number): void {
    option.changeMembership(this.#opener, group, false);
  }

  /** The numbers of the joined groups, including those above 32, read from the kernel. */
  get memberships(): number[] {
    return option.memberships(this.#open());
  }

  /**
   * Requests a receive buffer size in bytes.
   *
   * First without the limit net.core.rmem_max, which needs CAP_NET_ADMIN outside user namespaces
   * (SO_RCVBUFFORCE), then within it (SO_RCVBUF).
   *
   * @param bytes 1 to 2^30 − 1
   * @returns the granted size, as {@link receiveBufferSize}: the kernel doubles the number, because
   *   it also charges its own overhead (a policy event of 264 bytes counts as 1280). Less than
   *   twice `bytes` means that the limit applied.
   */
  setReceiveBufferSize(bytes: number): number {
    return option.setBufferSize(this.#opener, 'RCVBUF', bytes);
  }

  /** The size of the receive buffer in bytes, as accounted by the kernel (SO_RCVBUF). */
  get receiveBufferSize(): number {
    return option.bufferSize(this.#open(), 'RCVBUF');
  }

  /**
   * With `readAhead`: for how many milliseconds, 0 to 1000, the thread rests after it read all that
   * was queued, so that it reads what comes meanwhile with fewer system calls. Default 0. The
   * receive buffer must hold what comes in that time. A rest ends when this is called, or something
   * is lost. Without `readAhead` it does nothing; `subscribe()` sets it for `coalesce`.
   */
  setReadAheadRest(milliseconds: number): void {
    this.#opener().rest(integer('milliseconds', milliseconds, 0, 1000));
  }

  /**
   * The queued bytes as charged by the kernel (0 if the queue is empty), and the number of
   * datagrams dropped so far, of which {@link overruns} only shows that there were some
   * (SO_MEMINFO; net/core/sock.c, sk_get_meminfo; counted in net/netlink/af_netlink.c,
   * netlink_overrun).
   */
  get queue(): { readonly bytes: number; readonly drops: number } {
    return option.queue(this.#open());
  }

  /**
   * After a loss, the kernel drops every event until the queue has been drained, or forever if it
   * was empty when a copy could not be made (CONGESTED; af_netlink.c, netlink_overrun). This ends
   * that state immediately (netlink_setsockopt, NETLINK_NO_ENOBUFS): new events are queued again.
   */
  clearCongestion(): void {
    this.setOption('noEnobufs', true);
    this.setOption('noEnobufs', false);
  }

  /**
   * Requests a send buffer size in bytes, which limits the size of a datagram; otherwise as
   * {@link setReceiveBufferSize}, with the limit net.core.wmem_max. A datagram can have up to
   * {@link sendBufferSize} − 32 bytes (af_netlink.c, netlink_sendmsg).
   */
  setSendBufferSize(bytes: number): number {
    return option.setBufferSize(this.#opener, 'SNDBUF', bytes);
  }

  /** The size of the send buffer in bytes, as accounted by the kernel (SO_SNDBUF). */
  get sendBufferSize(): number {
    return option.bufferSize(this.#open(), 'SNDBUF');
  }

  /**
   * Sets or clears a flag of {@link NetlinkFlags}.
   *
   * @throws SystemError `ENOPROTOOPT` if the kernel is too old for it, `EPERM` for `listenAllNsid`
   *   without CAP_NET_BROADCAST
   */
  setOption(name: NetlinkOption, enabled: boolean): void {
    option.setFlag(this.#opener, name, enabled);
  }

  /**
   * Reads a flag from the kernel.
   *
   * @throws SystemError `ENOPROTOOPT` if the kernel is too old: `listenAllNsid` can be read
   *   since 6.12 or earlier, but not in 6.1
   */
  getOption(name: NetlinkOption): boolean {
    return option.getFlag(this.#opener, name);
  }

  /**
   * Makes the kernel filter datagrams before they take up buffer space: it runs the program on
   * each, starting at the first byte of the first message, and keeps as many bytes as the program
   * returns; 0 drops the datagram, 0xffffffff keeps all of it. Filtered datagrams are not losses
   * and are not counted. Loads of 2 and 4 bytes are big-endian, while netlink's numbers are in host
   * byte order: compare with the bytes swapped. A program replaces the previous one.
   *
   * @throws TypeError or RangeError that names the instruction; SystemError `EINVAL` for a program
   *   the kernel does not accept
   */
  attachFilter(instructions: readonly BpfInstruction[]): void {
    const program = encodeFilter(instructions);
    option.check(this.#open().attachFilter(program), 'setsockopt');
  }

  /** Removes the filter. @throws SystemError `ENOENT` if there is none */
  detachFilter(): void {
    option.detachFilter(this.#open());
  }

  /**
   * Sends one datagram to the {@link connect}ed destination, by default the kernel. The bytes are
   * copied before this returns, so a send is never pending. An unbound socket is assigned a port
   * id. With both groups and a port id, it is sent twice; the result is that of the port id.
   *
   * @throws SystemError `EPERM` for a destination other than the kernel without CAP_NET_ADMIN,
   *   `ECONNREFUSED` if nobody has the port id (always when sending only to groups of
   *   NETLINK_USERSOCK, where port id 0 is the kernel, which accepts nothing; the groups did
   *   receive it), `EMSGSIZE` if it does not fit into the send buffer, `ENODATA` for no bytes,
   *   `EAGAIN` if the receiver's buffer is full
   */
  send(bytes: Uint8Array, to?: Partial<NetlinkAddress>): void {
    if (!(bytes instanceof Uint8Array)) throw wrongType('bytes', 'a Uint8Array', bytes);
    const { portId, groups } = to === undefined ? (this.#peer ?? KERNEL) : numbers('to', to);
    const socket = this.#open();
    // Without an address if connected, so that the privilege at the time of connect() applies.
    const connected = to === undefined && this.#peer !== undefined;
    const result = connected ? socket.send(bytes) : socket.send(bytes, portId, groups);
    option.checkDestination(result, 'sendto');
    if (channels.message.hasSubscribers) publishSent(this.#of, bytes, portId, groups);
  }

  /**
   * Starts receiving. The listener is called once per wake-up with up to 64 datagrams; if more are
   * waiting, it is called again after other events of the loop had their turn. If it throws, that
   * is an uncaught exception, as for any event in Node, and later calls continue.
   *
   * @param listener gets a {@link DatagramBatch}, valid only during the call
   * @param failed called if reading failed permanently, which ends receiving; without it the error
   *   is thrown as an uncaught exception. Lost events are not a failure: see
   *   {@link DatagramBatch.lost}.
   * @throws StateError `ERR_SOCKET_RECEIVING` if there is already a listener
   */
  receive(listener: (batch: DatagramBatch) => void, failed?: (error: SystemError) => void): void {
    if (typeof listener !== 'function') throw wrongType('listener', 'a function', listener);
    if (failed !== undefined && typeof failed !== 'function') {
      throw wrongType('failed', 'a function', failed);
    }
    this.#open();
    if (this.#listener) {
      throw new StateError('ERR_SOCKET_RECEIVING', 'the socket already has a listener');
    }
    this.#start();
    this.#listener = listener;
    this.#failed = failed;
    this.#context = new AsyncResource('NETLINKSOCKET');
  }

  /** Stops calling the listener; the kernel queues datagrams until the receive buffer is full. */
  pause(): this {
    this.#native.stop();
    return this;
  }

  /** Resumes after {@link pause}; does nothing before {@link receive} or once closed. */
  resume(): this {
    if (this.#listener && !this.#closing) this.#start();
    return this;
  }

  /** Lets receiving keep the process alive, which is the default. */
  ref(): this {
    this.#native.ref();
    return this;
  }

  /** Lets the process exit while this socket is receiving. */
  unref(): this {
    this.#native.unref();
    return this;
  }

  /** Datagrams dropped because they did not come from the kernel. */
  get rejected(): number {
    return this.#native.rejected();
  }

  /** How often the kernel reported lost events. One report covers any number of them. */
  get overruns(): number {
    return this.#native.overruns();
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Closes the socket. May be called at any time, even in the listener, which is not called again.
   * Queued datagrams are dropped.
   *
   * @returns a promise that is fulfilled once the descriptor is closed; the same one every time
   */
  close(): Promise<void> {
    if (this.#closing) return this.#closing;
    this.#aborted[Symbol.dispose]();
    if (channels.close.hasSubscribers) channels.close.publish(this.#of);
    this.#listener = undefined;
    this.#closing = new Promise((resolve) => {
      this.#native.close(resolve);
    });
    return this.#closing;
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(): NativeSocket {
    if (!this.#closing) return this.#native;
    throw new StateError('ERR_SOCKET_CLOSED', 'the socket is closed');
  }

  /** For functions that check their arguments first. */
  readonly #opener = () => this.#open();

  #address(peer: boolean): NetlinkAddress {
    const words = new Uint32Array(2);
    const result = this.#open().address(new Uint8Array(words.buffer), peer);
    option.check(result, peer ? 'getpeername' : 'getsockname');
    return { portId: words[0] as number, groups: words[1] as number };
  }

  #start(): void {
    const result = this.#native.start(this.#onBatch, this.#kernelOnly, this.#batch);
    if (typeof result !== 'number') throw new SystemError(result.errno, result.syscall);
  }

  /** Passed on each start: the addon holds it only while receiving. */
  readonly #onBatch = (count: number, lost: number, failed: number): void => {
    this.#context?.runInAsyncScope(this.#deliver, this, count, lost, failed);
  };

  #deliver(count: number, lost: number, failed: number): void {
    const onFailure = this.#failed;
    const batch = this.#native.standIn?.batch ?? arena;
    try {
      if (count > 0 || lost !== 0) {
        batch.fill(count, lost);
        if (channels.message.hasSubscribers) publishReceived(this.#of, batch);
        if (batch.lost !== undefined && channels.overrun.hasSubscribers) {
          channels.overrun.publish({ ...this.#of, code: batch.lost });
        }
        // Read only now, because a diagnostics subscriber may have closed the socket.
        const listener = this.#listener;
        listener?.(batch);
      }
    } finally {
      batch.clear();
    }
    if (failed === 0) return;
    const error = new SystemError(failed, 'recvmmsg');
    if (!onFailure) throw error;
    onFailure(error);
  }
}
