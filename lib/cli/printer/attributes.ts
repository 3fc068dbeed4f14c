/**
 * Locates the attributes of a message that is printed directly from its bytes.
 * @module
 */
import { align4, NLA_HDRLEN, NLA_TYPE_MASK } from '../../wire/attribute.ts';
import type { Attribute, MessageAttributes } from '../../wire/attribute-table.ts';
import { LE } from '../../wire/endian.ts';
import { NUMBER_SIZE, type NumberType, offsetOf } from '../../wire/struct.ts';
import { attributes, XFRM_MAX_DEPTH } from '../../xfrm/attributes.ts';
import * as X from '../../xfrm/constants.ts';
import * as S from '../../xfrm/structs.ts';

/** Offset of the key length, the same in struct xfrm_algo, xfrm_algo_auth and xfrm_algo_aead. */
export const KEY_BITS = offsetOf(S.xfrm_algo, 'alg_key_len');
const ESN_WORDS = offsetOf(S.xfrm_replay_state_esn, 'bmp_len');
export const TEMPLATE_SIZE = S.xfrm_user_tmpl.size;
const ADDRESS_SIZE = 16;

/** Instead of a minimum size: a message with this attribute is left to the decoder. */
const UNUSUAL = -1;
/** Instead of a minimum size: this attribute is not shown. */
const IGNORED = -2;

/** Upper bound of attribute numbers. */
const NUMBERS = 1 + Math.max(...attributes.attributes.map(({ number }) => number));

/** Minimum payload size per attribute number, for a kind of message. */
export type LeastSizes = Int32Array;

/** @param object the attribute that contains a deleted object */
export function leastSizes({ use }: MessageAttributes, object?: number): LeastSizes {
  const sizes = new Int32Array(NUMBERS).fill(IGNORED);
  for (const attribute of attributes.attributes) {
    const { number, type } = attribute;
    if (type !== 'pad' && (use[number] === number || number === object)) {
      sizes[number] = leastOf(attribute);
    }
  }
  return sizes;
}

function leastOf(attribute: Attribute): number {
  switch (attribute.type) {
    case 'struct': {
      const { fields, size } = attribute.struct;
      return ['text', 'ip', 'rest'].includes(fields.at(-1)?.type ?? '') ? UNUSUAL : size;
    }
    case 'list':
    case 'flag':
      return 0;
    case 'address':
      return ADDRESS_SIZE;
    default:
      return attribute.type in NUMBER_SIZE ? NUMBER_SIZE[attribute.type as NumberType] : UNUSUAL;
  }
}

/** The attributes of a message; reused for the next. */
export class Attributes {
  readonly #payloads = new Int32Array(NUMBERS);
  /** Number of templates in XFRMA_TMPL. */
  templates = 0;

  /** Offset of an attribute's payload; 0 if it is absent. */
  at(type: number): number {
    return this.#payloads[type] as number;
  }

  /** Locates the attributes between `at` and `end`. @returns false if the decoder has to take over */
  find(view: DataView, at: number, end: number, least: LeastSizes): boolean {
    if (at > end) return false;
    const payloads = this.#payloads.fill(0);
    this.templates = 0;
    while (at < end) {
      if (end - at < NLA_HDRLEN) return false;
      const length = view.getUint16(at, LE);
      if (length < NLA_HDRLEN || length > end - at) return false;
      const type = view.getUint16(at + 2, LE) & NLA_TYPE_MASK;
      const size = type < NUMBERS ? (least[type] as number) : IGNORED;
      if (size !== IGNORED) {
        const payload = at + NLA_HDRLEN;
        const rest = length - NLA_HDRLEN - size;
        if (size === UNUSUAL || rest < 0 || !this.#isWhole(view, type, payload, rest)) return false;
        // The last occurrence wins, as in the decoder.
        payloads[type] = payload;
      }
      at += align4(length);
    }
    return true;
  }

  /** Whether an attribute with a variable part of `rest` bytes is complete. */
  #isWhole(view: DataView, type: number, payload: number, rest: number): boolean {
    switch (type) {
      case X.XFRMA_ALG_AUTH:
      case X.XFRMA_ALG_CRYPT:
      case X.XFRMA_ALG_COMP:
      case X.XFRMA_ALG_AEAD:
      case X.XFRMA_ALG_AUTH_TRUNC:
        return Math.ceil(view.getUint32(payload + KEY_BITS, LE) / 8) <= rest;
      case X.XFRMA_REPLAY_ESN_VAL:
        return view.getUint32(payload + ESN_WORDS, LE) * 4 <= rest;
      case X.XFRMA_TMPL:
        this.templates = rest / TEMPLATE_SIZE;
        return Number.isInteger(this.templates) && this.templates <= XFRM_MAX_DEPTH;
      default:
        return true;
    }
  }
}
