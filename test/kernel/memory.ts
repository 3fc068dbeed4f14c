/**
 * What the memory of this process holds.
 * @module
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/**
 * How often a secret occurs in the memory of this process. The secret itself is never in memory
 * here: it is known by its complement, and only four bytes are searched for as they are.
 */
export function occurrences(complement: Uint8Array): number {
  const start = Buffer.from(complement.subarray(0, 4)).map((byte) => ~byte);
  const chunk = Buffer.alloc(1 << 20);
  const memory = openSync('/proc/self/mem', 'r');
  let found = 0;
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const [, from = '0', to = '0'] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    const end = Number.parseInt(to, 16);
    // Overlapping, so that no occurrence hides at a seam.
    const step = chunk.length - complement.length;
    for (let at = Number.parseInt(from, 16); at < end; at += step) {
      const length = readAt(memory, chunk, at, Math.min(chunk.length, end - at));
      const read = chunk.subarray(0, length);
      for (let i = read.indexOf(start); i >= 0; i = read.indexOf(start, i + 1)) {
        const same = complement.every((byte, k) => read[i + k] === (~byte & 255));
        if (same) found++;
      }
    }
  }
  closeSync(memory);
  chunk.fill(0);
  return found;
}

/** Some mappings are listed but cannot be read (EIO): guard pages. */
function readAt(memory: number, chunk: Buffer, at: number, length: number): number {
  try {
    return readSync(memory, chunk, 0, length, at);
  } catch {
    return 0;
  }
}
