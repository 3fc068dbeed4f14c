/**
 * Structs that recur from one message to the next, such as limits and templates: tables decode them
 * once, compare the bytes of the others, and keep one object for all that are equal.
 * @module
 */
import { LE } from './endian.ts';

/** Whether a message is decoded for a table. */
let sharing = false;

/**
 * A decoder whose values share what recurs. Nobody may modify them.
 *
 * It makes an event of an SA in a table twice as fast: otherwise more than a third of the time goes
 * into collecting what survives of each.
 */
export function sharingParts<Args extends unknown[], Value>(
  decode: (...args: Args) => Value,
): (...args: Args) => Value {
  return (...args) => {
    sharing = true;
    try {
      return decode(...args);
    } finally {
      sharing = false;
    }
  };
}

const BITS = 8;
const SLOTS = 2 ** BITS;
/**
 * After so many that did not recur, only some are looked for: selectors of policies, which are all
 * different, are read in half of the time.
 */
const [MANY, SOME] = [256, 16];
/** 2^32 over the golden ratio. */
const GOLDEN = 0x9e3779b1;

/**
 * A reader of a struct that shares its values when {@link sharingParts} asks for it.
 *
 * @param size bytes on which its values depend, a multiple of four
 */
export function recurring<Value>(
  size: number,
  read: (v: DataView, b: Uint8Array, at: number, outer: number) => Value,
): (v: DataView, b: Uint8Array, at: number, outer?: number) => Value {
  let known: Int32Array | undefined;
  /** Where in `known` the value found last is: most often it is the next one, too. */
  let last = 0;
  /** How many were not found since one was. */
  let missed = 0;
  const values: Value[] = [];
  // Each value by the words of its struct, after the family of what surrounds it.
  const words = size / 4 + 1;
  return (v, b, at, outer = 0) => {
    if (!sharing) return read(v, b, at, outer);
    known ??= new Int32Array(SLOTS * words).fill(-1);
    if (isAt(known, last, v, at, size, outer)) return values[last / words] as Value;
    if (missed > MANY && ++missed % SOME !== 0) return read(v, b, at, outer);
    let hash = outer;
    for (let i = 0; i < size; i += 4) hash = Math.imul(hash ^ v.getInt32(at + i, LE), GOLDEN);
    const slot = hash >>> (32 - BITS);
    last = slot * words;
    if (isAt(known, last, v, at, size, outer)) {
      missed = 0;
      return values[slot] as Value;
    }
    missed++;
    const value = read(v, b, at, outer);
    values[slot] = value;
    known[last] = outer;
    for (let i = 0, to = last; i < size; i += 4) known[++to] = v.getInt32(at + i, LE);
    return value;
  };
}

/** Whether the words of a struct are those at `from`. No family is -1, which marks empty slots. */
function isAt(
  known: Int32Array,
  from: number,
  v: DataView,
  at: number,
  size: number,
  outer: number,
): boolean {
  if (known[from] !== outer) return false;
  for (let i = 0; i < size; i += 4) if (known[++from] !== v.getInt32(at + i, LE)) return false;
  return true;
}
