/**
 * The lines between this process and a guest: file descriptors of the keeper and, except for the first, of the program
 * that is or runs the guest kernel. Each is one end of a socket pair.
 */
export const LINES = {
  /** Held by the keeper only: closing it kills the guest. */
  lifeline: 3,
  control: 4,
} as const;

/** Commands that can run concurrently in a guest that accepts several; others wait for one to end. */
export const SLOTS = 4;

const FIRST = 5;

/** The lines of a command, by its slot, counted from 0. */
export function slotLines(slot: number): { out: number; err: number; input: number } {
  const out = FIRST + 3 * slot;
  return { out, err: out + 1, input: out + 2 };
}

/** Number of descriptors of a guest's keeper. */
export const descriptors = (slots: number): number => FIRST + 3 * slots;

/** Slot numbers 0, 1, …. */
export const slotNumbers = (slots: number): number[] => Array.from({ length: slots }, (_, n) => n);
