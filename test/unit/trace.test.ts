/** What is described of messages while debugging: names and bytes, never a key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import '../../lib/monitor/trace.ts';
import { NETLINK_XFRM, NLMSG_ERROR } from '../../lib/netlink/constants.ts';
import { describeDatagram } from '../../lib/netlink/trace.ts';
import { capture, captures } from './captures.ts';

const describe = (bytes: Uint8Array) => describeDatagram(NETLINK_XFRM, bytes, 0, bytes.length);

test('an SA’s message is described attribute by attribute, its key by its length only', () => {
  const [message] = describe(capture('uml-6.1/newsa_m.event0')) ?? [];
  assert.equal(message?.name, 'XFRM_MSG_NEWSA');
  assert.equal(message?.fixed?.length, 2 * 224);
  const shown = message?.attributes?.filter(({ hex }) => hex !== undefined) ?? [];
  const hidden = message?.attributes?.filter(({ hex }) => hex === undefined) ?? [];
  assert.ok(shown.length > 0);
  assert.ok(hidden.length > 0);
  for (const { name } of hidden) assert.match(name ?? '', /^XFRMA_ALG_/);
});

test('every recorded event has a name, and is described to its end', () => {
  for (const { bytes, name } of captures('xfrm')) {
    if (!name.includes('.event')) continue;
    for (const message of describe(bytes) ?? []) {
      assert.ok(message.name, name);
      assert.equal(message.malformed, undefined, name);
      for (const attribute of message.attributes ?? []) assert.ok(attribute.name, name);
    }
  }
});

test('an error does not show the copy of the request that it may contain', () => {
  const request = capture('uml-6.1/newsa_m.event0');
  const bytes = new Uint8Array(20 + request.length);
  bytes.set(request, 20);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, NLMSG_ERROR, true);
  view.setInt32(16, -22, true);
  const header = { type: NLMSG_ERROR, flags: 0, seq: 0, portId: 0 };
  assert.deepEqual(describe(bytes), [
    { header, name: 'NLMSG_ERROR', length: bytes.length, errno: 22 },
  ]);
});

test('a truncated struct is reported, and the bytes in its place are not shown', () => {
  const whole = capture('uml-6.1/newsa_m.event0');
  const [message] = describe(whole) ?? [];
  const hidden = message?.attributes?.find(({ name }) => name === 'XFRMA_ALG_AEAD');
  const bytes = new Uint8Array(16 + 4 + (hidden?.length ?? 0));
  bytes.set(whole.subarray(0, 16));
  bytes.fill(0xa7, 20);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(16, bytes.length - 16, true);
  view.setUint16(18, 18, true); // XFRMA_ALG_AEAD, where struct xfrm_usersa_info belongs
  const described = describe(bytes);
  assert.equal(described?.[0]?.malformed, 'is shorter than its struct of 224 bytes');
  assert.doesNotMatch(JSON.stringify(described), /a7a7/);
});

test('of unknown messages only the header is shown, and truncation is reported', () => {
  const bytes = capture('uml-6.1/newsa_m.event0').slice();
  const view = new DataView(bytes.buffer);
  view.setUint16(4, 60_000, true);
  const [unknown] = describe(bytes) ?? [];
  assert.deepEqual(Object.keys(unknown ?? {}), ['header', 'name', 'length']);
  const [cut] = describe(bytes.slice(0, 40)) ?? [];
  assert.match(cut?.malformed ?? '', /message has length/);
  assert.equal(describeDatagram(31, bytes, 0, bytes.length), undefined);
});
