/**
 * Captures of netlink (LINKTYPE_NETLINK, 253), as tcpdump and Wireshark make them of an nlmon
 * device: the files pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).
 * @module
 */
import { LE } from '../../wire/endian.ts';
import { type Recorded, RecordingError } from './recorded.ts';

const LINKTYPE_NETLINK = 253;
/**
 * Bytes before the messages (www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html), big-endian: packet
 * type, ARPHRD_NETLINK 824, 10 bytes unused, the netlink protocol.
 */
const COOKED = 16;
const COOKED_PROTOCOL = 14;

const PCAP = 0xa1b2c3d4;
const PCAP_NANOSECONDS = 0xa1b23c4d;
const SECTION = 0x0a0d0d0a;
const BYTE_ORDER = 0x1a2b3c4d;

const littleEndian = (view: DataView, at: number, magics: readonly number[]) =>
  magics.includes(view.getUint32(at, true))
    ? true
    : magics.includes(view.getUint32(at, false))
      ? false
      : undefined;

/** Whether a file begins as a capture does. */
export function isCapture(view: DataView): boolean {
  if (view.byteLength < 4) return false;
  const pcap = littleEndian(view, 0, [PCAP, PCAP_NANOSECONDS]);
  return pcap !== undefined || view.getUint32(0) === SECTION;
}

/** The datagrams of a capture. */
export function readCapture(view: DataView): Iterable<Recorded> {
  return view.getUint32(0) === SECTION ? readPcapng(view) : readPcap(view);
}

function refuse(text: string): never {
  throw new RecordingError(text);
}

/** Messages are in the byte order of the machine that recorded them; so are most captures. */
function checkOrder(little: boolean): void {
  if (little !== LE) refuse('it was recorded on a machine of the other byte order');
}

function checkLink(type: number): void {
  if (type !== LINKTYPE_NETLINK) {
    refuse(
      `it is a capture of link type ${type}, not of netlink (${LINKTYPE_NETLINK}, an nlmon device)`,
    );
  }
}

function need(view: DataView, at: number, size: number): void {
  if (at + size > view.byteLength) {
    refuse(`it ends in the middle of a record (${view.byteLength - at} of ${size} bytes at ${at})`);
  }
}

/** Milliseconds since 1970 that a Date can hold, and as many before. */
const LATEST = 8.64e15;

/** @param wall a clock may say anything, also what is no date: that is as if it said nothing */
function* datagram(
  view: DataView,
  at: number,
  kept: number,
  original: number,
  wall: number,
): Iterable<Recorded> {
  if (kept < COOKED) refuse(`a packet of ${kept} bytes at ${at} is none of netlink`);
  const protocol = view.getUint16(at + COOKED_PROTOCOL);
  const packet = { protocol, at: at + COOKED, length: kept - COOKED, truncated: kept < original };
  yield wall <= LATEST ? { ...packet, wall } : packet;
}

function* readPcap(view: DataView): Iterable<Recorded> {
  need(view, 0, 24);
  const little = littleEndian(view, 0, [PCAP, PCAP_NANOSECONDS]) === true;
  checkOrder(little);
  const u32 = (at: number) => view.getUint32(at, little);
  checkLink(u32(20) & 0x0fffffff);
  const perMillisecond = u32(0) === PCAP_NANOSECONDS ? 1e6 : 1e3;
  for (let at = 24; at < view.byteLength; ) {
    need(view, at, 16);
    const kept = u32(at + 8);
    need(view, at + 16, kept);
    const wall = u32(at) * 1000 + u32(at + 4) / perMillisecond;
    yield* datagram(view, at + 16, kept, u32(at + 12), wall);
    at += 16 + kept;
  }
}

const INTERFACE = 1;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const OPTION_RESOLUTION = 9;

function* readPcapng(view: DataView): Iterable<Recorded> {
  let little = true;
  /** Of each interface of the section: ticks of its clock in a millisecond. */
  let clocks: number[] = [];
  const u16 = (at: number) => view.getUint16(at, little);
  const u32 = (at: number) => view.getUint32(at, little);
  for (let at = 0; at < view.byteLength; ) {
    need(view, at, 12);
    if (view.getUint32(at) === SECTION) {
      little = littleEndian(view, at + 8, [BYTE_ORDER]) ?? refuse('its byte order is not stated');
      checkOrder(little);
      clocks = [];
    }
    const type = u32(at);
    const size = u32(at + 4);
    if (size < 12 || size % 4 !== 0) refuse(`a block at ${at} says it has ${size} bytes`);
    need(view, at, size);
    const end = at + size - 4;
    if (type === INTERFACE) {
      need(view, at, 20);
      checkLink(u16(at + 8));
      clocks.push(ticks(view, at + 16, end, u16));
    } else if (type === ENHANCED_PACKET) {
      need(view, at, 32);
      const clock = clocks[u32(at + 8)] ?? refuse(`a packet at ${at} is of no known interface`);
      const wall = (u32(at + 12) * 2 ** 32 + u32(at + 16)) / clock;
      const kept = u32(at + 20);
      if (at + 28 + kept > end) refuse(`a packet at ${at} is longer than its block`);
      yield* datagram(view, at + 28, kept, u32(at + 24), wall);
    } else if (type === SIMPLE_PACKET)
      refuse('it has packets without a time (simple packet blocks)');
    at += size;
  }
}

/** Ticks in a millisecond, from an interface's option if_tsresol; microseconds without it. */
function ticks(view: DataView, from: number, end: number, u16: (at: number) => number): number {
  for (let at = from; at + 4 <= end; at += 4 + Math.ceil(u16(at + 2) / 4) * 4) {
    if (u16(at) !== OPTION_RESOLUTION) continue;
    const value = view.getUint8(at + 4);
    return (value & 0x80 ? 2 ** (value & 0x7f) : 10 ** value) / 1000;
  }
  return 1000;
}
