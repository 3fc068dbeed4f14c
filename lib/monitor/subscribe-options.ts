/** The options of a subscription. @module */
import {
  optionalBoolean,
  optionalInteger,
  optionalSignal,
  U32_MAX,
  wrongType,
  wrongValue,
} from '../base/argument.ts';
import { MAX_BUFFER, type NetnsReference } from '../socket/index.ts';
import { optionalNamespace } from '../socket/namespace.ts';
import { optionalReadAhead } from '../socket/socket.ts';
import { type EventProtocol, findGroup, type MulticastGroupName } from './multicast-groups.ts';

/** What to subscribe to, and how. */
export interface SubscribeOptions {
  /** At least one group: `sa`, `expire`, `link`, `ipv4-route` …, or the kernel's name for it. */
  groups: readonly MulticastGroupName[];
  /**
   * The network namespace to listen in: a path such as `/run/netns/NAME`, or a descriptor. Default:
   * the process's. The kernel keeps it while the subscription is open, and does not report when its
   * name is removed.
   */
  netns?: NetnsReference | undefined;
  /** Closes the subscription; loops over it then throw the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Whether events include keys (as {@link KeyMaterial}). Default false: only their lengths. */
  keys?: boolean | undefined;
  /**
   * The receive buffer to request, in bytes per protocol. Default 64 MiB; memory is used only as
   * events are queued. Without CAP_NET_ADMIN in the initial user namespace the kernel grants at
   * most net.core.rmem_max; {@link Subscription.sockets} shows what it granted.
   */
  receiveBufferSize?: number | undefined;
  /**
   * Bytes of memory, per protocol, into which a thread reads events while the event loop is busy, a
   * loop is slow, or the subscription is paused; up to 2^30, default 0: no thread. It keeps events
   * that a small receive buffer would lose, and takes more CPU time for each. See docs/sockets.md,
   * section 10.
   */
  readAhead?: number | undefined;
  /**
   * Events that may be queued for a slow loop, default 4096. At that number reading stops; the
   * kernel then queues events while its buffer has room and drops the rest, which an `overrun`
   * reports.
   */
  highWaterMark?: number | undefined;
  /**
   * Milliseconds, 0 to 1000, for which reading pauses once the queue is empty, so that events
   * coalesce in the kernel; default 0. The first event after a pause is delivered immediately,
   * later ones wait up to that long; in return many are read with one system call, which takes less
   * CPU time. Their times are those of the read. The receive buffer must hold what arrives
   * meanwhile: with less than 4 MiB (as granted, and of `readAhead`) events do not coalesce. See
   * docs/events.md.
   */
  coalesce?: number | undefined;
}

/** The options for where to listen, until when, and how much may be queued. */
export const READING_OPTIONS = {
  netns: optionalNamespace,
  signal: optionalSignal,
  receiveBufferSize: (name: string, value: unknown) =>
    optionalInteger(name, value, 64 * 2 ** 20, 1, MAX_BUFFER),
  readAhead: optionalReadAhead,
  highWaterMark: (name: string, value: unknown) => optionalInteger(name, value, 4096, 1, U32_MAX),
};

/** All options, each with its check and default. */
export const SUBSCRIBE_OPTIONS = {
  groups: numbersByProtocol,
  ...READING_OPTIONS,
  keys: (name: string, value: unknown) => optionalBoolean(name, value, false),
  coalesce: (name: string, value: unknown) => optionalInteger(name, value, 0, 0, 1000),
} satisfies Record<keyof SubscribeOptions, unknown>;

function numbersByProtocol(path: string, names: unknown): Map<EventProtocol, number[]> {
  if (!Array.isArray(names)) throw wrongType(path, 'an array of group names', names);
  if (names.length === 0) throw wrongValue(`${path} is empty: name at least one group`);
  const numbers = new Map<EventProtocol, number[]>();
  names.forEach((name: unknown, index) => {
    const group = typeof name === 'string' ? findGroup(name) : undefined;
    if (group === undefined) {
      throw wrongType(`${path}[${index}]`, 'a group name such as sa or RTNLGRP_LINK', name);
    }
    numbers.set(group.protocol, [...(numbers.get(group.protocol) ?? []), group.number]);
  });
  return numbers;
}
