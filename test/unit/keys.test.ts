/** Keys in unexpected places: only their length is shown unless they are requested. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import pc from 'picocolors';
import { shown } from '../../lib/base/shown.ts';
import { formatJson } from '../../lib/cli/json.ts';
import { Iproute2Format } from '../../lib/cli/text/iproute2.ts';
import { formatMessage } from '../../lib/cli/text/message.ts';
import { KeyMaterial } from '../../lib/index.ts';
import { NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { formatRecord } from '../../lib/netlink/debug.ts';
import type { Malformed } from '../../lib/netlink/event.ts';
import { describeDatagram } from '../../lib/netlink/trace.ts';
import { NLA_F_NESTED, NLA_F_NET_BYTEORDER } from '../../lib/wire/attribute.ts';
import { brief } from '../../lib/wire/text.ts';
import * as X from '../../lib/xfrm/constants.ts';
import type { XfrmEvent } from '../../lib/xfrm/events.ts';
import type { XfrmMessage } from '../../lib/xfrm/requests.ts';
import { encodeXfrm, MessageWriter, OpaqueBytes } from '../../lib/xfrm.ts';
import { keyIn } from '../../torture/keys/search.ts';
import { capture } from './captures.ts';
import { answers, events, messageBytes, requests } from './generate.ts';
import { messagesOf } from './messages.ts';
import { Random, runSeed } from './random.ts';

const seed = runSeed();
console.log(`seed ${seed}`);
const random = new Random(seed);
/** No byte is common elsewhere, no two neighbours are alike. */
const KEY = Uint8Array.from({ length: 36 }, (_, i) => 0x80 | ((i * 37 + random.below(9)) & 0x7f));

const HEADER = 16;

function attribute(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + payload.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + payload.length, true);
  view.setUint16(2, type, true);
  bytes.set(payload, 4);
  return bytes;
}

/** struct xfrm_algo, xfrm_algo_auth or xfrm_algo_aead with the key. */
function algorithm(header: number, bits = 8 * KEY.length): Uint8Array {
  const bytes = new Uint8Array(header + KEY.length);
  bytes.set(Buffer.from('rfc4106(gcm(aes))'));
  new DataView(bytes.buffer).setUint32(64, bits, true);
  bytes.set(KEY, header);
  return bytes;
}

function withMore(message: Uint8Array, ...more: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat([message, ...more]);
  bytes.writeUInt32LE(bytes.length, 0);
  return new Uint8Array(bytes);
}

/** Attributes with a key, that are unknown, or not where or how they should be. */
const ATTRIBUTES: Readonly<Record<string, Uint8Array>> = {
  unknown: attribute(200, KEY),
  'unknown, of another byte order': attribute(201 | NLA_F_NET_BYTEORDER, KEY),
  'unknown, with attributes in it': attribute(
    202 | NLA_F_NESTED,
    attribute(X.XFRMA_ALG_AEAD, algorithm(72)),
  ),
  'in padding': attribute(X.XFRMA_PAD, KEY),
  'of type 0': attribute(0, KEY),
  'behind a number': attribute(X.XFRMA_IF_ID, Uint8Array.of(1, 0, 0, 0, ...KEY)),
  'behind a mark': attribute(X.XFRMA_MARK, Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0, ...KEY)),
  'behind an empty bitmap': attribute(
    X.XFRMA_REPLAY_ESN_VAL,
    Uint8Array.of(...new Array(24).fill(0), ...KEY),
  ),
  'behind a label': attribute(X.XFRMA_SEC_CTX, Uint8Array.of(8, 0, 8, 0, 1, 1, 0, 0, ...KEY)),
  ...Object.fromEntries(
    (['ALG_AUTH', 'ALG_CRYPT', 'ALG_COMP', 'ALG_AEAD', 'ALG_AUTH_TRUNC'] as const).flatMap(
      (name) => {
        const type = X[`XFRMA_${name}`];
        const header = /AEAD|TRUNC/.test(name) ? 72 : 68;
        return [
          [name, attribute(type, algorithm(header))],
          [`nested ${name}`, attribute(type | NLA_F_NESTED, algorithm(header))],
          [`${name} that says it has no key`, attribute(type, algorithm(header, 0))],
          [`${name} that says it has more`, attribute(type, algorithm(header, 10_000))],
          [`bare key as ${name}`, attribute(type, KEY)],
        ];
      },
    ),
  ),
};

const colors = pc.createColors(true);
const iproute2 = new Iproute2Format({
  showKeys: true,
  names: { protocol: (number) => `${number}`, device: () => undefined },
});
const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value);

/** Everything shown of a message without requesting keys. */
function told(bytes: Uint8Array, message: XfrmMessage | Malformed): string[] {
  const messages = describeDatagram(NETLINK_XFRM, bytes, 0, bytes.length);
  const record = {
    direction: 'received',
    peer: 0,
    groups: 0,
    length: bytes.length,
    messages,
  } as const;
  const texts = [
    inspect(message, { depth: 20, showHidden: true, getters: true }),
    inspect(structuredClone(message), { depth: 20, showHidden: true }),
    JSON.stringify(message, plain),
    JSON.stringify(messages),
    formatRecord('message', { socket: 1, protocol: NETLINK_XFRM, ...record }),
  ];
  const protocol = 'xfrm' as const;
  const filled = message.kind === 'malformed' ? { ...message, protocol } : message;
  texts.push(formatJson(filled, false), formatMessage(filled, colors));
  if (!/^(malformed|request|NEWS[AP]DINFO)$/.test(message.kind)) {
    texts.push(iproute2.format(message as XfrmEvent, bytes.length));
  }
  return texts;
}

let searched = 0;
function search(where: string, bytes: Uint8Array): (XfrmMessage | Malformed)[] {
  return messagesOf(bytes).map(([, message]) => {
    for (const text of told(bytes, message)) {
      searched++;
      const how = keyIn(text, KEY);
      assert.equal(how, undefined, `${where}: the key is there as ${how}: ${text}`);
    }
    return message;
  });
}

const kinds = [...events, ...answers, ...requests];
const plainMessage = (index: number) => messageBytes(kinds[index] as (typeof kinds)[0], random);

test('in any message, attributes that are unknown or do not belong there are opaque', () => {
  let opaque = 0;
  for (const [index] of kinds.entries()) {
    const message = plainMessage(index);
    for (const [name, bytes] of Object.entries(ATTRIBUTES)) {
      const whole = withMore(message, bytes);
      const [decoded] = search(`${name} in ${message[4]}`, whole);
      if (/"unknown"/.test(JSON.stringify(decoded, plain))) opaque++;
      // And cut short, somewhere in it.
      search(name, whole.slice(0, whole.length - random.below(40)));
    }
  }
  assert(opaque > 200, `${opaque}`);
  assert(searched > 3000, `${searched}`);
});

test('the payload of an unknown message is opaque, whatever its flags say', () => {
  const sa = withMore(plainMessage(0), attribute(X.XFRMA_ALG_AEAD, algorithm(72)));
  for (const type of [0x0f, 0x2b, 0x40, 0x7f, 0xffff]) {
    for (const flags of [0, 1, 0x301, 0xffff]) {
      const bytes = sa.slice();
      const view = new DataView(bytes.buffer);
      view.setUint16(4, type, true);
      view.setUint16(6, flags, true);
      const [message] = search(`type ${type}`, bytes);
      assert(message?.kind === 'unknown');
      assert.equal(message.payload.length, bytes.length - HEADER);
      assert.equal(message.payload.bytes(), undefined);
      const [[, asked] = []] = messagesOf(bytes, { keys: true });
      assert(asked?.kind === 'unknown');
      assert.deepEqual(asked.payload.bytes(), bytes.subarray(HEADER));
      assert.equal(keyIn(inspect(asked, { depth: 9, showHidden: true }), KEY), undefined);
      assert.notEqual(
        keyIn(formatJson(asked, true), KEY),
        undefined,
        'shown where it is asked for',
      );
    }
  }
});

test('keys that were not requested are rejected by the encoder, or encoded as zeros', () => {
  const bytes = withMore(capture('uml-6.1/flushsa.event0'), attribute(200, KEY));
  const writer = new MessageWriter();
  const encode = (message: XfrmMessage | Malformed | undefined, missingKeys?: 'zero') => {
    assert(message !== undefined && message.kind !== 'malformed');
    writer.wipe();
    encodeXfrm(writer, message, { missingKeys });
    return writer.written();
  };
  const [[, without] = []] = messagesOf(bytes);
  assert.throws(() => encode(without), {
    code: 'ERR_NETLINK_ENCODE',
    message: /^FLUSHSA › attribute 200 › its 36 bytes are absent/,
  });
  const zeroed = encode(without, 'zero');
  assert.equal(zeroed.length, bytes.length);
  assert(zeroed.subarray(-KEY.length).every((byte) => byte === 0));
  const [[, asked] = []] = messagesOf(bytes, { keys: true });
  assert.deepEqual(encode(asked).slice(-KEY.length), KEY);
});

test('keys and opaque bytes are wiped at the end of a scope', () => {
  for (const held of [new KeyMaterial(KEY.slice()), new OpaqueBytes(KEY.slice())]) {
    held[Symbol.dispose]();
    assert.deepEqual(held.bytes(), new Uint8Array(KEY.length));
  }
  new OpaqueBytes(7)[Symbol.dispose]();
  assert.deepEqual(structuredClone(new OpaqueBytes(7)), { length: 7 });
});

test('an error about a value does not show what may be a key', () => {
  const key = Buffer.from(KEY);
  const hex = key.toString('hex');
  for (const text of [
    hex,
    `0x${hex}`,
    hex.toUpperCase(),
    hex.replace(/..(?=.)/g, '$&:'),
    hex.replace(/..(?=.)/g, '$& '),
    key.toString('base64'),
    key.toString('base64url'),
    key.subarray(0, 16).toString('base64'),
    key.toString('latin1'),
    key.toString('utf8'),
    key.join(','),
    key.join(', '),
    `${'-'.repeat(90)}${hex}`,
  ]) {
    for (const said of [shown(text), brief(text)]) {
      assert.equal(said, `a string of ${text.length} characters`);
    }
  }
  // Text that is not a key is repeated, which helps.
  for (const text of [
    'espx',
    '2001:db8::1:2:3:x',
    '192.0.2.300',
    '52:54:00:12:34:5g',
    'rfc4106(gcm(aes))',
    '/run/netns/blue-1',
  ]) {
    assert.equal(shown(text), JSON.stringify(text));
  }
});
