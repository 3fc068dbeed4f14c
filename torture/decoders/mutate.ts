/**
 * Structure-aware mutations of datagrams: knowing where messages and attributes begin, they reach what random
 * bytes never do.
 * @module
 */
import type { TracedProtocol } from '../../lib/netlink/trace.ts';
import { align4, NLA_HDRLEN } from '../../lib/wire/attribute.ts';
import { LE } from '../../lib/wire/endian.ts';
import { NLMSG_HDRLEN } from '../../lib/wire/message.ts';

/** A mutation: which, where, and with what. All numbers are taken modulo the available range. */
export type Mutation = readonly [what: number, where: number, value: number, mend: boolean];

/** A message or an attribute, and what contains it. */
interface Span {
  readonly at: number;
  /** Without padding. */
  readonly length: number;
  /** Outermost first. */
  readonly within: readonly Span[];
}

/** More than a socket reads of a datagram (native/receive_buffers.h, kSlot). */
const MOST = 64 * 1024;
const DEEPEST = 5;
const isMessage = ({ within }: Span) => within.length === 0;

/** Wrong lengths, in addition to those close to the correct one. */
const LENGTHS = [0, 1, 3, 4, 5, 15, 16, 17, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xffffffff];

/** The messages of a datagram and their attributes, as far as they are well-formed. */
function spansOf(bytes: Uint8Array, traced: TracedProtocol): Span[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const spans: Span[] = [];
  const attributes = (from: number, end: number, within: readonly Span[]): void => {
    for (let at = from; end - at >= NLA_HDRLEN; ) {
      const length = view.getUint16(at, LE);
      if (length < NLA_HDRLEN || length > end - at) return;
      const span = { at, length, within };
      spans.push(span);
      // Data that is not a nest seldom looks like one; where it does, more is tried.
      if (within.length < DEEPEST) attributes(at + NLA_HDRLEN, at + length, [...within, span]);
      at += align4(length);
    }
  };
  for (let at = 0; bytes.length - at >= NLMSG_HDRLEN; ) {
    const length = view.getUint32(at, LE);
    if (length < NLMSG_HDRLEN || length > bytes.length - at) break;
    const span = { at, length, within: [] };
    spans.push(span);
    const flags = view.getUint16(at + 6, LE);
    const fixed = traced.contentOf(view.getUint16(at + 4, LE), flags)?.size ?? 0;
    attributes(at + NLMSG_HDRLEN + align4(fixed), at + length, [span]);
    at += align4(length);
  }
  return spans;
}

function setLength(bytes: Uint8Array, span: Span, length: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isMessage(span)) view.setUint32(span.at, length, LE);
  else view.setUint16(span.at, length, LE);
}

/** Replaces bytes, and (if `mend`) corrects the lengths of what contains them. */
function replace(
  bytes: Uint8Array,
  [at, remove, insert]: readonly [number, number, Uint8Array],
  holders: readonly Span[],
  mend: boolean,
): Uint8Array {
  const grown = bytes.length + insert.length - remove;
  if (grown > MOST) return bytes;
  const result = new Uint8Array(grown);
  result.set(bytes.subarray(0, at));
  result.set(insert, at);
  result.set(bytes.subarray(at + remove), at + insert.length);
  if (mend) {
    for (const one of holders) setLength(result, one, one.length + insert.length - remove);
  }
  return result;
}

function header(type: number, payload: number): Uint8Array {
  const bytes = new Uint8Array(NLA_HDRLEN);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, NLA_HDRLEN + payload, LE);
  view.setUint16(2, type, LE);
  return bytes;
}

/** Applies a mutation: to the raw bytes, or to a span. */
type Change = (
  bytes: Uint8Array,
  span: Span,
  [where, value, mend]: readonly [number, number, boolean],
  other: Uint8Array,
  traced: TracedProtocol,
) => Uint8Array;

const whole = (bytes: Uint8Array, { at, length }: Span): Uint8Array => {
  const padded = new Uint8Array(align4(length));
  padded.set(bytes.subarray(at, at + length));
  return padded;
};

const CHANGES: readonly Change[] = [
  // Flip a bit.
  (bytes, _, [where, value]) => {
    bytes[where % bytes.length] = (bytes[where % bytes.length] as number) ^ (1 << (value % 8));
    return bytes;
  },
  // Change a byte.
  (bytes, _, [where, value]) => {
    bytes[where % bytes.length] = value;
    return bytes;
  },
  // Change an aligned 32-bit number.
  (bytes, { at, length }, [where, value]) => {
    const offset = at + ((where % length) & ~3);
    if (offset + 4 > bytes.length) return bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    view.setUint32(
      offset,
      value % 3 === 0 ? (LENGTHS[value % LENGTHS.length] as number) : value,
      LE,
    );
    return bytes;
  },
  // Set a wrong length.
  (bytes, span, [where, value]) => {
    const near = span.length + (where % 17) - 8;
    setLength(bytes, span, value % 2 ? near : (LENGTHS[where % LENGTHS.length] as number));
    return bytes;
  },
  // Truncate, with or without correcting the last message's length.
  (bytes, span, [where, _, mend]) => {
    const cut = bytes.slice(0, where % bytes.length);
    const outer = span.within[0] ?? span;
    if (mend && outer.at + 4 <= cut.length) setLength(cut, outer, cut.length - outer.at);
    return cut;
  },
  // Nest an attribute in an attribute.
  (bytes, span, [where, value, mend]) => {
    if (isMessage(span)) return bytes;
    let inner = whole(bytes, span);
    for (let depth = 1 + (where % 8); depth > 0; depth--) {
      inner = new Uint8Array(Buffer.concat([header(value & 0x80ff, inner.length), inner]));
    }
    const room = Math.min(align4(span.length), bytes.length - span.at);
    return replace(bytes, [span.at, room, inner], span.within, mend);
  },
  // Insert a part of another message.
  (bytes, span, [where, value, mend], other, traced) => {
    const parts = spansOf(other, traced).filter((one) => !isMessage(one));
    const donor = parts[value % Math.max(1, parts.length)];
    if (donor === undefined) return bytes;
    const at = where % 2 ? span.at : Math.min(bytes.length, span.at + align4(span.length));
    return replace(bytes, [at, 0, whole(other, donor)], span.within, mend);
  },
  // Repeat many times.
  (bytes, span, [where, _, mend]) => {
    const one = whole(bytes, span);
    const copies = new Uint8Array(
      Buffer.concat(Array.from({ length: 1 + (where % 24) }, () => one)),
    );
    return replace(bytes, [span.at, 0, copies], span.within, mend);
  },
  // Remove something.
  (bytes, span, [_, __, mend]) =>
    replace(
      bytes,
      [span.at, Math.min(align4(span.length), bytes.length - span.at), EMPTY],
      span.within,
      mend,
    ),
  // Change a type.
  (bytes, span, [where, value]) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    view.setUint16(
      span.at + (isMessage(span) ? 4 : 2),
      where % 2 ? value & 0x3f : value & 0xffff,
      LE,
    );
    return bytes;
  },
  // Lengthen or shorten a payload.
  (bytes, span, [where, value, mend]) => {
    const end = span.at + span.length;
    const by = 1 + (where % 40);
    const holders = [...span.within, span];
    if (value % 2) return replace(bytes, [end, 0, new Uint8Array(by).fill(value)], holders, mend);
    const most = span.length - (isMessage(span) ? NLMSG_HDRLEN : NLA_HDRLEN);
    const remove = Math.min(by, most);
    return replace(bytes, [end - remove, remove, EMPTY], holders, mend);
  },
  // Append another datagram.
  (bytes, _, __, other) =>
    bytes.length + other.length > MOST
      ? bytes
      : new Uint8Array(
          Buffer.concat([whole(bytes, { at: 0, length: bytes.length, within: [] }), other]),
        ),
];

const EMPTY = new Uint8Array(0);

/** The number of kinds of mutation. */
export const KINDS_OF_CHANGE: number = CHANGES.length;

/** Mutates a datagram; parts of other messages are taken from `other`. */
export function mutate(
  datagram: Uint8Array,
  mutations: readonly Mutation[],
  other: Uint8Array,
  traced: TracedProtocol,
): Uint8Array {
  let bytes: Uint8Array = datagram.slice();
  for (const [what, where, value, mend] of mutations) {
    if (bytes.length === 0) break;
    const spans = spansOf(bytes, traced);
    const none: Span = { at: 0, length: bytes.length, within: [] };
    // The whole number selects the span, its higher part what to do there.
    const span = spans[where % Math.max(1, spans.length)] ?? none;
    // Too short for anything but cutting.
    if (bytes.length < NLMSG_HDRLEN) bytes = bytes.slice(1);
    else {
      const change = CHANGES[what % CHANGES.length] as Change;
      bytes = change(bytes, span, [Math.floor(where / 7), value, mend], other, traced);
    }
  }
  return bytes;
}
