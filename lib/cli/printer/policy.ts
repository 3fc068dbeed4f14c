/**
 * Prints a policy from its bytes, as describePolicy of text/event.ts does.
 * @module
 */
import type { DecodeInput } from '../../netlink/event.ts';
import { type Ascii, type AsciiWriter, ascii } from '../../wire/ascii.ts';
import { LE } from '../../wire/endian.ts';
import { offsetOf } from '../../wire/struct.ts';
import * as X from '../../xfrm/constants.ts';
import { PolicyAction, PolicyDir, PolicyType } from '../../xfrm/names.ts';
import * as S from '../../xfrm/structs.ts';
import { type Attributes, TEMPLATE_SIZE } from './attributes.ts';
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
import { printLifetime } from './lifetime.ts';

const POLICY = {
  selector: offsetOf(S.xfrm_userpolicy_info, 'sel'),
  lifetime: offsetOf(S.xfrm_userpolicy_info, 'lft'),
  priority: offsetOf(S.xfrm_userpolicy_info, 'priority'),
  index: offsetOf(S.xfrm_userpolicy_info, 'index'),
  dir: offsetOf(S.xfrm_userpolicy_info, 'dir'),
  action: offsetOf(S.xfrm_userpolicy_info, 'action'),
};
const SELECTOR = {
  daddr: offsetOf(S.xfrm_selector, 'daddr'),
  saddr: offsetOf(S.xfrm_selector, 'saddr'),
  dport: offsetOf(S.xfrm_selector, 'dport'),
  dportMask: offsetOf(S.xfrm_selector, 'dport_mask'),
  sport: offsetOf(S.xfrm_selector, 'sport'),
  sportMask: offsetOf(S.xfrm_selector, 'sport_mask'),
  family: offsetOf(S.xfrm_selector, 'family'),
  prefixlenD: offsetOf(S.xfrm_selector, 'prefixlen_d'),
  prefixlenS: offsetOf(S.xfrm_selector, 'prefixlen_s'),
  proto: offsetOf(S.xfrm_selector, 'proto'),
  ifindex: offsetOf(S.xfrm_selector, 'ifindex'),
};
const TEMPLATE = {
  id: offsetOf(S.xfrm_user_tmpl, 'id'),
  family: offsetOf(S.xfrm_user_tmpl, 'family'),
  saddr: offsetOf(S.xfrm_user_tmpl, 'saddr'),
  reqid: offsetOf(S.xfrm_user_tmpl, 'reqid'),
  mode: offsetOf(S.xfrm_user_tmpl, 'mode'),
  optional: offsetOf(S.xfrm_user_tmpl, 'optional'),
};
const POLICY_TYPE = offsetOf(S.xfrm_userpolicy_type, 'type');

const DIRS = asciiNames(PolicyDir);
const ACTIONS = asciiNames(PolicyAction);
const TYPES = asciiNames(PolicyType);
const PRIORITY = ascii(' priority ');
const INDEX = ascii(' index ');
const PROTOCOL = ascii(' proto ');
const IFINDEX = ascii(' ifindex ');
const TYPE = ascii(' type ');
const SPI = ascii(' spi ');
const OPTIONAL = ascii(' optional');
const OPEN = ascii(' [');
const CLOSE = ascii(']');
const COLON = 58;

/** Prints the struct xfrm_userpolicy_info at `at`. @returns whether it can be printed here */
export function printPolicy(
  input: DecodeInput,
  at: number,
  attributes: Attributes,
  line: AsciiWriter,
): boolean {
  const { view, bytes } = input;
  line.text(DIRS[bytes[at + POLICY.dir] as number] as Ascii);
  line.character(SPACE);
  if (!printSelector(input, at + POLICY.selector, line)) return false;
  line.character(SPACE);
  line.text(ACTIONS[bytes[at + POLICY.action] as number] as Ascii);
  line.text(PRIORITY);
  line.decimal(view.getUint32(at + POLICY.priority, LE));
  line.text(INDEX);
  line.decimal(view.getUint32(at + POLICY.index, LE));
  printMarkAndIfId(view, attributes, line);
  const type = attributes.at(X.XFRMA_POLICY_TYPE);
  if (type !== 0 && bytes[type + POLICY_TYPE] !== X.XFRM_POLICY_TYPE_MAIN) {
    line.text(TYPE);
    line.text(TYPES[bytes[type + POLICY_TYPE] as number] as Ascii);
  }
  const templates = attributes.at(X.XFRMA_TMPL);
  for (let i = 0; i < attributes.templates; i++) {
    if (!printTemplate(input, templates + i * TEMPLATE_SIZE, line)) return false;
  }
  return printLifetime(view, at + POLICY.lifetime, line);
}

function printSelector({ view, bytes }: DecodeInput, at: number, line: AsciiWriter): boolean {
  const family = view.getUint16(at + SELECTOR.family, LE);
  const ifindex = view.getInt32(at + SELECTOR.ifindex, LE);
  if (!isInet(family) || ifindex < 0) return false;
  line.address(bytes, at + SELECTOR.saddr, family);
  line.character(SLASH);
  line.decimal(bytes[at + SELECTOR.prefixlenS] as number);
  printPort(view, at + SELECTOR.sport, at + SELECTOR.sportMask, line);
  line.text(ARROW);
  line.address(bytes, at + SELECTOR.daddr, family);
  line.character(SLASH);
  line.decimal(bytes[at + SELECTOR.prefixlenD] as number);
  printPort(view, at + SELECTOR.dport, at + SELECTOR.dportMask, line);
  printCount(PROTOCOL, bytes[at + SELECTOR.proto] as number, line);
  printCount(IFINDEX, ifindex, line);
  return true;
}

function printPort(view: DataView, port: number, mask: number, line: AsciiWriter): void {
  if (view.getUint16(mask) === 0) return;
  line.character(COLON);
  line.decimal(view.getUint16(port));
}

function printTemplate({ view, bytes }: DecodeInput, at: number, line: AsciiWriter): boolean {
  const family = view.getUint16(at + TEMPLATE.family, LE);
  if (!isInet(family)) return false;
  const id = at + TEMPLATE.id;
  const mode = bytes[at + TEMPLATE.mode] as number;
  line.text(OPEN);
  line.text(PROTO[bytes[id + ID.proto] as number] as Ascii);
  line.character(SPACE);
  line.text(MODE[mode] as Ascii);
  if (mode !== X.XFRM_MODE_TRANSPORT) {
    line.character(SPACE);
    line.address(bytes, at + TEMPLATE.saddr, family);
    line.text(ARROW);
    line.address(bytes, id + ID.daddr, family);
  }
  line.text(REQID);
  line.decimal(view.getUint32(at + TEMPLATE.reqid, LE));
  const spi = view.getUint32(id + ID.spi);
  if (spi !== 0) {
    line.text(SPI);
    line.hex(spi, 8);
  }
  if (bytes[at + TEMPLATE.optional] !== 0) line.text(OPTIONAL);
  line.text(CLOSE);
  return true;
}
