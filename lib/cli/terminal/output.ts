/**
 * Line output to standard output: written once per wake-up rather than per line (which costs a third
 * more CPU), and never faster than the reader accepts it.
 * @module
 */
import { once } from 'node:events';
import { AsciiWriter } from '../../wire/ascii.ts';

/** Callbacks for when the reader falls behind, and when it has caught up. */
export interface Backpressure {
  full(): void;
  drained(): void;
}

/** Initial size of the byte buffer for lines. */
const BLOCK = 64 * 1024;

const viewOf = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Lines queued for standard output: as text, or written directly as bytes, in any order. */
export class LineOutput {
  /** Earlier output is here, as bytes … */
  #bytes = Buffer.allocUnsafeSlow(BLOCK);
  readonly #writer: AsciiWriter;
  /** … and later output here. */
  #text = '';
  #waiting = false;
  readonly #backpressure: Backpressure | undefined;

  /** @param Writer what writes lines as bytes */
  constructor(backpressure?: Backpressure, Writer = AsciiWriter) {
    this.#writer = new Writer(viewOf(this.#bytes));
    this.#backpressure = backpressure;
    if (backpressure) process.stdout.on('drain', () => backpressure.drained());
  }

  /**
   * Writes pending output and waits until the reader can take more.
   *
   * @throws the signal's AbortError
   */
  async ready(signal?: AbortSignal): Promise<void> {
    this.flush();
    if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain', { signal });
  }

  /** Adds a line; it is written at the end of the current turn of the event loop. */
  line(text: string): void {
    this.#text += `${text}\n`;
    this.#flushSoon();
  }

  /**
   * Returns a writer for a line of at most so many bytes. What is written there, within the same turn of
   * the event loop, follows the lines added before.
   */
  room(bytes: number): AsciiWriter {
    if (this.#text !== '') {
      const text = this.#text;
      this.#text = '';
      this.#grow(Buffer.byteLength(text));
      this.#writer.at += this.#bytes.write(text, this.#writer.at);
    }
    this.#grow(bytes);
    this.#flushSoon();
    return this.#writer;
  }

  #flushSoon(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    setImmediate(() => {
      this.#waiting = false;
      this.flush();
    });
  }

  #grow(room: number): void {
    const { at } = this.#writer;
    if (this.#bytes.length - at >= room) return;
    const larger = Buffer.allocUnsafeSlow(2 * (at + room));
    this.#bytes.copy(larger, 0, 0, at);
    this.#bytes = larger;
    this.#writer.view = viewOf(larger);
  }

  /** Writes pending output. */
  flush(): void {
    const { stdout } = process;
    let ready = true;
    const { at } = this.#writer;
    if (at > 0) {
      ready = stdout.write(this.#bytes.subarray(0, at));
      this.#writer.at = 0;
      // The stream owns the buffer until it has been written.
      if (stdout.writableLength > 0) {
        this.#bytes = Buffer.allocUnsafeSlow(BLOCK);
        this.#writer.view = viewOf(this.#bytes);
      }
    }
    if (this.#text !== '') {
      const text = this.#text;
      this.#text = '';
      ready = stdout.write(text);
    }
    if (!ready) this.#backpressure?.full();
  }
}

/** Ends the process quietly when the reader of standard output is gone (`… | head`). */
export function endWhenUnread(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    process.stderr.write(`netlink-xfrm: standard output: ${error.message}\n`);
    process.exit(1);
  });
}

/** Columns of the terminal; no limit if it does not say, or output is no terminal. */
export const terminalWidth = (): number => process.stdout.columns || Number.POSITIVE_INFINITY;

/** On a terminal, explains an empty list; a pipe gets nothing, as with `ip`. @param why for people */
export function noteEmpty(why: string): void {
  if (process.stderr.isTTY === true) process.stderr.write(`${why}\n`);
}
