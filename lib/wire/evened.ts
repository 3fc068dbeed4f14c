/** Objects of one hidden class, for encoders. @module */
import { isClassless } from '../base/shallow-copy.ts';

/**
 * Copies objects into one with all the given members, absent ones undefined, so that all of them
 * have the same hidden class, unless they have other members. Encoders read each member that there
 * may be: where objects were made in many ways (spread, with members left out), V8 looks each up
 * anew, more than 100 ns for one that is absent (docs/performance.md).
 *
 * Objects of a class are returned as they are: their members may be accessors.
 */
export function evened(names: readonly string[]): <Value extends object>(value: Value) => Value {
  // Made in one go, since V8 turns an object to which many members are added into a dictionary.
  const blank = JSON.parse(`{${names.map((name) => `"${name}":null`).join(',')}}`);
  for (const name of names) blank[name] = undefined;
  return (value) => (isClassless(value) ? Object.assign({ ...blank }, value) : value);
}
