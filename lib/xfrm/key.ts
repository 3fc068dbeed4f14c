/**
 * Key material. The kernel sends it in clear in NEWSA, UPDSA, DELSA and every dump
 * (net/xfrm/xfrm_user.c; it is blanked only under lockdown "confidentiality").
 * @module
 */
import { inspect } from 'node:util';

/**
 * A key, for callers who asked for keys. Printing, logging or serialising it shows its length
 * only; `bytes()` gives the key itself.
 */
export class KeyMaterial {
  readonly #bytes: Uint8Array;

  /** Takes the bytes as they are; the caller hands over a copy of its own. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Length in bytes. */
  get length(): number {
    return this.#bytes.length;
  }

  /** The key itself: the one copy this object holds. */
  bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Overwrites the key with zeros. */
  wipe(): void {
    this.#bytes.fill(0);
  }

  toString(): string {
    return `[key of ${this.length} bytes]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}
