/**
 * Bytes that may hold a key: the payload of an unknown message, or of an attribute that is unknown
 * or out of place.
 * @module
 */
import { inspect } from 'node:util';
import { integer, U32_MAX, wrongType } from '../base/argument.ts';
import { shown } from '../base/shown.ts';
import { EncodeError } from './error.ts';

/**
 * Bytes that are not shown. Printing, logging, cloning or serialising them shows only their length;
 * `bytes()` returns them if keys were requested.
 */
export class OpaqueBytes implements Disposable {
  /** Their length. */
  readonly length: number;
  readonly #bytes: Uint8Array | undefined;

  /**
   * @param bytes used as they are, so they must be a copy that the caller gives up; or only their
   *   length
   */
  constructor(bytes: Uint8Array | number) {
    if (typeof bytes === 'number') {
      this.length = integer('bytes', bytes, 0, U32_MAX);
      this.#bytes = undefined;
      return;
    }
    if (!(bytes instanceof Uint8Array)) {
      throw wrongType('bytes', 'a Uint8Array, or its length', bytes);
    }
    this.length = bytes.length;
    this.#bytes = bytes;
  }

  /**
   * The bytes themselves: the only copy this object holds. Undefined unless keys were requested.
   */
  bytes(): Uint8Array | undefined {
    return this.#bytes;
  }

  /** Overwrites the bytes with zeros. */
  wipe(): void {
    this.#bytes?.fill(0);
  }

  /** The same as {@link wipe}, for `using`. */
  [Symbol.dispose](): void {
    this.wipe();
  }

  toString(): string {
    return `[${this.length} bytes]`;
  }

  /** Only the length. */
  toJSON(): string {
    return this.toString();
  }

  /** Only the length. */
  [inspect.custom](): string {
    return this.toString();
  }
}

/** `length` bytes at `at`: a copy if keys were requested, otherwise only their length. */
export const opaque = (bytes: Uint8Array, at: number, length: number, keys: boolean): OpaqueBytes =>
  new OpaqueBytes(keys ? bytes.slice(at, at + length) : length);

/**
 * The bytes to write.
 *
 * @param zeroed whether zeros may replace undisclosed bytes: if so, undefined is returned
 * @throws EncodeError if they are undisclosed
 */
export function disclosed(of: OpaqueBytes | Uint8Array, zeroed: boolean): Uint8Array | undefined {
  if (of instanceof Uint8Array) return of;
  if (!(of instanceof OpaqueBytes)) {
    throw new EncodeError(`must be a Uint8Array; received ${shown(of)}`, ['bytes']);
  }
  const bytes = of.bytes();
  if (bytes !== undefined || zeroed) return bytes;
  throw new EncodeError(
    `its ${of.length} bytes are absent: decode with keys: true (or see missingKeys)`,
    [],
  );
}
