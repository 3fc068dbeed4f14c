/**
 * Text in aligned columns. Rows are printed page by page, so that a long list needs no more memory
 * than a page; columns only ever widen.
 * @module
 */
import { hanging } from '../text/hanging.ts';
import { width } from './width.ts';

const PAGE = 500;
/** Between two columns. */
const GAP = '  ';
/** Before the cells that a line has no room for. */
const INDENT = '    ';

/** A column: its heading, and what to write before a cell that is not below the heading. */
export type Column = readonly [heading: string, label: string];

/** Shown in an empty cell. */
export const NONE = '-';

/** A table written to the terminal. On a narrow one, the last cells of a row are on lines below it. */
export class Table {
  readonly #write: (line: string) => void;
  readonly #labels: readonly string[];
  readonly #columns: number;
  readonly #widths: number[] = [];
  #rows: (readonly string[])[] = [];
  #heading: readonly string[] | undefined;

  /**
   * @param paint colours the headings
   * @param columns of the terminal
   */
  constructor(
    heads: readonly Column[],
    paint: (heading: string) => string,
    write: (line: string) => void,
    columns = Number.POSITIVE_INFINITY,
  ) {
    this.#heading = heads.map(([heading]) => paint(heading));
    this.#labels = heads.map(([, label]) => label);
    this.#write = write;
    this.#columns = columns;
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
    for (const cells of this.#heading ? [this.#heading, ...rows] : rows) {
      for (const [i, cell] of cells.entries()) {
        this.#widths[i] = Math.max(this.#widths[i] ?? 0, width(cell));
      }
    }
    const fitting = this.#fitting();
    if (this.#heading) this.#aligned(this.#heading.slice(0, fitting));
    this.#heading = undefined;
    for (const cells of rows) {
      this.#aligned(cells.slice(0, fitting));
      const rest = cells.flatMap((cell, i) =>
        i < fitting || cell === NONE || cell === '' ? [] : [`${this.#labels[i]}${cell}`],
      );
      if (rest.length === 0) continue;
      for (const line of hanging(INDENT, rest.join(', '), this.#columns)) this.#write(line);
    }
  }

  /** How many columns a line has room for. */
  #fitting(): number {
    let left = this.#columns + GAP.length;
    const first = this.#widths.findIndex((one) => {
      left -= one + GAP.length;
      return left < 0;
    });
    return first < 0 ? this.#widths.length : first;
  }

  #aligned(cells: readonly string[]): void {
    const padded = cells.map((cell, i) => cell + ' '.repeat((this.#widths[i] ?? 0) - width(cell)));
    this.#write(padded.join(GAP).trimEnd());
  }
}
