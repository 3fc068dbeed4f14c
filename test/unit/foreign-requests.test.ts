/**
 * Requests as programs really send them, with headers that are short or of another kind: glibc, musl and Go send struct
 * rtgenmsg (1 or 4 bytes) for all lists, older iproute2 struct ifinfomsg, libraries for lists of SAs and policies those of
 * other requests. Kernel 7.2 answers all of these with all objects.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRouteMessage } from '../../lib/route/decode-message.ts';
import { encodeRoute } from '../../lib/route/encode.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { decodeXfrmMessage } from '../../lib/xfrm/decode-message.ts';

const DUMP = 0x301;
const [RTM_NEWROUTE, GETSA, GETPOLICY] = [24, 0x12, 0x15];

function input(type: number, flags: number, payload: Uint8Array) {
  const bytes = new Uint8Array(16 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  bytes.set(payload, 16);
  const time = { wall: 0, monotonic: 0 };
  return { view, bytes, time, keys: false };
}
const route = (type: number, flags: number, payload: Uint8Array) =>
  decodeRouteMessage(input(type, flags, payload) as never, 0, 16 + payload.length);
const xfrm = (type: number, flags: number, payload: Uint8Array) =>
  decodeXfrmMessage(input(type, flags, payload) as never, 0, 16 + payload.length);
const ifinfomsg = (family: number) => Uint8Array.of(family, ...Array(15).fill(0));

/** GETLINK, GETADDR, GETROUTE, GETNEIGH, GETRULE, GETQDISC, GETMULTICAST, GETNEIGHTBL, GETADDRLABEL, GETNETCONF, GETNSID, GETNEXTHOP. */
const LISTS = [18, 22, 26, 30, 34, 38, 58, 66, 74, 82, 90, 106];

test('a request for a list is one, whatever header it has', () => {
  for (const type of LISTS) {
    for (const payload of [Uint8Array.of(0), Uint8Array.of(2, 0, 0, 0), ifinfomsg(2)]) {
      const { kind } = route(type, DUMP, payload);
      assert.match(kind, /^(request|rtnetlink)$/, `${type}, ${payload.length} bytes`);
    }
  }
  // What asks for one object must name it.
  assert.throws(() => route(18, 1, Uint8Array.of(0)), /needs 16 bytes, has 1/);
  assert.throws(() => route(16, DUMP, Uint8Array.of(0)), /needs 16 bytes, has 1/);
});

test('a request for all SAs or policies is one, and what the kernel ignores in it is kept', () => {
  for (const type of [GETSA, GETPOLICY]) {
    for (const payload of [
      Uint8Array.of(2, 0, 0, 0),
      ifinfomsg(0),
      ifinfomsg(2),
      new Uint8Array(24),
    ]) {
      const message = xfrm(type, DUMP, payload);
      assert(message.kind === 'request' && 'ignored' in message);
      assert.equal(message.ignored?.length, payload.length);
      assert.deepEqual(message.attributes, {});
      if (payload.length < 24) assert.throws(() => xfrm(type, 1, payload), /needs \d+ bytes/);
    }
    const plain = xfrm(type, DUMP, new Uint8Array(0));
    assert(!('ignored' in plain));
  }
});

test('the life of a route is as wide as its request has it: 32 bits of an IPv6 route, 64 of a multicast one', () => {
  const header = [10, 64, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
  const short = Uint8Array.of(...header, 8, 0, 23, 0, 60, 0, 0, 0);
  const long = Uint8Array.of(...header, 12, 0, 23, 0, 60, 0, 0, 0, 0, 0, 0, 0);
  for (const [payload, name, expires] of [
    [short, 'expiresSeconds', 60],
    [long, 'expiresMs', 600],
  ] as const) {
    const message = route(RTM_NEWROUTE, 0x605, payload);
    assert(message.kind === 'request' && 'route' in message);
    assert.equal(message.route[name], expires);
    const writer = new MessageWriter();
    encodeRoute(writer, message);
    assert.deepEqual(Uint8Array.from(writer.written().subarray(16)), payload);
  }
});
