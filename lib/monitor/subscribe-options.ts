/** What a subscription can be told. @module */
import {
  optionalBoolean,
  optionalInteger,
  optionalSignal,
  U32_MAX,
  wrongType,
  wrongValue,
} from '../socket/argument.ts';
import { MAX_BUFFER, type NetnsReference } from '../socket/index.ts';
import { optionalNamespace } from '../socket/namespace.ts';
import { type EventProtocol, findGroup, type MulticastGroupName } from './multicast-groups.ts';

/** What to subscribe to, and how. */
export interface SubscribeOptions {
  /** At least one group: `sa`, `expire`, `link`, `ipv4-route` …, or under the kernel's name. */
  groups: readonly MulticastGroupName[];
  /**
   * The network namespace to listen in: a path such as `/run/netns/NAME`, or a descriptor. Default:
   * that of the process. The kernel keeps it while the subscription is open, and does not say when
   * its name is gone.
   */
  netns?: NetnsReference | undefined;
  /** Closes the subscription; loops over it then throw the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Whether events hold keys (as {@link KeyMaterial}). Default false: their lengths only. */
  keys?: boolean | undefined;
  /**
   * Bytes of receive buffer to ask for, per protocol. Default 64 MiB, which is used only as far as
   * events wait in it. Without CAP_NET_ADMIN in the initial user namespace the kernel grants at
   * most net.core.rmem_max; what it granted is in {@link Subscription.sockets}.
   */
  receiveBufferSize?: number | undefined;
  /**
   * Events that may wait for a slow loop, default 4096. When as many wait, reading stops; the
   * kernel then keeps events while its buffer has room, and drops the rest, which an `overrun`
   * reports.
   */
  highWaterMark?: number | undefined;
  /**
   * Milliseconds, 0 to 1000, in which the kernel gathers events after all that waited were read;
   * default 0. The first event after a rest is delivered at once, later ones wait up to that long;
   * in return many are read with one system call, which takes less processor time. Their times are
   * those of the reading. The receive buffer must have room for what comes meanwhile: where less
   * than 4 MiB of it were granted, there is no gathering. See docs/events.md.
   */
  coalesce?: number | undefined;
}

/** Those that say where to listen, until when, and how much may wait. */
export const READING_OPTIONS = {
  netns: optionalNamespace,
  signal: optionalSignal,
  receiveBufferSize: (name: string, value: unknown) =>
    optionalInteger(name, value, 64 * 2 ** 20, 1, MAX_BUFFER),
  highWaterMark: (name: string, value: unknown) => optionalInteger(name, value, 4096, 1, U32_MAX),
};

/** All, each with what checks it and has its default. */
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
