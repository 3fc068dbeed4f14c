/**
 * Values as JSON: bigints are decimal strings, no limit is null, times are ms since 1970, addresses
 * and names are strings, other numbers are numbers. Bytes show only their length unless requested:
 * they may be a key.
 * @module
 */
import { once } from '../base/once.ts';
import { OpaqueBytes } from '../wire/opaque.ts';
import { UNSEEN } from '../wire/text.ts';

const hex = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

/** Characters that need no escape in a string: ASCII without controls, quotes and backslashes. */
const PLAIN = /^[ !#-[\]-~]*$/;
/** Characters that JSON does not escape, but that a terminal may interpret, reorder or hide. */
const left = once(() => new RegExp(`[${UNSEEN}]`, 'gu'));
const escaped = (text: string): string =>
  JSON.stringify(text).replace(left(), (one) =>
    one.replace(/./gs, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
const quote = (text: string): string => (PLAIN.test(text) ? `"${text}"` : escaped(text));

/** `"name":`, each built once: names come from the tables, so there are few. */
const labels = new Map<string, string>();
function label(name: string): string {
  let text = labels.get(name);
  if (text === undefined) {
    text = `${JSON.stringify(name)}:`;
    if (labels.size < 4096) labels.set(name, text);
  }
  return text;
}

/**
 * A value as JSON, by the rules above; undefined if it has none. Written directly: building an
 * object of strings for JSON.stringify first takes seven times as long.
 */
export function write(value: unknown, showBytes: boolean): string | undefined {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'bigint':
      return `"${value}"`;
    case 'number':
      return Number.isFinite(value) ? `${value}` : 'null';
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${items(value, showBytes)}]`;
      if ('monotonic' in value && 'wall' in value) return write(value.wall, showBytes);
      if (value instanceof OpaqueBytes) {
        const bytes = showBytes ? value.bytes() : undefined;
        return bytes === undefined ? JSON.stringify(value) : quote(hex(bytes));
      }
      if (value instanceof Uint8Array) {
        return showBytes ? quote(hex(value)) : `"[${value.length} bytes]"`;
      }
      return `{${members(value, showBytes)}}`;
    default:
      return undefined;
  }
}

/** The items of an array as JSON, without the brackets. */
function items(array: readonly unknown[], showBytes: boolean): string {
  let text = '';
  for (const item of array) {
    const value = write(item, showBytes) ?? 'null';
    text += text === '' ? value : `,${value}`;
  }
  return text;
}

const NONE: ReadonlySet<string> = new Set();

/** The members of an object, except some, as JSON without the braces. */
export function members(object: object, showBytes: boolean, without = NONE): string {
  let text = '';
  for (const name in object) {
    if (without !== NONE && without.has(name)) continue;
    const value = write((object as Record<string, unknown>)[name], showBytes);
    if (value === undefined) continue;
    text += text === '' ? label(name) + value : `,${label(name)}${value}`;
  }
  return text;
}
