/**
 * How the command ends: exit statuses, and errors that say what to do.
 * @module
 */
import { printableLines } from '../wire/text.ts';

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

const UNAVAILABLE = new Set(['EPERM', 'EACCES', 'EPROTONOSUPPORT', 'EAFNOSUPPORT']);

/** Prints an error, with its hint on a line of its own, and gives the exit status for it. */
export function reportError(error: unknown): number {
  const { message, hint, code } = error as { message?: string; hint?: string; code?: string };
  let text = message ?? String(error);
  if (hint !== undefined) text = text.replace(` (${hint})`, '');
  process.stderr.write(`netlink-xfrm: ${printableLines(text)}\n`);
  if (hint !== undefined) process.stderr.write(`${printableLines(hint)}\n`);
  if (UNAVAILABLE.has(code ?? '') || code?.startsWith('LAB_') || code?.startsWith('ERR_ADDON')) {
    return EXIT.unavailable;
  }
  if (code === 'ETIMEDOUT') return EXIT.timeout;
  if (process.env.NETLINK_XFRM_DEBUG) console.error(error);
  return EXIT.conditionNotMet;
}
