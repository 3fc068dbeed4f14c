/**
 * How the two processes of warm-command.ts talk.
 * @module
 */
import { readSync } from 'node:fs';
import { join } from 'node:path';

/** What the two processes have in common: a folder with two FIFOs and two files. */
export const paths = (folder: string) => ({
  requests: join(folder, 'requests'),
  answers: join(folder, 'answers'),
  out: join(folder, 'out'),
  err: join(folder, 'err'),
});

/** A line of a FIFO; undefined at its end. */
export function readLine(descriptor: number): string | undefined {
  const parts: Buffer[] = [];
  const buffer = Buffer.alloc(65_536);
  for (;;) {
    const length = readSync(descriptor, buffer);
    if (length === 0) return undefined;
    parts.push(Buffer.from(buffer.subarray(0, length)));
    if (buffer[length - 1] === 10) return Buffer.concat(parts).toString();
  }
}
