/**
 * Key material. The kernel sends it in the clear in NEWSA, UPDSA, DELSA and every dump
 * (net/xfrm/xfrm_user.c; it is redacted only under lockdown "confidentiality").
 * @module
 */
import { bytes } from '../base/argument.ts';
import { OpaqueBytes } from '../wire/opaque.ts';

/**
 * A key, for callers that asked for keys. Printing, logging or serialising it shows only its
 * length; `bytes()` returns the key itself.
 */
export class KeyMaterial extends OpaqueBytes {
  readonly #key: Uint8Array;

  /** Takes ownership of the bytes, which must be a copy. */
  constructor(key: Uint8Array) {
    super(bytes('key', key));
    this.#key = key;
  }

  /** The key itself: the only copy this object holds. */
  override bytes(): Uint8Array {
    return this.#key;
  }

  override toString(): string {
    return `[key of ${this.length} bytes]`;
  }
}
