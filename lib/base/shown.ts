/**
 * How an error message shows a value that was passed in. The value may be a key, passed by mistake.
 * @module
 */

/**
 * Characters of foreign text to show: enough to recognise, for example, a file passed by mistake.
 */
const SHOWN = 100;

/**
 * Ways to write at least as many bytes as a short key has: hexadecimal digits, together or in
 * pairs; numbers; Base64, where 16 characters contain both cases all but once in 2,000; bytes as
 * characters.
 */
const LIKE_A_KEY = [
  /[0-9a-f]{16}/i,
  /[0-9a-f]{2}([:\s-])(?:[0-9a-f]{2}\1){6}[0-9a-f]{2}/i,
  /(?:\b\d{1,3}[,\s]+){7}\d/,
  /(?=[\w+/-]{0,15}[a-z])(?=[\w+/-]{0,15}[A-Z])[\w+/-]{16}/,
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /(?:[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd].*?){3}/s,
];

export const mayHoldKey = (text: string): boolean => LIKE_A_KEY.some((one) => one.test(text));

/** The beginning of a text, formatted by `write`; only its length if it may be a key. */
export function beginning(text: string, write: (text: string) => string): string {
  // A key that is cut off by the limit counts too.
  if (mayHoldKey(text.slice(0, 2 * SHOWN))) return `a string of ${text.length} characters`;
  return write(text.slice(0, SHOWN)) + (text.length > SHOWN ? '…' : '');
}

/** Formats any value; objects and functions by their kind only. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return beginning(value, JSON.stringify);
    case 'bigint':
      return `${value}n`;
    case 'function':
      return 'a function';
    case 'object':
      return value === null ? 'null' : kindOf(value.constructor?.name ?? 'Object');
    default:
      return String(value);
  }
}

function kindOf(type: string): string {
  if (type === 'Object') return 'an object';
  return type === 'Array' ? 'an array' : `an instance of ${type}`;
}
