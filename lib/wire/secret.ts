/**
 * Encodes keys.
 * @module
 */
import { shown } from '../base/shown.ts';
import { EncodeError } from './error.ts';

/** An object that holds a key and does not show it. */
export interface Secret {
  /** Length in bytes. */
  readonly length: number;
  bytes(): Uint8Array;
}

/** The key length of an algorithm in bits: as stated, by default the whole key. */
export function keyBits(bits: number | undefined, key: Secret | Uint8Array | undefined): number {
  return bits ?? (key === undefined ? 0 : key.length * 8);
}

/**
 * The encoded length of a key in bytes.
 *
 * @param zeroed whether zeros may replace a missing key (a decoded event has none unless keys were
 *   requested)
 * @throws EncodeError if the key is missing, or does not have its stated length
 */
export function keyLength(
  bits: number | undefined,
  key: Secret | Uint8Array | undefined,
  zeroed: boolean,
): number {
  const bytes = Math.ceil(keyBits(bits, key) / 8);
  if (key === undefined) {
    if (bytes === 0 || zeroed) return bytes;
    throw new EncodeError(
      `its ${bytes} bytes are absent: decode with keys: true (or see missingKeys)`,
      ['key'],
    );
  }
  if (key.length !== bytes) {
    throw new EncodeError(`has ${shown(key.length)} bytes, but ${shown(bits)} bits take ${bytes}`, [
      'key',
    ]);
  }
  return bytes;
}

/** Writes a key, if there is one. */
export function writeKey(
  bytes: Uint8Array,
  at: number,
  key: Secret | Uint8Array | undefined,
): void {
  if (key !== undefined) bytes.set(key instanceof Uint8Array ? key : key.bytes(), at);
}
