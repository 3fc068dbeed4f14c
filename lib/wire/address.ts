/**
 * IP addresses as text. A kernel address field is 16 bytes; for an IPv4 address only the first four
 * are significant, the rest may be garbage (measured on MAPPING events of kernel 7.2).
 * @module
 */
import { string, wrongType } from '../base/argument.ts';
import { once } from '../base/once.ts';
import { shown } from '../base/shown.ts';
import { DecodeError, EncodeError } from './error.ts';

/** Address families, with the kernel's numbers (`linux/socket.h`). */
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** node:net loads streams and sockets, so it is loaded only to parse IPv6 addresses. */
const net = once(() => process.getBuiltinModule('node:net'));

/** Formatted strings are cached; a larger cache costs more in garbage collection than it saves. */
const CACHE_BITS = 10;
const CACHE = 2 ** CACHE_BITS;
/** The cache slot of a key: the high bits of its product with 2^32 divided by the golden ratio. */
const slotOf = (key: number) => Math.imul(key, 0x9e3779b1) >>> (32 - CACHE_BITS);

const cachedKeys = new Int32Array(CACHE);
const cachedTexts: string[] = new Array(CACHE).fill('0.0.0.0');

/** The same for the first three octets, which the hosts of a network share. */
const cachedNetworks = new Int32Array(CACHE);
const networkTexts: string[] = new Array(CACHE).fill('0.0.0.');
const OCTETS = Array.from({ length: 256 }, (_, i) => `${i}`);

/** The IPv4 address at `at`. */
export function readIPv4(bytes: Uint8Array, at: number): string {
  const a = bytes[at] as number;
  const b = bytes[at + 1] as number;
  const c = bytes[at + 2] as number;
  const d = bytes[at + 3] as number;
  const key = (a << 24) | (b << 16) | (c << 8) | d;
  const slot = slotOf(key);
  if (cachedKeys[slot] === key) return cachedTexts[slot] as string;
  const text = network(key >>> 8) + (OCTETS[d] as string);
  cachedKeys[slot] = key;
  cachedTexts[slot] = text;
  return text;
}

/** `a.b.c.` for the 24 bits of those octets. */
function network(key: number): string {
  const slot = slotOf(key);
  if (cachedNetworks[slot] === key) return networkTexts[slot] as string;
  const text = `${OCTETS[key >>> 16]}.${OCTETS[(key >>> 8) & 0xff]}.${OCTETS[key & 0xff]}.`;
  cachedNetworks[slot] = key;
  networkTexts[slot] = text;
  return text;
}

const cachedWords = new Int32Array(CACHE * 4);
const cachedTexts6: string[] = new Array(CACHE).fill('::');

/** The IPv6 address at `at`, in the form of RFC 5952. */
export function readIPv6(bytes: Uint8Array, at: number): string {
  const w0 = word(bytes, at);
  const w1 = word(bytes, at + 4);
  const w2 = word(bytes, at + 8);
  const w3 = word(bytes, at + 12);
  const slot = slotOf(w0 ^ Math.imul(w1, 31) ^ Math.imul(w2, 961) ^ Math.imul(w3, 29791));
  const key = slot * 4;
  if (
    cachedWords[key] === w0 &&
    cachedWords[key + 1] === w1 &&
    cachedWords[key + 2] === w2 &&
    cachedWords[key + 3] === w3
  ) {
    return cachedTexts6[slot] as string;
  }
  const text = formatIPv6(bytes, at);
  cachedWords[key] = w0;
  cachedWords[key + 1] = w1;
  cachedWords[key + 2] = w2;
  cachedWords[key + 3] = w3;
  cachedTexts6[slot] = text;
  return text;
}

function word(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

function formatIPv6(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) {
    groups.push(((bytes[at + i] as number) << 8) | (bytes[at + i + 1] as number));
  }
  // IPv4-mapped addresses end in dotted decimal (RFC 5952 section 5).
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${readIPv4(bytes, at + 12)}`;
  }
  // The first longest run of at least two zero groups becomes "::" (RFC 5952 section 4.2).
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    i = Math.max(i, end - 1);
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  if (start < 0) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/**
 * The address at `at`, by its family. If the family is neither IPv4 nor IPv6, the field is `any`
 * when all zero, otherwise 32 hexadecimal digits, so that no byte is lost.
 */
export function readAddress(bytes: Uint8Array, at: number, family: number): string {
  // Small enough to be inlined by callers.
  return family === AF_INET ? readIPv4(bytes, at) : readOther(bytes, at, family);
}

function readOther(bytes: Uint8Array, at: number, family: number): string {
  if (family === AF_INET6) return readIPv6(bytes, at);
  const text = hexadecimal(bytes, at, 16);
  return /[^0]/.test(text) ? text : 'any';
}

function hexadecimal(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  for (let i = at; i < at + length; i++) text += (bytes[i] as number).toString(16).padStart(2, '0');
  return text;
}

/** Instead of a family: the length of the address decides, 4 or 16 bytes. */
export const ANY_FAMILY = -1;

/**
 * The address of `length` bytes at `at`, of a given family. An address that is neither IPv4 nor
 * IPv6 (an MPLS label) becomes hexadecimal digits, whatever its length; so does one of
 * {@link ANY_FAMILY} with another length.
 *
 * @throws DecodeError for an IPv4 address that is not 4 bytes long, or an IPv6 address that is not
 *   16
 */
export function readIpOf(
  bytes: Uint8Array,
  at: number,
  length: number,
  family: number,
  name: string,
): string {
  if (family === AF_INET || family === AF_INET6) {
    const expected = family === AF_INET ? 4 : 16;
    if (length !== expected) {
      throw new DecodeError(`an address of family ${family} has ${expected} bytes, not ${length}`, {
        path: name === '' ? [] : [name],
        offset: at,
        expected,
        found: length,
      });
    }
  } else if (family !== ANY_FAMILY) return hexadecimal(bytes, at, length);
  if (length === 4) return readIPv4(bytes, at);
  if (length === 16) return readIPv6(bytes, at);
  return hexadecimal(bytes, at, length);
}

/**
 * An IP address as text, by its length: 4 or 16 bytes.
 * @throws DecodeError for any other length
 */
export function formatIp(bytes: Uint8Array): string {
  if (!(bytes instanceof Uint8Array)) throw wrongType('bytes', 'a Uint8Array', bytes);
  if (bytes.length === 4) return readIPv4(bytes, 0);
  if (bytes.length === 16) return readIPv6(bytes, 0);
  throw new DecodeError(`an address has 4 or 16 bytes, not ${bytes.length}`, {
    path: [],
    offset: 0,
    found: bytes.length,
  });
}

const scratch = new Uint8Array(4);

/** AF_INET or AF_INET6 for an address in text form, undefined for anything else. */
export function addressFamily(text: string): typeof AF_INET | typeof AF_INET6 | undefined {
  // Half of the time of net.isIPv4, which a request asks about each address several times.
  if (typeof text === 'string' && writeIPv4(scratch, 0, text)) return AF_INET;
  if (net().isIPv6(text) && !text.includes('%')) return AF_INET6;
  return undefined;
}

/** An address in the form that decoders produce: IPv6 as in RFC 5952. Other text is unchanged. */
export function canonicalAddress(text: string, name = 'address'): string {
  string(name, text);
  if (addressFamily(text) !== AF_INET6) return text;
  const bytes = new Uint8Array(16);
  writeIPv6(bytes, 0, text);
  return readIPv6(bytes, 0);
}

/** The family of the first text that is an address; AF_UNSPEC if none is. */
export function familyOf(...texts: (string | undefined)[]): number {
  for (const text of texts) {
    const family = text === undefined ? undefined : addressFamily(text);
    if (family !== undefined) return family;
  }
  return AF_UNSPEC;
}

/**
 * Writes an address into a field of 16 zero bytes. `any` (or undefined) stays zero; a family that
 * is neither IPv4 nor IPv6 takes 32 hexadecimal digits.
 */
export function writeAddress(
  bytes: Uint8Array,
  at: number,
  text: string | undefined,
  family: number,
  field: string,
): void {
  if (text === undefined || text === 'any') return;
  if (family === AF_INET) {
    if (writeIPv4(bytes, at, text)) return;
    throw new EncodeError(`invalid value ${shown(text)}: expected an IPv4 address`, [field]);
  }
  if (family === AF_INET6) {
    if (!net().isIPv6(text) || text.includes('%')) {
      throw new EncodeError(`invalid value ${shown(text)}: expected an IPv6 address`, [field]);
    }
    writeIPv6(bytes, at, text);
    return;
  }
  if (!/^[0-9a-f]{32}$/i.test(text)) {
    const reason = `invalid value ${shown(text)}: expected an address of family ${shown(family)} (32 hexadecimal digits)`;
    throw new EncodeError(reason, [field]);
  }
  writeHex(bytes, at, text);
}

function writeHex(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; 2 * i < text.length; i++) {
    bytes[at + i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  }
}

/** The encoded length of an address in bytes. */
function ipLength(text: string, field: string): number {
  const family = addressFamily(text);
  if (family !== undefined) return family === AF_INET ? 4 : 16;
  if (/^([0-9a-f]{2})*$/i.test(text)) return text.length / 2;
  throw new EncodeError(`invalid value ${shown(text)}: expected an IP address`, [field]);
}

/** The encoded length of an address in bytes, by its family, as {@link readIpOf} reads it. */
export function ipLengthOf(text: string, family: number, field: string): number {
  const own = addressFamily(text);
  if (family === ANY_FAMILY || own === family) return ipLength(text, field);
  if (family === AF_INET || family === AF_INET6 || own !== undefined) {
    const reason = `invalid value ${shown(text)}: expected an address of family ${shown(family)}`;
    throw new EncodeError(reason, [field]);
  }
  return ipLength(text, field);
}

/** Writes an address of {@link ipLengthOf} bytes. */
export function writeIp(bytes: Uint8Array, at: number, text: string, field: string): void {
  const family = addressFamily(text);
  if (family === undefined) writeHex(bytes, at, text);
  else writeAddress(bytes, at, text, family, field);
}

const ZERO = 0x30;
const DOT = 0x2e;

/**
 * Writes the four bytes of an IPv4 address; returns false, with nothing written, if it is invalid.
 */
function writeIPv4(bytes: Uint8Array, at: number, text: string): boolean {
  let value = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (digits === 0 || ++dots > 3) return false;
      value = (value << 8) | octet;
      octet = 0;
      digits = 0;
      continue;
    }
    const digit = code - ZERO;
    // No leading zeros: some programs read them as octal.
    if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return false;
    octet = octet * 10 + digit;
    digits++;
    if (octet > 255) return false;
  }
  if (dots !== 3 || digits === 0) return false;
  bytes[at] = value >>> 16;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value;
  bytes[at + 3] = octet;
  return true;
}

/** Writes the 16 bytes of a valid IPv6 address. */
function writeIPv6(bytes: Uint8Array, at: number, text: string): void {
  const [head = '', tail] = text.split('::');
  const write = (part: string, from: number) => {
    if (part === '') return from;
    for (const group of part.split(':')) {
      if (group.includes('.')) {
        writeIPv4(bytes, from, group);
        from += 4;
        continue;
      }
      const value = Number.parseInt(group, 16);
      bytes[from++] = value >>> 8;
      bytes[from++] = value;
    }
    return from;
  };
  write(head, at);
  if (tail === undefined || tail === '') return;
  // The groups after "::" are aligned to the end.
  const groups = tail.split(':').length + (tail.includes('.') ? 1 : 0);
  write(tail, at + 16 - 2 * groups);
}
