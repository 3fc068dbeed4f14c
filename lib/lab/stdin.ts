import { Transform, type TransformCallback } from 'node:stream';

/** Control characters of the terminal line that carries standard input (termios(3), stty(1)). */
const END = 0x04; // VEOF: hands over what has come so far; alone, it is the end of the input
const QUOTE = 0x16; // VLNEXT: the next byte is plain
const NEWLINE = 0x0a; // quoted as well: a piece then takes one read(2), however many lines it has

/**
 * Bytes handed over at a time. A line of the guest's terminal holds 4096 (N_TTY_BUF_SIZE in the
 * kernel's drivers/tty/n_tty.c) and drops what goes beyond; and when fewer than 128 are free the
 * kernel throttles the line, from which it sometimes does not recover (seen with 6.12.101, 7.2.7).
 */
export const PIECE = 3072;

/** A piece as it goes over the line: what the guest's terminal would act on is quoted. */
export function encodePiece(piece: Uint8Array): Buffer {
  const out: number[] = [];
  for (const byte of piece) {
    if (byte === END || byte === QUOTE || byte === NEWLINE) out.push(QUOTE);
    out.push(byte);
  }
  out.push(END);
  return Buffer.from(out);
}

/**
 * Encodes standard input for a terminal line in canonical mode, which alone can say "end of file".
 * Every byte arrives as it was. The next piece goes out when the guest has taken the last.
 */
export class TerminalInput extends Transform {
  #taken = () => {};

  /** The guest has taken the piece. */
  acknowledge(): void {
    this.#taken();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let start = 0;
    const next = () => {
      if (start >= chunk.length) {
        this.#taken = () => {};
        done();
        return;
      }
      const piece = chunk.subarray(start, start + PIECE);
      start += piece.length;
      this.#taken = next;
      this.push(encodePiece(piece));
    };
    next();
  }

  override _flush(done: TransformCallback): void {
    done(null, Buffer.from([END]));
  }
}
