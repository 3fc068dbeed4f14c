/** Exit statuses of the command. @module */

/** Exit statuses of every subcommand. */
export const EXIT = {
  done: 0,
  conditionNotMet: 1,
  usage: 2,
  /** A permission or a kernel feature is missing. */
  unavailable: 3,
  timeout: 124,
  /** For `check`, whatever prevents an answer: UNKNOWN of the Monitoring Plugins Guidelines. */
  checkUnknown: 3,
  /** For `diff`, whatever prevents an answer, as of diff(1). */
  diffTrouble: 2,
} as const;
