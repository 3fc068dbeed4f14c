import { Transform, type TransformCallback } from 'node:stream';

/** Control characters of the terminal line that carries standard input (termios(3), stty(1)). */
const END = 0x04; // VEOF: delivers pending input; alone, it means end of file
const QUOTE = 0x16; // VLNEXT: the next byte is literal
const NEWLINE = 0x0a; // quoted as well: one read(2) then takes a whole piece, however many lines it has

/**
 * Bytes sent at a time. A terminal line in the guest holds 4096 (N_TTY_BUF_SIZE in the kernel's
 * drivers/tty/n_tty.c) and drops the rest; and with fewer than 128 free the kernel throttles the
 * line, from which it sometimes does not recover (seen with 6.12.101, 7.2.7).
 */
export const PIECE = 3072;

/** Encodes a piece for the line, quoting bytes that the guest's terminal would act on. */
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
 * Encodes standard input for a terminal line in canonical mode, the only one that can signal end of file.
 * All bytes arrive unchanged. The next piece is sent when the guest has acknowledged the last.
 */
export class TerminalInput extends Transform {
  #taken = () => {};

  /** The guest has accepted the piece. */
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
