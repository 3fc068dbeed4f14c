/**
 * What a recording consists of.
 * @module
 */
import type { MORE } from './input.ts';

/** One datagram, or, of concatenated messages, some of them. */
export interface Recorded {
  /** NETLINK_XFRM, NETLINK_ROUTE … */
  readonly protocol: number;
  /** Its bytes, which are others as soon as the next is asked for. */
  readonly bytes: Uint8Array;
  /** Where it is in the file, in bytes. */
  readonly at: number;
  /**
   * Its length in bytes. Greater than that of `bytes` where they begin with a message whose length is
   * wrong: nothing can be known of what follows in it.
   */
  readonly length: number;
  /** Milliseconds since 1970; absent where the file does not say. */
  readonly wall?: number;
  /** That a listener wrote it down: it holds what the kernel sent, and no request. */
  readonly heard?: true;
  /** Whether it was longer than what was kept of it. */
  readonly truncated: boolean;
}

/** Takes bytes from an input; waits where it needs {@link MORE}. */
export type Parser = Generator<Recorded | typeof MORE, void>;

/**
 * Bytes of the longest message and of the longest packet that are read, which bounds the memory. Far
 * beyond what netlink has (the kernel answers a dump in parts of 32 KiB), and what tcpdump keeps of a packet
 * (256 KiB, libpcap's MAXIMUM_SNAPLEN).
 */
export const LONGEST = 2 ** 24;

/** A file that is no recording, or one that cannot be read here. */
export class RecordingError extends Error {
  readonly code = 'ERR_RECORDING';
}

/** @throws RecordingError */
export function refuse(text: string): never {
  throw new RecordingError(text);
}
