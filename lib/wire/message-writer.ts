/**
 * A buffer to write messages into; it is reused and grows as needed. Lengths are filled in when a
 * message or an attribute ends.
 * @module
 */
import { integer, object } from '../base/argument.ts';
import { align4, NLA_HDRLEN, type OpaqueAttribute, type RawAttribute } from './attribute.ts';
import { LE } from './endian.ts';
import { EncodeError, within } from './error.ts';
import { u16, u32 } from './integer.ts';
import { type MessageHeader, NLMSG_HDRLEN } from './message.ts';
import { disclosed } from './opaque.ts';

/** Maximum length of an attribute: nla_len has 16 bits. */
const MAX_ATTRIBUTE = 0xffff;
/** Most bytes at a time: far more than a socket sends. */
const MAX_LENGTH = 0x4000_0000;

const isSize = (value: number): boolean =>
  typeof value === 'number' && value >>> 0 === value && value <= MAX_LENGTH;

function refuse(name: string, value: unknown): never {
  integer(name, value, 0, MAX_LENGTH);
  throw new Error('unreachable');
}

/**
 * A growing buffer of consecutive messages.
 *
 * All memory after the end is zero, so reserved space is padding until it is written. Messages may
 * hold keys: {@link wipe} overwrites them, and growing overwrites the memory it leaves behind.
 */
export class MessageWriter implements Disposable {
  /** The memory. May be replaced by {@link reserve}, {@link attribute} or {@link beginMessage}. */
  bytes: Uint8Array<ArrayBuffer>;
  /** The same memory. */
  view: DataView<ArrayBuffer>;
  #end = 0;

  /** @param capacity initial size in bytes */
  constructor(capacity = 4096) {
    if (!isSize(capacity)) refuse('capacity', capacity);
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Number of bytes written. */
  get length(): number {
    return this.#end;
  }

  /** The bytes written: the writer's own memory, valid until the next write or wipe. */
  written(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.#end);
  }

  /** Reserves `size` zero bytes, padded to a multiple of four, and returns their offset. */
  reserve(size: number): number {
    if (!isSize(size)) refuse('size', size);
    const at = this.#end;
    const end = at + align4(size);
    if (end > this.bytes.length) this.#grow(end);
    this.#end = end;
    return at;
  }

  /** Begins a message and returns its offset, for {@link endMessage}. */
  beginMessage(header: MessageHeader): number {
    object('header', header);
    const type = u16(header.type, 'type');
    const flags = u16(header.flags, 'flags');
    const seq = u32(header.seq, 'seq');
    const portId = u32(header.portId, 'portId');
    const at = this.reserve(NLMSG_HDRLEN);
    this.view.setUint16(at + 4, type, LE);
    this.view.setUint16(at + 6, flags, LE);
    this.view.setUint32(at + 8, seq, LE);
    this.view.setUint32(at + 12, portId, LE);
    return at;
  }

  /**
   * Ends the message at `at`.
   * @param size its nlmsg_len; by default it includes the padding at the end, as in the kernel
   */
  endMessage(at: number, size?: number): void {
    this.#within(at, NLMSG_HDRLEN);
    const length = size ?? this.#end - at;
    if (!isSize(length)) refuse('size', length);
    this.view.setUint32(at, length, LE);
  }

  /**
   * Writes the header of an attribute with `size` bytes of payload, and returns the offset of the
   * payload.
   */
  attribute(type: number, size: number): number {
    if (!isSize(size)) refuse('size', size);
    const number = u16(type, 'type');
    const length = NLA_HDRLEN + size;
    if (length > MAX_ATTRIBUTE) {
      throw new EncodeError(`has ${size} bytes; at most ${MAX_ATTRIBUTE - NLA_HDRLEN} fit`, []);
    }
    const at = this.reserve(length);
    this.view.setUint16(at, length, LE);
    this.view.setUint16(at + 2, number, LE);
    return at + NLA_HDRLEN;
  }

  /** Begins an attribute that holds attributes, and returns its offset, for {@link endNest}. */
  beginNest(type: number): number {
    return this.attribute(type, 0) - NLA_HDRLEN;
  }

  /** Ends the nest at `at`. */
  endNest(at: number): void {
    this.#within(at, NLA_HDRLEN);
    const length = this.#end - at;
    if (length > MAX_ATTRIBUTE) {
      throw new EncodeError(
        `has ${length - NLA_HDRLEN} bytes; at most ${MAX_ATTRIBUTE - NLA_HDRLEN} fit`,
        [],
      );
    }
    this.view.setUint16(at, length, LE);
  }

  /**
   * Writes a raw attribute.
   * @param zeroed whether to write zeros for undisclosed bytes
   * @throws EncodeError if they are undisclosed
   */
  raw(attribute: RawAttribute | OpaqueAttribute, zeroed = false): void {
    object('attribute', attribute);
    const { bytes } = attribute;
    const type = u16(attribute.type, 'type');
    const flags = u16(attribute.flags, 'flags');
    let payload: Uint8Array | undefined;
    try {
      payload = disclosed(bytes, zeroed);
    } catch (error) {
      throw within(error, `attribute ${type}`);
    }
    const at = this.attribute(type | flags, bytes.length);
    if (payload !== undefined) this.bytes.set(payload, at);
  }

  /** Discards everything from `at` on: after an error, an unfinished message. */
  cut(at: number): void {
    this.#within(at, 0);
    this.bytes.fill(0, at, this.#end);
    this.#end = at;
  }

  /** Overwrites everything that was written; the writer is empty again. */
  wipe(): void {
    this.cut(0);
  }

  /** The same as {@link wipe}, for `using`. */
  [Symbol.dispose](): void {
    this.wipe();
  }

  /** Refuses an offset at which fewer than `least` bytes were written. */
  #within(at: number, least: number): void {
    if (!isSize(at) || at > this.#end - least) integer('at', at, 0, Math.max(0, this.#end - least));
  }

  #grow(least: number): void {
    const grown = new Uint8Array(Math.max(least, 2 * this.bytes.length));
    grown.set(this.written());
    this.bytes.fill(0);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}
