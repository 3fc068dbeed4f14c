/** Reports errors with hints, and maps them to exit statuses. @module */
import { printableLines } from '../wire/text.ts';
import type { EXIT } from './exit.ts';

const UNAVAILABLE = new Set(['EPERM', 'EACCES', 'EPROTONOSUPPORT', 'EAFNOSUPPORT']);

/** Prints an error, with its hint on a separate line; returns the exit status to use. */
export function reportError(error: unknown): keyof typeof EXIT {
  const { message, hint, code } = error as { message?: string; hint?: string; code?: string };
  let text = message ?? String(error);
  if (hint !== undefined) text = text.replace(` (${hint})`, '');
  process.stderr.write(`netlink-xfrm: ${printableLines(text)}\n`);
  if (hint !== undefined) process.stderr.write(`${printableLines(hint)}\n`);
  if (UNAVAILABLE.has(code ?? '') || code?.startsWith('LAB_') || code?.startsWith('ERR_ADDON')) {
    return 'unavailable';
  }
  if (code === 'ETIMEDOUT') return 'timeout';
  // What is wrong whatever there is, but was found out later than by the parser of the command line.
  // (By its code: the library has this module, for its hints, and not commander.)
  if (code?.startsWith('commander.')) return 'usage';
  if (process.env.NETLINK_XFRM_DEBUG) console.error(error);
  return 'conditionNotMet';
}
