/**
 * The layout of a recording: blocks, each readable on its own, of records. docs/recording.md
 * describes it. Numbers are little-endian; the messages inside are in the byte order of the host
 * that was recorded.
 * @module
 */
import { crc32 } from 'node:zlib';

/**
 * How each block begins. Like that of PNG, it is not text, and shows a transfer that changed line
 * ends.
 */
export const MAGIC = Uint8Array.of(0x89, 0x4e, 0x58, 0x52, 0x0d, 0x0a, 0x1a);
/** The version of the format, after the magic number. */
export const VERSION = 1;
/** Bytes before the compressed records of a block, in every version. */
export const BLOCK_HEADER = 32;
/** Most bytes of a block, compressed or not: bounds the memory of a reader. */
export const LONGEST_BLOCK = 2 ** 24;
/** A snapshot begins in this block. */
export const FLAG_SNAPSHOT = 1;
/** The messages are big-endian. */
export const FLAG_BIG_ENDIAN = 2;
/** The wall clock was set back since the block before. */
export const FLAG_SET_BACK = 4;

/** Milliseconds by which the wall clock may go back between records without having been set. */
export const SET_BACK = 100;

/** The header of a block. */
export interface BlockHeader {
  readonly version: number;
  /** Bytes that follow the header. */
  readonly stored: number;
  /** Bytes of its records, decompressed. */
  readonly length: number;
  /** Milliseconds since 1970 of its first record. */
  readonly wall: number;
  /** FLAG_SNAPSHOT … */
  readonly flags: number;
  readonly checksum: number;
}

/** Writes a block: the header for these compressed records, and a checksum of both. */
export function writeBlock(
  compressed: Uint8Array,
  { length, wall, flags }: Pick<BlockHeader, 'length' | 'wall' | 'flags'>,
): Uint8Array {
  const block = new Uint8Array(BLOCK_HEADER + compressed.length);
  const view = new DataView(block.buffer);
  block.set(MAGIC);
  view.setUint8(7, VERSION);
  view.setUint32(8, compressed.length, true);
  view.setUint32(12, length, true);
  view.setFloat64(16, wall, true);
  view.setUint32(24, flags, true);
  block.set(compressed, BLOCK_HEADER);
  view.setUint32(28, checksumOf(block.subarray(0, BLOCK_HEADER), compressed), true);
  return block;
}

/** Whether a block begins at `at`, as far as its first `length` bytes show. */
export function isMagic(bytes: Uint8Array, at: number, length = MAGIC.length): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== MAGIC[i]) return false;
  return true;
}

/** Reads the header of a block, whose magic number has been checked. */
export function readBlockHeader(view: DataView, at: number): BlockHeader {
  return {
    version: view.getUint8(at + 7),
    stored: view.getUint32(at + 8, true),
    length: view.getUint32(at + 12, true),
    wall: view.getFloat64(at + 16, true),
    flags: view.getUint32(at + 24, true),
    checksum: view.getUint32(at + 28, true),
  };
}

/** The checksum of a block: CRC-32 of its header before the checksum, and what follows it. */
export const checksumOf = (header: Uint8Array, stored: Uint8Array): number =>
  crc32(stored, crc32(header.subarray(0, BLOCK_HEADER - 4)));

/**
 * Bytes before the payload of a record: its length (u32), type (u8), netlink protocol (u8) and the
 * index of its namespace (u16). The payload is padded to four bytes.
 */
export const RECORD_HEADER = 8;

/** Types of records. Readers skip others. */
export const RECORD = {
  /** JSON, HostInfo; the second record of each block, after its time. */
  host: 1,
  /** Wall clock (f64, ms since 1970) and CLOCK_MONOTONIC (f64, ms) of what follows. */
  time: 2,
  /** A datagram that the kernel sent to a multicast group. */
  datagram: 3,
  /** Messages of the dump of a snapshot. */
  dumped: 4,
  /** A datagram longer than the receive buffer, of which this is the beginning. */
  truncated: 5,
  /** JSON, Note. */
  note: 6,
  /**
   * Datagrams that were read together, each with exactly one message, padded to eight bytes: the
   * length of a message says where the next is.
   */
  datagrams: 7,
} as const;

/** Where the message after one of this length begins, in a record of several datagrams. */
export const align8 = (length: number): number => (length + 7) & ~7;
