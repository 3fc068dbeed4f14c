/**
 * Attributes of any protocol, read one by one: for generic netlink, sock_diag and others that this library has no
 * tables for.
 * @module
 */
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
 * What the attributes of a protocol are called, by number. Errors name attributes by it. A name, or a name and the
 * names of the attributes inside.
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

/** The names of what lies in an attribute. */
export const namesInside = (
  names: AttributeNames | undefined,
  type: number,
): AttributeNames | undefined => {
  const named = names?.[type];
  return typeof named === 'object' ? named.inside : undefined;
};

/** What an attribute was found in. */
interface AttributeLocation {
  /** What it lies in, outermost first. */
  readonly path: readonly string[];
  /** Where `bytes` begin in what {@link DecodeError.offset} counts from. */
  readonly base: number;
  readonly names: AttributeNames | undefined;
}

/**
 * One attribute. Each method reads the payload as one type.
 *
 * @throws every method: DecodeError if the payload does not have the length of that type
 */
export class NetlinkAttribute {
  /** Its number, without the flag bits. */
  readonly type: number;
  /** NLA_F_NESTED and NLA_F_NET_BYTEORDER as they came. Many subsystems do not set them. */
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

  /** In host byte order, or big-endian if the attribute says so (NLA_F_NET_BYTEORDER). */
  u16(): number {
    return this.#number(2).getUint16(0, this.#little);
  }

  /** Likewise. */
  u32(): number {
    return this.#number(4).getUint32(0, this.#little);
  }

  /** Likewise. */
  u64(): bigint {
    return this.#number(8).getBigUint64(0, this.#little);
  }

  /** 8 bits with a sign. */
  s8(): number {
    return this.#number(1).getInt8(0);
  }

  /** 16 bits with a sign. */
  s16(): number {
    return this.#number(2).getInt16(0, this.#little);
  }

  /** 32 bits with a sign. */
  s32(): number {
    return this.#number(4).getInt32(0, this.#little);
  }

  /** 64 bits with a sign. */
  s64(): bigint {
    return this.#number(8).getBigInt64(0, this.#little);
  }

  /** Big-endian, whatever the attribute says: ports and SPIs, for example. */
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

  /** A number of 4 or 8 bytes, by its length (NLA_UINT of newer families). */
  uint(): bigint {
    return this.bytes.length === 4 ? BigInt(this.u32()) : this.u64();
  }

  /** The same with a sign (NLA_SINT). */
  sint(): bigint {
    return this.bytes.length === 4 ? BigInt(this.s32()) : this.s64();
  }

  /** Numbers of 32 bits in host byte order, one after another. */
  u32s(): number[] {
    const { bytes } = this;
    if (bytes.length % 4 !== 0) {
      this.#refuse(`has ${bytes.length} bytes, not a multiple of 4`, bytes.length & ~3);
    }
    const view = viewOf(bytes);
    return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, LE));
  }

  /**
   * Text up to the first NUL, or to the end. A byte that is not UTF-8 becomes one lone surrogate (U+DC80 to U+DCFF);
   * show foreign text with `printable()`.
   */
  string(): string {
    return readText(this.bytes, 0, this.bytes.length);
  }

  /** An IP address as text, by its length: 4 bytes or 16. */
  ip(): string {
    if (this.bytes.length !== 16) this.#number(4);
    return formatIp(this.bytes);
  }

  /**
   * The attributes inside. An array is read with it too: a nest whose attributes are the entries.
   *
   * @param header bytes of a struct before them
   * @throws DecodeError if they do not hold together
   */
  nest(header = 0): NetlinkAttributes {
    const { path, base, names } = this.#place;
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
 * The attributes of a message, or inside one. Iterates over them in the order in which they lie.
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
   * @param place what they lie in, for errors
   * @throws DecodeError if a length does not fit
   */
  constructor(bytes: Uint8Array, { path = [], base = 0, names }: Partial<AttributeLocation> = {}) {
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

  /** How many there are. */
  get size(): number {
    return this.#all.length;
  }

  /** The attribute of a number; the last of several, as the kernel reads them (lib/nlattr.c). */
  get(type: number): NetlinkAttribute | undefined {
    return this.#all.findLast((one) => one.type === type);
  }

  /** Whether there is one of that number: what a flag says. */
  has(type: number): boolean {
    return this.get(type) !== undefined;
  }

  /** All of them, in the order in which they lie. */
  [Symbol.iterator](): IterableIterator<NetlinkAttribute> {
    return this.#all.values();
  }
}
