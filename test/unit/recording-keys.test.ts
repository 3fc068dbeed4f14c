/** Keys never reach a recording, and everything else decodes as before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeDatagram } from '../../lib/netlink/event.ts';
import { removeKeys } from '../../lib/recording/keys.ts';
import { OpaqueBytes } from '../../lib/wire/opaque.ts';
import { XFRM_MSG_NEWSADINFO, XFRM_MSG_NEWSPDINFO } from '../../lib/xfrm/constants.ts';
import { decodeXfrm } from '../../lib/xfrm/decode.ts';
import { KeyMaterial } from '../../lib/xfrm.ts';
import { captures } from './captures.ts';
import { answers, events, messageBytes } from './generate.ts';
import { generated, Random, runSeed } from './random.ts';

const time = { wall: 1_700_000_000_000, monotonic: 5 };

function decode(bytes: Uint8Array, keys: boolean): unknown[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const all: unknown[] = [];
  decodeDatagram({ view, bytes, time, keys }, 0, bytes.length, false, decodeXfrm, (one) => {
    all.push(one);
  });
  return all;
}

/** A copy without keys, in memory that begins before it and goes on after it. */
function without(bytes: Uint8Array): Uint8Array {
  const memory = new Uint8Array(bytes.length + 64).fill(0xa5);
  memory.set(bytes, 32);
  removeKeys(new DataView(memory.buffer), memory, 32, bytes.length);
  assert(
    memory.subarray(0, 32).every((byte) => byte === 0xa5),
    'wrote before it',
  );
  assert(
    memory.subarray(32 + bytes.length).every((byte) => byte === 0xa5),
    'wrote after it',
  );
  return memory.slice(32, 32 + bytes.length);
}

/** All bytes in a decoded message that are hidden unless keys are asked for. */
function* hidden(value: unknown): Generator<Uint8Array> {
  if (value instanceof KeyMaterial || value instanceof OpaqueBytes) {
    const bytes = value.bytes();
    if (bytes) yield bytes;
  } else if (typeof value === 'object' && value !== null) {
    for (const one of Object.values(value)) yield* hidden(one);
  }
}

function check(bytes: Uint8Array): number {
  const removed = without(bytes);
  assert.deepEqual(decode(removed, false), decode(bytes, false));
  let count = 0;
  for (const event of decode(removed, true) as { header?: { type: number } }[]) {
    const type = event.header?.type ?? 0;
    // Answers of known content, which no group delivers.
    if (type === XFRM_MSG_NEWSADINFO || type === XFRM_MSG_NEWSPDINFO) continue;
    for (const one of hidden(event)) {
      count++;
      // Of an error, its code is kept.
      const rest = type < 16 ? one.subarray(4) : one;
      assert(
        rest.every((byte) => byte === 0),
        'a key is left',
      );
    }
  }
  return count;
}

test('recorded messages have no keys, and decode as before', () => {
  let count = 0;
  for (const { bytes } of captures('xfrm')) count += check(bytes);
  assert(count > 10, `${count} keys`);
});

test('generated messages, whole, cut and damaged, have no keys, and decode as before', () => {
  const seed = runSeed();
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  for (let i = 0; i < generated(200); i++) {
    for (const kind of [...events, ...answers]) {
      const bytes = messageBytes(kind, random);
      check(bytes);
      check(bytes.subarray(0, random.below(bytes.length + 1)));
      const damaged = bytes.slice();
      damaged[random.below(bytes.length)] = random.below(256);
      check(damaged);
    }
  }
});
