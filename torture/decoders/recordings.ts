/**
 * Properties that must hold for any file given to replay.
 * @module
 */
import assert from 'node:assert/strict';
import { brotliCompressSync } from 'node:zlib';
import fc from 'fast-check';
import pc from 'picocolors';
import { formatJson } from '../../lib/cli/json.ts';
import { type Decoded, decodeRecorded } from '../../lib/cli/replay.ts';
import { formatMessage } from '../../lib/cli/text/message.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { CaptureReader } from '../../lib/recording/capture.ts';
import { RECORD, RECORD_HEADER, writeBlock } from '../../lib/recording/format.ts';
import { Playback } from '../../lib/recording/playback.ts';
import { isRecording, RecordReader } from '../../lib/recording/read-blocks.ts';
import { type Recorded, RecordingError } from '../../lib/recording/recorded.ts';
import type { RecordingRecord } from '../../lib/recording/records.ts';
import { THRESHOLDS } from '../../lib/tunnel/thresholds.ts';
import { align4 } from '../../lib/wire/attribute.ts';
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

/** Reads and plays a file as the recording that it may be. @throws a finding */
function play(file: Uint8Array): number {
  const playback = new Playback({
    tunnels: { expected: [], thresholds: THRESHOLDS, apart: true, acquires: true },
  });
  const reader = new RecordReader();
  let count = 0;
  const take = (records: Iterable<RecordingRecord>) => {
    for (const record of records) {
      count++;
      playback.take(record);
    }
  };
  for (let at = 0; at < file.length; at += 4096) take(reader.push(file.subarray(at, at + 4096)));
  take(reader.end());
  playback.advanceTo((playback.now?.wall ?? 0) + 1000);
  for (const one of playback.namespaces.values()) one.snapshot();
  return count;
}

/** A recording with these datagrams as events and as a dump, undamaged. */
function recorded(some: readonly Uint8Array[]): Uint8Array {
  const records: Uint8Array[] = [];
  const add = (type: number, protocol: number, content: Uint8Array) => {
    const record = new Uint8Array(RECORD_HEADER + align4(content.length));
    const view = new DataView(record.buffer);
    view.setUint32(0, content.length, true);
    view.setUint8(4, type);
    view.setUint8(5, protocol);
    record.set(content, RECORD_HEADER);
    records.push(record);
  };
  const json = (type: number, value: object) => add(type, 0, Buffer.from(JSON.stringify(value)));
  const kernel = { release: '6.1', version: '#1', machine: 'x86_64' };
  const host = { session: 'a', hostname: 'h', kernel, version: '0', utcOffset: 0, keys: false };
  json(RECORD.host, { ...host, namespaces: [null] });
  add(RECORD.time, 0, new Uint8Array(Float64Array.of(1_700_000_000_000, 5).buffer));
  for (const protocol of ['xfrm', 'route']) {
    const note = { kind: 'snapshot', protocol };
    json(RECORD.note, { ...note, phase: 'begin' });
    for (const one of some) add(RECORD.dumped, protocol === 'xfrm' ? 6 : 0, one);
    for (const phase of ['dumped', 'settled']) json(RECORD.note, { ...note, phase });
    for (const one of some) add(RECORD.datagram, protocol === 'xfrm' ? 6 : 0, one);
    // Damaged where one is not exactly one message.
    if (protocol === 'xfrm') for (const one of some) add(RECORD.datagrams, 6, one);
  }
  const all = Buffer.concat(records);
  return writeBlock(brotliCompressSync(all), {
    length: all.length,
    wall: 1_700_000_000_000,
    flags: 0,
  });
}

/** Reads a file as replay does. @throws a finding */
export function checkRecording(file: Uint8Array): number {
  if (play(file) > 0 && isRecording(file)) return 1;
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
    packets.map((some) => recorded(some.map((one) => one.subarray(16)))),
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
