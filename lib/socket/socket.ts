/** An AF_NETLINK socket. @module */
import { AsyncResource } from 'node:async_hooks';
import { onAbort } from './abort.ts';
import type { NativeSocket } from './addon.ts';
import {
  integer,
  optionalBoolean,
  optionalInteger,
  optionalSignal,
  options as optionsOf,
  U32_MAX,
  wrongType,
} from './argument.ts';
import { ArenaBatch, type DatagramBatch, MAX_BATCH } from './batch.ts';
import { channels, publishReceived, publishSent } from './channels.ts';
import { StateError, SystemError } from './error.ts';
import { type BpfInstruction, encodeFilter } from './filter.ts';
import { type NetnsReference, openSocket, optionalNamespace } from './namespace.ts';
import type { NetlinkOption } from './options.ts';
import * as option from './options.ts';

/** How to open a {@link NetlinkSocket}. */
export interface NetlinkSocketOptions {
  /** NETLINK_ROUTE 0, NETLINK_XFRM 6 …, to 31 (MAX_LINKS in linux/netlink.h is 32). */
  protocol: number;
  /**
   * Whether only datagrams from the kernel (source port 0) are passed on; the default is true.
   * A process with CAP_NET_ADMIN can send to a multicast group as the kernel does, and only the
   * source port tells the difference. False is for protocols spoken between processes.
   */
  kernelOnly?: boolean;
  /**
   * The network namespace to open it in, where it then stays: a path or a descriptor. Default: that
   * of the process. As long as the socket is open the kernel keeps the namespace, also when its
   * name is gone.
   */
  netns?: NetnsReference | undefined;
  /** Closes the socket. */
  signal?: AbortSignal | undefined;
  /**
   * The most datagrams read at once, 1 to 64, the default. With 1 the kernel makes a list no further
   * than one piece ahead of its reader (net/netlink/af_netlink.c, netlink_recvmsg).
   */
  batch?: number;
}

const OPTIONS: ReadonlySet<string> = new Set<keyof NetlinkSocketOptions>([
  'protocol',
  'kernelOnly',
  'netns',
  'signal',
  'batch',
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

let opened = 0;

function numbers(name: string, address: Partial<NetlinkAddress>): NetlinkAddress {
  optionsOf(name, address, ADDRESS);
  const portId = optionalInteger(`${name}.portId`, address.portId, 0, 0, U32_MAX);
  return { portId, groups: optionalInteger(`${name}.groups`, address.groups, 0, 0, U32_MAX) };
}

/**
 * A raw netlink socket of any protocol.
 *
 * To receive events: `bind()` first, then `joinGroup()`, then `receive()`. An unbound socket gets no
 * multicast at all, and binding replaces memberships of the groups 1 to 32 (net/netlink/
 * af_netlink.c, do_one_broadcast and netlink_bind).
 *
 * The socket keeps the process alive only while it receives, and not after {@link unref}. An open
 * socket that does not receive and that nothing refers to any more is closed by the garbage
 * collector; do not count on when.
 *
 * Every method that needs the socket throws a {@link StateError} with the code
 * `ERR_SOCKET_CLOSED` after {@link close}; what a system call refuses is a {@link SystemError}.
 */
export class NetlinkSocket {
  readonly #native: NativeSocket;
  /** What the diagnostics channels call it. */
  readonly #of: { readonly socket: number; readonly protocol: number };
  readonly #kernelOnly: boolean;
  readonly #aborted: Disposable;
  #peer: NetlinkAddress | undefined;
  readonly #batch: number;
  #listener: ((batch: DatagramBatch) => void) | undefined;
  #failed: ((error: SystemError) => void) | undefined;
  /** The async context of {@link receive}, also after {@link resume} was called from another. */
  #context: AsyncResource | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Opens the socket. It is close-on-exec.
   *
   * @throws SystemError `EPROTONOSUPPORT` if the kernel has no such protocol, `EMFILE` … With
   *   `netns`: syscall `open` with `ENOENT` if there is no such file, `setns` with `EINVAL` if it is
   *   no network namespace, `setns` with `EPERM` if it may not be entered
   * @throws AddonError if the native part was not built
   * @throws the signal's reason, if it was aborted before
   */
  constructor(options: NetlinkSocketOptions) {
    optionsOf('options', options, OPTIONS);
    const protocol = integer('options.protocol', options.protocol, 0, 31);
    this.#kernelOnly = optionalBoolean('options.kernelOnly', options.kernelOnly, true);
    this.#batch = optionalInteger('options.batch', options.batch, MAX_BATCH, 1, MAX_BATCH);
    const netns = optionalNamespace('options.netns', options.netns);
    const signal = optionalSignal('options.signal', options.signal);
    signal?.throwIfAborted();
    this.#native = openSocket(protocol, netns);
    this.#of = { socket: ++opened, protocol };
    if (channels.open.hasSubscribers) channels.open.publish({ ...this.#of, netns });
    // Weakly, so that the signal does not keep a socket that nobody uses any more.
    const self = signal && new WeakRef(this);
    this.#aborted = onAbort(signal, () => void self?.deref()?.close());
  }

  /**
   * Gives the socket its port id and joins groups.
   *
   * With the port id 0, the default, the kernel chooses: the process id if it is free in this
   * network namespace and protocol, else a random one from 2^31 up (af_netlink.c,
   * netlink_autobind). Binding again is allowed with the same port id only, and replaces the
   * memberships of groups 1 to 32 by `groups`.
   *
   * @throws SystemError `EADDRINUSE` if another socket has the port id, `EINVAL` for another port
   *   id than before, `EPERM` if the groups need a privilege (all groups of XFRM do)
   */
  bind(address: Partial<NetlinkAddress> = {}): void {
    const { portId, groups } = numbers('address', address);
    option.checkMembership(this.#open().bind(portId, groups), 'bind');
  }

  /**
   * Sets where {@link send} sends to if it is not told, and from then on takes what is sent to this
   * socket alone only from there: others get `ECONNREFUSED` (af_netlink.c, netlink_connect and
   * netlink_getsockbyportid). What is sent to groups comes as before. An unbound socket gets a port
   * id by this. Without an address, that is the kernel.
   *
   * @throws SystemError `EPERM` for another destination than the kernel without CAP_NET_ADMIN
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
   * Where it is connected to, read from the kernel: of several groups it keeps the lowest. Zeros
   * while it is not connected.
   */
  get peer(): NetlinkAddress {
    return this.#address(true);
  }

  /** The port id, 0 while unbound, and the groups 1 to 32 joined, read from the kernel. */
  get address(): NetlinkAddress {
    return this.#address(false);
  }

  /**
   * The port id, 0 while unbound; after a bind that failed with `EADDRINUSE` the kernel shows the id
   * it refused (af_netlink.c, netlink_insert). /proc/net/netlink shows it as Pid.
   */
  get portId(): number {
    return this.address.portId;
  }

  /**
   * Joins a group by its number, which may be above 32.
   *
   * @throws SystemError `EINVAL` if the protocol has no such group, `EPERM` as for {@link bind}
   */
  joinGroup(group: number): void {
    option.changeMembership(this.#opener, group, true);
  }

  /**
   * Leaves a group. Leaving one that was not joined is no error.
   *
   * @throws SystemError as {@link joinGroup}: leaving asks for the same
   */
  leaveGroup(group: number): void {
    option.changeMembership(this.#opener, group, false);
  }

  /** The numbers of the groups joined, also those above 32, read from the kernel. */
  get memberships(): number[] {
    return option.memberships(this.#open());
  }

  /**
   * Asks for room for events that wait to be read, in bytes.
   *
   * First without the limit net.core.rmem_max, which needs CAP_NET_ADMIN outside user namespaces
   * (SO_RCVBUFFORCE), then with it (SO_RCVBUF).
   *
   * @param bytes 1 to 2^30 − 1
   * @returns what was got, as {@link receiveBufferSize}: the kernel doubles the number, because it
   *   charges its own overhead too (a policy event of 264 bytes counts as 1280). Less than twice
   *   `bytes` means that the limit held.
   */
  setReceiveBufferSize(bytes: number): number {
    return option.setBufferSize(this.#opener, 'RCVBUF', bytes);
  }

  /** The size of the receive buffer in bytes as the kernel counts it (SO_RCVBUF). */
  get receiveBufferSize(): number {
    return option.bufferSize(this.#open(), 'RCVBUF');
  }

  /**
   * What waits to be read, in bytes as the kernel charges them (0: nothing), and how many datagrams
   * found no room so far, of which {@link overruns} tells only that there were some (SO_MEMINFO;
   * net/core/sock.c, sk_get_meminfo; counted in net/netlink/af_netlink.c, netlink_overrun).
   */
  get queue(): { readonly bytes: number; readonly drops: number } {
    return option.queue(this.#open());
  }

  /**
   * After a loss the kernel drops every event until the queue has been read empty, and for ever if
   * it was empty when a copy could not be made (CONGESTED; af_netlink.c, netlink_overrun). This
   * ends that at once (netlink_setsockopt, NETLINK_NO_ENOBUFS): what comes from now on is queued.
   */
  clearCongestion(): void {
    this.setOption('noEnobufs', true);
    this.setOption('noEnobufs', false);
  }

  /**
   * Asks for room for one datagram to send, in bytes; the rest is as in
   * {@link setReceiveBufferSize}, the limit net.core.wmem_max. A datagram may be as long as
   * {@link sendBufferSize} − 32 (af_netlink.c, netlink_sendmsg).
   */
  setSendBufferSize(bytes: number): number {
    return option.setBufferSize(this.#opener, 'SNDBUF', bytes);
  }

  /** The size of the send buffer in bytes as the kernel counts it (SO_SNDBUF). */
  get sendBufferSize(): number {
    return option.bufferSize(this.#open(), 'SNDBUF');
  }

  /**
   * Switches a flag of {@link NetlinkFlags}.
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
   * @throws SystemError `ENOPROTOOPT` if the kernel is too old: `listenAllNsid` can be read since
   *   6.12 or earlier, not in 6.1
   */
  getOption(name: NetlinkOption): boolean {
    return option.getFlag(this.#opener, name);
  }

  /**
   * Lets the kernel drop datagrams before they take room: it runs the program on each, from the
   * first byte of the first message on, and keeps as many bytes of it as the program returns; 0
   * drops it, 0xffffffff keeps all. What it drops is no loss and is not counted. Loads of 2 and 4
   * bytes read big-endian, while netlink's numbers have the processor's order: compare with the
   * bytes swapped. A program replaces the one before.
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
   * Sends one datagram: to where it is {@link connect}ed, by default to the kernel. The bytes are
   * copied before this returns, so that no send is ever pending. An unbound socket gets a port id by
   * this. To groups and to a port id at once it sends twice; the result is that of the port id.
   *
   * @throws SystemError `EPERM` for a destination other than the kernel without CAP_NET_ADMIN,
   *   `ECONNREFUSED` if nobody has the port id (to groups of NETLINK_USERSOCK alone always, for the
   *   kernel has port id 0 there too and takes nothing; the groups got it), `EMSGSIZE` if it does not fit the send buffer,
   *   `ENODATA` for no bytes, `EAGAIN` if the receiver's buffer is full
   */
  send(bytes: Uint8Array, to?: Partial<NetlinkAddress>): void {
    if (!(bytes instanceof Uint8Array)) throw wrongType('bytes', 'a Uint8Array', bytes);
    const { portId, groups } = to === undefined ? (this.#peer ?? KERNEL) : numbers('to', to);
    const socket = this.#open();
    // Over the connection without an address: then the privilege counts that connect() had.
    const connected = to === undefined && this.#peer !== undefined;
    const result = connected ? socket.send(bytes) : socket.send(bytes, portId, groups);
    option.checkDestination(result, 'sendto');
    if (channels.message.hasSubscribers) publishSent(this.#of, bytes, portId, groups);
  }

  /**
   * Starts receiving. The listener is called once a wake-up with up to 64 datagrams; with more
   * waiting it is called again after other events of the loop had their turn. What it throws is an
   * uncaught exception, as with any event of Node, and later calls go on.
   *
   * @param listener gets a {@link DatagramBatch}, valid only during the call
   * @param failed is called if reading failed for good, which ends receiving; without it the error
   *   is thrown as an uncaught exception. Lost events are no failure: see {@link DatagramBatch.lost}.
   * @throws StateError `ERR_SOCKET_RECEIVING` if there is a listener already
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

  /** Receives again after {@link pause}; does nothing before {@link receive} or once closed. */
  resume(): this {
    if (this.#listener && !this.#closing) this.#start();
    return this;
  }

  /** Lets receiving keep the process alive, as it does unless {@link unref} was called. */
  ref(): this {
    this.#native.ref();
    return this;
  }

  /** Lets the process end although this socket receives. */
  unref(): this {
    this.#native.unref();
    return this;
  }

  /** Datagrams dropped because they did not come from the kernel. */
  get rejected(): number {
    return this.#native.rejected();
  }

  /** How often the kernel reported lost events. It does so once for any number of them. */
  get overruns(): number {
    return this.#native.overruns();
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Closes the socket, at any moment, also in the listener, which is not called again. Datagrams
   * still queued are dropped.
   *
   * @returns a promise that is fulfilled when the descriptor is closed; the same one every time
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

  /** For those that check their arguments first. */
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

  /** Handed over at each start: the native part holds it only while it receives. */
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
        // Only now: whoever looks on may have closed the socket.
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
