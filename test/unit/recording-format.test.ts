/** The format of recordings: written and read again, whole and damaged. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BlockWriter } from '../../lib/recording/block-writer.ts';
import { align8, BLOCK_HEADER, MAGIC, VERSION } from '../../lib/recording/format.ts';
import { MORE, RecordingInput } from '../../lib/recording/input.ts';
import { readBlocks } from '../../lib/recording/read-blocks.ts';
import type { HostInfo, Note, RecordingRecord } from '../../lib/recording/records.ts';
import { LE } from '../../lib/wire/endian.ts';

const HOST: HostInfo = {
  session: 'one',
  hostname: 'gate',
  kernel: { release: '6.1.0', version: '#1', machine: 'x86_64' },
  version: '0.2.0',
  bootId: undefined,
  utcOffset: 60,
  keys: false,
  namespaces: [null, 'red'],
};

/** What a test writes. */
type Written =
  | {
      readonly at: number;
      readonly bytes: Uint8Array;
      readonly netns: number;
      readonly protocol: number;
    }
  | { readonly at: number; readonly together: readonly Uint8Array[] }
  | { readonly at: number; readonly note: Note }
  | 'flush';

/** A message of this size, header included, full of a byte. */
function message(size: number, filler: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(filler);
  new DataView(bytes.buffer).setUint32(0, size, LE);
  return bytes;
}

/** As a socket lays out what it read together. */
function laidOut(messages: readonly Uint8Array[]): Uint8Array {
  const all = messages.map((one) => Buffer.concat([one], align8(one.length)));
  return new Uint8Array(Buffer.concat(all));
}

const arbitraryWritten: fc.Arbitrary<Written[]> = fc.array(
  fc.oneof(
    fc.record({
      at: fc.integer({ min: 0, max: 2 ** 40 }),
      bytes: fc.uint8Array({ maxLength: 300 }),
      netns: fc.constantFrom(0, 1),
      protocol: fc.constantFrom(0, 6),
    }),
    fc.record({
      at: fc.integer({ min: 0, max: 2 ** 40 }),
      together: fc.array(
        fc
          .tuple(fc.integer({ min: 16, max: 300 }), fc.integer({ min: 0, max: 255 }))
          .map(([size, filler]) => message(size, filler)),
        { minLength: 1, maxLength: 20 },
      ),
    }),
    fc.record({
      at: fc.integer({ min: 0, max: 2 ** 40 }),
      note: fc.constantFrom<Note>(
        { kind: 'overrun', protocol: 'xfrm', code: 'ENOBUFS' },
        { kind: 'clock-set', by: -3_600_000 },
        { kind: 'owner', portId: 12, pid: 34, name: 'charon' },
        { kind: 'snapshot', protocol: 'route', phase: 'begin' },
      ),
    }),
    fc.constant('flush' as const),
  ),
  { maxLength: 40 },
);

/** Writes it. @returns each block */
async function write(all: readonly Written[], host = HOST): Promise<Uint8Array[]> {
  const blocks: Uint8Array[] = [];
  const store = {
    blockSize: 2 ** 12,
    write: async (block: Uint8Array) => void blocks.push(block),
  };
  const writer = new BlockWriter(store, () => host);
  for (const one of all) {
    if (one === 'flush') {
      writer.flush();
      continue;
    }
    writer.at(one.at, one.at / 2);
    if ('note' in one) writer.note(0, one.note);
    else if ('together' in one) {
      const bytes = laidOut(one.together);
      writer.datagram('datagrams', 6, 1, bytes, 0, bytes.length);
    } else writer.datagram('datagram', one.protocol, one.netns, one.bytes, 0, one.bytes.length);
  }
  await writer.end();
  return blocks;
}

/** Reads it in chunks of this size. */
function read(bytes: Uint8Array, chunk = 1 << 20): RecordingRecord[] {
  const input = new RecordingInput();
  const records: RecordingRecord[] = [];
  let next = 0;
  for (const record of readBlocks(input)) {
    if (record !== MORE) {
      const copy = record.kind === 'datagram' ? { bytes: record.bytes.slice() } : {};
      records.push({ ...record, ...copy });
    } else if (next >= bytes.length) input.end();
    else {
      input.add(bytes.slice(next, next + chunk));
      next += chunk;
    }
  }
  return records;
}

const said = (records: readonly RecordingRecord[]) =>
  records.flatMap((one) => {
    if (one.kind === 'datagram') {
      const { time, netns, protocol, bytes } = one;
      return [[time.wall, netns, protocol, Buffer.from(bytes).toString('hex')].join(' ')];
    }
    return one.kind === 'note' ? [`${one.time.wall} ${JSON.stringify(one.note)}`] : [];
  });

const asked = (all: readonly Written[]) =>
  all.flatMap((one) => {
    if (one === 'flush') return [];
    if ('note' in one) return [`${one.at} ${JSON.stringify(one.note)}`];
    if ('together' in one) {
      return one.together.map((each) =>
        [one.at, HOST.namespaces[1], 6, Buffer.from(each).toString('hex')].join(' '),
      );
    }
    const { at, netns, protocol, bytes } = one;
    return [[at, HOST.namespaces[netns], protocol, Buffer.from(bytes).toString('hex')].join(' ')];
  });

const unreadable = (records: readonly RecordingRecord[]) =>
  records.flatMap((one) => (one.kind === 'unreadable' ? [one] : []));

const SOME: Written[] = [1, 2, 3].flatMap((at): Written[] => [
  { at, bytes: Uint8Array.of(at, at), netns: 0, protocol: 6 },
  'flush',
]);

describe('the format of recordings', () => {
  it('returns what was written, in chunks of any size', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryWritten, fc.integer({ min: 1, max: 500 }), async (all, chunk) => {
        const bytes = Buffer.concat(await write(all));
        assert.deepEqual(said(read(bytes, chunk)), asked(all));
      }),
    );
  });

  it('reports datagrams that were read together and whose lengths are impossible', async () => {
    for (const length of [0, 15, 33, 2 ** 32 - 1]) {
      const bytes = laidOut([message(32, 7), message(32, 8)]);
      new DataView(bytes.buffer).setUint32(32, length, LE);
      const blocks: Uint8Array[] = [];
      const store = {
        blockSize: 2 ** 12,
        write: async (block: Uint8Array) => void blocks.push(block),
      };
      const one = new BlockWriter(store, () => HOST);
      one.at(1, 1);
      one.datagram('datagrams', 6, 0, bytes, 0, bytes.length);
      await one.end();
      const records = read(Buffer.concat(blocks));
      assert.equal(said(records).length, 1);
      assert.deepEqual(
        unreadable(records).map(({ reason }) => reason),
        ['a record of datagrams is damaged'],
      );
    }
  });

  it('reads concatenated recordings, and says where another process took over', async () => {
    const first = await write(SOME);
    const second = await write(SOME, { ...HOST, session: 'two' });
    const records = read(Buffer.concat([...first, ...second]));
    assert.deepEqual(said(records), [...asked(SOME), ...asked(SOME)]);
    const hosts = records.flatMap((one) => (one.kind === 'host' ? [one.resumed] : []));
    assert.deepEqual(hosts, [false, true]);
  });

  it('loses only the cut block of a recording cut anywhere', async () => {
    const blocks = await write(SOME);
    const whole = Buffer.concat(blocks);
    const ends = blocks.map((_, i) => Buffer.concat(blocks.slice(0, i + 1)).length);
    for (let length = 0; length < whole.length; length++) {
      const records = read(whole.subarray(0, length));
      const complete = ends.filter((end) => end <= length).length;
      assert.deepEqual(said(records), asked(SOME).slice(0, complete), `cut at ${length}`);
      const cut = length !== 0 && !ends.includes(length);
      assert.equal(unreadable(records).length, cut ? 1 : 0, `cut at ${length}`);
    }
  });

  it('loses only the block in which a bit is wrong, and says so once', async () => {
    const blocks = await write(SOME);
    const sizes = blocks.map(({ length }) => length);
    for (let bit = 0; bit < Buffer.concat(blocks).length * 8; bit++) {
      const bytes = Buffer.concat(blocks);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      const records = read(bytes);
      const hit =
        bit >> 3 < (sizes[0] as number)
          ? 0
          : bit >> 3 < (sizes[0] as number) + (sizes[1] as number)
            ? 1
            : 2;
      assert.deepEqual(
        said(records),
        asked(SOME).filter((_, i) => i !== hit),
        `bit ${bit}`,
      );
      assert.equal(unreadable(records).length, 1, `bit ${bit}`);
    }
  });

  it('never throws, whatever is damaged', async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitraryWritten,
        fc.array(fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 12 })), {
          maxLength: 5,
        }),
        fc.nat(),
        async (all, damage, cut) => {
          const bytes = Buffer.concat(await write(all));
          for (const [at, with_] of damage)
            bytes.set(
              with_.subarray(0, Math.max(0, bytes.length - (at % (bytes.length + 1)))),
              at % (bytes.length + 1),
            );
          const known = new Set(asked(all));
          for (const line of said(read(bytes.subarray(0, cut % (bytes.length + 1))))) {
            assert.ok(known.has(line), line);
          }
        },
      ),
    );
  });

  it('reads what is between blocks of another version, byte order or compression', async () => {
    for (const [offset, value, reason] of [
      [7, VERSION + 1, /version 2 of the format; this program reads 1/],
      [24, 2, /opposite byte order/],
      [BLOCK_HEADER, 0xff, /cannot be decompressed/],
    ] as const) {
      const blocks = await write(SOME);
      const changed = Buffer.from(blocks[1] as Uint8Array);
      changed[offset] = value;
      const { checksumOf } = await import('../../lib/recording/format.ts');
      const checksum = checksumOf(
        changed.subarray(0, BLOCK_HEADER),
        changed.subarray(BLOCK_HEADER),
      );
      changed.writeUInt32LE(checksum, 28);
      blocks[1] = changed;
      const records = read(Buffer.concat(blocks));
      assert.deepEqual(said(records), [asked(SOME)[0], asked(SOME)[2]]);
      const [one, ...others] = unreadable(records);
      assert.match(one?.reason ?? '', reason);
      assert.equal(others.length, 0);
    }
  });

  it('does not take the magic number inside a block for another', async () => {
    const bytes = Uint8Array.from([...MAGIC, ...MAGIC]);
    const all: Written[] = [{ at: 1, bytes, netns: 0, protocol: 6 }];
    assert.deepEqual(said(read(Buffer.concat(await write(all)))), asked(all));
  });
});
