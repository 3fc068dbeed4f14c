/**
 * The contents of a recording.
 * @module
 */
import type { MORE } from './input.ts';

/** One datagram, or some of a sequence of concatenated messages. */
export interface Recorded {
  /** NETLINK_XFRM, NETLINK_ROUTE … */
  readonly protocol: number;
  /** Its bytes, which are valid until the next one is requested. */
  readonly bytes: Uint8Array;
  /** Position in the file, in bytes. */
  readonly at: number;
  /**
   * Its length in bytes. Greater than that of `bytes` if they begin with a message whose length is
   * invalid: what follows it cannot be parsed.
   */
  readonly length: number;
  /** Milliseconds since 1970; absent if the file has no time. */
  readonly wall?: number;
  /** Milliseconds on a monotonic clock; absent if the file has none. */
  readonly monotonic?: number;
  /** It was recorded by a listener: the kernel sent it, so it is not a request. */
  readonly heard?: true;
  /** The name of the interface, and comments, of a packet of a capture (pcapng). */
  readonly source?: string;
  readonly comments?: readonly string[];
  /** Whether it was longer than what was recorded. */
  readonly truncated: boolean;
}

/** Parses an input; yields {@link MORE} when it needs more. */
export type Parser = Generator<Recorded | typeof MORE, void>;

/**
 * Maximum length of a message or packet, which bounds the memory. Well above what netlink uses (the
 * kernel answers a dump in parts of 32 KiB), and what tcpdump keeps of a packet (256 KiB, libpcap's
 * MAXIMUM_SNAPLEN).
 */
export const LONGEST = 2 ** 24;

/** A file that is not a recording, or one that cannot be read here. */
export class RecordingError extends Error {}

/** @throws RecordingError */
export function refuse(text: string): never {
  throw new RecordingError(text);
}
