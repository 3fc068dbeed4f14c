/**
 * Text in aligned columns. Rows are printed page by page, so that a long list needs no more memory
 * than a page; columns only ever widen.
 * @module
 */
import { width } from './width.ts';

const PAGE = 500;

/** A table written to the terminal. */
export class Table {
  readonly #write: (line: string) => void;
  readonly #widths: number[] = [];
  #rows: (readonly string[])[];

  /** @param heads column headings */
  constructor(heads: readonly string[], write: (line: string) => void) {
    this.#rows = [heads];
    this.#write = write;
  }

  /** Adds a row; cells may be coloured. */
  row(cells: readonly string[]): void {
    this.#rows.push(cells);
    if (this.#rows.length >= PAGE) this.flush();
  }

  /** Writes the pending rows. */
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
