/** Text in lines of limited width, the later ones indented. @module */
import { width } from '../terminal/width.ts';

/** Narrower than this, lines are not made. */
const NARROWEST = 40;

/**
 * A paragraph: the first line begins with `first`, the others are indented as far. A word that is
 * too long has a line of its own.
 */
export function hanging(first: string, text: string, columns: number): string[] {
  const indent = ' '.repeat(width(first));
  const most = Math.max(columns, NARROWEST);
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && width(line) + 1 + width(word) > most) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line];
}
