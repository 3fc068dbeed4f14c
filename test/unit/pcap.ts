/**
 * Captures of nlmon devices, for tests.
 * @module
 */

/** A datagram as LINKTYPE_NETLINK has it: 16 bytes, then the messages. */
export function cooked(protocol: number, datagram: Uint8Array): Uint8Array {
  const header = Buffer.alloc(16);
  header.writeUInt16BE(4, 0);
  header.writeUInt16BE(824, 2);
  header.writeUInt16BE(protocol, 14);
  return Buffer.concat([header, datagram]);
}

const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);

/** A capture of packets, one a second. */
export function pcap(
  packets: readonly Uint8Array[],
  { magic = 0xa1b2c3d4, link = 253 } = {},
): Uint8Array {
  const parts = [u32(magic, 0x00040002, 0, 0, 0x40000, link)];
  packets.forEach((packet, i) => {
    const fraction = magic === 0xa1b2c3d4 ? 250_000 : 250_000_000;
    parts.push(u32(1_000_000 + i, fraction, packet.length, packet.length), Buffer.from(packet));
  });
  return Buffer.concat(parts);
}

/** The same; `resolution` is the option if_tsresol, 9 for nanoseconds. */
export function pcapng(packets: readonly Uint8Array[], resolution = 9): Uint8Array {
  const block = (type: number, body: Buffer) => {
    const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
    const size = padded.length + 12;
    return Buffer.concat([u32(type, size), padded, u32(size)]);
  };
  // if_tsresol (9) of one byte; then the end of the options.
  const options = Buffer.from([9, 0, 1, 0, resolution, 0, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([
    block(0x0a0d0d0a, Buffer.concat([u32(0x1a2b3c4d, 1), u32(0xffffffff, 0xffffffff)])),
    block(1, Buffer.concat([u32(253, 0x40000), options])),
    block(5, u32(0, 0, 0)),
    ...packets.map((packet, i) => {
      const nanoseconds = BigInt(1_000_000 + i) * 1_000_000_000n + 250_000_000n;
      const time = [Number(nanoseconds >> 32n), Number(nanoseconds & 0xffffffffn)];
      const header = u32(0, ...time, packet.length, packet.length);
      return block(6, Buffer.concat([header, Buffer.from(packet)]));
    }),
  ]);
}
