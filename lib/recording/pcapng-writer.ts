/**
 * Writes captures that Wireshark reads: pcapng (draft-ietf-opsawg-pcapng) of link type netlink, as
 * tcpdump makes them of an nlmon device.
 * @module
 */
import { align4 } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import {
  BYTE_ORDER,
  COOKED,
  COOKED_PROTOCOL,
  ENHANCED_PACKET,
  INTERFACE,
  LINKTYPE_NETLINK,
  OPTION_COMMENT,
  OPTION_NAME,
  SECTION,
} from './pcap.ts';

/** The ARP hardware type of netlink devices (linux/if_arp.h), in the cooked header. */
const ARPHRD_NETLINK = 824;
/** How a packet is said to have arrived (linux/if_packet.h); those of the kernel to a group. */
const PACKET_MULTICAST = 2;

/** Options of the section header. */
const OPTION_SYSTEM = 3;
const OPTION_APPLICATION = 4;
const TEXT = new TextEncoder();
/** The longest value of an option. */
const LONGEST_OPTION = 0xffff;

type Option = readonly [code: number, value: Uint8Array];

const text = (code: number, value: string): Option => [
  code,
  TEXT.encode(value).subarray(0, LONGEST_OPTION),
];

/** A block: its type, a fixed part, padded data, options. In the byte order of this host, as messages are. */
function block(
  type: number,
  fixed: number,
  fill: (view: DataView) => void,
  data: readonly Uint8Array[],
  options: readonly Option[],
): Uint8Array {
  const bytes = data.reduce((sum, one) => sum + one.length, 0);
  const listed = options.reduce((sum, [, value]) => sum + 4 + align4(value.length), 0);
  const size = 8 + fixed + align4(bytes) + listed + (options.length > 0 ? 4 : 0) + 4;
  const made = new Uint8Array(size);
  const view = new DataView(made.buffer);
  view.setUint32(0, type, LE);
  view.setUint32(4, size, LE);
  fill(new DataView(made.buffer, 8, fixed));
  let at = 8 + fixed;
  for (const one of data) {
    made.set(one, at);
    at += one.length;
  }
  at = 8 + fixed + align4(bytes);
  for (const [code, value] of options) {
    view.setUint16(at, code, LE);
    view.setUint16(at + 2, value.length, LE);
    made.set(value, at + 4);
    at += 4 + align4(value.length);
  }
  view.setUint32(size - 4, size, LE);
  return made;
}

/** The beginning of a capture. @param application the program that writes it */
export const sectionHeader = (application: string, system?: string): Uint8Array =>
  block(
    SECTION,
    16,
    (view) => {
      view.setUint32(0, BYTE_ORDER, LE);
      view.setUint16(4, 1, LE);
      // The length of the section is not stated.
      view.setBigInt64(8, -1n, LE);
    },
    [],
    [
      ...(system === undefined ? [] : [text(OPTION_SYSTEM, system)]),
      text(OPTION_APPLICATION, application),
    ],
  );

/** An interface, numbered from 0 in the order of their blocks. */
export const interfaceBlock = (name: string): Uint8Array =>
  block(
    INTERFACE,
    8,
    (view) => view.setUint16(0, LINKTYPE_NETLINK, LE),
    [],
    [text(OPTION_NAME, name)],
  );

/** One datagram. */
export interface Packet {
  /** The number of its interface. */
  readonly from: number;
  /** NETLINK_XFRM, NETLINK_ROUTE … */
  readonly protocol: number;
  readonly bytes: Uint8Array;
  /** Whether the datagram was longer. */
  readonly truncated: boolean;
  /** Milliseconds since 1970; not finite if it is not known. */
  readonly wall: number;
  readonly comments: readonly string[];
}

export function packetBlock({ from, protocol, bytes, truncated, wall, comments }: Packet) {
  const cooked = new Uint8Array(COOKED);
  const view = new DataView(cooked.buffer);
  // Network byte order (www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html).
  view.setUint16(0, PACKET_MULTICAST);
  view.setUint16(2, ARPHRD_NETLINK);
  view.setUint16(COOKED_PROTOCOL, protocol);
  const kept = COOKED + bytes.length;
  // Microseconds, as an interface has them that states nothing else.
  const ticks = BigInt(Number.isFinite(wall) ? Math.max(0, Math.round(wall * 1000)) : 0);
  return block(
    ENHANCED_PACKET,
    20,
    (fixed) => {
      fixed.setUint32(0, from, LE);
      fixed.setUint32(4, Number((ticks >> 32n) & 0xffffffffn), LE);
      fixed.setUint32(8, Number(ticks & 0xffffffffn), LE);
      fixed.setUint32(12, kept, LE);
      fixed.setUint32(16, truncated ? kept + 1 : kept, LE);
    },
    [cooked, bytes],
    comments.map((one) => text(OPTION_COMMENT, one)),
  );
}
