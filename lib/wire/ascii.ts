/**
 * Writes text directly into bytes, for output so frequent that making strings would dominate the
 * cost.
 * @module
 */
import { AF_INET, readIPv6 } from './address.ts';

/** ASCII text prepared for writing: as 32-bit words, first byte lowest, with its length. */
export interface Ascii {
  readonly words: Int32Array;
  readonly length: number;
}

export function ascii(text: string): Ascii {
  const words = new Int32Array(Math.ceil(text.length / 4));
  for (let i = 0; i < text.length; i++) {
    words[i >> 2] = (words[i >> 2] as number) | (text.charCodeAt(i) << ((i & 3) * 8));
  }
  return { words, length: text.length };
}

const ZERO = 48;
const A = 97;

/** 0 to 255, each followed by a dot: one word each. */
const DOTTED = Array.from({ length: 256 }, (_, octet) => ascii(`${octet}.`));
const dottedWords = Int32Array.from(DOTTED, ({ words }) => words[0] as number);
const dottedLengths = Uint8Array.from(DOTTED, ({ length }) => length);

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
}

/**
 * Writes text into bytes at `at`, and advances it. The caller must reserve space for the text and
 * three more bytes, because whole words are stored where that is faster.
 */
export class AsciiWriter {
  view: DataView;
  at: number;

  constructor(view: DataView, at = 0) {
    this.view = view;
    this.at = at;
  }

  text({ words, length }: Ascii): void {
    const { view, at } = this;
    for (let i = 0; i < words.length; i++) view.setInt32(at + i * 4, words[i] as number, true);
    this.at = at + length;
  }

  /** One character, by its code. */
  character(code: number): void {
    this.view.setUint8(this.at++, code);
  }

  /** A number from 0 to 2^32 - 1 in decimal. */
  decimal(value: number): void {
    if (value < 1000) {
      this.view.setInt32(this.at, shortWords[value] as number, true);
      this.at += shortLengths[value] as number;
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

  /** The address at `from`, of AF_INET or AF_INET6, in the form of readAddress. */
  address(bytes: Uint8Array, from: number, family: number): void {
    const { view } = this;
    let { at } = this;
    if (family === AF_INET) {
      for (let i = from; i < from + 4; i++) {
        const octet = bytes[i] as number;
        view.setInt32(at, dottedWords[octet] as number, true);
        at += dottedLengths[octet] as number;
      }
      this.at = at - 1;
    } else {
      const text = readIPv6(bytes, from);
      for (let i = 0; i < text.length; i++) view.setUint8(at + i, text.charCodeAt(i));
      this.at = at + text.length;
    }
  }
}
