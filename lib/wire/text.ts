/**
 * Text that came from the kernel or a peer, or goes there. Each byte is one character (Latin-1), so
 * that none is lost.
 * @module
 */
import { EncodeError } from './error.ts';

/** The bytes up to the first NUL, or `length` of them, as text; bytes above 127 as Latin-1. */
export function readText(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  for (let i = at; i < at + length; i++) {
    const byte = bytes[i] as number;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** `length` bytes as text, without the NUL at the end if there is one. */
export function readString(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  const end = at + length;
  const last = length > 0 && bytes[end - 1] === 0 ? end - 1 : end;
  for (let i = at; i < last; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

/** Writes text into a field of `room` bytes; undefined is empty. */
export function writeText(
  bytes: Uint8Array,
  at: number,
  text: string | undefined,
  room: number,
  field: string,
): void {
  if (text === undefined) return;
  if (text.length > room) {
    throw new EncodeError(`has ${text.length} characters, ${room} fit`, [field]);
  }
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) throw new EncodeError(`character ${i} is no byte`, [field]);
    bytes[at + i] = code;
  }
}

/**
 * The bytes that a text of stated length takes: one for each character, and unless the length says
 * otherwise a NUL.
 */
export function textLength(length: number | undefined, text = '', field = ''): number {
  const bytes = length ?? text.length + 1;
  if (bytes !== text.length && bytes !== text.length + 1) {
    throw new EncodeError(`${text.length} characters do not take ${bytes} bytes`, [field]);
  }
  return bytes;
}

const NAMES = 64;
const cachedBytes: Uint8Array[] = Array.from({ length: NAMES }, () => new Uint8Array(64));
const cachedNames: string[] = new Array(NAMES).fill('');

/** A NUL-padded name of 64 bytes (an algorithm). The few names in use are made once. */
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

// C0 and C1 control characters, and the characters that reorder or hide text on a terminal.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\\]/g;

/**
 * Makes foreign text safe to print: control characters become `\xNN` or `\uNNNN`, a backslash
 * is doubled. An interface name may hold any byte but `/`, NUL and white space, escape sequences
 * included, even when it was set inside a container.
 */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => {
    if (character === '\\') return '\\\\';
    const code = character.charCodeAt(0);
    return code < 256
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}
