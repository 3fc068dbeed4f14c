/** Writes attributes of any protocol one by one. @module */
import { shown } from '../base/shown.ts';
import { ANY_FAMILY, addressFamily, ipLengthOf, writeIp } from './address.ts';
import { NLA_F_NESTED } from './attribute.ts';
import { type AttributeNames, attributeName, namesInside } from './attribute-reader.ts';
import { LE } from './endian.ts';
import { EncodeError, within } from './error.ts';
import { signed, signed64, u8, u16, u32, writeBe64, writeU64 } from './integer.ts';
import type { MessageWriter } from './message-writer.ts';
import { textBytes } from './text.ts';

const isNumeric = (value: unknown): boolean =>
  typeof value === 'number' || typeof value === 'bigint';

/**
 * Writes attributes one after another. Every method takes the attribute's number first and returns
 * the writer. Numbers are in host byte order, except for `be16`, `be32` and `be64`.
 *
 * @throws every method: EncodeError for an invalid value, with the attribute in its `path`
 *
 * @example
 * connection.request({
 *   type: family,
 *   header: Uint8Array.of(NL80211_CMD_TRIGGER_SCAN, 0, 0, 0),
 *   attributes: (write) =>
 *     write.u32(NL80211_ATTR_IFINDEX, 3).nest(NL80211_ATTR_SCAN_SSIDS, (ssids) => ssids.bytes(1, ssid)),
 * });
 */
export class AttributeWriter {
  readonly #writer: MessageWriter;
  readonly #names: AttributeNames | undefined;
  #ended = false;

  /** @param writer appended to */
  constructor(writer: MessageWriter, names?: AttributeNames) {
    this.#writer = writer;
    this.#names = names;
  }

  /**
   * Calls a function that writes attributes. It must be synchronous: afterwards, the memory belongs
   * to another message.
   * @internal
   */
  static within(
    writer: MessageWriter,
    names: AttributeNames | undefined,
    write: (attributes: AttributeWriter) => unknown,
  ): void {
    const attributes = new AttributeWriter(writer, names);
    try {
      if (write(attributes) instanceof Promise) {
        throw new EncodeError('must be written by a synchronous function', []);
      }
    } finally {
      attributes.#ended = true;
    }
  }

  /** 8 bits. */
  u8(type: number, value: number): this {
    return this.#number(type, 1, value, (view, at, name) => view.setUint8(at, u8(value, name)));
  }

  /** 16 bits. */
  u16(type: number, value: number): this {
    return this.#number(type, 2, value, (view, at, name) =>
      view.setUint16(at, u16(value, name), LE),
    );
  }

  /** 32 bits. */
  u32(type: number, value: number): this {
    return this.#number(type, 4, value, (view, at, name) =>
      view.setUint32(at, u32(value, name), LE),
    );
  }

  /** 64 bits. */
  u64(type: number, value: bigint | number): this {
    return this.#number(type, 8, value, (view, at, name) => writeU64(view, at, value, name));
  }

  /** 8 bits, signed. */
  s8(type: number, value: number): this {
    return this.#number(type, 1, value, (view, at, name) =>
      view.setInt8(at, signed(value, 8, name)),
    );
  }

  /** 16 bits, signed. */
  s16(type: number, value: number): this {
    return this.#number(type, 2, value, (view, at, name) =>
      view.setInt16(at, signed(value, 16, name), LE),
    );
  }

  /** 32 bits, signed. */
  s32(type: number, value: number): this {
    return this.#number(type, 4, value, (view, at, name) =>
      view.setInt32(at, signed(value, 32, name), LE),
    );
  }

  /** 64 bits, signed. */
  s64(type: number, value: bigint | number): this {
    return this.#number(type, 8, value, (view, at, name) =>
      view.setBigInt64(at, signed64(value, name), LE),
    );
  }

  /** 4 bytes if the number fits, otherwise 8 (NLA_UINT of newer families). */
  uint(type: number, value: bigint | number): this {
    return isNumeric(value) && value >= 0 && value <= 0xffff_ffff
      ? this.u32(type, Number(value))
      : this.u64(type, value);
  }

  /** The same, signed (NLA_SINT). */
  sint(type: number, value: bigint | number): this {
    return isNumeric(value) && value >= -0x8000_0000 && value <= 0x7fff_ffff
      ? this.s32(type, Number(value))
      : this.s64(type, value);
  }

  /** An array of 32-bit numbers. */
  u32s(type: number, values: readonly number[]): this {
    if (!Array.isArray(values)) this.#refuse(type, 'an array of numbers', values);
    return this.#named(type, () => {
      const at = this.#writer.attribute(type, 4 * values.length);
      values.forEach((value, i) => {
        if (value === undefined) throw new EncodeError('is missing', [`[${i}]`]);
        this.#writer.view.setUint32(at + 4 * i, u32(value, `[${i}]`), LE);
      });
    });
  }

  /** 16 bits, big-endian: a port, for example. */
  be16(type: number, value: number): this {
    return this.#number(type, 2, value, (view, at, name) => view.setUint16(at, u16(value, name)));
  }

  /** 32 bits, big-endian: an SPI, for example. */
  be32(type: number, value: number): this {
    return this.#number(type, 4, value, (view, at, name) => view.setUint32(at, u32(value, name)));
  }

  /** 64 bits, big-endian. */
  be64(type: number, value: bigint | number): this {
    return this.#number(type, 8, value, (view, at, name) => writeBe64(view, at, value, name));
  }

  /** Text with a trailing NUL. */
  string(type: number, text: string): this {
    if (typeof text !== 'string') this.#refuse(type, 'a string', text);
    if (text.includes('\0')) throw new EncodeError('contains a NUL character', [this.#name(type)]);
    return this.#named(type, () => {
      const bytes = textBytes(text);
      const at = this.#writer.attribute(type, bytes.length + 1);
      this.#writer.bytes.set(bytes, at);
    });
  }

  /** Raw bytes. */
  bytes(type: number, bytes: Uint8Array): this {
    if (!(bytes instanceof Uint8Array)) this.#refuse(type, 'a Uint8Array', bytes);
    return this.#named(type, () => {
      const at = this.#writer.attribute(type, bytes.length);
      this.#writer.bytes.set(bytes, at);
    });
  }

  /** An IPv4 or IPv6 address, as 4 or 16 bytes. */
  ip(type: number, address: string): this {
    if (typeof address !== 'string' || addressFamily(address) === undefined) {
      this.#refuse(type, 'an IP address', address);
    }
    return this.#named(type, () => {
      const at = this.#writer.attribute(type, ipLengthOf(address, ANY_FAMILY, ''));
      writeIp(this.#writer.bytes, at, address, '');
    });
  }

  /** An attribute without a payload: true if present. */
  flag(type: number): this {
    return this.#named(type, () => this.#writer.attribute(type, 0));
  }

  /** A nested attribute, with the flag NLA_F_NESTED. For an array: one attribute for each entry. */
  nest(type: number, write: (inside: AttributeWriter) => unknown): this {
    if (typeof write !== 'function')
      this.#refuse(type, 'a function that writes the nested attributes', write);
    return this.#named(type, () => {
      const at = this.#writer.beginNest(type | NLA_F_NESTED);
      AttributeWriter.within(this.#writer, namesInside(this.#names, type), write);
      this.#writer.endNest(at);
    });
  }

  #name(type: number): string {
    if (this.#ended) throw new EncodeError('was written after its function had returned', []);
    if (!Number.isInteger(type) || type < 0 || type > 0xffff) {
      throw new EncodeError(`${shown(type)} is not a valid attribute number`, []);
    }
    return attributeName(this.#names, type);
  }

  #number(
    type: number,
    size: number,
    value: bigint | number,
    write: (view: DataView, at: number, name: string) => void,
  ): this {
    const name = this.#name(type);
    // Otherwise a missing value would be written as 0.
    if (value === undefined) this.#refuse(type, 'a number', value);
    const at = this.#writer.attribute(type, size);
    write(this.#writer.view, at, name);
    return this;
  }

  #named(type: number, write: () => void): this {
    const name = this.#name(type);
    try {
      write();
    } catch (error) {
      throw within(error, name);
    }
    return this;
  }

  #refuse(type: number, expected: string, value: unknown): never {
    throw new EncodeError(`must be ${expected}; received ${shown(value)}`, [this.#name(type)]);
  }
}
