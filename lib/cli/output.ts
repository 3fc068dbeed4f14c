/**
 * Standard output of a stream of lines: written once a wake-up, not once a line (which costs a
 * third more CPU), and never faster than the reader takes it.
 * @module
 */

import { once } from 'node:events';

/** What is told when the reader cannot follow, and when it can again. */
export interface Backpressure {
  full(): void;
  drained(): void;
}

/** Lines on their way to standard output. */
export class LineOutput {
  #text = '';
  readonly #backpressure: Backpressure | undefined;

  constructor(backpressure?: Backpressure) {
    this.#backpressure = backpressure;
    if (backpressure) process.stdout.on('drain', () => backpressure.drained());
  }

  /**
   * Writes what there is and waits until the reader can take more.
   *
   * @throws the signal's AbortError
   */
  async ready(signal?: AbortSignal): Promise<void> {
    this.flush();
    if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain', { signal });
  }

  /** Adds a line; it is written when the current turn of the event loop ends. */
  line(text: string): void {
    if (this.#text === '') setImmediate(() => this.flush());
    this.#text += `${text}\n`;
  }

  /** Writes what there is. */
  flush(): void {
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    if (!process.stdout.write(text)) this.#backpressure?.full();
  }
}

/** Ends the process quietly when the reader of standard output has gone (`… | head`). */
export function endWhenUnread(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    process.stderr.write(`netlink-xfrm: standard output: ${error.message}\n`);
    process.exit(1);
  });
}
