/** Wrong lengths inside XFRM messages: one record each, with the path, the expected and the found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import type { Malformed } from '../../lib/netlink/event.ts';
import { visitMessages } from '../../lib/netlink/request-socket.ts';
import { LE } from '../../lib/wire/endian.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { NUMBER_SIZE } from '../../lib/wire/struct.ts';
import { attributes } from '../../lib/xfrm/attributes.ts';
import { type EncodableXfrmMessage, encodeXfrm } from '../../lib/xfrm/encode.ts';
import { answers, events, type Kind, messageBytes, requests } from './generate.ts';
import { messagesOf } from './messages.ts';
import { Random } from './random.ts';

/** The one record that a broken message becomes. */
function record(bytes: Uint8Array): Malformed {
  const [[, message] = [], ...more] = messagesOf(bytes);
  assert(message?.kind === 'malformed' && more.length === 0, inspect(message));
  return message;
}

function encode(message: EncodableXfrmMessage, change: (view: DataView) => void): Uint8Array {
  const writer = new MessageWriter();
  encodeXfrm(writer, message);
  change(writer.view);
  return writer.written();
}

/** A message of a kind with one attribute more, of `size` zero bytes. */
function withAttribute(kind: Kind, type: number, size: number): Uint8Array {
  const message = messageBytes({ ...kind, names: [] }, new Random(1), { unknown: false });
  const bytes = new Uint8Array(message.length + ((4 + size + 3) & ~3));
  bytes.set(message);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(message.length, 4 + size, true);
  view.setUint16(message.length + 2, type, true);
  return bytes;
}

const nameOf = ({ name }: Kind) => name.replace('XFRM_MSG_', '');

test('every attribute shorter than its type is reported, in every message', () => {
  let count = 0;
  for (const kind of [...events, ...answers, ...requests]) {
    const belonging = kind.table.attributes.filter(({ name }) => kind.names.includes(name));
    for (const one of belonging) {
      let size = 16;
      if (one.type === 'struct' || one.type === 'list') size = one.struct.size;
      else if (one.type in NUMBER_SIZE) size = NUMBER_SIZE[one.type as keyof typeof NUMBER_SIZE];
      else if (one.type !== 'address') continue;
      const { path, expected, found } = record(withAttribute(kind, one.number, size - 1));
      assert.deepEqual(path, [nameOf(kind), one.kernel]);
      assert.deepEqual([expected, found], [size, size - 1], path.join(' › '));
      count++;
    }
  }
  assert(count > 200, `${count} attributes`);
});

test('every truncated struct is reported', () => {
  for (const kind of [...events, ...answers, ...requests]) {
    const { header } = kind;
    if (header === undefined) continue;
    const size = header === 'flags' ? 4 : header.size;
    const whole = messageBytes({ ...kind, names: [] }, new Random(1), { unknown: false });
    const bytes = whole.slice(0, 16 + size - 1);
    new DataView(bytes.buffer).setUint32(0, bytes.length, true);
    const { path, expected, found } = record(bytes);
    const struct = header === 'flags' ? 'flags' : `struct ${header.kernel}`;
    assert.deepEqual(path, [nameOf(kind), struct]);
    assert.deepEqual([expected, found], [size, size - 1]);
  }
});

/** Where the payload of the first attribute of a NEWSA and of a NEWPOLICY begins. */
const OF_STATE = 16 + 224 + 4;
const state = { daddr: '192.0.2.1', saddr: '192.0.2.2', spi: 1, proto: 'esp' } as const;
const key = new Uint8Array(20);

test('lengths inside attributes are checked against the attribute', () => {
  const newSa = (more: object, change: (view: DataView) => void) =>
    encode({ kind: 'NEWSA', state: { ...state, ...more } }, change);
  const u32 = (offset: number, value: number) => (view: DataView) =>
    view.setUint32(OF_STATE + offset, value, true);
  const u16 = (offset: number, value: number) => (view: DataView) =>
    view.setUint16(OF_STATE + offset, value, true);
  const esn = { replayEsn: { bitmap: [1, 2, 3, 4] } };
  const large = { replayEsn: { bitmap: new Array(2000).fill(1) } };
  const label = { securityContext: { label: 'system_u:object_r:x:s0' } };
  const cases: [bytes: Uint8Array, attribute: string, expected: number, found: number][] = [
    // A key one bit longer than there are bytes; of 2^32 - 1 bits; in each kind of algorithm.
    [newSa({ aead: { name: 'x', key } }, u32(64, 161)), 'XFRMA_ALG_AEAD', 93, 92],
    [newSa({ aead: { name: 'x', key } }, u32(64, 0xffffffff)), 'XFRMA_ALG_AEAD', 536870984, 92],
    [newSa({ crypt: { name: 'x', key } }, u32(64, 168)), 'XFRMA_ALG_CRYPT', 89, 88],
    [newSa({ auth: { name: 'x', key } }, u32(64, 168)), 'XFRMA_ALG_AUTH', 89, 88],
    [newSa({ authTrunc: { name: 'x', key } }, u32(64, 168)), 'XFRMA_ALG_AUTH_TRUNC', 93, 92],
    [newSa({ comp: { name: 'x' } }, u32(64, 1)), 'XFRMA_ALG_COMP', 69, 68],
    // A bitmap one word longer; of more than 4096 bytes; of 2^32 - 1 words, which wraps in 32 bits.
    [newSa(esn, u32(0, 5)), 'XFRMA_REPLAY_ESN_VAL', 44, 40],
    [newSa(large, u32(0, 2001)), 'XFRMA_REPLAY_ESN_VAL', 8028, 8024],
    [newSa(esn, u32(0, 0xffffffff)), 'XFRMA_REPLAY_ESN_VAL', 24 + 4 * 0xffffffff, 40],
    [newSa(esn, u32(0, 0x40000001)), 'XFRMA_REPLAY_ESN_VAL', 24 + 4 * 0x40000001, 40],
    // A label longer than the attribute; and one whose struct says another length.
    [newSa(label, u16(6, 24)), 'XFRMA_SEC_CTX', 32, 31],
    [newSa(label, u16(6, 0xffff)), 'XFRMA_SEC_CTX', 65543, 31],
    [newSa(label, u16(0, 30)), 'XFRMA_SEC_CTX', 31, 30],
    [newSa(label, u16(0, 0xffff)), 'XFRMA_SEC_CTX', 31, 0xffff],
  ];
  for (const [bytes, attribute, expected, found] of cases) {
    const { path, ...numbers } = record(bytes);
    assert.deepEqual(path, ['NEWSA', attribute]);
    assert.deepEqual([numbers.expected, numbers.found], [expected, found], attribute);
  }
});

test('a bitmap larger than the kernel’s limit is read if present', () => {
  const bitmap = Array.from({ length: 2000 }, (_, i) => i);
  const bytes = encode({ kind: 'NEWSA', state: { ...state, replayEsn: { bitmap } } }, () => {});
  const [[, message] = []] = messagesOf(bytes);
  assert(message?.kind === 'NEWSA');
  assert.deepEqual(message.state.replayEsn?.bitmap, bitmap);
});

test('arrays must contain whole entries', () => {
  for (const [name, type, size] of [
    ['NEWPOLICY', 5, 64],
    ['ACQUIRE', 5, 64],
    ['MIGRATE', 17, 76],
  ] as const) {
    const kind = events.find((one) => nameOf(one) === name);
    assert(kind);
    const { path, expected, found } = record(withAttribute(kind, type, 2 * size + 5));
    const attribute = attributes.attributes.find(({ number }) => number === type);
    assert.deepEqual(path, [name, attribute?.kernel]);
    assert.deepEqual([expected, found], [3 * size, 2 * size + 5]);
  }
});

test('a truncated or missing object is reported by the name of its attribute', () => {
  for (const [name, type, attribute, size] of [
    ['DELSA', 6, 'XFRMA_SA', 224],
    ['DELPOLICY', 7, 'XFRMA_POLICY', 168],
  ] as const) {
    const found = events.find((one) => nameOf(one) === name);
    assert(found);
    const { object: _, ...kind } = found;
    const short = record(withAttribute(kind, type, size - 1));
    assert.deepEqual(short.path, [name, attribute]);
    assert.deepEqual([short.expected, short.found], [size, size - 1]);
    const missing = record(messageBytes({ ...kind, names: [] }, new Random(1), { unknown: false }));
    assert.deepEqual([missing.path, missing.reason], [[name, attribute], 'is missing']);
  }
});

test('a truncated answer rejects the request; it neither throws in the event loop nor shortens the list', () => {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(8, 20, LE);
  view.setUint32(28, 36, LE);
  const batch = (length: number, truncated: boolean) => ({
    view,
    offset: () => 8,
    length: () => length,
    truncated: () => truncated,
  });
  let seen: number[][] = [];
  const visit = (length: number, truncated: boolean) => {
    seen = [];
    visitMessages(batch(length, truncated), 0, (...place) => seen.push(place));
  };
  visit(56, false);
  assert.deepEqual(seen, [
    [8, 20],
    [28, 36],
  ]);
  assert.throws(() => visit(40, true), /message header|has length 36/);
  assert.deepEqual(seen, [[8, 20]]);
  assert.throws(() => visit(20, true), /was truncated/);
  assert.deepEqual(seen, [[8, 20]]);
});
