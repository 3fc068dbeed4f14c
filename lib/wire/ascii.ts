/**
 * Writes text directly into bytes, for output so frequent that making strings would dominate the
 * cost.
 * @module
 */
import { AF_INET, readAddress } from './address.ts';

/**
 * ASCII text prepared for writing: eight bytes at a time, first byte lowest, with its length. The
 * bytes are those of doubles: the largest store that a DataView does without allocating. No ASCII
 * text is a NaN, which might not keep its bits: its highest byte would be 0x7f or more.
 */
export interface Ascii {
  readonly words: Float64Array;
  readonly length: number;
}

/** @param text without control characters */
export function ascii(text: string): Ascii {
  const words = new Float64Array(Math.ceil(text.length / 8));
  const bytes = new DataView(new ArrayBuffer(words.length * 8));
  for (let i = 0; i < text.length; i++) bytes.setUint8(i, text.charCodeAt(i));
  for (let i = 0; i < words.length; i++) words[i] = bytes.getFloat64(i * 8, true);
  return { words, length: text.length };
}

const ZERO = 48;
const DOT = 46;
const A = 97;

/** Masks are often all bits. */
const ALL_BITS = ascii('4294967295');

/** 0 to 255, each followed by a dot: one word each. */
const dottedWords = new Int32Array(256);
const dottedLengths = new Uint8Array(256);

/** 0 to 999 as decimal digits: without, and with leading zeros. */
const shortWords = new Int32Array(1000);
const shortLengths = new Uint8Array(1000);
const paddedWords = new Int32Array(1000);
for (let i = 0; i < 1000; i++) {
  const [hundreds, tens, ones] = [(i / 100) | 0, ((i / 10) | 0) % 10, i % 10];
  const padded = ((ZERO + ones) << 16) | ((ZERO + tens) << 8) | (ZERO + hundreds);
  const length = i < 10 ? 1 : i < 100 ? 2 : 3;
  paddedWords[i] = padded;
  shortWords[i] = padded >> (8 * (3 - length));
  shortLengths[i] = length;
  if (i < 256) {
    dottedWords[i] = (shortWords[i] as number) | (DOT << (8 * length));
    dottedLengths[i] = length + 1;
  }
}

/**
 * Writes text into bytes at `at`, and advances it. The caller must reserve space for the text and
 * seven more bytes, because whole words are stored where that is faster.
 */
export class AsciiWriter {
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  text({ words, length }: Ascii): void {
    this.textAt(words, 0, length);
  }

  /** A text whose words begin at an index. Bytes of UTF-8 are no NaN either. */
  textAt(words: Float64Array, index: number, length: number): void {
    const { view, at } = this;
    for (let done = 0, i = index; done < length; done += 8, i++) {
      view.setFloat64(at + done, words[i] as number, true);
    }
    this.at = at + length;
  }

  /** One character, by its code. */
  character(code: number): void {
    this.view.setUint8(this.at++, code);
  }

  /** A whole number from 0 to 2^53 - 1 in decimal. */
  decimal(value: number): void {
    if (value < 1000) {
      this.view.setInt32(this.at, shortWords[value] as number, true);
      this.at += shortLengths[value] as number;
      return;
    }
    if (value === 0xffffffff) {
      this.text(ALL_BITS);
      return;
    }
    const thousands = value > 0x7fffffff ? Math.floor(value / 1000) : (value / 1000) | 0;
    this.decimal(thousands);
    this.view.setInt32(this.at, paddedWords[value - thousands * 1000] as number, true);
    this.at += 3;
  }

  /** 0x and a 32-bit number in hexadecimal, with at least `digits` digits. */
  hex(value: number, digits = 1): void {
    const { view } = this;
    let { at } = this;
    view.setUint16(at, 0x3078); // 0x
    at += 2;
    for (let shift = 28; shift >= 0; shift -= 4) {
      if (value >>> shift === 0 && shift >= digits * 4) continue;
      const digit = (value >>> shift) & 15;
      view.setUint8(at++, digit < 10 ? ZERO + digit : A - 10 + digit);
    }
    this.at = at;
  }

  /** The address at `from`, in the form of readAddress. */
  address(bytes: Uint8Array, from: number, family: number): void {
    if (family !== AF_INET) {
      this.characters(readAddress(bytes, from, family));
      return;
    }
    const { view } = this;
    let { at } = this;
    for (let i = from; i < from + 4; i++) {
      const octet = bytes[i] as number;
      view.setInt32(at, dottedWords[octet] as number, true);
      at += dottedLengths[octet] as number;
    }
    this.at = at - 1;
  }

  /** The characters of an ASCII text that is not prepared. */
  characters(text: string): void {
    const { view, at } = this;
    for (let i = 0; i < text.length; i++) view.setUint8(at + i, text.charCodeAt(i));
    this.at = at + text.length;
  }
}
