/** Lengths of the time axis. @module */

/** Milliseconds. */
export const WINDOWS = {
  '5 min': 300_000,
  '15 min': 900_000,
  '1 hour': 3_600_000,
} as const;
export type WindowName = keyof typeof WINDOWS;
