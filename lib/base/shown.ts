/**
 * What the text of an error shows of a value that somebody passed: the value may be a key, passed in
 * place of something else.
 * @module
 */

/** Characters of a foreign text that an error repeats: whoever passes a file by mistake need not read it again. */
const SHOWN = 100;

/**
 * Ways to write as many bytes as those of a short key: hexadecimal digits, together or in pairs;
 * numbers; Base64, of which 16 characters have both cases but once in 2,000; bytes as characters.
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

/** The beginning of a text, as `write` writes it; of one that may be a key, only how long it is. */
export function beginning(text: string, write: (text: string) => string): string {
  // A key that begins where the text is cut counts too.
  if (mayHoldKey(text.slice(0, 2 * SHOWN))) return `a string of ${text.length} characters`;
  return write(text.slice(0, SHOWN)) + (text.length > SHOWN ? '…' : '');
}

/** A value of any type. Of what is no text and no number only the kind is told. */
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
