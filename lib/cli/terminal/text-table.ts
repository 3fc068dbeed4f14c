/**
 * Columns of text, aligned. Rows are printed by the page, so that a long list needs no more memory
 * than a page; columns only ever grow.
 * @module
 */
import { width } from './width.ts';

const PAGE = 500;

/** A table on its way to the terminal. */
export class Table {
  readonly #write: (line: string) => void;
  readonly #widths: number[] = [];
  #rows: (readonly string[])[];

  /** @param heads the words above the columns */
  constructor(heads: readonly string[], write: (line: string) => void) {
    this.#rows = [heads];
    this.#write = write;
  }

  /** Adds a row; cells may be coloured. */
  row(cells: readonly string[]): void {
    this.#rows.push(cells);
    if (this.#rows.length >= PAGE) this.flush();
  }

  /** Writes the rows there are. */
  flush(): void {
    const rows = this.#rows;
    this.#rows = [];
    for (const cells of rows) {
      for (const [i, cell] of cells.entries()) {
        this.#widths[i] = Math.max(this.#widths[i] ?? 0, width(cell));
      }
    }
    for (const cells of rows) {
      const line = cells.map((cell, i) => cell + ' '.repeat((this.#widths[i] ?? 0) - width(cell)));
      this.#write(line.join('  ').trimEnd());
    }
  }
}
