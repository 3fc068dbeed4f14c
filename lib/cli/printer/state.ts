/**
 * Prints an SA from its bytes, as describeState of text/event.ts does.
 * @module
 */
import type { DecodeInput } from '../../netlink/event.ts';
import { type Ascii, type AsciiWriter, ascii } from '../../wire/ascii.ts';
import { LE } from '../../wire/endian.ts';
import { offsetOf } from '../../wire/struct.ts';
import * as X from '../../xfrm/constants.ts';
import { EncapType, StateDir } from '../../xfrm/names.ts';
import * as S from '../../xfrm/structs.ts';
import { type Attributes, KEY_BITS } from './attributes.ts';
import {
  ARROW,
  asciiNames,
  ID,
  isInet,
  MODE,
  PROTO,
  printCount,
  printMarkAndIfId,
  REQID,
  SLASH,
  SPACE,
} from './common.ts';
import { printLifetime, readSmall } from './lifetime.ts';

const CURRENT = offsetOf(S.xfrm_usersa_info, 'curlft');
const STATS = offsetOf(S.xfrm_usersa_info, 'stats');
const STATE = {
  id: offsetOf(S.xfrm_usersa_info, 'id'),
  saddr: offsetOf(S.xfrm_usersa_info, 'saddr'),
  lifetime: offsetOf(S.xfrm_usersa_info, 'lft'),
  bytes: CURRENT + offsetOf(S.xfrm_lifetime_cur, 'bytes'),
  packets: CURRENT + offsetOf(S.xfrm_lifetime_cur, 'packets'),
  replayWindow: STATS + offsetOf(S.xfrm_stats, 'replay_window'),
  replay: STATS + offsetOf(S.xfrm_stats, 'replay'),
  failed: STATS + offsetOf(S.xfrm_stats, 'integrity_failed'),
  reqid: offsetOf(S.xfrm_usersa_info, 'reqid'),
  family: offsetOf(S.xfrm_usersa_info, 'family'),
  mode: offsetOf(S.xfrm_usersa_info, 'mode'),
};
const ENCAP = {
  type: offsetOf(S.xfrm_encap_tmpl, 'encap_type'),
  sport: offsetOf(S.xfrm_encap_tmpl, 'encap_sport'),
  dport: offsetOf(S.xfrm_encap_tmpl, 'encap_dport'),
};
const OFFLOAD_IFINDEX = offsetOf(S.xfrm_user_offload, 'ifindex');

const DIRS = asciiNames(StateDir);
const ENCAP_TYPES = asciiNames(EncapType);
const DIR = ascii(' dir ');
const CPU = ascii(' cpu ');
const OFFLOAD = ascii(' offload ifindex ');
const USED = ascii(' used ');
const BYTES = ascii('B/');
const PACKETS = ascii('p');
const OUTSIDE = ascii(' outside-window ');
const REPLAYED = ascii(' replayed ');
const FAILED = ascii(' integrity-failed ');
const GREATER = 62;

/** Prints the struct xfrm_usersa_info at `at`. @returns whether it can be printed here */
export function printState(
  input: DecodeInput,
  at: number,
  attributes: Attributes,
  line: AsciiWriter,
): boolean {
  const { view, bytes } = input;
  const family = view.getUint16(at + STATE.family, LE);
  if (!isInet(family)) return false;
  const id = at + STATE.id;
  line.address(bytes, at + STATE.saddr, family);
  line.text(ARROW);
  line.address(bytes, id + ID.daddr, family);
  line.character(SPACE);
  line.text(PROTO[bytes[id + ID.proto] as number] as Ascii);
  line.character(SPACE);
  line.hex(view.getUint32(id + ID.spi), 8);
  line.character(SPACE);
  line.text(MODE[bytes[at + STATE.mode] as number] as Ascii);
  line.text(REQID);
  line.decimal(view.getUint32(at + STATE.reqid, LE));
  return (
    printAlgorithms(input, attributes, line) &&
    printExtras(input, attributes, line) &&
    printLifetime(view, at + STATE.lifetime, line) &&
    printUse(view, at, line)
  );
}

function printAlgorithms(input: DecodeInput, attributes: Attributes, line: AsciiWriter): boolean {
  const auth = attributes.at(X.XFRMA_ALG_AUTH_TRUNC) || attributes.at(X.XFRMA_ALG_AUTH);
  const compression = attributes.at(X.XFRMA_ALG_COMP);
  return (
    printAlgorithm(input, attributes.at(X.XFRMA_ALG_AEAD), line) &&
    printAlgorithm(input, attributes.at(X.XFRMA_ALG_CRYPT), line) &&
    printAlgorithm(input, auth, line) &&
    (compression === 0 || printName(input, compression, line))
  );
}

/** Prints the name and key length in bits. The key itself is not read. */
function printAlgorithm(input: DecodeInput, at: number, line: AsciiWriter): boolean {
  if (at === 0) return true;
  if (!printName(input, at, line)) return false;
  line.character(SLASH);
  line.decimal(input.view.getUint32(at + KEY_BITS, LE));
  return true;
}

const BACKSLASH = 92;
const TILDE = 126;

/** Prints the name that precedes the key length. @returns false if a character would need escaping */
function printName({ bytes }: DecodeInput, at: number, line: AsciiWriter): boolean {
  line.character(SPACE);
  for (let i = at; i < at + KEY_BITS && bytes[i] !== 0; i++) {
    const letter = bytes[i] as number;
    if (letter <= SPACE || letter > TILDE || letter === BACKSLASH) return false;
    line.character(letter);
  }
  return true;
}

function printExtras(
  { view, bytes }: DecodeInput,
  attributes: Attributes,
  line: AsciiWriter,
): boolean {
  const dir = attributes.at(X.XFRMA_SA_DIR);
  if (dir !== 0) {
    line.text(DIR);
    line.text(DIRS[bytes[dir] as number] as Ascii);
  }
  const encap = attributes.at(X.XFRMA_ENCAP);
  if (encap !== 0) {
    const type = ENCAP_TYPES[view.getUint16(encap + ENCAP.type, LE)];
    if (type === undefined) return false;
    line.character(SPACE);
    line.text(type);
    line.character(SPACE);
    line.decimal(view.getUint16(encap + ENCAP.sport));
    line.character(GREATER);
    line.decimal(view.getUint16(encap + ENCAP.dport));
  }
  printMarkAndIfId(view, attributes, line);
  const cpu = attributes.at(X.XFRMA_SA_PCPU);
  if (cpu !== 0) {
    line.text(CPU);
    line.decimal(view.getUint32(cpu, LE));
  }
  const offload = attributes.at(X.XFRMA_OFFLOAD_DEV);
  if (offload !== 0) {
    const ifindex = view.getInt32(offload + OFFLOAD_IFINDEX, LE);
    if (ifindex < 0) return false;
    line.text(OFFLOAD);
    line.decimal(ifindex);
  }
  return true;
}

/** Prints traffic and rejected packets. */
function printUse(view: DataView, at: number, line: AsciiWriter): boolean {
  const bytes = readSmall(view, at + STATE.bytes);
  const packets = readSmall(view, at + STATE.packets);
  if (bytes < 0 || packets < 0) return false;
  if (bytes > 0 || packets > 0) {
    line.text(USED);
    line.decimal(bytes);
    line.text(BYTES);
    line.decimal(packets);
    line.text(PACKETS);
  }
  printCount(OUTSIDE, view.getUint32(at + STATE.replayWindow, LE), line);
  printCount(REPLAYED, view.getUint32(at + STATE.replay, LE), line);
  printCount(FAILED, view.getUint32(at + STATE.failed, LE), line);
  return true;
}
