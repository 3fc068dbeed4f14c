/** How the command ends. @module */

/** Exit statuses of every subcommand. */
export const EXIT = {
  done: 0,
  conditionNotMet: 1,
  usage: 2,
  /** A permission, or something of the kernel's, is missing. */
  unavailable: 3,
  timeout: 124,
  /** Of `check`, for all that keeps it from an answer: UNKNOWN of the Monitoring Plugins Guidelines. */
  checkUnknown: 3,
} as const;
