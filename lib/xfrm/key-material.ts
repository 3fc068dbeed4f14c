/**
 * Key material. The kernel sends it in clear in NEWSA, UPDSA, DELSA and every dump
 * (net/xfrm/xfrm_user.c; it is blanked only under lockdown "confidentiality").
 * @module
 */
import { OpaqueBytes } from '../wire/opaque.ts';

/**
 * A key, for callers who asked for keys. Printing, logging or serialising it shows its length
 * only; `bytes()` gives the key itself.
 */
export class KeyMaterial extends OpaqueBytes {
  readonly #key: Uint8Array;

  /** Takes the bytes as they are; the caller hands over a copy of its own. */
  constructor(key: Uint8Array) {
    super(key);
    this.#key = key;
  }

  /** The key itself: the one copy this object holds. */
  override bytes(): Uint8Array {
    return this.#key;
  }

  override toString(): string {
    return `[key of ${this.length} bytes]`;
  }
}
