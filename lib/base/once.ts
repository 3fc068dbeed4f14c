/**
 * Values made on first use, so that importing the library does no work that may stay unused.
 * @module
 */

/** A function that makes a value when first called, and returns the same value on every call. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
