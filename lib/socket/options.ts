/** The options of a netlink socket, by name (netlink(7), socket(7)). @module */
import { constants as system } from 'node:os';
import { GET_NET_ADMIN } from '../base/net-admin.ts';
import { type Addon, addon, type NativeSocket } from './addon.ts';
import { integer, wrongType } from './argument.ts';
import { SystemError } from './error.ts';

/**
 * What can be switched on a netlink socket, all of it off at first. Which part of the kernel heeds
 * it: net/netlink/af_netlink.c, netlink_setsockopt and the functions named.
 */
export interface NetlinkFlags {
  /** Acknowledgements carry the kernel's words and the offending attribute (netlink_ack). */
  extAck: boolean;
  /** Errors carry the header of the request only, not a copy of it (netlink_ack). */
  capAck: boolean;
  /** rtnetlink heeds the filters of dump requests, and refuses those that make no sense. */
  strictCheck: boolean;
  /**
   * The sender in the kernel is told when an event found no room here (netlink_broadcast). XFRM
   * heeds that for ACQUIRE and MAPPING: another listener's ACQUIRE then counts as not delivered.
   */
  broadcastError: boolean;
  /** Each datagram tells its group: {@link DatagramBatch.group} (netlink_cmsg_recv_pktinfo). */
  packetInfo: boolean;
  /**
   * Events of other network namespaces come too: of those that have an id in the socket's own, and
   * over whose user namespace its opener has CAP_NET_BROADCAST (do_one_broadcast). Each tells where
   * it comes from: {@link DatagramBatch.nsid}. Switching it needs CAP_NET_BROADCAST.
   */
  listenAllNsid: boolean;
  /**
   * Danger: the kernel drops events that find no room and says nothing (netlink_overrun). Losses
   * are then seen only as Drops in /proc/net/netlink. In exchange it keeps each event that fits,
   * where it would otherwise drop all until the socket has been read empty.
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

/** What makes the kernel add control messages to datagrams. */
const CONTROL: ReadonlySet<NetlinkOption> = new Set(['packetInfo', 'listenAllNsid']);

/** The kernel keeps twice what is asked for in an int (net/core/sock.c, __sock_set_rcvbuf). */
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

/** Throws what a system call refused. */
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

/** The errors of a bind with groups, or of joining. */
export function checkMembership(result: number, syscall: string): void {
  check(result, syscall, MAY_JOIN);
}

/** The errors of sending, and of saying where to. */
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

/** The numbers of all groups joined, in order. */
export function memberships(socket: NativeSocket): number[] {
  const { SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS } = constantsOf(socket);
  let words = new Uint32Array(2);
  for (;;) {
    // Says how much there is, also if that is more than there is room for (netlink_getsockopt).
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

/** One of the two buffers of a socket. */
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

/** What SO_MEMINFO gives: nine words, of which the first is what waits, and the last the drops. */
const meminfo = new Uint32Array(9);

export function queue(socket: NativeSocket): { bytes: number; drops: number } {
  const { SOL_SOCKET, SO_MEMINFO } = constantsOf(socket);
  check(socket.getOption(SOL_SOCKET, SO_MEMINFO, new Uint8Array(meminfo.buffer)), 'getsockopt');
  const { 0: bytes = 0, 8: drops = 0 } = meminfo;
  return { bytes, drops };
}

export function detachFilter(socket: NativeSocket): void {
  const { SOL_SOCKET, SO_DETACH_FILTER } = constantsOf(socket);
  check(setInteger(socket, SOL_SOCKET, SO_DETACH_FILTER, 0), 'setsockopt');
}
