/**
 * Where the attributes of a message are, including nested ones: the kernel identifies a refused
 * attribute by its offset.
 * @module
 */
import { align4, NLA_HDRLEN, NLA_TYPE_MASK } from '../wire/attribute.ts';
import {
  type Attribute,
  type AttributeTable,
  attributesByNumber,
} from '../wire/attribute-table.ts';
import { LE } from '../wire/endian.ts';
import { readString } from '../wire/text.ts';

/** An attribute of a message. */
export interface AttributeLocation {
  /** Offset from the start of the message, in bytes. */
  readonly offset: number;
  /**
   * Kernel names, outermost first: `['IFLA_LINKINFO', 'IFLA_INFO_DATA']`; list entries are `[0]`.
   */
  readonly path: readonly string[];
  /** The nested attribute space, if there is one. */
  readonly inner: AttributeTable | undefined;
}

/** The kernel's name of an attribute, or its number. */
export const nameIn = (table: AttributeTable | undefined, type: number): string =>
  (table && attributesByNumber(table).get(type)?.kernel) ?? `attribute ${type}`;

/** The attributes between two offsets, in message order. */
export function locateAttributes(
  view: DataView,
  from: number,
  end: number,
  table: AttributeTable,
): AttributeLocation[] {
  const found: AttributeLocation[] = [];
  const walk = new Walk(view, found);
  walk.space(from, end, table, []);
  return found;
}

/** The innermost attribute that contains an offset. */
export function attributeAt(
  all: readonly AttributeLocation[],
  offset: number | undefined,
): AttributeLocation | undefined {
  return offset === undefined ? undefined : all.findLast((one) => one.offset <= offset);
}

class Walk {
  readonly #view: DataView;
  readonly #found: AttributeLocation[];

  constructor(view: DataView, found: AttributeLocation[]) {
    this.#view = view;
    this.#found = found;
  }

  /** The attributes of a space. Raw bytes from a caller may be malformed; if so, it stops there. */
  space(from: number, end: number, table: AttributeTable, path: readonly string[]): void {
    this.#each(from, end, (at, length, type) => {
      const attribute = attributesByNumber(table).get(type);
      const here = path.concat(nameIn(table, type));
      const inner = attribute && this.#inner(attribute, from, end);
      this.#found.push({ offset: at, path: here, inner });
      if (attribute) this.#within(attribute, inner, at + NLA_HDRLEN, at + length, here);
    });
  }

  /** The attribute space nested in an attribute. */
  #inner(attribute: Attribute, from: number, end: number): AttributeTable | undefined {
    switch (attribute.type) {
      case 'nest':
        return attribute.table;
      case 'choice': {
        const value = this.#chooser(attribute, from, end);
        return attribute.options.find(({ values }) => values.some((one) => one === value))?.table;
      }
      default:
        return undefined;
    }
  }

  /** The value of the sibling attribute that decides a choice. */
  #chooser({ by, of }: Extract<Attribute, { type: 'choice' }>, from: number, end: number) {
    const { buffer, byteOffset, byteLength } = this.#view;
    let value: string | number | undefined;
    this.#each(from, end, (at, length, type) => {
      if (type !== by || value !== undefined) return;
      const [payload, size] = [at + NLA_HDRLEN, length - NLA_HDRLEN];
      if (of === 'string') {
        value = readString(new Uint8Array(buffer, byteOffset, byteLength), payload, size);
      } else if (size >= 2) value = this.#view.getUint16(payload, LE);
    });
    return value;
  }

  #within(
    attribute: Attribute,
    inner: AttributeTable | undefined,
    from: number,
    end: number,
    path: readonly string[],
  ): void {
    if (attribute.type === 'nests') {
      this.#each(from, end, (at, length, type) => {
        const here = [...path, `[${type - attribute.first}]`];
        this.#found.push({ offset: at, path: here, inner: attribute.table });
        this.space(at + NLA_HDRLEN, at + length, attribute.table, here);
      });
    } else if (attribute.type === 'records') {
      const { struct, table } = attribute;
      for (let at = from, i = 0; end - at >= struct.size; i++) {
        const length = this.#view.getUint16(at, LE);
        if (length < struct.size || length > end - at) return;
        const here = [...path, `[${i}]`];
        this.#found.push({ offset: at, path: here, inner: table });
        this.space(at + align4(struct.size), at + length, table, here);
        at += align4(length);
      }
    } else if (inner) {
      const header = attribute.type === 'nest' ? (attribute.header?.size ?? 0) : 0;
      this.space(from + align4(header), end, inner, path);
    }
  }

  #each(from: number, end: number, act: (at: number, length: number, type: number) => void): void {
    for (let at = from; end - at >= NLA_HDRLEN; ) {
      const length = this.#view.getUint16(at, LE);
      if (length < NLA_HDRLEN || length > end - at) return;
      act(at, length, this.#view.getUint16(at + 2, LE) & NLA_TYPE_MASK);
      at += align4(length);
    }
  }
}
