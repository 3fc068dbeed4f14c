/** Help texts in lines that fit. @module */
import { hanging } from './hanging.ts';

/** Columns of a help text, on a terminal that has as many. */
export const HELP_WIDTH = 80;

/** `  --json      print JSON`, `  peer  network of …` */
const ENTRY = /^( +\S.*? {2,}| +)(\S.*)$/;

/**
 * A help text in lines of limited width: paragraphs are made of lines that begin at the margin; other lines are
 * entries, whose text continues below its beginning.
 */
export function fitHelp(text: string, columns: number): string {
  const lines: string[] = [];
  let paragraph: string[] = [];
  const endParagraph = () => {
    if (paragraph.length > 0) lines.push(...hanging('', paragraph.join(' '), columns));
    paragraph = [];
  };
  for (const line of text.split('\n')) {
    if (/^\S/.test(line)) {
      paragraph.push(line);
      // What it introduces begins at the margin, too.
      if (line.endsWith(':')) endParagraph();
      continue;
    }
    endParagraph();
    const [, first = '', rest = ''] = ENTRY.exec(line) ?? [];
    lines.push(...(line.length <= columns ? [line] : hanging(first, rest, columns)));
  }
  endParagraph();
  return lines.join('\n');
}
