/** What is made when it is first needed: importing the library is to make nothing that may stay unused. @module */

/** A function that makes a value when it is first called, and gives that value every time. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
