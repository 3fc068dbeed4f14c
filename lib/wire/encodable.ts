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
