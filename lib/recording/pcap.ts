/**
 * Captures of netlink (LINKTYPE_NETLINK, 253), as tcpdump and Wireshark make them of an nlmon
 * device: the files pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).
 * @module
 */
import { align4 } from '../wire/attribute.ts';
import { LE } from '../wire/endian.ts';
import { LATEST_DATE } from '../wire/time.ts';
import type { RecordingInput, Waiting } from './input.ts';
import { LONGEST, type Parser, type Recorded, refuse } from './recorded.ts';

export const LINKTYPE_NETLINK = 253;
/**
 * Bytes before the messages (www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html), big-endian: packet
 * type, ARPHRD_NETLINK 824, 10 bytes unused, the netlink protocol.
 */
export const COOKED = 16;
export const COOKED_PROTOCOL = 14;

const PCAP = 0xa1b2c3d4;
const PCAP_NANOSECONDS = 0xa1b23c4d;
export const SECTION = 0x0a0d0d0a;
export const BYTE_ORDER = 0x1a2b3c4d;

const littleEndian = (view: DataView, at: number, magics: readonly number[]) =>
  magics.includes(view.getUint32(at, true))
    ? true
    : magics.includes(view.getUint32(at, false))
      ? false
      : undefined;

/** Whether a file, given at least its first four bytes, is a capture. */
export function isCapture(view: DataView): boolean {
  const pcap = littleEndian(view, 0, [PCAP, PCAP_NANOSECONDS]);
  return pcap !== undefined || view.getUint32(0) === SECTION;
}

/** Reads the datagrams of a capture whose first four bytes are available. */
export function readCapture(input: RecordingInput): Parser {
  return input.view.getUint32(input.start) === SECTION ? readPcapng(input) : readPcap(input);
}

/** Messages are in the byte order of the machine that recorded them; usually, so is the capture. */
function checkOrder(little: boolean): void {
  if (little !== LE) refuse('it was recorded on a machine of the opposite byte order');
}

function checkLink(type: number): void {
  if (type !== LINKTYPE_NETLINK) {
    refuse(
      `it is a capture of link type ${type}, not netlink (${LINKTYPE_NETLINK}, an nlmon device)`,
    );
  }
}

const endsWithin = (left: number, size: number, at: number): never =>
  refuse(`it ends in the middle of a record (${left} of ${size} bytes at ${at})`);

/** Waits for the next `size` bytes. */
function* need(input: RecordingInput, size: number, what = 'a record'): Waiting<void> {
  if (size > LONGEST) {
    refuse(`${what} at ${input.position} has ${size} bytes; at most ${LONGEST} are supported`);
  }
  if (!(yield* input.has(size))) endsWithin(input.available, size, input.position);
}

/**
 * Reads the packet at the beginning of the input.
 *
 * @param wall the recorded time, which may not be a valid date: it is then ignored
 */
function datagram(
  input: RecordingInput,
  offset: number,
  kept: number,
  original: number,
  wall: number,
): Recorded {
  const at = input.position + offset;
  if (kept < COOKED) refuse(`the packet of ${kept} bytes at ${at} is not netlink`);
  const packet = {
    protocol: input.view.getUint16(input.start + offset + COOKED_PROTOCOL),
    bytes: input.bytes(offset + kept).subarray(offset + COOKED),
    at: at + COOKED,
    length: kept - COOKED,
    truncated: kept < original,
  };
  return wall <= LATEST_DATE ? { ...packet, wall } : packet;
}

function* readPcap(input: RecordingInput): Parser {
  yield* need(input, 24);
  const little = littleEndian(input.view, input.start, [PCAP, PCAP_NANOSECONDS]) === true;
  checkOrder(little);
  const u32 = (offset: number) => input.view.getUint32(input.start + offset, little);
  checkLink(u32(20) & 0x0fffffff);
  const perMillisecond = u32(0) === PCAP_NANOSECONDS ? 1e6 : 1e3;
  input.skip(24);
  while (yield* input.has(1)) {
    yield* need(input, 16);
    const [seconds, fraction, kept, original] = [u32(0), u32(4), u32(8), u32(12)];
    input.skip(16);
    yield* need(input, kept, 'a packet');
    yield datagram(input, 0, kept, original, seconds * 1000 + fraction / perMillisecond);
    input.skip(kept);
  }
}

export const INTERFACE = 1;
const SIMPLE_PACKET = 3;
export const ENHANCED_PACKET = 6;
export const OPTION_COMMENT = 1;
export const OPTION_NAME = 2;
const OPTION_RESOLUTION = 9;

function* readPcapng(input: RecordingInput): Parser {
  let little = true;
  /** Clock ticks per millisecond of each interface in the section. */
  let clocks: number[] = [];
  let sources: string[] = [];
  const u32 = (offset: number) => input.view.getUint32(input.start + offset, little);
  while (yield* input.has(1)) {
    const at = input.position;
    yield* need(input, 12);
    if (input.view.getUint32(input.start) === SECTION) {
      const order = littleEndian(input.view, input.start + 8, [BYTE_ORDER]);
      little = order ?? refuse('it does not state its byte order');
      checkOrder(little);
      clocks = [];
      sources = [];
    }
    const type = u32(0);
    const size = u32(4);
    if (size < 12 || size % 4 !== 0) refuse(`the block at ${at} has the invalid length ${size}`);
    const end = size - 4;
    if (type === INTERFACE) {
      yield* need(input, Math.max(size, 20), 'a block');
      checkLink(input.view.getUint16(input.start + 8, little));
      clocks.push(ticks(input, 16, end, little));
      sources.push(texts(input, 16, end, little, OPTION_NAME)[0] ?? `interface ${sources.length}`);
    } else if (type === ENHANCED_PACKET) {
      yield* need(input, Math.max(size, 32), 'a block');
      const clock = clocks[u32(8)] ?? refuse(`the packet at ${at} is from an unknown interface`);
      const wall = (u32(12) * 2 ** 32 + u32(16)) / clock;
      const kept = u32(20);
      if (28 + kept > end) refuse(`the packet at ${at} is longer than its block`);
      const comments = texts(input, 28 + align4(kept), end, little, OPTION_COMMENT);
      const source = sources[u32(8)] as string;
      yield { ...datagram(input, 28, kept, u32(24), wall), source, comments };
    } else if (type === SIMPLE_PACKET) {
      refuse('it has packets without timestamps (simple packet blocks)');
    }
    input.skip(size);
    // Blocks of other types are skipped, whatever their length.
    if (!(yield* input.has(1)) && input.missing > 0) endsWithin(size - input.missing, size, at);
  }
}

/** Clock ticks per millisecond, from an interface's option if_tsresol; default microseconds. */
function ticks(input: RecordingInput, from: number, end: number, little: boolean): number {
  for (const [value = 0] of options(input, from, end, little, OPTION_RESOLUTION)) {
    return (value & 0x80 ? 2 ** (value & 0x7f) : 10 ** value) / 1000;
  }
  return 1000;
}

const texts = (...where: Parameters<typeof options>): string[] =>
  Array.from(options(...where), (value) => new TextDecoder().decode(value));

/** The values of an option of the block at the beginning of the input. */
function* options(
  input: RecordingInput,
  from: number,
  end: number,
  little: boolean,
  code: number,
): Generator<Uint8Array, void> {
  const { view, start } = input;
  const u16 = (offset: number) => view.getUint16(start + offset, little);
  for (let at = from; at + 4 <= end; at += 4 + align4(u16(at + 2))) {
    const to = Math.min(at + 4 + u16(at + 2), end);
    if (u16(at) === code) yield input.bytes(to).subarray(at + 4);
  }
}
