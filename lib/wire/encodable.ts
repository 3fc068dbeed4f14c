/**
 * What may be passed to encode a message.
 * @module
 */
import type { OpaqueAttribute, RawAttribute } from './attribute.ts';
import type { FlagSet } from './names.ts';
import type { OpaqueBytes } from './opaque.ts';
import type { Secret } from './secret.ts';

/**
 * What encodes to a decoded type: that type itself, and looser forms of it. Omitted properties are
 * zero (a lifetime limit: no limit; an address family: that of the addresses). Enumerations accept
 * a name or a number; flag words a set, a list of names or a number; 64-bit numbers a bigint or a
 * number; keys also raw bytes.
 */
export type Encodable<T> = T extends bigint
  ? bigint | number
  : T extends string | number | boolean | undefined | Uint8Array | RawAttribute
    ? T
    : T extends OpaqueAttribute
      ? OpaqueAttribute | RawAttribute
      : T extends Secret
        ? Secret | Uint8Array
        : T extends OpaqueBytes
          ? OpaqueBytes | Uint8Array
          : T extends FlagSet<infer Name>
            ? FlagSet<Name> | readonly Name[] | number
            : T extends readonly (infer Item)[]
              ? readonly Encodable<Item>[]
              : { readonly [Key in keyof T]?: Encodable<T[Key]> | undefined };

/**
 * Copies objects into one with all the given members, absent ones undefined, so that all of them
 * have the same hidden class. Encoders read each member that there may be: where objects were made
 * in many ways (spread, with members left out), V8 looks each up anew, 200 ns for one that is absent. (NEWSA requests from objects of many kinds: 12 µs without this, FIGURE with it.)
 *
 * Objects of a class are returned as they are: their members may be accessors.
 */
export function evened(names: readonly string[]): <Value extends object>(value: Value) => Value {
  // Made in one go, since V8 turns an object to which many members are added into a dictionary.
  const blank = JSON.parse(`{${names.map((name) => `"${name}":null`).join(',')}}`);
  for (const name of names) blank[name] = undefined;
  return (value) => {
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return value;
    const copy = { ...blank };
    for (const name in value) if (name in blank) copy[name] = value[name];
    return copy;
  };
}
