/** Payloads of the codec generator that XFRM has no use for: see test/codec. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ANY_FAMILY } from '../../lib/wire/address.ts';
import { DecodeError, EncodeError } from '../../lib/wire/error.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { readToy, writeToy } from '../codec/codec.ts';
import type { Toy } from '../codec/types.ts';

function encode(toy: Toy): Uint8Array {
  const writer = new MessageWriter(8);
  writeToy(writer, toy, ANY_FAMILY);
  return writer.written();
}

function decode(bytes: Uint8Array): Toy {
  const toy: Toy = {};
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  readToy(view, bytes, 0, bytes.length, ANY_FAMILY, toy);
  return toy;
}

const text = fc
  .array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\udcff', 'é€😀')))
  .map((parts) => parts.join(''));
const bytes = fc.uint8Array({ maxLength: 40 });
const inner = fc.record(
  { mtu: fc.nat(2 ** 31), label: text },
  { requiredKeys: [], noNullPrototype: true },
);
const toys = fc.record(
  {
    bytes,
    gateway: fc.constantFrom('192.0.2.1', '2001:db8::1', 'a1b2c3', ''),
    name: text,
    outer: fc.record({ kind: text, inner }, { requiredKeys: [], noNullPrototype: true }),
    list: fc.array(inner, { maxLength: 5 }),
    set: fc.constant(true as const),
    unknown: fc.array(
      fc.record(
        { type: fc.integer({ min: 7, max: 99 }), flags: fc.constant(0x8000), bytes },
        { noNullPrototype: true },
      ),
      { minLength: 1, maxLength: 3 },
    ),
  },
  { requiredKeys: [], noNullPrototype: true },
);

test('nests, lists of nests, text, bytes and addresses survive a round trip', () => {
  fc.assert(
    fc.property(toys, (toy) => {
      const encoded = encode(toy);
      assert.deepEqual(decode(encoded), toy);
      assert.deepEqual(encode(decode(encoded)), encoded);
    }),
  );
});

test('an error in a nest is reported with its full path', () => {
  const good = encode({ outer: { inner: { mtu: 1500 } } });
  // outer at 0, inner at 4, mtu at 8: one byte of payload fewer.
  const short = good.slice();
  new DataView(short.buffer).setUint16(8, 7, true);
  assert.throws(
    () => decode(short),
    (error: unknown) => {
      assert(error instanceof DecodeError);
      assert.deepEqual(error.path, ['TOY_OUTER', 'TOY_INNER', 'TOY_MTU']);
      assert.deepEqual([error.expected, error.found], [4, 3]);
      return true;
    },
  );
  const list = encode({ list: [{ mtu: 1 }, { mtu: 2 }] });
  new DataView(list.buffer, list.byteOffset).setUint16(20, 6, true);
  assert.throws(
    () => decode(list),
    (error: unknown) =>
      error instanceof DecodeError && error.path.join(' ') === 'TOY_LIST [1] TOY_MTU',
  );
  assert.throws(
    () => encode({ outer: { inner: { mtu: -1 } } }),
    (error: unknown) =>
      error instanceof EncodeError && error.path.join(' ') === 'TOY_OUTER TOY_INNER TOY_MTU mtu',
  );
});
