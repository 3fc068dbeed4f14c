/**
 * Wrong values in every place of a message.
 * @module
 */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { EncodeError } from '../../lib/wire/error.ts';

const WRONG = [null, 1n, 'x', Number.NaN, [], {}, () => 1, Symbol('x'), true];

/** Each place in a message, and what puts another value there, until the next place is asked for. */
function* places(value: object, path: string[] = []): Generator<[string[], (to: unknown) => void]> {
  if (ArrayBuffer.isView(value) || Object.isFrozen(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    const at = [...path, Array.isArray(value) ? `[${key}]` : key];
    yield [at, (to) => Object.assign(value, { [key]: to })];
    Object.assign(value, { [key]: inner });
    if (typeof inner === 'object' && inner !== null) yield* places(inner, at);
  }
}

/**
 * Puts wrong values into every place of a message but its kind, and but those tried before. All may be
 * taken or refused, but only by an EncodeError within the message of that name, and a null by its whole
 * path.
 *
 * @param tried the places; those of the message are added
 * @returns the paths of the nulls that were refused
 */
export function refusedNulls(
  message: object,
  name: string,
  tried: Set<string>,
  encode: () => void,
): string[] {
  const refused: string[] = [];
  for (const [path, put] of places(message)) {
    const place = [name, ...path].join('.');
    if (path[0] === 'kind' || path[0] === 'message' || tried.has(place)) continue;
    tried.add(place);
    for (const wrong of WRONG) {
      put(wrong);
      try {
        encode();
      } catch (error) {
        assert(error instanceof EncodeError, `${path.join('.')}: ${inspect(error)}`);
        assert.equal(error.path[0], name);
        if (!/is null/.test(error.reason)) continue;
        assert.deepEqual(error.path.slice(1), path);
        refused.push(path.join('.'));
      }
    }
  }
  return refused;
}
