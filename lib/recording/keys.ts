/**
 * Removes keys from XFRM messages in place, with zeros: lengths stay, so everything else decodes as
 * before. Whatever is not known to hold no key is treated as one, as in decoded events: unknown
 * messages, unknown and misplaced attributes, and what follows a malformed length.
 * @module
 */
import { align4, NLA_HDRLEN, NLA_TYPE_MASK } from '../wire/attribute.ts';
import { type Attribute, attributesByNumber } from '../wire/attribute-table.ts';
import { LE } from '../wire/endian.ts';
import { NLMSG_HDRLEN, nextMessage } from '../wire/message.ts';
import { NUMBER_SIZE, type NumberType, offsetOf, type PlacedField } from '../wire/struct.ts';
import { messageOf } from '../xfrm/messages.ts';

/** NLMSG_MIN_TYPE: lower types are control messages of any protocol. */
const CONTROL = 16;
/** Bytes of a control message after its header that are kept: the error code. */
const ERROR_CODE = 4;

/** How many bytes at the beginning of a payload hold no key: always as many, or by what is in it. */
type Known = number | Counted;
type Counted = (view: DataView, at: number, length: number) => number;

/** In {@link Layout.known}. */
const COUNTED = -1;

/** Of one message type: bytes before the attributes, and what is known of each attribute. */
interface Layout {
  readonly size: number;
  /** Bytes by number of the attribute, 0 if it is unknown, or COUNTED. */
  readonly known: Int32Array;
  readonly counted: readonly (Counted | undefined)[];
}

/** By type; null for those that are unknown. Each event asks, so this is an array. */
const layouts: (Layout | null)[] = [];
/** Types of XFRM are below this. */
const TYPES = 256;

function layoutOf(type: number): Layout | null {
  if (type >= TYPES) return null;
  const before = layouts[type];
  if (before !== undefined) return before;
  const message = messageOf(type);
  const body = message?.event ?? message?.answer;
  let layout: Layout | null = null;
  if (body !== undefined) {
    const attributes = attributesByNumber(body.table);
    const known = new Int32Array(Math.max(...attributes.keys()) + 1);
    const counted: Counted[] = [];
    for (const [number, attribute] of attributes) {
      if (body.use?.[number] === 0) continue;
      const of = knownOf(attribute);
      if (typeof of === 'number') known[number] = of;
      else {
        known[number] = COUNTED;
        counted[number] = of;
      }
    }
    layout = { size: body.size, known, counted };
  }
  layouts[type] = layout;
  return layout;
}

function knownOf(of: Attribute): Known {
  switch (of.type) {
    case 'struct': {
      const { struct } = of;
      const tail = struct.fields.at(-1) as PlacedField;
      const { size } = struct;
      if (tail.type === 'key') return tail.offset;
      if (tail.type === 'words') {
        const count = offsetOf(struct, tail.count);
        return (view, at, length) =>
          length < size ? size : size + 4 * view.getUint32(at + count, LE);
      }
      if (tail.type === 'text') {
        const count = offsetOf(struct, tail.length);
        return (view, at, length) => (length < size ? size : size + view.getUint16(at + count, LE));
      }
      return size;
    }
    case 'list': {
      const { size } = of.struct;
      return (_, __, length) => length - (length % size);
    }
    case 'address':
      return 16;
    case 'flag':
    case 'pad':
      return 0;
    default:
      return NUMBER_SIZE[of.type as NumberType] ?? 0;
  }
}

/**
 * Overwrites all keys in a datagram of XFRM messages.
 *
 * @param bytes the memory of `view`
 */
export function removeKeys(view: DataView, bytes: Uint8Array, start: number, length: number): void {
  const end = start + length;
  for (let at = start; at < end; ) {
    const left = end - at;
    if (left < NLMSG_HDRLEN) return;
    const size = view.getUint32(at, LE);
    if (size < NLMSG_HDRLEN || size > left) {
      bytes.fill(0, at + NLMSG_HDRLEN, end);
      return;
    }
    removeFromMessage(view, bytes, at, at + size);
    const next = nextMessage(at, size);
    // Padding is not part of any message.
    for (let i = at + size; i < next && i < end; i++) bytes[i] = 0;
    at = next;
  }
}

function removeFromMessage(view: DataView, bytes: Uint8Array, start: number, end: number): void {
  const type = view.getUint16(start + 4, LE);
  const body = start + NLMSG_HDRLEN;
  const layout = layoutOf(type);
  if (layout === null) {
    bytes.fill(0, type < CONTROL ? Math.min(body + ERROR_CODE, end) : body, end);
    return;
  }
  const { known, counted } = layout;
  for (let at = body + align4(layout.size); at < end; ) {
    const left = end - at;
    const length = left < NLA_HDRLEN ? 0 : view.getUint16(at, LE);
    if (length < NLA_HDRLEN || length > left) {
      bytes.fill(0, Math.min(at + NLA_HDRLEN, end), end);
      return;
    }
    const from = at + NLA_HDRLEN;
    const payload = length - NLA_HDRLEN;
    const number = view.getUint16(at + 2, LE) & NLA_TYPE_MASK;
    const fixed = known[number] ?? 0;
    const kept = fixed !== COUNTED ? fixed : (counted[number] as Counted)(view, from, payload);
    const next = at + align4(length);
    if (kept < payload) bytes.fill(0, from + kept, from + payload);
    for (let i = at + length; i < next && i < end; i++) bytes[i] = 0;
    at = next;
  }
}
