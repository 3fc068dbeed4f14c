/**
 * What a recording consists of.
 * @module
 */

/** Some bytes of a file that were one datagram (or, of concatenated messages, all of them). */
export interface Recorded {
  /** NETLINK_XFRM, NETLINK_ROUTE … */
  readonly protocol: number;
  /** Where it is in the file, in bytes. */
  readonly at: number;
  readonly length: number;
  /** Milliseconds since 1970; absent where the file does not say. */
  readonly wall?: number;
  /** That a listener wrote it down: it holds what the kernel sent, and no request. */
  readonly heard?: true;
  /** Whether it was longer than what was kept of it. */
  readonly truncated: boolean;
}

/** A file that is no recording, or one that cannot be read here. */
export class RecordingError extends Error {
  readonly code = 'ERR_RECORDING';
}
