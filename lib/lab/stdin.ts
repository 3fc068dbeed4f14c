import { Transform, type TransformCallback } from 'node:stream';

/** Control characters of the terminal line that carries standard input (termios(3), stty(1)). */
const END = 0x04; // VEOF: hands over what has come so far; alone, it is the end of the input
const QUOTE = 0x16; // VLNEXT: the next byte is plain
const NEWLINE = 0x0a;

/**
 * Longest run without a hand-over. A line of the guest's terminal holds 4096 bytes (N_TTY_BUF_SIZE
 * in the kernel's drivers/tty/n_tty.c) and drops what goes beyond.
 */
const PIECE = 1024;

/**
 * Encodes standard input for a terminal line in canonical mode, which alone can say "end of file".
 * Every byte arrives as it was: the two control characters that are left on in the guest are quoted.
 */
export class TerminalInput extends Transform {
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (let start = 0; start < chunk.length; start += PIECE) {
      const out: number[] = [];
      let last = END;
      for (const byte of chunk.subarray(start, start + PIECE)) {
        if (byte === END || byte === QUOTE) out.push(QUOTE);
        out.push(byte);
        last = byte;
      }
      // A newline hands the line over by itself; a second hand-over would be the end.
      if (last !== NEWLINE) out.push(END);
      this.push(Buffer.from(out));
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    done(null, Buffer.from([END]));
  }
}
