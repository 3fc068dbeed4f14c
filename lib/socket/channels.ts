/**
 * What sockets publish through node:diagnostics_channel. Without subscribers, each send and each
 * batch costs one property read.
 * @module
 */
import { channel } from 'node:diagnostics_channel';
import type { DatagramBatch } from './batch.ts';
import type { NetnsReference } from './namespace.ts';

/** Properties of all records. */
interface Of {
  /** Identifies the socket within its thread: 1 for the first. */
  readonly socket: number;
  readonly protocol: number;
}

/** Published on `netlink-xfrm:open`. */
export interface SocketOpenRecord extends Of {
  /** Undefined for the namespace of the process. */
  readonly netns: NetnsReference | undefined;
}

/** Published on `netlink-xfrm:close`. */
export interface SocketCloseRecord extends Of {}

/** Published on `netlink-xfrm:message`, for each datagram. */
export interface SocketMessageRecord extends Of {
  readonly direction: 'sent' | 'received';
  /** The port id of the peer: 0 is the kernel. */
  readonly peer: number;
  /** The mask of groups it was sent to; undefined for a received datagram. */
  readonly groups: number | undefined;
  /** In bytes. */
  readonly length: number;
  /**
   * The decoded messages, without anything that could be a key; undefined for unknown protocols.
   * See TracedMessage in lib/netlink/trace.ts.
   */
  readonly messages: unknown;
}

/** Published on `netlink-xfrm:overrun`: the kernel dropped events. */
export interface SocketOverrunRecord extends Of {
  /** `ENOBUFS` or similar: {@link DatagramBatch.lost}. */
  readonly code: string;
}

export const channels = {
  open: channel('netlink-xfrm:open'),
  close: channel('netlink-xfrm:close'),
  message: channel('netlink-xfrm:message'),
  overrun: channel('netlink-xfrm:overrun'),
};

/** Describes the datagram of `length` bytes at `offset`, in copies without keys. */
export type Describe = (
  protocol: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
) => unknown;

let describe: Describe = () => undefined;

/** Sets how to describe messages, as sockets themselves do not know any. */
export function describeMessages(by: Describe): void {
  describe = by;
}

export function publishSent(of: Of, bytes: Uint8Array, peer: number, groups: number): void {
  const { length } = bytes;
  const messages = describe(of.protocol, bytes, 0, length);
  const record: SocketMessageRecord = { ...of, direction: 'sent', peer, groups, length, messages };
  channels.message.publish(record);
}

export function publishReceived(of: Of, batch: DatagramBatch): void {
  for (let i = 0; i < batch.count; i++) {
    const length = batch.length(i);
    const record: SocketMessageRecord = {
      ...of,
      direction: 'received',
      peer: batch.portId(i),
      groups: undefined,
      length,
      messages: describe(of.protocol, batch.bytes, batch.offset(i), length),
    };
    channels.message.publish(record);
  }
}
