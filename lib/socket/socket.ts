/** An AF_NETLINK socket. @module */
import { constants as system } from 'node:os';
import { type Addon, addon, type NativeSocket } from './addon.ts';
import { integer, object, optionalBoolean, U32_MAX, wrongType } from './argument.ts';
import { ArenaBatch, type Batch } from './batch.ts';
import { SocketStateError, SystemError } from './error.ts';

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
   * The most datagrams read at once, 1 to 64, the default. With 1 the kernel makes a list no further
   * than one piece ahead of its reader (net/netlink/af_netlink.c, netlink_recvmsg).
   */
  batch?: number;
}

/** A netlink address, struct sockaddr_nl. */
export interface NetlinkAddress {
  /** Unsigned. As a destination, 0 is the kernel. */
  portId: number;
  /** A mask of the groups 1 to 32: group n is bit n − 1. */
  groups: number;
}

/**
 * Options a netlink socket can switch on (netlink(7)): `extAck` for error texts and the offending
 * attribute, `capAck` for errors without a copy of the request, `strictCheck` for rtnetlink to heed
 * the filters of dumps, `broadcastError` to tell the sending kernel code of a failed delivery.
 */
export type NetlinkOption = 'extAck' | 'capAck' | 'strictCheck' | 'broadcastError';

const OPTIONS = {
  extAck: 'NETLINK_EXT_ACK',
  capAck: 'NETLINK_CAP_ACK',
  strictCheck: 'NETLINK_GET_STRICT_CHK',
  broadcastError: 'NETLINK_BROADCAST_ERROR',
} as const satisfies Record<NetlinkOption, keyof Addon['constants']>;

/** The kernel keeps twice what is asked for in an int (net/core/sock.c, __sock_set_rcvbuf). */
export const MAX_RECEIVE_BUFFER = 0x3fff_ffff;

const MAY_JOIN =
  'joining groups of this protocol needs CAP_NET_ADMIN in the user namespace that owns the ' +
  'network namespace: run as root, or try it in a namespace of your own with unshare -Urn';

const batch = new ArenaBatch();

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
 * Every method that needs the socket throws a {@link SocketStateError} with the code
 * `ERR_SOCKET_CLOSED` after {@link close}; what a system call refuses is a {@link SystemError}.
 */
export class NetlinkSocket {
  readonly #native: NativeSocket;
  readonly #constants: Addon['constants'];
  readonly #kernelOnly: boolean;
  readonly #batch: number;
  /** SK_MEMINFO_VARS words (linux/sock_diag.h): the first is what waits, the ninth the drops. */
  readonly #meminfo = new Uint32Array(9);
  #listener: ((batch: Batch) => void) | undefined;
  #failed: ((error: SystemError) => void) | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Opens the socket. It is close-on-exec.
   *
   * @throws SystemError `EPROTONOSUPPORT` if the kernel has no such protocol, `EMFILE` …
   * @throws AddonError if the native part was not built
   */
  constructor(options: NetlinkSocketOptions) {
    object('options', options);
    const protocol = integer('options.protocol', options.protocol, 0, 31);
    this.#kernelOnly = optionalBoolean('options.kernelOnly', options.kernelOnly, true);
    const { Socket, constants, batch } = addon();
    this.#batch = integer('options.batch', options.batch ?? batch, 1, batch);
    this.#constants = constants;
    this.#native = new Socket();
    const result = this.#native.open(protocol);
    if (result < 0) {
      const hint = `this kernel has no netlink protocol ${protocol}, or may not load it`;
      throw new SystemError(
        result,
        'socket',
        result === -system.errno.EPROTONOSUPPORT ? hint : undefined,
      );
    }
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
    object('address', address);
    const portId = integer('address.portId', address.portId ?? 0, 0, U32_MAX);
    const groups = integer('address.groups', address.groups ?? 0, 0, U32_MAX);
    const result = this.#open().bind(portId, groups);
    if (result < 0)
      throw new SystemError(result, 'bind', result === -system.errno.EPERM ? MAY_JOIN : undefined);
  }

  /** The port id, 0 while unbound, and the groups 1 to 32 joined, read from the kernel. */
  get address(): NetlinkAddress {
    const words = new Uint32Array(2);
    this.#check(this.#open().address(new Uint8Array(words.buffer)), 'getsockname');
    return { portId: words[0] as number, groups: words[1] as number };
  }

  /** The port id, 0 while unbound. /proc/net/netlink shows it as Pid. */
  get portId(): number {
    return this.address.portId;
  }

  /**
   * Joins a group by its number, which may be above 32.
   *
   * @throws SystemError `EINVAL` if the protocol has no such group, `EPERM` as for {@link bind}
   */
  joinGroup(group: number): void {
    this.#membership('NETLINK_ADD_MEMBERSHIP', group);
  }

  /** Leaves a group. Leaving one that was not joined is no error. */
  leaveGroup(group: number): void {
    this.#membership('NETLINK_DROP_MEMBERSHIP', group);
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
    const { SOL_SOCKET, SO_RCVBUF, SO_RCVBUFFORCE } = this.#constants;
    const size = integer('bytes', bytes, 1, MAX_RECEIVE_BUFFER);
    const forced = this.#setInteger(SOL_SOCKET, SO_RCVBUFFORCE, size);
    if (forced < 0) this.#check(this.#setInteger(SOL_SOCKET, SO_RCVBUF, size), 'setsockopt');
    return this.receiveBufferSize;
  }

  /** The size of the receive buffer in bytes as the kernel counts it (SO_RCVBUF). */
  get receiveBufferSize(): number {
    const { SOL_SOCKET, SO_RCVBUF } = this.#constants;
    const value = new Int32Array(1);
    const into = new Uint8Array(value.buffer);
    this.#check(this.#open().getOption(SOL_SOCKET, SO_RCVBUF, into), 'getsockopt');
    return value[0] as number;
  }

  /**
   * What waits to be read, in bytes as the kernel charges them (0: nothing), and how many datagrams
   * found no room so far, of which {@link overruns} tells only that there were some (SO_MEMINFO;
   * net/core/sock.c, sk_get_meminfo; counted in net/netlink/af_netlink.c, netlink_overrun).
   */
  get queue(): { readonly bytes: number; readonly drops: number } {
    const { SOL_SOCKET, SO_MEMINFO } = this.#constants;
    const into = new Uint8Array(this.#meminfo.buffer);
    this.#check(this.#open().getOption(SOL_SOCKET, SO_MEMINFO, into), 'getsockopt');
    const { 0: bytes = 0, 8: drops = 0 } = this.#meminfo;
    return { bytes, drops };
  }

  /**
   * After a loss the kernel drops every event until the queue has been read empty, and for ever if
   * it was empty when a copy could not be made (CONGESTED; af_netlink.c, netlink_overrun). This
   * ends that at once (netlink_setsockopt, NETLINK_NO_ENOBUFS): what comes from now on is queued.
   */
  clearCongestion(): void {
    const { SOL_NETLINK, NETLINK_NO_ENOBUFS } = this.#constants;
    this.#check(this.#setInteger(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1), 'setsockopt');
    this.#check(this.#setInteger(SOL_NETLINK, NETLINK_NO_ENOBUFS, 0), 'setsockopt');
  }

  /** @throws SystemError `ENOPROTOOPT` if the kernel is too old for the option */
  setOption(name: NetlinkOption, enabled: boolean): void {
    if (!Object.hasOwn(OPTIONS, name)) {
      throw wrongType('name', `one of ${Object.keys(OPTIONS).join(', ')}`, name);
    }
    if (typeof enabled !== 'boolean') throw wrongType('enabled', 'a boolean', enabled);
    const { SOL_NETLINK } = this.#constants;
    const option = this.#constants[OPTIONS[name]];
    this.#check(this.#setInteger(SOL_NETLINK, option, enabled ? 1 : 0), 'setsockopt');
  }

  /**
   * Sends one datagram, by default to the kernel. The bytes are copied before this returns. An
   * unbound socket gets a port id by this.
   *
   * @throws SystemError `EPERM` for a destination other than the kernel without CAP_NET_ADMIN,
   *   `ECONNREFUSED` if nobody has the port id, `EMSGSIZE` if it does not fit the send buffer,
   *   `ENODATA` for no bytes, `EAGAIN` if the receiver's buffer is full
   */
  send(bytes: Uint8Array, to: Partial<NetlinkAddress> = {}): void {
    if (!(bytes instanceof Uint8Array)) throw wrongType('bytes', 'a Uint8Array', bytes);
    object('to', to);
    const portId = integer('to.portId', to.portId ?? 0, 0, U32_MAX);
    const groups = integer('to.groups', to.groups ?? 0, 0, U32_MAX);
    this.#check(this.#open().send(bytes, portId, groups), 'sendto');
  }

  /**
   * Starts receiving. The listener is called once a wake-up with up to 64 datagrams; with more
   * waiting it is called again after other events of the loop had their turn. What it throws is an
   * uncaught exception, as with any event of Node, and later calls go on.
   *
   * @param listener gets a {@link Batch}, valid only during the call
   * @param failed is called if reading failed for good, which ends receiving; without it the error
   *   is thrown as an uncaught exception. Lost events are no failure: see {@link Batch.lost}.
   * @throws SocketStateError `ERR_SOCKET_RECEIVING` if there is a listener already
   */
  receive(listener: (batch: Batch) => void, failed?: (error: SystemError) => void): void {
    if (typeof listener !== 'function') throw wrongType('listener', 'a function', listener);
    if (failed !== undefined && typeof failed !== 'function') {
      throw wrongType('failed', 'a function', failed);
    }
    this.#open();
    if (this.#listener) {
      throw new SocketStateError('ERR_SOCKET_RECEIVING', 'the socket has a listener already');
    }
    this.#start();
    this.#listener = listener;
    this.#failed = failed;
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
    this.#closing ??= new Promise((resolve) => {
      this.#native.close(resolve);
    });
    this.#listener = undefined;
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(): NativeSocket {
    if (!this.#closing) return this.#native;
    throw new SocketStateError('ERR_SOCKET_CLOSED', 'the socket is closed');
  }

  #check(result: number, syscall: string, hint?: string): void {
    if (result < 0) throw new SystemError(result, syscall, hint);
  }

  #setInteger(level: number, name: number, value: number): number {
    return this.#open().setOption(level, name, new Uint8Array(Int32Array.of(value).buffer));
  }

  #membership(name: 'NETLINK_ADD_MEMBERSHIP' | 'NETLINK_DROP_MEMBERSHIP', group: number): void {
    const { SOL_NETLINK, [name]: option } = this.#constants;
    const result = this.#setInteger(SOL_NETLINK, option, integer('group', group, 1, 0x7fff_ffff));
    this.#check(result, 'setsockopt', result === -system.errno.EPERM ? MAY_JOIN : undefined);
  }

  #start(): void {
    this.#check(this.#native.start(this.#onBatch, this.#kernelOnly, this.#batch), 'epoll_ctl');
  }

  /** Handed over at each start: the native part holds it only while it receives. */
  readonly #onBatch = (count: number, lost: number, failed: number): void => {
    const listener = this.#listener;
    const onFailure = this.#failed;
    try {
      if (count > 0 || lost !== 0) listener?.(batch.fill(count, lost));
    } finally {
      batch.clear();
    }
    if (failed === 0) return;
    const error = new SystemError(failed, 'recvmmsg');
    if (!onFailure) throw error;
    onFailure(error);
  };
}
