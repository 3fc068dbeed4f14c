/** A socket that listens to multicast groups of one protocol, and when it is read. @module */
import { GET_NET_ADMIN } from '../base/net-admin.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import { MAX_BATCH } from '../socket/batch.ts';
import {
  type DatagramBatch,
  NetlinkSocket,
  type NetnsReference,
  SystemError,
} from '../socket/index.ts';
import type { EventProtocol } from './multicast-groups.ts';

const PROTOCOLS = { xfrm: NETLINK_XFRM, route: NETLINK_ROUTE } as const;

/** An open socket that has joined its groups. */
export interface EventSocket {
  readonly protocol: EventProtocol;
  readonly socket: NetlinkSocket;
  /** Bytes of receive buffer that were granted of those asked for: half of the kernel's number. */
  readonly granted: number;
  /** Memory that a thread reads ahead into. */
  readonly readAhead: number;
}

/** Where events wait, in bytes. */
export interface EventBuffers {
  readonly receiveBufferSize: number;
  readonly readAhead: number;
}

/**
 * Opens a socket and joins groups. The buffer is enlarged before anything can arrive; bind comes
 * before join, because an unbound socket receives no multicast, and bind replaces memberships
 * (net/netlink/af_netlink.c, do_one_broadcast and netlink_bind).
 *
 * @throws SystemError with a hint that says what is missing and how to provide it
 */
export function openEventSocket(
  protocol: EventProtocol,
  groups: readonly number[],
  { receiveBufferSize, readAhead }: EventBuffers,
  netns?: NetnsReference,
): EventSocket {
  let socket: NetlinkSocket | undefined;
  try {
    socket = new NetlinkSocket({ protocol: PROTOCOLS[protocol], netns, readAhead });
    // The kernel reports twice what it granted (net/core/sock.c).
    const granted = socket.setReceiveBufferSize(receiveBufferSize) / 2;
    socket.bind();
    for (const group of groups) socket.joinGroup(group);
    return { protocol, socket, granted, readAhead };
  } catch (error) {
    socket?.close();
    throw explain(error, protocol);
  }
}

/** The error, with a hint for what this library opens. */
export function explain(error: unknown, protocol: EventProtocol): unknown {
  if (!(error instanceof SystemError)) return error;
  // Failing to enter another namespace has a hint of its own.
  const hint = error.syscall === 'setns' ? undefined : HINTS[`${protocol} ${error.code}`];
  return hint === undefined ? error : new SystemError(error.errno, error.syscall, hint);
}

const HINTS: Readonly<Record<string, string>> = {
  'xfrm EPERM': `listening to IPsec events needs the capability CAP_NET_ADMIN: ${GET_NET_ADMIN}`,
  'xfrm EPROTONOSUPPORT':
    'this kernel has no XFRM netlink interface: load it with "modprobe xfrm_user", or use a ' +
    'kernel with CONFIG_XFRM_USER; to try it on another kernel, see "netlink-xfrm lab"',
};

/**
 * The least room with which reading coalesces. Less could overflow meanwhile: a receive buffer of
 * this size holds 6,500 policy events, and a busy kernel makes 500 per millisecond.
 */
const LEAST_ROOM = 4 * 2 ** 20;
/** Milliseconds for which a thread rests. `monitor` then takes 1.1 µs a live event instead of 1.3. */
const THREAD_REST = 1;

/** When one socket is read: while it is wanted, with pauses in which the kernel queues events. */
export class ReadThrottle {
  readonly #socket: NetlinkSocket;
  readonly #rest: number;
  readonly #threadRest: number;
  #flowing = true;
  #alive = true;
  #timer: NodeJS.Timeout | undefined;

  /** @param coalesce milliseconds; of these, a thread that reads ahead rests first */
  constructor({ socket, granted, readAhead }: EventSocket, coalesce: number) {
    this.#socket = socket;
    const rest = readAhead > 0 && granted >= LEAST_ROOM ? Math.min(coalesce, THREAD_REST) : 0;
    if (rest > 0) socket.setReadAheadRest(rest);
    this.#threadRest = rest;
    this.#rest = granted + readAhead < LEAST_ROOM ? 0 : coalesce - rest;
  }

  /** Whether it is read at all. */
  set flowing(flowing: boolean) {
    this.#flowing = flowing;
    if (!flowing) this.#endRest();
    if (this.#timer === undefined) flowing ? this.#socket.resume() : this.#socket.pause();
  }

  /** Whether reading keeps the process alive. */
  set alive(alive: boolean) {
    this.#alive = alive;
    for (const one of [this.#socket, this.#timer]) alive ? one?.ref() : one?.unref();
  }

  /**
   * After a batch: pauses if nothing was left in the queue, but not while the kernel drops events.
   */
  batchRead({ count, lost }: DatagramBatch): void {
    if (this.#rest === 0 || !this.#flowing || lost !== undefined || count === MAX_BATCH) return;
    this.#socket.pause();
    this.#timer = setTimeout(this.#goOn, this.#rest);
    if (!this.#alive) this.#timer.unref();
  }

  /** Ends a pause, of a thread too. */
  now(): void {
    this.#goOn();
    if (this.#flowing && this.#threadRest > 0) this.#socket.setReadAheadRest(this.#threadRest);
  }

  readonly #goOn = (): void => {
    this.#endRest();
    if (this.#flowing) this.#socket.resume();
  };

  close(): Promise<void> {
    this.#flowing = false;
    this.#endRest();
    return this.#socket.close();
  }

  #endRest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
