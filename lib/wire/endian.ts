/**
 * Netlink uses host byte order; only addresses, SPIs and ports are big-endian.
 * @module
 */
import { endianness } from 'node:os';

/** The littleEndian argument of every DataView call that reads or writes a host-order number. */
export const LE = endianness() === 'LE';
