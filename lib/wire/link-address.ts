/**
 * Link-layer addresses as text: `02:00:5e:10:00:01`. They have six bytes on Ethernet, other lengths
 * elsewhere (an IPv4 address on a tunnel), and are empty on links without one.
 * @module
 */
import { shown } from '../base/shown.ts';
import { EncodeError } from './error.ts';

/** The link-layer address of `length` bytes at `at`; an empty string if there is none. */
export function readLinkAddress(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) {
    const byte = (bytes[at + i] as number).toString(16).padStart(2, '0');
    text += i === 0 ? byte : `:${byte}`;
  }
  return text;
}

/** The encoded length of a link-layer address in bytes. */
export function linkAddressLength(text: string, field: string): number {
  if (text === '') return 0;
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2})*$/i.test(text)) {
    throw new EncodeError(
      `invalid value ${shown(text)}: expected a link-layer address (00:00:5e:00:53:01)`,
      [field],
    );
  }
  return (text.length + 1) / 3;
}

/** Writes a link-layer address of {@link linkAddressLength} bytes. */
export function writeLinkAddress(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; 3 * i < text.length; i++) {
    bytes[at + i] = Number.parseInt(text.slice(3 * i, 3 * i + 2), 16);
  }
}
