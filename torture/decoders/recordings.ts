/**
 * Properties that must hold for any file given to replay.
 * @module
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import pc from 'picocolors';
import { formatJson } from '../../lib/cli/json.ts';
import { type Decoded, decodeRecorded } from '../../lib/cli/replay.ts';
import { formatMessage } from '../../lib/cli/text/message.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { CaptureReader } from '../../lib/recording/capture.ts';
import { type Recorded, RecordingError } from '../../lib/recording/recorded.ts';
import { cooked, pcap, pcapng } from '../../test/unit/pcap.ts';
import { strongswan } from '../../test/unit/recordings.ts';
import { datagrams } from './inputs.ts';
import { assertSame } from './same.ts';

const colors = pc.createColors(false);

/** Reads a file surrounded by `poison`, in chunks of a given size; returns the result. */
function read(
  file: Uint8Array,
  poison: number,
  size: number,
): [readonly Decoded[], refused: string | undefined] {
  const at = 4099 + (poison & 1);
  const memory = new Uint8Array(file.length + 16_384).fill(poison);
  memory.set(file, at);
  const bytes = memory.subarray(at, at + file.length);
  const decoded: Decoded[] = [];
  try {
    for (const protocol of [NETLINK_XFRM, NETLINK_ROUTE]) {
      const reader = new CaptureReader(protocol);
      const take = (some: Iterable<Recorded>) => {
        for (const recorded of some) {
          decoded.push(...decodeRecorded(recorded, { output: 'json', showKeys: true }));
        }
      };
      for (let at = 0; at < bytes.length; at += size)
        take(reader.push(bytes.subarray(at, at + size)));
      take(reader.end());
    }
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
    return [decoded, error.message];
  }
  return [decoded, undefined];
}

/** Reads a file as replay does. @throws a finding */
export function checkRecording(file: Uint8Array): number {
  const found = read(file, 0x00, file.length);
  assertSame(found, read(file, 0xa5, 61), 'what surrounds the file, and in what chunks it comes');
  for (const { message } of found[0]) {
    assert(formatMessage(message, colors) !== '');
    JSON.parse(formatJson(message, true));
  }
  return found[0].length;
}

const times = fc.tuple(fc.integer(), fc.integer());

/** Any file: a capture, or concatenated messages, with some bytes changed. */
export function recordings(seed: number): fc.Arbitrary<Uint8Array> {
  const packets = fc.array(
    fc
      .tuple(datagrams(seed), fc.constantFrom(6, 6, 0, 16, 65535))
      .map(([{ bytes }, protocol]) => cooked(protocol, bytes)),
    { maxLength: 4 },
  );
  const file = fc.oneof(
    packets.map((some) => pcap(some)),
    fc.tuple(packets, fc.nat(255)).map(([some, resolution]) => pcapng(some, resolution)),
    packets.map((some) => new Uint8Array(Buffer.concat(some.map((one) => one.subarray(16))))),
    fc.constant(strongswan().subarray(0, 4000)),
    fc.uint8Array({ maxLength: 64 }),
  );
  const edit = fc.tuple(fc.noBias(fc.nat(0xffff)), fc.nat(2), fc.nat(0xff), times);
  return fc.tuple(file, fc.array(edit, { maxLength: 4 })).map(([made, edits]) => {
    let bytes = new Uint8Array(made);
    for (const [where, what, value, [number]] of edits) {
      if (bytes.length < 8) break;
      const at = where % bytes.length;
      if (what === 0) bytes[at] = value;
      else if (what === 1) bytes = bytes.slice(0, at);
      else new DataView(bytes.buffer).setInt32(Math.min(at & ~3, bytes.length - 4), number, true);
    }
    return bytes;
  });
}
