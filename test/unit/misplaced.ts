/**
 * Inputs with a key where it does not belong.
 * @module
 */

type Path = readonly string[];

/** `input` with `key` in place of each of its properties in turn, and the path of that. */
export function* misplaced(
  input: object,
  key: unknown,
  path: Path = [],
): Generator<[path: Path, input: object]> {
  for (const [name, value] of Object.entries(input)) {
    yield [[...path, name], { ...input, [name]: key }];
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) continue;
    for (const [inner, changed] of misplaced(value, key, [...path, name])) {
      yield [inner, { ...input, [name]: changed }];
    }
  }
}
