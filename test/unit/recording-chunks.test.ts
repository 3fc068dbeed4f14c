/** Recordings that come in chunks: whatever their sizes, what is read is the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Decoded, decodeRecorded } from '../../lib/cli/replay.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { CaptureReader } from '../../lib/recording/capture.ts';
import { RecordingError } from '../../lib/recording/recorded.ts';
import { recordings } from '../../torture/decoders/recordings.ts';
import { capture, captures } from './captures.ts';
import { cooked, pcap, pcapng } from './pcap.ts';
import { strongswan } from './recordings.ts';

const NEWSA = capture('uml-6.1/newsa_v4_tunnel_aead.event0');

/** What becomes of a recording in these chunks, and how it ends. */
function read(chunks: Iterable<Uint8Array>, protocol = NETLINK_XFRM): [Decoded[], string?] {
  const reader = new CaptureReader(protocol);
  const decoded: Decoded[] = [];
  const take = (part: ReturnType<CaptureReader['end']>) => {
    for (const recorded of part) {
      decoded.push(...decodeRecorded(recorded, { output: 'json', showKeys: true }));
    }
  };
  try {
    for (const chunk of chunks) take(reader.push(chunk));
    take(reader.end());
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
    return [decoded, error.message];
  }
  return [decoded];
}

/** Chunks of these sizes, over and over. The memory of one is another's as soon as it was taken. */
function* cut(file: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < file.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    const chunk = new Uint8Array(file.subarray(at, at + size));
    yield chunk;
    chunk.fill(0xa5);
    at += size;
  }
}

const joined = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

function message(type: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setUint32(0, size, true);
  new DataView(bytes.buffer).setUint16(4, type, true);
  return bytes;
}

/** As rtmon notes it. */
function time(seconds: number): Uint8Array {
  const bytes = message(15, 24);
  new DataView(bytes.buffer).setUint32(16, seconds, true);
  return bytes;
}

const link = captures('route').find(({ name }) => name.includes('NEWLINK'))?.bytes ?? NEWSA;
const damaged = NEWSA.slice();
new DataView(damaged.buffer).setUint16(240, 20, true);
const lengthOf = (length: number) => {
  const bytes = NEWSA.slice();
  new DataView(bytes.buffer).setUint32(0, length, true);
  return bytes;
};

const FILES: Readonly<Record<string, Uint8Array>> = {
  'a negotiation': strongswan(),
  'a damaged message': joined(NEWSA, damaged, NEWSA),
  'a length too small': joined(NEWSA, lengthOf(15), NEWSA),
  'a length beyond the end': joined(NEWSA, lengthOf(9999), NEWSA),
  'a length that none has': joined(NEWSA, lengthOf(0xfffffff0), NEWSA),
  'a message cut short': joined(NEWSA, NEWSA.subarray(0, 100)),
  'a header cut short': joined(NEWSA, NEWSA.subarray(0, 9)),
  'padding, of the last one none': joined(
    message(99, 17),
    new Uint8Array(3),
    NEWSA,
    message(99, 18),
  ),
  'a long message': joined(NEWSA, message(99, 300_000), NEWSA),
  'times of rtmon': joined(time(1), link, link, time(2), time(3), link, message(15, 20), link),
  pcap: pcap([cooked(6, NEWSA), cooked(0, link), cooked(6, strongswan()), cooked(6, damaged)]),
  pcapng: pcapng([cooked(6, NEWSA), cooked(0, link), cooked(6, strongswan()), cooked(6, damaged)]),
  'pcap cut short': pcap([cooked(6, NEWSA), cooked(6, NEWSA)]).subarray(0, 500),
  'pcapng cut short': pcapng([cooked(6, NEWSA), cooked(6, NEWSA)]).subarray(0, 600),
  text: Buffer.from('root:x:0:0:root:/root:/bin/bash\n'),
  'three bytes': Uint8Array.of(1, 2, 3),
};

for (const [name, file] of Object.entries(FILES)) {
  test(`in chunks of any size: ${name}`, () => {
    for (const protocol of [NETLINK_XFRM, NETLINK_ROUTE]) {
      const whole = read([file], protocol);
      for (const size of [1, 3, 16, 17, 255, 4096, 65_536]) {
        assert.deepEqual(read(cut(file, [size]), protocol), whole, `chunks of ${size}`);
      }
      const sizes = fc.array(fc.integer({ min: 1, max: 65_536 }), { minLength: 1, maxLength: 20 });
      fc.assert(
        fc.property(sizes, (some) => {
          assert.deepEqual(read(cut(file, some), protocol), whole);
        }),
        { numRuns: 10 },
      );
    }
  });
}

test('in chunks of any size: any file', (t) => {
  const seed = Date.now() % 2 ** 31;
  t.diagnostic(`seed ${seed}`);
  const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(recordings(seed), sizes, (file, some) => {
      for (const protocol of [NETLINK_XFRM, NETLINK_ROUTE]) {
        assert.deepEqual(read(cut(file, some), protocol), read([file], protocol));
      }
    }),
    { numRuns: 300, seed },
  );
});

test('complete messages are available before the rest has arrived', () => {
  const packets = [cooked(6, NEWSA), cooked(6, NEWSA)];
  for (const file of [joined(NEWSA, NEWSA), pcap(packets), pcapng(packets)]) {
    const reader = new CaptureReader(NETLINK_XFRM);
    const sizes = Array.from(cut(file, [1]), (byte) => [...reader.push(byte)].length);
    const at = sizes.flatMap((count, i) => (count > 0 ? [i] : []));
    assert.equal(at.length, 2);
    const [first = 0, second = 0] = at;
    assert(second - first >= NEWSA.length && second < file.length, `${at} of ${file.length}`);
    assert.deepEqual([...reader.end()], []);
  }
});

test('offsets beyond 4 GiB are right', () => {
  const chunk = new Uint8Array(2 ** 20);
  const begin = pcapng([cooked(6, NEWSA)]);
  const packets = pcapng([cooked(6, damaged)]).subarray(28); // without the section's header
  // A block of a type that is not read, nearly as long as can be.
  const length = 0xffff_fff0;
  const block = new Uint8Array(8);
  new DataView(block.buffer).setUint32(0, 0x0bad, true);
  new DataView(block.buffer).setUint32(4, length, true);
  function* file(): Generator<Uint8Array> {
    yield begin;
    for (let i = 0; i < 2; i++) {
      yield block;
      for (let left = length - 8; left > 0; left -= chunk.length) yield chunk.subarray(0, left);
    }
    yield packets;
  }
  const [[, last], error] = read(file());
  assert.equal(error, undefined);
  assert(last?.message.kind === 'malformed');
  const inPacket = read([joined(begin, packets)])[0][1]?.message;
  assert(inPacket?.kind === 'malformed');
  assert.equal(last.message.offset, inPacket.offset + 2 * length);
});

test('an impossibly long message or packet is rejected and not buffered', () => {
  const chunk = new Uint8Array(2 ** 20);
  const length = 2 ** 24 + 4;
  function* file(...head: Uint8Array[]): Generator<Uint8Array> {
    yield* head;
    for (let i = 0; i < 20; i++) yield chunk;
  }
  const header = new Uint8Array(16);
  new DataView(header.buffer).setUint32(0, length, true);
  assert.match(
    read(file(NEWSA, header))[1] ?? '',
    /^the message at 352 has 16777220 bytes; at most/,
  );
  new DataView(header.buffer).setUint32(8, length, true);
  const [, error] = read(file(pcap([]), header));
  assert.match(error ?? '', /^a packet at 40 has 16777220 bytes; at most/);
});
