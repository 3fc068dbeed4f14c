/**
 * Text from or to the kernel or a peer. It should be UTF-8; the kernel does not check that. A byte
 * that is not part of a valid UTF-8 character becomes the lone surrogate U+DC00 + byte (U+DC80 to
 * U+DCFF, which valid UTF-8 cannot encode), so that encoding the text restores the original bytes.
 * @module
 */

import { isUtf8 } from 'node:buffer';
import { string } from '../base/argument.ts';
import { once } from '../base/once.ts';
import { beginning } from '../base/shown.ts';
import { EncodeError } from './error.ts';

const SURROGATE = 0xdc00;
/** Whether a UTF-16 code unit, on its own, stands for a byte that is not valid UTF-8. */
const isByte = (code: number): boolean => code >= SURROGATE + 0x80 && code <= SURROGATE + 0xff;

const decoder = once(() => new TextDecoder('utf-8', { ignoreBOM: true }));

/** The bytes from `at` to `end` as text. */
function decode(bytes: Uint8Array, at: number, end: number): string {
  let text = '';
  for (let i = at; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte > 0x7f) return text + decodeWide(bytes.subarray(i, end));
    text += String.fromCharCode(byte);
  }
  return text;
}

function decodeWide(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return decoder().decode(bytes);
  let text = '';
  for (let i = 0; i < bytes.length; ) {
    const byte = bytes[i] as number;
    // The first byte gives the length (RFC 3629 section 3); one that cannot begin a character fails
    // at any length.
    const character = bytes.subarray(
      i,
      i + (byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4),
    );
    if (isUtf8(character)) {
      text += decoder().decode(character);
      i += character.length;
    } else {
      text += String.fromCharCode(SURROGATE + byte);
      i++;
    }
  }
  return text;
}

/** The bytes up to the first NUL, or `length` of them, as text. */
export function readText(bytes: Uint8Array, at: number, length: number): string {
  let end = at;
  while (end < at + length && bytes[end] !== 0) end++;
  return decode(bytes, at, end);
}

/** `length` bytes as text, without a trailing NUL. */
export function readString(bytes: Uint8Array, at: number, length: number): string {
  const end = at + length;
  return decode(bytes, at, length > 0 && bytes[end - 1] === 0 ? end - 1 : end);
}

/**
 * The encoded length of a text in bytes.
 * @throws EncodeError for a lone surrogate that does not stand for a byte
 */
export function textSize(text: string, ...path: string[]): number {
  let size = text.length;
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) <= 0x7f) continue;
    const point = text.codePointAt(i) as number;
    if (point > 0xffff) {
      size += 2; // two code units, four bytes
      i++;
    } else if (!isByte(point)) {
      if (point >= 0xd800 && point <= 0xdfff) {
        throw new EncodeError(`character ${i} is half a surrogate pair`, path);
      }
      size += point > 0x7ff ? 2 : 1;
    }
  }
  return size;
}

/** Writes text into a field of `room` bytes; undefined means empty. */
export function writeText(
  bytes: Uint8Array,
  at: number,
  text: string | undefined,
  room: number,
  field: string,
): void {
  if (text === undefined) return;
  const most = Math.min(text.length, room);
  for (let i = 0; i < most; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) break;
    bytes[at + i] = code;
    if (i === text.length - 1) return;
  }
  const size = textSize(text, field);
  if (size > room) throw new EncodeError(`has ${size} bytes, ${room} fit`, [field]);
  writeWide(bytes, at, text);
}

function writeWide(bytes: Uint8Array, at: number, text: string): void {
  let to = at;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 0x7f) {
      bytes[to++] = code;
      continue;
    }
    const point = text.codePointAt(i) as number;
    if (isByte(point)) {
      bytes[to++] = point - SURROGATE;
      continue;
    }
    if (point > 0xffff) {
      i++;
      bytes[to++] = 0xf0 | (point >> 18);
      bytes[to++] = 0x80 | ((point >> 12) & 0x3f);
      bytes[to++] = 0x80 | ((point >> 6) & 0x3f);
    } else if (point > 0x7ff) {
      bytes[to++] = 0xe0 | (point >> 12);
      bytes[to++] = 0x80 | ((point >> 6) & 0x3f);
    } else bytes[to++] = 0xc0 | (point >> 6);
    bytes[to++] = 0x80 | (point & 0x3f);
  }
}

/** The encoded bytes of a text. @throws EncodeError as {@link textSize} does */
export function textBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(textSize(text));
  writeText(bytes, 0, text, bytes.length, '');
  return bytes;
}

/**
 * The encoded length of a text with a stated length: its own, plus a NUL unless the stated length
 * excludes it.
 */
export function textLength(length: number | undefined, text = '', field = ''): number {
  const size = textSize(text, field);
  const bytes = length ?? size + 1;
  if (bytes !== size && bytes !== size + 1) {
    throw new EncodeError(`a text of ${size} bytes does not take ${bytes}`, [field]);
  }
  return bytes;
}

const NAMES = 64;
const cachedBytes: Uint8Array[] = Array.from({ length: NAMES }, () => new Uint8Array(64));
const cachedNames: string[] = new Array(NAMES).fill('');

/** A NUL-padded name of 64 bytes (an algorithm). Strings are cached, as few names are in use. */
export function readName(bytes: Uint8Array, at: number): string {
  let hash = 0;
  let length = 0;
  while (length < 64 && bytes[at + length] !== 0) {
    hash = (Math.imul(hash, 31) + (bytes[at + length] as number)) | 0;
    length++;
  }
  const slot = Math.imul(hash, 0x9e3779b1) >>> 26;
  const cached = cachedBytes[slot] as Uint8Array;
  let same = true;
  for (let i = 0; i < 64; i++) {
    if (cached[i] !== (i < length ? bytes[at + i] : 0)) {
      same = false;
      break;
    }
    if (i >= length) break;
  }
  if (same) return cachedNames[slot] as string;
  const name = readText(bytes, at, 64);
  cached.fill(0);
  cached.set(bytes.subarray(at, at + length));
  cachedNames[slot] = name;
  return name;
}

/**
 * Characters that control a terminal, reorder text or are invisible, as the contents of a character
 * class with the flag u: control and format characters, line separators, and default-ignorable
 * characters (Unicode Standard, section 5.21) such as the Hangul fillers.
 */
export const UNSEEN = '\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}';

/** `\xNN`, `\uNNNN` or `\u{NNNNN}` for a character; `\xNN` for a byte that is not valid UTF-8. */
export function escaped(character: string): string {
  const point = character.codePointAt(0) as number;
  const code = isByte(point) ? point - SURROGATE : point;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  const hex = code.toString(16);
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`;
}

const unsafe = once(() => new RegExp(`[${UNSEEN}\\\\]|\\p{Surrogate}`, 'gu'));

/**
 * Makes foreign text safe to print: escapes characters that control a terminal, reorder text or are
 * invisible (`\x1b`, `\u200b`), and bytes that are not valid UTF-8; doubles backslashes. An
 * interface name may hold any byte except `/`, `:`, NUL and white space, including escape
 * sequences, even when set inside a container.
 */
export function printable(text: string): string {
  return string('text', text).replace(unsafe(), (one) => (one === '\\' ? '\\\\' : escaped(one)));
}

/** The same for multi-line text, such as that of an error: line breaks are kept. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/** The beginning of foreign text, safe to print in an error. */
export const brief = (text: string): string => beginning(text, printable);
