/** Attributes written and read one by one. */
import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { test } from 'node:test';
import { AttributeWriter, MessageWriter, NetlinkAttributes } from '../../lib/socket.ts';

const NAMES = { 1: 'ONE', 2: { name: 'TWO', inside: { 1: 'INNER' } } };

function written(write: (to: AttributeWriter) => unknown): Uint8Array {
  const writer = new MessageWriter();
  write(new AttributeWriter(writer, NAMES));
  return writer.written().slice();
}

test('every type that is written can be read', () => {
  const bytes = written((to) =>
    to
      .u8(1, 255)
      .u16(2, 0x1234)
      .u32(3, 0xffff_ffff)
      .u64(4, 2n ** 64n - 1n)
      .s32(5, -1)
      .be16(6, 443)
      .be32(7, 0x1001)
      .be64(8, 7)
      .string(9, 'gänse')
      .bytes(10, Uint8Array.of(1, 2, 3))
      .ip(11, '192.0.2.1')
      .ip(12, '2001:db8::1')
      .flag(13)
      .nest(14, (list) => list.u32(1, 5).u32(2, 6))
      .s8(16, -128)
      .s16(17, -2)
      .s64(18, -(2n ** 63n))
      .uint(19, 2n ** 32n - 1n)
      .uint(20, 2 ** 32)
      .sint(21, -1)
      .sint(22, -(2n ** 40n))
      .u32s(23, [1, 2 ** 32 - 1]),
  );
  const read = new NetlinkAttributes(bytes);
  const of = (type: number) => read.get(type) ?? assert.fail(`${type}`);
  assert.equal(read.size, 22);
  assert.equal(of(16).s8(), -128);
  assert.equal(of(17).s16(), -2);
  assert.equal(of(18).s64(), -(2n ** 63n));
  assert.deepEqual([of(19).bytes.length, of(19).uint()], [4, 2n ** 32n - 1n]);
  assert.deepEqual([of(20).bytes.length, of(20).uint()], [8, 2n ** 32n]);
  assert.deepEqual([of(21).bytes.length, of(21).sint()], [4, -1n]);
  assert.deepEqual([of(22).bytes.length, of(22).sint()], [8, -(2n ** 40n)]);
  assert.deepEqual(of(23).u32s(), [1, 2 ** 32 - 1]);
  assert.equal(of(1).u8(), 255);
  assert.equal(of(1).s8(), -1);
  assert.equal(of(2).u16(), 0x1234);
  assert.equal(of(2).s16(), 0x1234);
  assert.equal(of(3).u32(), 0xffff_ffff);
  assert.equal(of(3).s32(), -1);
  assert.equal(of(3).uint(), 0xffff_ffffn);
  assert.equal(of(3).sint(), -1n);
  assert.equal(of(4).u64(), 2n ** 64n - 1n);
  assert.equal(of(4).s64(), -1n);
  assert.equal(of(4).uint(), 2n ** 64n - 1n);
  assert.equal(of(5).s32(), -1);
  assert.deepEqual([...of(6).bytes], [1, 187]);
  assert.equal(of(6).be16(), 443);
  assert.equal(of(7).be32(), 0x1001);
  assert.equal(of(8).be64(), 7n);
  assert.equal(of(9).string(), 'gänse');
  assert.equal(of(9).bytes.at(-1), 0);
  assert.deepEqual(of(10).bytes, Uint8Array.of(1, 2, 3));
  assert.equal(of(11).ip(), '192.0.2.1');
  assert.equal(of(12).ip(), '2001:db8::1');
  assert(read.has(13) && !read.has(15));
  assert.equal(read.get(15)?.u32(), undefined);
  assert.equal(of(14).flags, 0x8000);
  assert.deepEqual(
    Array.from(of(14).nest(), (one) => [one.type, one.u32()]),
    [
      [1, 5],
      [2, 6],
    ],
  );
});

test('arrays, a header before a nest, the last of several, and big-endian by the flag', () => {
  const inner = written((to) => to.u32(1, 9));
  const bytes = written((to) =>
    to
      .bytes(1, new Uint8Array(Uint32Array.of(1, 2, 3).buffer))
      .bytes(2, Uint8Array.of(7, 7, 7, 7, ...inner))
      .u8(3, 1)
      .u8(3, 2)
      .bytes(4 | 0x4000, Uint8Array.of(1, 187)),
  );
  const read = new NetlinkAttributes(bytes);
  assert.deepEqual(read.get(1)?.u32s(), [1, 2, 3]);
  assert.equal(read.get(2)?.nest(4).get(1)?.u32(), 9);
  assert.equal(read.get(3)?.u8(), 2);
  assert.deepEqual(
    Array.from(read, ({ type }) => type),
    [1, 2, 3, 3, 4],
  );
  assert.equal(read.get(4)?.u16(), 443);
});

test('an attribute whose length does not fit its type is rejected with path and offset', () => {
  const bytes = written((to) => to.u8(1, 1).nest(2, (inside) => inside.u16(1, 5).u8(3, 1)));
  const read = new NetlinkAttributes(bytes, { names: NAMES, base: 16 });
  assert.throws(() => read.get(1)?.u32(), {
    name: 'DecodeError',
    message: 'ONE › needs 4 bytes, has 1 (offset 20)',
  });
  const inside = read.get(2)?.nest();
  assert.throws(() => inside?.get(1)?.u64(), {
    path: ['TWO', 'INNER'],
    offset: 32,
    expected: 8,
    found: 2,
  });
  for (const wrong of ['ip', 'u32s', 'be32', 's64', 'uint', 'nest'] as const) {
    assert.throws(() => inside?.get(3)?.[wrong](), { name: 'DecodeError' }, wrong);
  }
  assert.throws(() => read.get(1)?.nest(8), /ONE › needs 8 bytes, has 1/);
});

test('malformed attributes are rejected with their offset', () => {
  const short = Uint8Array.of(9, 0, 1, 0, 1);
  const little = endianness() === 'LE';
  assert(little || short.reverse());
  assert.throws(() => new NetlinkAttributes(short), {
    message: 'attribute 1 has length 9, but 5 bytes are left (offset 0)',
  });
  const nested = new NetlinkAttributes(
    written((to) => to.bytes(2, short)),
    { names: NAMES },
  );
  assert.throws(() => nested.get(2)?.nest(), { path: ['TWO'], offset: 4 });
});

test('values out of range are rejected with their path', () => {
  const cases: [(to: AttributeWriter) => unknown, RegExp][] = [
    [(to) => to.u8(1, 256), /^ONE › invalid value 256: expected/],
    [(to) => to.u16(3, -1), /^attribute 3 › invalid value -1/],
    [(to) => to.u32(1, 1.5), /^ONE › invalid value 1\.5/],
    [(to) => to.u64(1, -1n), /^ONE › invalid value -1n/],
    [(to) => to.s32(1, 2 ** 31), /^ONE › invalid value 2147483648/],
    [(to) => to.s8(1, 128), /^ONE › invalid value 128: expected an integer from -128 to 127/],
    [(to) => to.s16(1, 1.5), /^ONE › invalid value 1\.5/],
    [(to) => to.s64(1, 2n ** 63n), /^ONE › invalid value 9223372036854775808n/],
    [(to) => to.uint(1, -1), /^ONE › invalid value -1/],
    [(to) => to.uint(1, '5' as never), /^ONE › invalid value "5"/],
    [(to) => to.sint(1, 2n ** 63n), /^ONE › invalid value 9223372036854775808n/],
    [(to) => to.u32s(1, [1, -1]), /^ONE › \[1\] › invalid value -1/],
    [(to) => to.nest(2, async () => {}), /^TWO › must be written by a synchronous function/],
    [(to) => to.ip(-1, '192.0.2.1'), /^-1 is not a valid attribute number/],
    [(to) => to.u32(1, undefined as never), /^ONE › must be a number; received undefined/],
    [(to) => to.string(1, 'a\0b'), /^ONE › contains a NUL/],
    [(to) => to.string(1, 5 as never), /^ONE › must be a string; received 5/],
    [(to) => to.bytes(1, [1] as never), /^ONE › must be a Uint8Array/],
    [(to) => to.bytes(1, new Uint8Array(70_000)), /^ONE › has 70000 bytes/],
    [(to) => to.ip(1, 'localhost'), /^ONE › must be an IP address/],
    [(to) => to.nest(2, (inside) => inside.u8(1, 999)), /^TWO › INNER › invalid value 999/],
    [(to) => to.nest(2, 5 as never), /^TWO › must be a function/],
    [(to) => to.u8(-1, 1), /^-1 is not a valid attribute number/],
  ];
  for (const [write, message] of cases) {
    assert.throws(() => written(write), { name: 'EncodeError', message }, String(message));
  }
});
