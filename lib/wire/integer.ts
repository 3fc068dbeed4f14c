/**
 * 64-bit numbers. Most are zero, small or "no limit": those share one bigint each, which saves
 * an allocation (about 15 of the 30 ns that a fresh bigint costs).
 * @module
 */
import { LE } from './endian.ts';

const SMALL: bigint[] = Array.from({ length: 1024 }, (_, i) => BigInt(i));
const ALL_ONES = 2n ** 64n - 1n;
const HIGH = LE ? 4 : 0;
const LOW = LE ? 0 : 4;

/** The unsigned 64-bit number of host byte order at `at`. */
export function readU64(view: DataView, at: number): bigint {
  const high = view.getUint32(at + HIGH, LE);
  const low = view.getUint32(at + LOW, LE);
  if (high === 0 && low < 1024) return SMALL[low] as bigint;
  if (high === 0xffffffff && low === 0xffffffff) return ALL_ONES;
  return view.getBigUint64(at, LE);
}
