/**
 * Writes JSON into bytes: what xfrm-members.ts consists of. Each method writes what write.ts writes for the
 * decoded value, or refuses the message.
 * @module
 */
import { type Ascii, AsciiWriter, ascii } from '../wire/ascii.ts';
import { NLA_HDRLEN } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { HIGH, LOW, readU64 } from '../wire/integer.ts';
import { type Enumeration, type Flags, readTruth } from '../wire/names.ts';
import { isLarge, readNearest } from '../wire/time.ts';
import { XFRMA_REPLAY_ESN_MAX } from '../xfrm/constants.ts';
import { write } from './write.ts';

/** Texts kept for values beyond a byte. */
const MOST_TEXTS = 256;

/** The JSON of values that a number stands for, each made once. */
class Texts {
  readonly #meaning: (number: number) => unknown;
  readonly #bytes: (Ascii | undefined)[] = new Array(256).fill(undefined);
  readonly #larger = new Map<number, Ascii>();

  constructor(meaning: (number: number) => unknown) {
    this.#meaning = meaning;
  }

  of(number: number): Ascii {
    return (number < 256 ? this.#bytes[number] : this.#larger.get(number)) ?? this.#make(number);
  }

  #make(number: number): Ascii {
    const text = ascii(write(this.#meaning(number), false) ?? 'null');
    if (number < 256) this.#bytes[number] = text;
    else if (this.#larger.size < MOST_TEXTS) this.#larger.set(number, text);
    return text;
  }
}

/** The JSON of an enumeration's names, or of sets of flags. */
export const textsOf = (names: Enumeration<string> | Flags<string>): Texts =>
  new Texts((number) => ('of' in names ? names.of(number) : names.name(number)));

export const truthTexts = new Texts(readTruth);

/** Whether all bits of the 64-bit number at `at` are set. */
export const isAllOnes = (view: DataView, at: number): boolean =>
  (view.getInt32(at) & view.getInt32(at + 4)) === -1;

export const isZero = (view: DataView, at: number): boolean =>
  (view.getInt32(at) | view.getInt32(at + 4)) === 0;

const NULL = ascii('null');
const QUOTE = 34;
const COMMA = 44;
const MINUS = 45;
const BACKSLASH = 92;
const TILDE = 126;
/** Bytes of an algorithm's name. */
const NAME = 64;
/** Maximum number of 32-bit words in a replay window. */
const MOST_WORDS = XFRMA_REPLAY_ESN_MAX / 32;

export class JsonWriter extends AsciiWriter {
  /** Whether the message has to be decoded instead. */
  refused = false;
  #seenLow = 0;
  #seenHigh = 0;

  refuse(): void {
    this.refused = true;
  }

  /** A NUL-padded name without quotes. */
  name(bytes: Uint8Array, from: number): void {
    for (let i = from; i < from + NAME && bytes[i] !== 0; i++) {
      const letter = bytes[i] as number;
      if (letter < 32 || letter > TILDE || letter === QUOTE || letter === BACKSLASH) this.refuse();
      else this.character(letter);
    }
  }

  signed(value: number): void {
    if (value < 0) this.character(MINUS);
    this.decimal(Math.abs(value));
  }

  /** A 64-bit number, in quotes: a bigint. */
  digits(view: DataView, from: number): void {
    this.character(QUOTE);
    if (view.getUint32(from + HIGH, LE) === 0) this.decimal(view.getUint32(from + LOW, LE));
    else this.characters(`${readU64(view, from)}`);
    this.character(QUOTE);
  }

  /** A limit of bytes or packets. */
  limit(view: DataView, from: number): void {
    if (isAllOnes(view, from)) this.text(NULL);
    else this.digits(view, from);
  }

  /** A 64-bit time in seconds, as a number. */
  time(view: DataView, from: number, factor: number): void {
    if (isLarge(view, from)) {
      this.refuse();
      return;
    }
    this.decimal(readNearest(view, from) * factor);
  }

  /** The same, where 0 means no limit. */
  duration(view: DataView, from: number, factor: number): void {
    if (isZero(view, from)) this.text(NULL);
    else this.time(view, from, factor);
  }

  /** Numbers of 32 bits with commas between them. @param room bytes that are there */
  words(view: DataView, from: number, count: number, room: number): void {
    // A window that is left out, which means zeros, is left to the decoder.
    if (count > MOST_WORDS || count * 4 > room) {
      this.refuse();
      return;
    }
    for (let i = 0; i < count; i++) {
      if (i > 0) this.character(COMMA);
      this.decimal(view.getUint32(from + 4 * i, LE));
    }
  }

  /** The length of the attribute at `at`; 0 if it is invalid. */
  attributeLength(view: DataView, at: number, end: number): number {
    if (end - at < NLA_HDRLEN) return 0;
    const length = view.getUint16(at, LE);
    return length < NLA_HDRLEN || length > end - at ? 0 : length;
  }

  /** Forgets which attributes were there. */
  noneSeen(): void {
    this.#seenLow = 0;
    this.#seenHigh = 0;
  }

  /** Whether an attribute, by its number below 64, was there before; notes it. */
  seen(type: number): boolean {
    const bit = 1 << type; // modulo 32
    if (type < 32) {
      const was = this.#seenLow & bit;
      this.#seenLow |= bit;
      return was !== 0;
    }
    const was = this.#seenHigh & bit;
    this.#seenHigh |= bit;
    return was !== 0;
  }
}
