/**
 * Bytes that may hold a key: the payload of an unknown message, or of an attribute that is unknown
 * or out of place.
 * @module
 */
import { inspect } from 'node:util';
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
    this.length = typeof bytes === 'number' ? bytes : bytes.length;
    this.#bytes = typeof bytes === 'number' ? undefined : bytes;
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
  const bytes = of.bytes();
  if (bytes !== undefined || zeroed) return bytes;
  throw new EncodeError(
    `its ${of.length} bytes are absent: decode with keys: true (or see missingKeys)`,
    [],
  );
}
