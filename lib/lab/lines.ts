/**
 * The lines between this process and a guest: file descriptors of the keeper and, but for the first,
 * of the program that is or runs the guest kernel. Each is one end of a pair of connected sockets.
 */
export const LINES = {
  /** Held by the keeper alone: its end kills the guest. */
  lifeline: 3,
  control: 4,
} as const;

/** Commands that run at the same time in a guest that takes several; others wait for one of them to end. */
export const SLOTS = 4;

const FIRST = 5;

/** The lines of one command: of the slot that it runs in, from 0. */
export function slotLines(slot: number): { out: number; err: number; input: number } {
  const out = FIRST + 3 * slot;
  return { out, err: out + 1, input: out + 2 };
}

/** How many descriptors the keeper of a guest has. */
export const descriptors = (slots: number): number => FIRST + 3 * slots;

/** 0, 1, ... for each slot. */
export const slotNumbers = (slots: number): number[] => Array.from({ length: slots }, (_, n) => n);
