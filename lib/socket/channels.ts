/**
 * What sockets tell of through node:diagnostics_channel, and only if somebody subscribed: without,
 * each send and each batch costs one look at a property.
 * @module
 */
import { channel } from 'node:diagnostics_channel';
import type { DatagramBatch } from './batch.ts';
import type { NetnsReference } from './namespace.ts';

/** What all records say of the socket. */
interface Of {
  /** Tells the sockets of a thread apart: 1 for the first. */
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
  /** The port id at the other end: 0 is the kernel. */
  readonly peer: number;
  /** The mask of groups it was sent to; undefined for one received. */
  readonly groups: number | undefined;
  /** Bytes. */
  readonly length: number;
  /**
   * What it says, without anything that could be a key; undefined where nobody here knows the
   * messages of the protocol. See TracedMessage in lib/netlink/trace.ts.
   */
  readonly messages: unknown;
}

/** Published on `netlink-xfrm:overrun`: the kernel dropped events. */
export interface SocketOverrunRecord extends Of {
  /** `ENOBUFS` and the like: {@link DatagramBatch.lost}. */
  readonly code: string;
}

export const channels = {
  open: channel('netlink-xfrm:open'),
  close: channel('netlink-xfrm:close'),
  message: channel('netlink-xfrm:message'),
  overrun: channel('netlink-xfrm:overrun'),
};

/** Says what the datagram of `length` bytes at `offset` holds, in copies free of keys. */
export type Describe = (
  protocol: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
) => unknown;

let describe: Describe = () => undefined;

/** Sockets know no message: whoever does, says here how to describe one. */
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
