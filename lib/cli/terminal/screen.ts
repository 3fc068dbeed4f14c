/**
 * A terminal as a screen whose lines change in place. Nothing is erased before it is overwritten, and
 * a frame is a single write, to avoid flicker. The escape sequences are those of ECMA-48 and xterm; mode
 * 2026 (synchronised output) is ignored by terminals that lack it.
 * @module
 */
import type { WriteStream } from 'node:tty';
import { clip, width } from './width.ts';

const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';

/** The screen of a live command. */
export class Screen {
  readonly #out: Pick<WriteStream, 'write' | 'columns' | 'rows'>;
  #shown: readonly string[] = [];
  #size = '';
  #open = false;

  constructor(out: Pick<WriteStream, 'write' | 'columns' | 'rows'>) {
    this.#out = out;
  }

  /** In characters; a default if the terminal does not report it. */
  get size(): { readonly columns: number; readonly rows: number } {
    return { columns: this.#out.columns || 80, rows: this.#out.rows || 24 };
  }

  /** Takes over the terminal; {@link close} restores its contents. */
  open(): void {
    if (this.#open) return;
    this.#open = true;
    this.#size = '';
    this.#out.write(ENTER);
  }

  /** Restores the terminal. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#out.write(LEAVE);
  }

  /** Shows as much of the lines as fits; writes only what has changed. */
  draw(all: readonly string[]): void {
    if (!this.#open) return;
    const { columns, rows } = this.size;
    const lines = all.slice(0, rows).map((line) => clip(line, columns));
    const size = `${columns}x${rows}`;
    // After a resize the terminal's contents are unknown.
    const shown = size === this.#size ? this.#shown : undefined;
    let text = '';
    for (const [i, line] of lines.entries()) {
      if (shown?.[i] === line) continue;
      text += `\x1b[${i + 1};1H${line}`;
      // After the last column, the cursor is still on the last character, which must not be erased.
      if (width(line) < columns) text += '\x1b[K';
    }
    if (lines.length < rows && (shown === undefined || lines.length < shown.length)) {
      text += `\x1b[${lines.length + 1};1H\x1b[J`;
    }
    this.#shown = lines;
    this.#size = size;
    if (text !== '') this.#out.write(`${BEGIN}${text}${END}`);
  }
}
