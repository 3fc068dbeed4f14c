/** Errors about invalid filters, and how they point at the invalid part. @module */
import { mayHoldKey } from '../base/shown.ts';
import { printable } from '../wire/text.ts';

/** The most characters shown above a caret: more would fill the screen without helping. */
const MOST = 2000;

/**
 * One line on what is wrong, then the words with a caret under the wrong part, unless they are
 * longer than {@link MOST} or may hold a key.
 *
 * @param at where in `words[index]` the wrong part begins; default: the whole word
 */
export function pointAt(
  reason: string,
  words: readonly string[],
  index: number,
  at = 0,
  length = words[index]?.length,
): string {
  const characters = words.reduce((all, one) => all + one.length, 0);
  if (characters > MOST || words.some(mayHoldKey)) return reason;
  const shown = words.map(printable);
  const word = words[index] ?? '';
  const before = [...shown.slice(0, index), printable(word.slice(0, at))].join(' ').length;
  const wrong = printable(word.slice(at, at + (length ?? 0))).length;
  return `${reason}\n  ${shown.join(' ')}\n  ${' '.repeat(before)}${'^'.repeat(Math.max(1, wrong))}`;
}

/** An invalid filter term. The message shows the terms, with a caret under what is wrong. */
export class FilterError extends Error {
  readonly code = 'ERR_FILTER';
  /** What is wrong, in one line. */
  readonly reason: string;

  constructor(reason: string, ...where: Tail<Parameters<typeof pointAt>>) {
    super(pointAt(reason, ...where));
    this.name = 'FilterError';
    this.reason = reason;
  }
}

type Tail<All> = All extends [unknown, ...infer Rest] ? Rest : never;
