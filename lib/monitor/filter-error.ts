/** Words that make no filter, and how to show which. @module */
import { mayHoldKey } from '../base/shown.ts';
import { printable } from '../wire/text.ts';

/** Characters of words above a caret: more fill a screen, and show nothing. */
const MOST = 2000;

/**
 * A line on what is wrong, and below it the words with a caret under the wrong part, unless they are more than
 * {@link MOST} or may hold a key.
 *
 * @param at where in `words[index]` the wrong part begins; all of the word if not given
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

/** A term that is none. The message shows the terms, with a caret under what is wrong. */
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
