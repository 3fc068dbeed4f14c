/**
 * What diagnostics may show of XFRM messages: only what cannot be a key.
 * @module
 */
import type { TracedProtocol } from '../netlink/trace.ts';
import { type Attribute, attributesByNumber } from '../wire/attribute-table.ts';
import { LE } from '../wire/endian.ts';
import { NUMBER_SIZE, type NumberType, offsetOf, type Struct } from '../wire/struct.ts';
import { bodyOnWire, messageName } from './messages.ts';

export const tracedXfrm: TracedProtocol = {
  messageName: (type) => {
    const name = messageName(type);
    return name === undefined ? undefined : `XFRM_MSG_${name}`;
  },
  contentOf: (type, flags) => {
    const body = bodyOnWire(type, flags);
    if (body === undefined) return undefined;
    const { size, table, use } = body;
    const known = attributesByNumber(table);
    return {
      size,
      attributeName: (number) => known.get(number)?.kernel,
      // An unknown or misplaced attribute may hold a key.
      showable(number, view, at, length) {
        const attribute = known.get(number);
        if (attribute === undefined || use?.[number] === 0) return false;
        return isAllKnown(attribute, view, at, length);
      },
    };
  },
};

/** Whether a payload consists entirely of known fields, none of which is a key. */
function isAllKnown(of: Attribute, view: DataView, at: number, length: number): boolean {
  switch (of.type) {
    case 'struct':
      return length === lengthOf(of.struct, view, at, length);
    case 'list':
      return length % of.struct.size === 0;
    case 'address':
      return length === 16;
    case 'flag':
    case 'pad':
      return length === 0;
    default:
      return length === NUMBER_SIZE[of.type as NumberType];
  }
}

/**
 * The length a struct should have according to its own fields; undefined if they do not say, or if
 * it holds a key.
 */
function lengthOf(struct: Struct, view: DataView, at: number, length: number): number | undefined {
  const { fields, size } = struct;
  const tail = fields.at(-1);
  if (length < size) return undefined;
  switch (tail?.type) {
    case 'words':
      return size + 4 * view.getUint32(at + offsetOf(struct, tail.count), LE);
    case 'text':
      return size + view.getUint16(at + offsetOf(struct, tail.length), LE);
    case 'key':
    case 'ip':
    case 'rest':
      return undefined;
    default:
      return size;
  }
}
