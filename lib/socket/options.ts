/** The options of a netlink socket, by name (netlink(7), socket(7)). @module */
import { constants as system } from 'node:os';
import { integer, wrongType } from '../base/argument.ts';
import { GET_NET_ADMIN } from '../base/net-admin.ts';
import { type Addon, addon, type NativeSocket } from './addon.ts';
import { SystemError } from './error.ts';

/**
 * Flags of a netlink socket, all initially off. They are implemented in net/netlink/af_netlink.c,
 * netlink_setsockopt and the functions named below.
 */
export interface NetlinkFlags {
  /** Acknowledgements include the kernel's message and the offending attribute (netlink_ack). */
  extAck: boolean;
  /**
   * Errors include only the header of the request, not a copy of the whole request (netlink_ack).
   */
  capAck: boolean;
  /** rtnetlink applies the filters of dump requests, and refuses invalid ones. */
  strictCheck: boolean;
  /**
   * The sending kernel subsystem gets an error if an event does not fit into this socket's buffer
   * (netlink_broadcast). XFRM honours that for ACQUIRE and MAPPING: an ACQUIRE that another
   * listener received then counts as undelivered.
   */
  broadcastError: boolean;
  /**
   * Each datagram carries its multicast group: {@link DatagramBatch.group}
   * (netlink_cmsg_recv_pktinfo).
   */
  packetInfo: boolean;
  /**
   * Also receive events of other network namespaces: those that have an id in the socket's own, and
   * for whose user namespace the opener has CAP_NET_BROADCAST (do_one_broadcast). Each carries its
   * origin: {@link DatagramBatch.nsid}. Changing this flag needs CAP_NET_BROADCAST.
   */
  listenAllNsid: boolean;
  /**
   * Dangerous: the kernel drops events silently when the buffer is full (netlink_overrun). Losses
   * then only show as Drops in /proc/net/netlink. In exchange, every event that fits is queued,
   * whereas otherwise all are dropped until the socket has been drained.
   */
  noEnobufs: boolean;
}

/** The name of a flag. */
export type NetlinkOption = keyof NetlinkFlags;

const FLAGS = {
  extAck: 'NETLINK_EXT_ACK',
  capAck: 'NETLINK_CAP_ACK',
  strictCheck: 'NETLINK_GET_STRICT_CHK',
  broadcastError: 'NETLINK_BROADCAST_ERROR',
  packetInfo: 'NETLINK_PKTINFO',
  listenAllNsid: 'NETLINK_LISTEN_ALL_NSID',
  noEnobufs: 'NETLINK_NO_ENOBUFS',
} as const satisfies Record<NetlinkOption, keyof Addon['constants']>;

/** Flags that make the kernel add control messages to datagrams. */
const CONTROL: ReadonlySet<NetlinkOption> = new Set(['packetInfo', 'listenAllNsid']);

/** The kernel stores twice the requested size in an int (net/core/sock.c, __sock_set_rcvbuf). */
export const MAX_BUFFER = 0x3fff_ffff;

const MAY_JOIN =
  'joining or leaving such a group needs CAP_NET_ADMIN in the user namespace that owns the ' +
  `network namespace: ${GET_NET_ADMIN}`;
const MAY_SEND =
  'sending to other sockets than the kernel needs, in this protocol, CAP_NET_ADMIN in the user namespace that ' +
  `owns the network namespace: ${GET_NET_ADMIN}`;
const MAY_LISTEN =
  'listening to other network namespaces needs CAP_NET_BROADCAST in the user namespace that owns this ' +
  "socket's: run as root, or try it with unshare -Urn";

/** Throws if a system call failed. */
export function check(result: number, syscall: string, eperm?: string): number {
  if (result >= 0) return result;
  throw new SystemError(result, syscall, result === -system.errno.EPERM ? eperm : undefined);
}

const constantsOf = (socket: NativeSocket) => socket.standIn?.constants ?? addon().constants;

function flag(name: NetlinkOption): (typeof FLAGS)[NetlinkOption] {
  if (typeof name !== 'string' || !Object.hasOwn(FLAGS, name)) {
    throw wrongType('name', `one of ${Object.keys(FLAGS).join(', ')}`, name);
  }
  return FLAGS[name];
}

function setInteger(socket: NativeSocket, level: number, option: number, value: number): number {
  return socket.setOption(level, option, new Uint8Array(Int32Array.of(value).buffer));
}

function getInteger(socket: NativeSocket, level: number, option: number): number {
  const value = new Int32Array(1);
  check(socket.getOption(level, option, new Uint8Array(value.buffer)), 'getsockopt');
  return value[0] as number;
}

export function setFlag(socket: () => NativeSocket, name: NetlinkOption, enabled: boolean): void {
  const option = flag(name);
  if (typeof enabled !== 'boolean') throw wrongType('enabled', 'a boolean', enabled);
  const native = socket();
  const constants = constantsOf(native);
  const result = setInteger(native, constants.SOL_NETLINK, constants[option], enabled ? 1 : 0);
  check(result, 'setsockopt', name === 'listenAllNsid' ? MAY_LISTEN : undefined);
  if (enabled && CONTROL.has(name)) native.control();
}

export function getFlag(socket: () => NativeSocket, name: NetlinkOption): boolean {
  const option = flag(name);
  const native = socket();
  const constants = constantsOf(native);
  return getInteger(native, constants.SOL_NETLINK, constants[option]) !== 0;
}

/** Checks a bind with groups, or a join. */
export function checkMembership(result: number, syscall: string): void {
  check(result, syscall, MAY_JOIN);
}

/** Checks a send, or a connect. */
export function checkDestination(result: number, syscall: string): void {
  check(result, syscall, MAY_SEND);
}

export function changeMembership(socket: () => NativeSocket, group: number, join: boolean): void {
  const number = integer('group', group, 1, 0x7fff_ffff);
  const native = socket();
  const { SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP } = constantsOf(native);
  const option = join ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;
  checkMembership(setInteger(native, SOL_NETLINK, option, number), 'setsockopt');
}

/** The numbers of all joined groups, in order. */
export function memberships(socket: NativeSocket): number[] {
  const { SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS } = constantsOf(socket);
  let words = new Uint32Array(2);
  for (;;) {
    // Returns the required size even if it exceeds the buffer (netlink_getsockopt).
    const into = new Uint8Array(words.buffer);
    const length = check(
      socket.getOption(SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, into),
      'getsockopt',
    );
    if (length <= into.length) break;
    words = new Uint32Array(Math.ceil(length / 4));
  }
  const groups: number[] = [];
  words.forEach((word, index) => {
    for (let bit = 0; bit < 32; bit++) if ((word >>> bit) & 1) groups.push(index * 32 + bit + 1);
  });
  return groups;
}

/** The two buffers of a socket. */
export type BufferName = 'RCVBUF' | 'SNDBUF';

export function setBufferSize(socket: () => NativeSocket, name: BufferName, bytes: number): number {
  const size = integer('bytes', bytes, 1, MAX_BUFFER);
  const native = socket();
  const constants = constantsOf(native);
  const forced = setInteger(native, constants.SOL_SOCKET, constants[`SO_${name}FORCE`], size);
  if (forced < 0) {
    check(setInteger(native, constants.SOL_SOCKET, constants[`SO_${name}`], size), 'setsockopt');
  }
  return bufferSize(native, name);
}

export function bufferSize(socket: NativeSocket, name: BufferName): number {
  const constants = constantsOf(socket);
  return getInteger(socket, constants.SOL_SOCKET, constants[`SO_${name}`]);
}

/** The result of SO_MEMINFO: nine words, the first is the queued bytes, the last the drops. */
const meminfo = new Uint32Array(9);

export function queue(socket: NativeSocket): { bytes: number; drops: number } {
  const { SOL_SOCKET, SO_MEMINFO } = constantsOf(socket);
  check(socket.getOption(SOL_SOCKET, SO_MEMINFO, new Uint8Array(meminfo.buffer)), 'getsockopt');
  const { 0: bytes = 0, 8: drops = 0 } = meminfo;
  // Queried afterwards: what left the queue before is among it.
  return { bytes: bytes + socket.waiting(), drops };
}

export function detachFilter(socket: NativeSocket): void {
  const { SOL_SOCKET, SO_DETACH_FILTER } = constantsOf(socket);
  check(setInteger(socket, SOL_SOCKET, SO_DETACH_FILTER, 0), 'setsockopt');
}
