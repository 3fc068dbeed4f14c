/** Addresses, integers and text. */
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { BlockList, isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { AF_INET, AF_INET6, AF_UNSPEC, readAddress } from '../../lib/wire/address.ts';
import { readU64 } from '../../lib/wire/integer.ts';
import { Enumeration, Flags } from '../../lib/wire/names.ts';
import {
  printable,
  printableLines,
  readName,
  readString,
  readText,
  textBytes,
  textSize,
  writeText,
} from '../../lib/wire/text.ts';

const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

test('IPv6 addresses follow RFC 5952', () => {
  const cases: [hex: string, text: string][] = [
    ['20010db8 00000000 00000000 00000001', '2001:db8::1'],
    ['00000000 00000000 00000000 00000000', '::'],
    ['00000000 00000000 00000000 00000001', '::1'],
    ['20010db8 00000000 00010001 00010001', '2001:db8:0:0:1:1:1:1'.replace(':0:0:', '::')],
    ['20010db8 00000001 00010001 00010001', '2001:db8:0:1:1:1:1:1'],
    ['20010000 00000001 00000000 00000001', '2001:0:0:1::1'],
    ['20010db8 aaaabbbb ccccdddd eeee0001', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:1'],
    ['fe800000 00000000 00000000 00000000', 'fe80::'],
    ['00000000 00000000 0000ffff c0000201', '::ffff:192.0.2.1'],
  ];
  for (const [hex, text] of cases) assert.equal(readAddress(bytesOf(hex), 0, AF_INET6), text);
});

test('an address as text encodes to the bytes it came from', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(8), (address, zeros) => {
      address.fill(0, zeros, Math.min(16, zeros * 2));
      const v6 = readAddress(address, 0, AF_INET6);
      assert(isIPv6(v6));
      // Node's own parser is the judge: the text must name this one address.
      const list = new BlockList();
      const groups = Buffer.from(address).toString('hex').match(/..../g) as string[];
      list.addAddress(groups.join(':'), 'ipv6');
      assert(list.check(v6, 'ipv6'), v6);
      assert.equal(readAddress(address, 0, AF_INET), address.subarray(0, 4).join('.'));
    }),
  );
});

test('an address of an unknown family keeps its bytes', () => {
  const address = bytesOf('c0000201 00000000 00000000 000000ff');
  assert.equal(readAddress(address, 0, 99), 'c00002010000000000000000000000ff');
  assert.equal(readAddress(new Uint8Array(16), 0, AF_UNSPEC), 'any');
});

test('an IPv4 address ignores what follows its four bytes', () => {
  assert.equal(
    readAddress(bytesOf('c0000201 deadbeef deadbeef deadbeef'), 0, AF_INET),
    '192.0.2.1',
  );
});

test('64-bit numbers keep every bit', () => {
  const view = new DataView(new ArrayBuffer(16));
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (number) => {
      new BigUint64Array(view.buffer)[1] = number;
      assert.equal(readU64(view, 8), number);
    }),
  );
});

test('a name ends at its NUL, and the next one is not mistaken for it', () => {
  const buffer = new Uint8Array(128);
  const write = (text: string) => {
    buffer.fill(0xff).set(new Uint8Array(64));
    buffer.set(Buffer.from(text, 'latin1').subarray(0, 64));
  };
  fc.assert(
    fc.property(fc.string({ maxLength: 70, unit: 'grapheme-ascii' }), (text) => {
      write(text);
      for (let twice = 0; twice < 2; twice++) assert.equal(readName(buffer, 0), text.slice(0, 64));
    }),
  );
  assert.equal(readText(bytesOf('6162006364'), 0, 5), 'ab');
  assert.equal(readText(bytesOf('6162'), 0, 2), 'ab');
});

test('bytes become text and the same bytes again, as UTF-8 where they are', () => {
  const valid = fc.string({ unit: 'binary' }).map((text) => Buffer.from(text));
  const bytes = fc.array(fc.oneof(fc.uint8Array({ maxLength: 4 }), valid)).map(Buffer.concat);
  fc.assert(
    fc.property(bytes, (some) => {
      const text = readString(Buffer.concat([some, Buffer.of(0)]), 0, some.length + 1);
      assert.deepEqual(Buffer.from(textBytes(text)), some);
      assert.equal(textSize(text), some.length);
      if (isUtf8(some)) assert.equal(text, some.toString());
      else assert.match(text, /\p{Surrogate}/u);
    }),
  );
  // Overlong, a surrogate, beyond Unicode, cut short: RFC 3629 section 3.
  for (const wrong of ['c0af', 'eda080', 'f4908080', 'e282', 'f09f98', '80', 'ff']) {
    const expected = bytesOf(wrong).reduce(
      (so, byte) => so + String.fromCharCode(0xdc00 + byte),
      '',
    );
    assert.equal(readText(bytesOf(wrong), 0, wrong.length / 2), expected, wrong);
  }
  for (const wrong of ['\ud800', 'a\udc00', '\udc7f', '\udd00', '\udbffx']) {
    assert.throws(() => textBytes(wrong), /is half a surrogate pair/);
  }
  assert.throws(() => writeText(new Uint8Array(4), 0, 'äöü', 4, 'name'), /has 6 bytes, 4 fit/);
});

test('foreign text cannot control a terminal', () => {
  assert.equal(printable('eth0'), 'eth0');
  assert.equal(printable('\x1b[2J\n\x9b0m'), '\\x1b[2J\\x0a\\x9b0m');
  assert.equal(printable('a\\x1b'), 'a\\\\x1b');
  assert.equal(printable('a\u202eb'), 'a\\u202eb');
  assert.equal(printable('ä€😀\udcff\ud800'), 'ä€😀\\xff\\ud800');
  // What reorders, hides or cannot be seen, one of each kind.
  for (const point of [
    0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x180e, 0x200b, 0x2028, 0x2066, 0x206a, 0x3164,
    0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffb, 0xe0001, 0xe007f, 0xe0100,
  ]) {
    const hex = point.toString(16).padStart(4, '0');
    const written =
      point < 0x100 ? `\\x${point.toString(16)}` : point < 0x10000 ? `\\u${hex}` : `\\u{${hex}}`;
    assert.equal(printable(`a${String.fromCodePoint(point)}b`), `a${written}b`);
  }
  assert.equal(printableLines('one\r\n  two\u202e\n'), 'one\\x0d\n  two\\u202e\n');
});

test('numbers without a name stay numbers, and unnamed bits stay in the mask', () => {
  const mode = new Enumeration('Mode', { one: 1, two: 2 });
  assert.equal(mode.name(2), 'two');
  assert.equal(mode.name(7), 7);
  const flags = new Flags('Flags', { low: 1, high: 0x80000000 });
  assert.deepEqual(flags.of(0x80000005), { mask: 0x80000005, names: ['low', 'high'] });
  assert.throws(() => (flags.of(1).names as string[]).push('high'), TypeError);
});
