/** The testing kit: what a frame on the wire is taken for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseFrame } from '../../lib/testing/wire.ts';

const ETHERNET = '020000000002020000000001';

/** A frame of IPv4. */
const v4 = (protocol: number, payload: string, fragmentOffset = 0) => {
  const header = Buffer.from('450000000001000040000000c0000201c0000202', 'hex');
  header.writeUInt16BE(fragmentOffset, 6);
  header[9] = protocol;
  return Buffer.from(`${ETHERNET}0800${header.toString('hex')}${payload}`, 'hex');
};
/** A frame of IPv6; `next` is the type of the first header after the fixed one. */
const v6 = (next: number, payload: string) => {
  const header = Buffer.alloc(40);
  header.set([0x60, 0, 0, 0, 0, payload.length / 2, next, 64]);
  header.set([0x20, 0x01, 0x0d, 0xb8], 8);
  header.set([0x20, 0x01, 0x0d, 0xb8], 24);
  return Buffer.from(`${ETHERNET}86dd${header.toString('hex')}${payload}`, 'hex');
};
const kindOf = (bytes: Buffer) => parseFrame(bytes, 2)?.kind;
/** An extension header of eight bytes (RFC 8200); a router alert, as MLD has (RFC 3810). */
const extension = (next: number) => `${next.toString(16).padStart(2, '0')}00050200000100`;
const UDP = '03e803e900100000aaaaaaaaaaaaaaaa';

test('IPv6 extension headers do not hide clear-text packets', () => {
  assert.equal(kindOf(v6(17, UDP)), 'clear');
  assert.equal(kindOf(v6(0, extension(17) + UDP)), 'clear');
  assert.equal(kindOf(v6(0, extension(60) + extension(6) + '00'.repeat(20))), 'clear');
  assert.equal(kindOf(v6(0, `${extension(58)}80000000`)), 'clear', 'an echo request');
});

test('IPv6 control traffic is classified as control, and ESP is found behind extension headers', () => {
  assert.equal(kindOf(v6(0, `${extension(58)}8f000000`)), 'control', 'MLD');
  assert.equal(kindOf(v6(58, '87000000')), 'control', 'a neighbour solicitation');
  const esp = parseFrame(v6(0, `${extension(50)}0000100100000001`), 2);
  assert.equal(esp?.kind, 'esp');
  assert.equal(esp?.payload, 14 + 40 + 8);
});

test('UDP is classified as clear text, IKE or ESP by port, and as clear text without ports', () => {
  assert.equal(kindOf(v4(17, UDP)), 'clear');
  assert.equal(kindOf(v4(17, '01f401f400100000')), 'ike');
  assert.equal(kindOf(v4(17, `1194119400180000${'00'.repeat(16)}`)), 'ike');
  assert.equal(kindOf(v4(17, `1194119400180000${'11'.repeat(16)}`)), 'esp-in-udp');
  assert.equal(kindOf(v4(17, '1194119400090000ff')), 'control', 'a NAT keepalive');
  for (const short of ['', '03', '01f401', '01f401f4'])
    assert.equal(kindOf(v4(17, short)), 'clear');
  assert.equal(kindOf(v4(17, UDP, 0x2000)), 'clear', 'the first fragment');
  assert.equal(kindOf(v4(17, UDP, 100)), 'control', 'a later fragment');
});

test('never throws, whatever the frame', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 120 }),
      fc.constantFrom(0x0800, 0x86dd),
      (data, type) => {
        const bytes = Buffer.from(data);
        if (bytes.length >= 14) bytes.writeUInt16BE(type, 12);
        parseFrame(bytes, 1);
      },
    ),
  );
});
