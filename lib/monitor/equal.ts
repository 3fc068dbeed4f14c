/**
 * Comparing what was decoded.
 * @module
 */

/** Whether two decoded values are the same: plain objects, arrays, bytes, numbers, texts. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => equal(left[name], right[name]))
  );
}
