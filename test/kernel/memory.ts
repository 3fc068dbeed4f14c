/**
 * What the memory of this process holds.
 * @module
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';

/**
 * Where a secret occurs in a file. The secret itself is never in memory here: it is known by its
 * complement, and only four bytes are searched for as they are.
 */
function placesIn(
  file: number,
  ranges: Iterable<readonly [from: number, to: number]>,
  complement: Uint8Array,
): number[] {
  const start = Buffer.from(complement.subarray(0, 4)).map((byte) => ~byte);
  const chunk = Buffer.alloc(1 << 20);
  const found: number[] = [];
  for (const [from, to] of ranges) {
    // Overlapping, so that no occurrence hides at a seam.
    const step = chunk.length - complement.length;
    for (let at = from; at < to; at += step) {
      const length = readAt(file, chunk, at, Math.min(chunk.length, to - at));
      const read = chunk.subarray(0, length);
      for (let i = read.indexOf(start); i >= 0; i = read.indexOf(start, i + 1)) {
        const same = complement.every((byte, k) => read[i + k] === (~byte & 255));
        if (same) found.push(at + i);
      }
    }
  }
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

/** A mapping that can be written to. */
interface Mapping {
  readonly from: number;
  readonly to: number;
  /** What the kernel says of it, in two letters each (Documentation/filesystems/proc.rst, VmFlags). */
  readonly flags: readonly string[];
}

/** The mappings of this process. */
export function mappings(): Mapping[] {
  return readFileSync('/proc/self/smaps', 'utf8')
    .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
    .flatMap((text) => {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(text) ?? [];
      if (from === undefined || to === undefined) return [];
      const flags = /^VmFlags: (.*?) *$/m.exec(text)?.[1]?.split(' ') ?? [];
      return [{ from: Number.parseInt(from, 16), to: Number.parseInt(to, 16), flags }];
    });
}

/** The mappings in which a secret is, one for each time that it is there. */
export function mappingsWith(complement: Uint8Array): Mapping[] {
  const all = mappings();
  const memory = openSync('/proc/self/mem', 'r');
  const ranges = all.map(({ from, to }) => [from, to] as const);
  const found = placesIn(memory, ranges, complement);
  closeSync(memory);
  return found.flatMap((at) => all.filter(({ from, to }) => from <= at && at < to));
}

/** How often a secret occurs in the memory of this process. */
export const occurrences = (complement: Uint8Array): number => mappingsWith(complement).length;

/** How often each secret occurs in a file. */
export function occurrencesInFile(path: string, complements: readonly Uint8Array[]): number[] {
  const file = openSync(path, 'r');
  const { size } = fstatSync(file);
  const found = complements.map((one) => placesIn(file, [[0, size]], one).length);
  closeSync(file);
  return found;
}
