/** Errors in findings: what happened, and apart from that what to do. @module */

/** The message of an error without its hint. */
export function messageOf(error: unknown): string {
  const { message, hint } = error as { message: string; hint?: string };
  return hint === undefined ? message : message.replace(` (${hint})`, '');
}

export const hintOf = (error: unknown): string | undefined => (error as { hint?: string }).hint;
