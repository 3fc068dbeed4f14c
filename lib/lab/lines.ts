/**
 * The lines between this process and a guest: file descriptors of the keeper and, but for the first,
 * of the program that is or runs the guest kernel. Each is one end of a pair of connected sockets.
 */
export const LINES = {
  /** Held by the keeper alone: its end kills the guest. */
  lifeline: 3,
  out: 4,
  err: 5,
  control: 6,
  input: 7,
} as const;
