/**
 * Common parts of lines for SAs and policies.
 * @module
 */
import { AF_INET, AF_INET6 } from '../../wire/address.ts';
import { type Ascii, type AsciiWriter, ascii } from '../../wire/ascii.ts';
import { LE } from '../../wire/endian.ts';
import type { Enumeration } from '../../wire/names.ts';
import { offsetOf } from '../../wire/struct.ts';
import * as X from '../../xfrm/constants.ts';
import { IpsecProto, XfrmMode } from '../../xfrm/names.ts';
import * as S from '../../xfrm/structs.ts';
import type { Attributes } from './attributes.ts';

/** Names for the values of a byte. */
export const asciiNames = (of: Enumeration<string>): readonly Ascii[] =>
  Array.from({ length: 256 }, (_, number) => ascii(`${of.name(number)}`));

export const PROTO = asciiNames(IpsecProto);
export const MODE = asciiNames(XfrmMode);

export const SPACE = 32;
export const SLASH = 47;
export const ARROW = ascii(' > ');
export const REQID = ascii(' reqid ');
const MARK = ascii(' mark ');
const IF_ID = ascii(' if_id ');

/** Fields of struct xfrm_id. */
export const ID = {
  daddr: offsetOf(S.xfrm_id, 'daddr'),
  spi: offsetOf(S.xfrm_id, 'spi'),
  proto: offsetOf(S.xfrm_id, 'proto'),
};
const MARK_VALUE = offsetOf(S.xfrm_mark, 'v');
const MARK_MASK = offsetOf(S.xfrm_mark, 'm');

export const isInet = (family: number): boolean => family === AF_INET || family === AF_INET6;

export function printMarkAndIfId(view: DataView, attributes: Attributes, line: AsciiWriter): void {
  const mark = attributes.at(X.XFRMA_MARK);
  if (mark !== 0) {
    line.text(MARK);
    line.hex(view.getUint32(mark + MARK_VALUE, LE));
    line.character(SLASH);
    line.hex(view.getUint32(mark + MARK_MASK, LE));
  }
  const ifId = attributes.at(X.XFRMA_IF_ID);
  if (ifId !== 0) {
    line.text(IF_ID);
    line.hex(view.getUint32(ifId, LE));
  }
}

/** Prints a number unless it is 0. */
export function printCount(word: Ascii, count: number, line: AsciiWriter): void {
  if (count === 0) return;
  line.text(word);
  line.decimal(count);
}
