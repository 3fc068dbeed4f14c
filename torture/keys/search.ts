/**
 * Searches output for keys in any notation.
 * @module
 */

/** Consecutive bytes of a key that count as a leak. Fewer would match by chance. */
const WINDOW = 5;

/** A notation for bytes, and how to reverse it. */
interface Writing {
  readonly name: string;
  /** Whether a text contains these bytes in sequence. */
  found(text: string, bytes: Uint8Array): boolean;
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Caches the relevant parts of a text for a notation: each text is searched for many keys. */
function once(make: (text: string) => string): (text: string) => string {
  let last: readonly [string, string] = ['', ''];
  return (text) => {
    if (last[0] !== text) last = [text, make(text)];
    return last[1];
  };
}

const digits = once((text) => text.toLowerCase().replace(/[^0-9a-f]+/g, ''));
// Output of inspect and JSON for arrays: numbers with separators.
const numbers = once((text) => ` ${(text.match(/\d+/g) ?? []).join(' ')} `);
const hexNumbers = once(
  (text) => ` ${(text.toLowerCase().match(/0x[0-9a-f]+/g) ?? []).join(' ')} `,
);
const base64 = once((text) =>
  text
    .replace(/-/g, '+')
    .replace(/_/g, '/')
    .replace(/[\r\n]/g, ''),
);

const WRITINGS: readonly Writing[] = [
  { name: 'hexadecimal', found: (text, bytes) => digits(text).includes(hexOf(bytes)) },
  { name: 'numbers', found: (text, bytes) => numbers(text).includes(` ${bytes.join(' ')} `) },
  {
    name: 'hexadecimal numbers',
    found: (text, bytes) =>
      hexNumbers(text).includes(
        ` ${Array.from(bytes, (one) => `0x${one.toString(16)}`).join(' ')} `,
      ),
  },
  { name: 'bytes', found: (text, bytes) => text.includes(Buffer.from(bytes).toString('latin1')) },
];

/** The notation in which bytes of a key occur in a text; undefined if they do not. */
export function keyIn(text: string, key: Uint8Array): string | undefined {
  for (let at = 0; at + WINDOW <= key.length; at++) {
    const bytes = key.subarray(at, at + WINDOW);
    const writing = WRITINGS.find(({ found }) => found(text, bytes));
    if (writing !== undefined) return writing.name;
  }
  // Base64 encodes three bytes as four characters: a key may begin at any of the three.
  for (let at = 0; at < 3; at++) {
    const whole = key.subarray(at, at + 3 * Math.floor((key.length - at) / 3));
    const written = Buffer.from(whole).toString('base64');
    for (let i = 0; i + 8 <= written.length; i += 4) {
      if (base64(text).includes(written.slice(i, i + 8))) return 'Base64';
    }
  }
  return undefined;
}
