/** XFRM messages to bytes and back: recorded ones. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { XFRMA_PAD } from '../../lib/constants.ts';
import { readRawAttributes } from '../../lib/wire/attribute.ts';
import { EncodeError } from '../../lib/wire/error.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import {
  type EncodableXfrmMessage,
  type EncodeOptions,
  encodeXfrm,
} from '../../lib/xfrm/encode.ts';
import * as structs from '../../lib/xfrm/structs.ts';
import { capture, captures } from './captures.ts';
import { messagesOf } from './messages.ts';
import { misplaced } from './misplaced.ts';
import { refusedNulls } from './wrong-values.ts';

/** The bytes of one message, by a writer that has to grow. */
function encode(message: EncodableXfrmMessage, options?: EncodeOptions): Uint8Array {
  const writer = new MessageWriter(16);
  encodeXfrm(writer, message, options);
  return writer.written();
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** The one message of a capture. */
function only(name: string, keys = false) {
  const [[, message] = []] = messagesOf(capture(name), { keys });
  assert(message !== undefined && message.kind !== 'malformed', inspect(message));
  return message;
}

/** The attributes after `from`, as text, without the alignment that some kernels add. */
function attributesOf(message: Uint8Array, from: number): string[] {
  const bytes = message.slice();
  return readRawAttributes(new DataView(bytes.buffer), bytes, from, bytes.length)
    .filter(({ type }) => type !== XFRMA_PAD)
    .map(({ type, bytes }) => `${type} ${hex(bytes)}`);
}

test('every recorded message encodes to the bytes it came from', () => {
  const kinds = new Set<string>();
  let equal = 0;
  for (const { name, bytes } of captures('xfrm')) {
    for (const [original, message] of messagesOf(bytes, { keys: true })) {
      if (name.endsWith('short_msg_einval.req.hex')) {
        assert(message.kind === 'malformed');
        continue;
      }
      assert(message.kind !== 'malformed', `${name}: ${inspect(message)}`);
      const encoded = encode(message);
      const [[, again] = []] = messagesOf(encoded, { keys: true });
      assert.deepEqual(again, message, name);
      kinds.add(message.kind === 'request' ? message.message : message.kind);
      if (hex(encoded) === hex(original)) {
        equal++;
        continue;
      }
      // What may differ: the alignment before 64-bit numbers, which x86_64 does not need …
      if (message.kind === 'NEWAE') {
        const from = 16 + structs.xfrm_aevent_id.size;
        assert.deepEqual(attributesOf(encoded, from), attributesOf(original, from), name);
        assert.deepEqual(encoded.slice(16, from), original.slice(16, from), name);
      } else if (message.kind === 'MAPPING') {
        // … the kernel's stack, after the four bytes of an IPv4 address …
        const zeroed = original.slice();
        zeroed.fill(0, 16 + 44 + 4, 16 + 44 + 16);
        assert.deepEqual(encoded, zeroed, name);
      } else {
        // … and requests whose author had another order in mind.
        assert(message.kind === 'request' && message.message === 'NEWSA', name);
        const from = 16 + structs.xfrm_usersa_info.size;
        const sorted = (of: Uint8Array) => attributesOf(of, from).sort();
        assert.deepEqual(sorted(encoded), sorted(original), name);
        assert.deepEqual(encoded.slice(0, from), original.slice(0, from), name);
      }
    }
  }
  assert(equal > 300, `${equal} messages are equal`);
  assert.equal(kinds.size, 26 + 1, [...kinds].join(' ')); // every message type, and control messages
});

test('a missing key is rejected, or encoded as zeros on request', () => {
  const message = only('uml-6.1/newsa_v4_tunnel_aead.event0');
  assert.throws(
    () => encode(message),
    (error: unknown) =>
      error instanceof EncodeError &&
      error.message.startsWith('NEWSA › XFRMA_ALG_AEAD › key › its 20 bytes are absent'),
  );
  const zeroed = capture('uml-6.1/newsa_v4_tunnel_aead.event0').slice();
  zeroed.fill(0, 240 + 4 + 72, 240 + 4 + 72 + 20);
  assert.equal(hex(encode(message, { missingKeys: 'zero' })), hex(zeroed));
});

test('a rejected message leaves the writer unchanged', () => {
  const writer = new MessageWriter();
  const good = only('uml-6.1/newsa_v4_tunnel_aead.event0', true);
  encodeXfrm(writer, good);
  const before = hex(writer.written());
  assert.throws(() => encodeXfrm(writer, only('uml-6.1/newsa_v4_tunnel_aead.event0')), EncodeError);
  assert.equal(hex(writer.written()), before);
  encodeXfrm(writer, good);
  assert.equal(hex(writer.written()), before + before);
});

test('written bytes are wiped, also when the writer grows', () => {
  const writer = new MessageWriter(64);
  const small = writer.bytes;
  small.fill(0xaa, writer.reserve(60), 60);
  writer.reserve(60);
  assert(small.every((byte) => byte === 0));
  const large = writer.bytes;
  assert.equal(large[59], 0xaa);
  writer.wipe();
  assert(large.every((byte) => byte === 0));
  assert.equal(writer.length, 0);
});

test('a request contains only what is necessary', () => {
  const request = encode({
    kind: 'request',
    message: 'NEWSA',
    state: {
      daddr: '2001:db8::2',
      saddr: '2001:db8::1',
      spi: 0x1000,
      proto: 'esp',
      mode: 'tunnel',
      flags: ['esn', 'af-unspec'],
      aead: { name: 'rfc4106(gcm(aes))', key: new Uint8Array(20).fill(7), icvBits: 128 },
    },
  });
  const [[, decoded] = []] = messagesOf(request);
  assert(decoded?.kind === 'request' && decoded.message === 'NEWSA');
  const { state, header } = decoded;
  assert.equal(header.flags, 1);
  assert.equal(state.family, 'inet6');
  assert.equal(state.daddr, '2001:db8::2');
  assert.equal(state.lifetime.hardBytes, NO_LIMIT);
  assert.equal(state.lifetime.hardAddSeconds, NO_LIMIT);
  assert.deepEqual(state.flags, { mask: 0xa0, names: ['af-unspec', 'esn'] });
  assert.deepEqual(state.aead, { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128 });
});

test('an object is encoded by its members, however it was made', () => {
  const state = {
    daddr: '192.0.2.2',
    spi: 0x1001,
    proto: 'esp',
    mode: 'tunnel',
    lifetime: { hardAddSeconds: 60 },
    mark: { value: 1, mask: 3 },
  } as const;
  const message = { kind: 'request', message: 'NEWSA', state } as const;
  const expected = hex(encode(message));
  const { mark, ...rest } = state;
  class State {
    daddr = state.daddr;
    spi = state.spi;
    proto = state.proto;
    mode = state.mode;
    lifetime = state.lifetime;
    get mark() {
      return mark;
    }
  }
  const bare = (value: object) => Object.assign(Object.create(null), value);
  const own = JSON.parse('{"__proto__":{"reqid":7,"header":{"seq":7}}}');
  for (const made of [
    { ...message, state: { ...rest, mark } },
    { ...message, state: { mark, ...rest, ifId: undefined, more: 'ignored' } },
    { ...message, state: new State() },
    Object.create({ ...message }),
    bare({ ...message, state: bare(state) }),
    { ...message, state: Object.freeze({ ...state, selector: {}, current: {}, stats: {} }) },
    { ...own, ...message, state: { ...own, ...state } },
  ] as EncodableXfrmMessage[]) {
    assert.equal(hex(encode(made)), expected, inspect(made));
  }
});

test('values out of range are rejected by name', () => {
  const state = { daddr: '192.0.2.1', spi: 1 };
  const request = (more: object) =>
    encode({ kind: 'request', message: 'NEWSA', state: { ...state, ...more } });
  const cases: [more: object, path: string[], reason: RegExp][] = [
    [
      { spi: 2 ** 32 },
      ['spi'],
      /invalid value 4294967296: expected an integer from 0 to 4294967295/,
    ],
    [{ reqid: -1 }, ['reqid'], /invalid value -1: expected an integer/],
    [{ reqid: 1.5 }, ['reqid'], /invalid value 1.5: expected an integer/],
    [{ reqid: '7' }, ['reqid'], /invalid value "7": expected an integer/],
    [{ reqid: 'x'.repeat(9999) }, ['reqid'], /^invalid value "x{100}"…: expected an integer/],
    [{ mode: 'tunel' }, ['mode'], /invalid value "tunel": expected one of transport, tunnel/],
    [{ mode: 256 }, ['mode'], /invalid value 256: expected an integer from 0 to 255/],
    [{ flags: ['esn', 'nope'] }, ['flags'], /invalid value "nope": expected one of noecn/],
    [{ saddr: '2001:db8::1' }, ['saddr'], /invalid value "2001:db8::1": expected an IPv4 address/],
    [{ saddr: '192.0.2.256' }, ['saddr'], /expected an IPv4 address/],
    [{ saddr: '192.0.2.01' }, ['saddr'], /expected an IPv4 address/],
    [
      { selector: { dport: 65536 } },
      ['selector', 'dport'],
      /invalid value 65536: expected an integer/,
    ],
    [{ lifetime: { hardBytes: 2n ** 64n } }, ['lifetime', 'hardBytes'], /expected an integer/],
    [{ lifetime: { hardBytes: 2 ** 53 } }, ['lifetime', 'hardBytes'], /expected an integer/],
    [{ encap: { oa: 'x' } }, ['XFRMA_ENCAP', 'oa'], /invalid value "x": expected an IPv4 address/],
    [
      { crypt: { name: 'x'.repeat(65), keyBits: 0 } },
      ['XFRMA_ALG_CRYPT', 'name'],
      /has 65 bytes, 64 fit/,
    ],
    [
      { crypt: { name: 'x', keyBits: 64, key: new Uint8Array(7) } },
      ['XFRMA_ALG_CRYPT', 'key'],
      /has 7 bytes, but 64 bits take 8/,
    ],
    [
      { replayEsn: { bitmap: new Array(17000).fill(0) } },
      ['XFRMA_REPLAY_ESN_VAL'],
      /has 68024 bytes; at most 65531 fit/,
    ],
  ];
  for (const [more, path, reason] of cases) {
    assert.throws(
      () => request(more),
      (error: unknown) => {
        assert(error instanceof EncodeError, inspect(error));
        assert.deepEqual(error.path, ['NEWSA', ...path]);
        assert.match(error.reason, reason);
        return true;
      },
      inspect(more),
    );
  }
});

test('values that are neither boolean nor number are rejected by name', () => {
  const expire = (hard: unknown) =>
    encode({ kind: 'EXPIRE', hard, state: { daddr: '192.0.2.1', spi: 1 } } as EncodableXfrmMessage);
  for (const hard of ['1', 'no', [1], { valueOf: () => 1 }, Symbol('yes'), 1n, 2 ** 8]) {
    assert.throws(
      () => expire(hard),
      /EXPIRE › hard › invalid value .*: expected an integer from 0 to 255$/,
    );
  }
  assert.deepEqual(expire(true), expire(1));
});

test('null and values of a wrong type are rejected by name, at any depth', () => {
  const [failed, tried] = [new Set<string>(), new Set<string>()];
  for (const { bytes } of captures('xfrm')) {
    for (const [, message] of messagesOf(bytes, { keys: true })) {
      if (message.kind === 'malformed') continue;
      const name = message.kind === 'request' ? message.message : message.kind;
      for (const path of refusedNulls(message, name, tried, () => encode(message)))
        failed.add(path);
    }
  }
  assert(failed.has('state.mark') && failed.has('policy.templates'), [...failed].join(' '));
});

test('a program can decode and encode its own messages', async () => {
  const { decodeXfrmMessage, encodeXfrm, MessageWriter } = await import('../../lib/xfrm.ts');
  const bytes = capture('uml-6.1/newsa_v6_esn_marks_ifid_tfc.event0');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const input = { view, bytes, time: { wall: 0, monotonic: 0 }, keys: true };
  using writer = new MessageWriter();
  encodeXfrm(writer, decodeXfrmMessage(input, 0, bytes.length));
  assert.deepEqual(writer.written(), bytes);
});

test('the error about a key in a wrong place does not show it', () => {
  const key = Uint8Array.from({ length: 20 }, (_, i) => 200 + i);
  const state = {
    ...{ saddr: '192.0.2.1', daddr: '192.0.2.2', spi: 1, proto: 'esp', mode: 'tunnel', reqid: 1 },
    ...{ flags: ['noecn'], mark: { value: 1, mask: 1 }, lifetime: { softBytes: 1 }, ifId: 1 },
    aead: { name: 'rfc4106(gcm(aes))', icvBits: 128, keyBits: 160, key },
  };
  let refused = 0;
  for (const place of [key, [...key], { key }, hex(key), `0x${hex(key)}`]) {
    for (const [path, input] of misplaced(state, place)) {
      try {
        encodeXfrm(new MessageWriter(), { kind: 'NEWSA', state: input } as EncodableXfrmMessage);
      } catch (error) {
        assert(!/201\D+202|c9ca/.test(inspect(error, { depth: 9 })), path.join('.'));
        refused++;
      }
    }
  }
  assert(refused > 30, `${refused} refused`);
});
