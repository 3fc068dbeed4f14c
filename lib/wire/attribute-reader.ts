/**
 * Reads attributes of any protocol one by one: for generic netlink, sock_diag and others for which
 * this library has no tables.
 * @module
 */
import { integer, object, wrongType } from '../base/argument.ts';
import { formatIp } from './address.ts';
import {
  align4,
  attributeLength,
  NLA_F_NET_BYTEORDER,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
} from './attribute.ts';
import { LE } from './endian.ts';
import { DecodeError } from './error.ts';
import { readText } from './text.ts';

/**
 * The attribute names of a protocol, by number, for use in errors. Each is a name, or a name with
 * the names of the nested attributes.
 *
 * @example
 * const names = { 1: 'CTRL_ATTR_FAMILY_ID', 2: 'CTRL_ATTR_FAMILY_NAME' };
 */
export interface AttributeNames {
  readonly [type: number]: string | { readonly name: string; readonly inside: AttributeNames };
}

/** The name of an attribute, or its number. */
export function attributeName(names: AttributeNames | undefined, type: number): string {
  const named = names?.[type];
  return (typeof named === 'object' ? named.name : named) ?? `attribute ${type}`;
}

/** The names of the attributes nested in an attribute. */
export const namesInside = (
  names: AttributeNames | undefined,
  type: number,
): AttributeNames | undefined => {
  const named = names?.[type];
  return typeof named === 'object' ? named.inside : undefined;
};

/** Where an attribute was found. */
interface AttributeLocation {
  /** The enclosing attributes, outermost first. */
  readonly path: readonly string[];
  /** The position of `bytes`, from the origin of {@link DecodeError.offset}. */
  readonly base: number;
  readonly names: AttributeNames | undefined;
}

/**
 * One attribute. Each method reads the payload as one type.
 *
 * @throws every method: DecodeError if the payload does not have the length of the type
 */
export class NetlinkAttribute {
  /** Its number, without the flag bits. */
  readonly type: number;
  /** NLA_F_NESTED and NLA_F_NET_BYTEORDER as received. Many subsystems do not set them. */
  readonly flags: number;
  /** Its payload, without padding. */
  readonly bytes: Uint8Array;
  readonly #place: AttributeLocation;

  /** @internal Made by {@link NetlinkAttributes}. */
  constructor(type: number, flags: number, bytes: Uint8Array, place: AttributeLocation) {
    this.type = type;
    this.flags = flags;
    this.bytes = bytes;
    this.#place = place;
  }

  /** 8 bits. */
  u8(): number {
    return this.#number(1).getUint8(0);
  }

  /** Host byte order, or big-endian if the attribute says so (NLA_F_NET_BYTEORDER). */
  u16(): number {
    return this.#number(2).getUint16(0, this.#little);
  }

  /** Byte order as for `u16`. */
  u32(): number {
    return this.#number(4).getUint32(0, this.#little);
  }

  /** Byte order as for `u16`. */
  u64(): bigint {
    return this.#number(8).getBigUint64(0, this.#little);
  }

  /** 8 bits, signed. */
  s8(): number {
    return this.#number(1).getInt8(0);
  }

  /** 16 bits, signed. */
  s16(): number {
    return this.#number(2).getInt16(0, this.#little);
  }

  /** 32 bits, signed. */
  s32(): number {
    return this.#number(4).getInt32(0, this.#little);
  }

  /** 64 bits, signed. */
  s64(): bigint {
    return this.#number(8).getBigInt64(0, this.#little);
  }

  /** Big-endian, regardless of the flag NLA_F_NET_BYTEORDER: a port, for example. */
  be16(): number {
    return this.#number(2).getUint16(0);
  }

  /** Big-endian: an SPI, for example. */
  be32(): number {
    return this.#number(4).getUint32(0);
  }

  /** Big-endian. */
  be64(): bigint {
    return this.#number(8).getBigUint64(0);
  }

  /** A number of 4 or 8 bytes, by the length of the payload (NLA_UINT of newer families). */
  uint(): bigint {
    return this.bytes.length === 4 ? BigInt(this.u32()) : this.u64();
  }

  /** The same, signed (NLA_SINT). */
  sint(): bigint {
    return this.bytes.length === 4 ? BigInt(this.s32()) : this.s64();
  }

  /** An array of 32-bit numbers in host byte order. */
  u32s(): number[] {
    const { bytes } = this;
    if (bytes.length % 4 !== 0) {
      this.#refuse(`has ${bytes.length} bytes, not a multiple of 4`, bytes.length & ~3);
    }
    const view = viewOf(bytes);
    return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, LE));
  }

  /**
   * Text up to the first NUL, or to the end. A byte that is not valid UTF-8 becomes a lone
   * surrogate (U+DC80 to U+DCFF); use `printable()` to print foreign text.
   */
  string(): string {
    return readText(this.bytes, 0, this.bytes.length);
  }

  /** An IP address as text, by its length: 4 or 16 bytes. */
  ip(): string {
    if (this.bytes.length !== 16) this.#number(4);
    return formatIp(this.bytes);
  }

  /**
   * The nested attributes. Also reads an array: a nest whose attributes are the entries.
   *
   * @param header size of a struct before them, in bytes
   * @throws DecodeError if they are malformed
   */
  nest(header = 0): NetlinkAttributes {
    const { path, base, names } = this.#place;
    integer('header', header, 0, 0xffff);
    if (this.bytes.length < header) {
      this.#refuse(`needs ${header} bytes, has ${this.bytes.length}`, header);
    }
    return new NetlinkAttributes(this.bytes.subarray(align4(header)), {
      path,
      base: base + align4(header),
      names: namesInside(names, this.type),
    });
  }

  get #little(): boolean {
    return LE && (this.flags & NLA_F_NET_BYTEORDER) === 0;
  }

  #number(size: number): DataView {
    const { length } = this.bytes;
    if (length !== size) this.#refuse(`needs ${size} bytes, has ${length}`, size);
    return viewOf(this.bytes);
  }

  #refuse(reason: string, expected: number): never {
    const { path, base } = this.#place;
    throw new DecodeError(reason, { path, offset: base, expected, found: this.bytes.length });
  }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  new DataView(buffer, byteOffset, byteLength);

/**
 * The attributes of a message or of a nest. Iterates in message order.
 *
 * @example
 * const attributes = message.attributes(4);
 * const id = attributes.get(CTRL_ATTR_FAMILY_ID)?.u16();
 * for (const group of attributes.get(CTRL_ATTR_MCAST_GROUPS)?.nest() ?? []) {
 *   console.log(group.nest().get(CTRL_ATTR_MCAST_GRP_NAME)?.string());
 * }
 */
export class NetlinkAttributes implements Iterable<NetlinkAttribute> {
  readonly #all: NetlinkAttribute[] = [];

  /**
   * @param bytes attributes, each padded to four bytes; they are not copied
   * @param place where they were found, for errors
   * @throws DecodeError if a length is invalid
   */
  constructor(bytes: Uint8Array, place: Partial<AttributeLocation> = {}) {
    if (!(bytes instanceof Uint8Array)) throw wrongType('bytes', 'a Uint8Array', bytes);
    object('place', place);
    const { path = [], base = 0, names } = place;
    integer('place.base', base, 0, Number.MAX_SAFE_INTEGER);
    if (!Array.isArray(path)) throw wrongType('place.path', 'an array of strings', path);
    if (names !== undefined) object('place.names', names);
    const view = viewOf(bytes);
    try {
      for (let at = 0; at < bytes.length; ) {
        const length = attributeLength(view, at, bytes.length);
        const field = view.getUint16(at + 2, LE);
        const type = field & NLA_TYPE_MASK;
        const payload = bytes.subarray(at + NLA_HDRLEN, at + length);
        const inside = [...path, attributeName(names, type)];
        const place = { path: inside, base: base + at + NLA_HDRLEN, names };
        this.#all.push(new NetlinkAttribute(type, field & ~NLA_TYPE_MASK, payload, place));
        at += align4(length);
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      throw new DecodeError(error.reason, { ...error, path, offset: base + error.offset });
    }
  }

  /** The number of attributes. */
  get size(): number {
    return this.#all.length;
  }

  /**
   * The attribute with a number; the last one if there are several, as in the kernel
   * (lib/nlattr.c).
   */
  get(type: number): NetlinkAttribute | undefined {
    return this.#all.findLast((one) => one.type === type);
  }

  /** Whether an attribute with that number is present, as for a flag. */
  has(type: number): boolean {
    return this.get(type) !== undefined;
  }

  /** All attributes, in message order. */
  [Symbol.iterator](): IterableIterator<NetlinkAttribute> {
    return this.#all.values();
  }
}
