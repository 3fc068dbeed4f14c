/**
 * Prints lifetimes from their bytes.
 * @module
 */
import { type Ascii, type AsciiWriter, ascii } from '../../wire/ascii.ts';
import { LE } from '../../wire/endian.ts';
import { offsetOf } from '../../wire/struct.ts';
import * as S from '../../xfrm/structs.ts';
import { SLASH } from './common.ts';

const SOFT_BYTES = offsetOf(S.xfrm_lifetime_cfg, 'soft_byte_limit');
const HARD_BYTES = offsetOf(S.xfrm_lifetime_cfg, 'hard_byte_limit');
const SOFT_PACKETS = offsetOf(S.xfrm_lifetime_cfg, 'soft_packet_limit');
const HARD_PACKETS = offsetOf(S.xfrm_lifetime_cfg, 'hard_packet_limit');
const SOFT_ADD = offsetOf(S.xfrm_lifetime_cfg, 'soft_add_expires_seconds');
const HARD_ADD = offsetOf(S.xfrm_lifetime_cfg, 'hard_add_expires_seconds');
const SOFT_USE = offsetOf(S.xfrm_lifetime_cfg, 'soft_use_expires_seconds');
const HARD_USE = offsetOf(S.xfrm_lifetime_cfg, 'hard_use_expires_seconds');

const TIME = ascii(' time ');
const USE = ascii(' use ');
const BYTES = ascii(' bytes ');
const PACKETS = ascii(' packets ');
const MINUS = 45;
const SECONDS = 115; // s

/** Instead of a 64-bit number: it is XFRM_INF. */
const UNLIMITED = -1;
/** Instead of a 64-bit number: it exceeds 32 bits. */
const LARGE = -2;

const LOW = LE ? 0 : 4;
const HIGH = LE ? 4 : 0;

/** Reads a 64-bit number; negative if it is not below 2^32. */
export function readSmall(view: DataView, at: number): number {
  const low = view.getUint32(at + LOW, LE);
  const high = view.getUint32(at + HIGH, LE);
  if (high === 0) return low;
  return high === 0xffffffff && low === 0xffffffff ? UNLIMITED : LARGE;
}

/** Prints the struct xfrm_lifetime_cfg at `at`. @returns whether it can be printed here */
export function printLifetime(view: DataView, at: number, line: AsciiWriter): boolean {
  return (
    printLimits(view, at + SOFT_ADD, at + HARD_ADD, 0, TIME, line) &&
    printLimits(view, at + SOFT_USE, at + HARD_USE, 0, USE, line) &&
    printLimits(view, at + SOFT_BYTES, at + HARD_BYTES, UNLIMITED, BYTES, line) &&
    printLimits(view, at + SOFT_PACKETS, at + HARD_PACKETS, UNLIMITED, PACKETS, line)
  );
}

/** @param none the value for "no limit": 0 for seconds, UNLIMITED for others; also the value of its two words */
function printLimits(
  view: DataView,
  softAt: number,
  hardAt: number,
  none: number,
  word: Ascii,
  line: AsciiWriter,
): boolean {
  // Usually there is no limit.
  if (hasWords(view, softAt, none) && hasWords(view, hardAt, none)) return true;
  const soft = readSmall(view, softAt);
  const hard = readSmall(view, hardAt);
  if ((soft < 0 && soft !== none) || (hard < 0 && hard !== none)) return false;
  line.text(word);
  printLimit(soft, none, line);
  line.character(SLASH);
  printLimit(hard, none, line);
  if (none === 0) line.character(SECONDS);
  return true;
}

const hasWords = (view: DataView, at: number, word: number): boolean =>
  view.getInt32(at, LE) === word && view.getInt32(at + 4, LE) === word;

function printLimit(value: number, none: number, line: AsciiWriter): void {
  if (value === none) line.character(MINUS);
  else line.decimal(value);
}
