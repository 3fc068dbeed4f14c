/**
 * Netlink attributes (struct nlattr of `linux/netlink.h`): length, type, payload, each padded
 * to four bytes.
 * @module
 */
import { LE } from './endian.ts';
import { DecodeError } from './error.ts';
import { type OpaqueBytes, opaque } from './opaque.ts';
import { readString } from './text.ts';

export const NLA_HDRLEN = 4;
/** Bits of nla_type that are not part of the number. */
export const NLA_F_NESTED = 0x8000;
export const NLA_F_NET_BYTEORDER = 0x4000;
export const NLA_TYPE_MASK = 0x3fff;

/** The next multiple of four (NLMSG_ALIGN, NLA_ALIGN, RTA_ALIGN). */
export const align4 = (length: number): number => (length + 3) & ~3;

/**
 * An attribute as received. Attributes unknown to this library are kept like this if they cannot be
 * keys.
 */
export interface RawAttribute {
  /** Its number, without the flag bits. */
  readonly type: number;
  /** NLA_F_NESTED and NLA_F_NET_BYTEORDER as received; the kernel sets them inconsistently. */
  readonly flags: number;
  /** A copy of its payload. */
  readonly bytes: Uint8Array;
}

/**
 * An attribute that this library cannot interpret, of a protocol that carries keys: unknown, or out
 * of place.
 */
export interface OpaqueAttribute extends Omit<RawAttribute, 'bytes'> {
  /** Its payload: the length, and the bytes only with `keys: true`. */
  readonly bytes: OpaqueBytes;
}

/**
 * The length in bytes, header included, of the attribute at `at`.
 * @throws DecodeError if the attribute extends beyond `end`
 */
export function attributeLength(view: DataView, at: number, end: number): number {
  const left = end - at;
  if (left < NLA_HDRLEN) {
    throw new DecodeError(`${left} trailing bytes are too few for an attribute header`, {
      path: [],
      offset: at,
      expected: NLA_HDRLEN,
      found: left,
    });
  }
  const length = view.getUint16(at, LE);
  if (length < NLA_HDRLEN || length > left) {
    const type = view.getUint16(at + 2, LE) & NLA_TYPE_MASK;
    throw new DecodeError(`attribute ${type} has length ${length}, but ${left} bytes are left`, {
      path: [],
      offset: at,
      expected: length,
      found: left,
    });
  }
  return length;
}

/**
 * The offset of the payload of an attribute between `at` and `end`; undefined if it is absent. If
 * there are several, the last one wins, as when attributes are read one by one.
 */
export function findAttribute(
  view: DataView,
  at: number,
  end: number,
  type: number,
): number | undefined {
  let found: number | undefined;
  while (at < end) {
    const length = attributeLength(view, at, end);
    if ((view.getUint16(at + 2, LE) & NLA_TYPE_MASK) === type) found = at + NLA_HDRLEN;
    at += align4(length);
  }
  return found;
}

/** The 16-bit number in an attribute; undefined if it is absent or shorter. */
export function findU16(view: DataView, at: number, end: number, type: number): number | undefined {
  const found = findAttribute(view, at, end, type);
  if (found === undefined || view.getUint16(found - NLA_HDRLEN, LE) < NLA_HDRLEN + 2) {
    return undefined;
  }
  return view.getUint16(found, LE);
}

/** The text in an attribute; undefined if it is absent. */
export function findString(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
): string | undefined {
  const found = findAttribute(view, at, end, type);
  if (found === undefined) return undefined;
  return readString(bytes, found, view.getUint16(found - NLA_HDRLEN, LE) - NLA_HDRLEN);
}

/** A copy of the attribute at `at`. */
export function rawAttribute(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  length: number,
): RawAttribute {
  const type = view.getUint16(at + 2, LE);
  return {
    type: type & NLA_TYPE_MASK,
    flags: type & ~NLA_TYPE_MASK,
    bytes: bytes.slice(at + NLA_HDRLEN, at + length),
  };
}

/** The attribute at `at`, with a copy of its payload only if keys were requested. */
export function opaqueAttribute(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  length: number,
  keys: boolean,
): OpaqueAttribute {
  const type = view.getUint16(at + 2, LE);
  return {
    type: type & NLA_TYPE_MASK,
    flags: type & ~NLA_TYPE_MASK,
    bytes: opaque(bytes, at + NLA_HDRLEN, length - NLA_HDRLEN, keys),
  };
}

/** All attributes between `at` and `end`, uninterpreted. */
export function readRawAttributes(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  end: number,
): RawAttribute[] {
  const attributes: RawAttribute[] = [];
  while (at < end) {
    const length = attributeLength(view, at, end);
    attributes.push(rawAttribute(view, bytes, at, length));
    at += align4(length);
  }
  return attributes;
}
