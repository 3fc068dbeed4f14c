/**
 * Width of text on a terminal.
 * @module
 */

/** A colour sequence, or one character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the colours begin with it
const PIECE = /\x1b\[[0-9;]*m|[\s\S]/gu;

/** Zero-width characters: combining or invisible. */
const NONE = /^[\p{M}\p{Default_Ignorable_Code_Point}]$/u;
/** Wide and fullwidth characters (UAX #11): East Asian scripts and emoji. */
const TWO =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})$/u;

function columnsOf(piece: string): number {
  if (piece < '\u0300') return piece[0] === '\x1b' ? 0 : 1;
  return NONE.test(piece) ? 0 : TWO.test(piece) ? 2 : 1;
}

/** Width of a text in columns; it may be coloured. */
export function width(text: string): number {
  // Nearly all texts are plain ASCII, and a list may have a million of them.
  if (/^[ -~]*$/.test(text)) return text.length;
  let sum = 0;
  for (const [piece] of text.matchAll(PIECE)) sum += columnsOf(piece);
  return sum;
}

/** Cuts a line to a width, and marks it as cut; colour sequences are kept. */
export function clip(line: string, columns: number): string {
  if (width(line) <= columns) return line;
  let left = columns - 1;
  let mark = '…';
  return line.replace(PIECE, (piece) => {
    if (piece[0] === '\x1b') return piece;
    left -= columnsOf(piece);
    if (left >= 0) return piece;
    const put = mark;
    mark = '';
    return put;
  });
}
