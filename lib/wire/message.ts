/**
 * Netlink messages (struct nlmsghdr of `linux/netlink.h`). A datagram holds one or more, each
 * padded to four bytes.
 * @module
 */
import { align4 } from './attribute.ts';
import { LE } from './endian.ts';
import { DecodeError } from './error.ts';

/** Size of struct nlmsghdr in bytes. */
export const NLMSG_HDRLEN = 16;

/** The fields of a message's header, except its length. */
export interface MessageHeader {
  /** nlmsg_type. */
  readonly type: number;
  /** nlmsg_flags (NLM_F_). */
  readonly flags: number;
  /** nlmsg_seq. In an event: the value from the request that caused it, or 0. */
  readonly seq: number;
  /**
   * nlmsg_pid. In an event: whatever the requester wrote there; it is a claim, not a verified
   * sender (net/xfrm/xfrm_user.c copies it from the request).
   */
  readonly portId: number;
}

/**
 * The length in bytes, header included, of the message at `at`.
 * @throws DecodeError if the message extends beyond `end`
 */
export function messageLength(view: DataView, at: number, end: number): number {
  const left = end - at;
  if (left < NLMSG_HDRLEN) {
    throw new DecodeError(`${left} bytes are too few for a message header`, {
      path: [],
      offset: at,
      expected: NLMSG_HDRLEN,
      found: left,
    });
  }
  const length = view.getUint32(at, LE);
  if (length < NLMSG_HDRLEN || length > left) {
    throw new DecodeError(`message has length ${length}, but ${left} bytes are left`, {
      path: [],
      offset: at,
      expected: length,
      found: left,
    });
  }
  return length;
}

/** nlmsg_type of the message at `at`. */
export const messageType = (view: DataView, at: number): number => view.getUint16(at + 4, LE);

/** nlmsg_flags of the message at `at`. */
export const messageFlags = (view: DataView, at: number): number => view.getUint16(at + 6, LE);

/** nlmsg_seq of the message at `at`. */
export const messageSequence = (view: DataView, at: number): number => view.getUint32(at + 8, LE);

/** nlmsg_pid of the message at `at`. */
export const messagePortId = (view: DataView, at: number): number => view.getUint32(at + 12, LE);

/** The header of the message at `at`. */
export function readHeader(view: DataView, at: number): MessageHeader {
  return {
    type: messageType(view, at),
    flags: messageFlags(view, at),
    seq: messageSequence(view, at),
    portId: messagePortId(view, at),
  };
}

/** Where the message after the one of `length` bytes at `at` begins. */
export const nextMessage = (at: number, length: number): number => at + align4(length);
