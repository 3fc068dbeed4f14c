/** Attributes of any protocol, written one by one. @module */
import { shown } from '../base/shown.ts';
import { ANY_FAMILY, addressFamily, ipLengthOf, writeIp } from './address.ts';
import { NLA_F_NESTED } from './attribute.ts';
import { type AttributeNames, attributeName, namesInside } from './attribute-reader.ts';
import { LE } from './endian.ts';
import { EncodeError, within } from './error.ts';
import { s32, u8, u16, u32, writeBe64, writeU64 } from './integer.ts';
import type { MessageWriter } from './message-writer.ts';
import { textBytes } from './text.ts';

/**
 * Writes attributes one after another. Every method takes the attribute's number first and returns the writer.
 * Numbers are in host byte order, those of `be16` and so on big-endian.
 *
 * @throws every method: EncodeError for a value that does not fit, with the attribute in its `path`
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

  /** @param writer where to write, at its end */
  constructor(writer: MessageWriter, names?: AttributeNames) {
    this.#writer = writer;
    this.#names = names;
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

  /** 32 bits with a sign. */
  s32(type: number, value: number): this {
    return this.#number(type, 4, value, (view, at, name) =>
      view.setInt32(at, s32(value, name), LE),
    );
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

  /** Text, with a NUL at its end. */
  string(type: number, text: string): this {
    if (typeof text !== 'string') this.#refuse(type, 'a string', text);
    if (text.includes('\0')) throw new EncodeError('contains a NUL character', [this.#name(type)]);
    return this.#named(type, () => {
      const bytes = textBytes(text);
      const at = this.#writer.attribute(type, bytes.length + 1);
      this.#writer.bytes.set(bytes, at);
    });
  }

  /** Bytes as they are. */
  bytes(type: number, bytes: Uint8Array): this {
    if (!(bytes instanceof Uint8Array)) this.#refuse(type, 'a Uint8Array', bytes);
    return this.#named(type, () => {
      const at = this.#writer.attribute(type, bytes.length);
      this.#writer.bytes.set(bytes, at);
    });
  }

  /** An IPv4 or IPv6 address, in 4 or 16 bytes. */
  ip(type: number, address: string): this {
    if (typeof address !== 'string' || addressFamily(address) === undefined) {
      this.#refuse(type, 'an IP address', address);
    }
    const at = this.#writer.attribute(type, ipLengthOf(address, ANY_FAMILY, ''));
    writeIp(this.#writer.bytes, at, address, '');
    return this;
  }

  /** An attribute without a payload: it says yes by being there. */
  flag(type: number): this {
    return this.#named(type, () => this.#writer.attribute(type, 0));
  }

  /** Attributes inside one, which gets the flag NLA_F_NESTED. Of an array: an attribute for each entry. */
  nest(type: number, write: (inside: AttributeWriter) => unknown): this {
    if (typeof write !== 'function')
      this.#refuse(type, 'a function that writes the nested attributes', write);
    return this.#named(type, () => {
      const at = this.#writer.beginNest(type | NLA_F_NESTED);
      write(new AttributeWriter(this.#writer, namesInside(this.#names, type)));
      this.#writer.endNest(at);
    });
  }

  #name(type: number): string {
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
    // What is missing would be written as 0.
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
