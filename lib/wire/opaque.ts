/**
 * Bytes that may hold a key, although nobody here can tell: the payload of a message or of an
 * attribute that this library does not know, or that stands where it does not belong.
 * @module
 */
import { inspect } from 'node:util';
import { EncodeError } from './error.ts';

/**
 * Bytes that are not shown. Printing, logging, cloning or serialising them shows their length only;
 * `bytes()` gives them, where they were asked for.
 */
export class OpaqueBytes implements Disposable {
  /** How many there are. */
  readonly length: number;
  readonly #bytes: Uint8Array | undefined;

  /** @param bytes taken as they are, the caller hands over a copy of its own; or only how many there are */
  constructor(bytes: Uint8Array | number) {
    this.length = typeof bytes === 'number' ? bytes : bytes.length;
    this.#bytes = typeof bytes === 'number' ? undefined : bytes;
  }

  /** The bytes themselves: the one copy this object holds. Undefined unless keys were asked for. */
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

  /** The length only. */
  toJSON(): string {
    return this.toString();
  }

  /** The length only. */
  [inspect.custom](): string {
    return this.toString();
  }
}

/** `length` bytes at `at`: a copy of them if keys were asked for, else only how many they are. */
export const opaque = (bytes: Uint8Array, at: number, length: number, keys: boolean): OpaqueBytes =>
  new OpaqueBytes(keys ? bytes.slice(at, at + length) : length);

/**
 * The bytes to write.
 *
 * @param zeroed whether zeros may stand for what is not there: then undefined
 * @throws EncodeError where they are not there
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
