/**
 * A buffer to write messages into; it is reused and grows as needed. Lengths are filled in when a
 * message or an attribute ends.
 * @module
 */
import { align4, NLA_HDRLEN, type OpaqueAttribute, type RawAttribute } from './attribute.ts';
import { LE } from './endian.ts';
import { EncodeError, within } from './error.ts';
import { type MessageHeader, NLMSG_HDRLEN } from './message.ts';
import { disclosed } from './opaque.ts';

/** Maximum length of an attribute: nla_len has 16 bits. */
const MAX_ATTRIBUTE = 0xffff;

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
    const at = this.#end;
    const end = at + align4(size);
    if (end > this.bytes.length) this.#grow(end);
    this.#end = end;
    return at;
  }

  /** Begins a message and returns its offset, for {@link endMessage}. */
  beginMessage({ type, flags, seq, portId }: MessageHeader): number {
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
  endMessage(at: number, size = this.#end - at): void {
    this.view.setUint32(at, size, LE);
  }

  /**
   * Writes the header of an attribute with `size` bytes of payload, and returns the offset of the
   * payload.
   */
  attribute(type: number, size: number): number {
    const length = NLA_HDRLEN + size;
    if (length > MAX_ATTRIBUTE) {
      throw new EncodeError(`has ${size} bytes; at most ${MAX_ATTRIBUTE - NLA_HDRLEN} fit`, []);
    }
    const at = this.reserve(length);
    this.view.setUint16(at, length, LE);
    this.view.setUint16(at + 2, type, LE);
    return at + NLA_HDRLEN;
  }

  /** Begins an attribute that holds attributes, and returns its offset, for {@link endNest}. */
  beginNest(type: number): number {
    return this.attribute(type, 0) - NLA_HDRLEN;
  }

  /** Ends the nest at `at`. */
  endNest(at: number): void {
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
  raw({ type, flags, bytes }: RawAttribute | OpaqueAttribute, zeroed = false): void {
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

  #grow(least: number): void {
    const grown = new Uint8Array(Math.max(least, 2 * this.bytes.length));
    grown.set(this.written());
    this.bytes.fill(0);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}
