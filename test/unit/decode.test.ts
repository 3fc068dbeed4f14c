/** XFRM messages from bytes to events: recorded ones, and broken ones. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import pc from 'picocolors';
import { formatJson } from '../../lib/cli/json.ts';
import { formatEvent } from '../../lib/cli/text/event.ts';
import { type DecodeInput, decodeDatagram, type Malformed } from '../../lib/netlink/event.ts';
import { decodeRoute } from '../../lib/route/decode.ts';
import { OpaqueBytes } from '../../lib/wire/opaque.ts';
import { NO_LIMIT } from '../../lib/wire/time.ts';
import { attributes } from '../../lib/xfrm/attributes.ts';
import { decodeXfrm } from '../../lib/xfrm/decode.ts';
import type { XfrmEvent } from '../../lib/xfrm/events.ts';
import { messageName } from '../../lib/xfrm/messages.ts';
import { generate } from '../../tools/codec/module.ts';
import { protocols } from '../../tools/generate-codec.ts';
import { capture, captures } from './captures.ts';
import { generated } from './random.ts';

const time = { wall: 0, monotonic: 0 };

function decode<Event>(
  bytes: Uint8Array,
  decoder: (input: DecodeInput, at: number, length: number) => Event,
  { keys = false, truncated = false } = {},
): (Event | Malformed)[] {
  // Not at the start of its memory, so that an offset taken from the wrong place shows.
  const memory = new Uint8Array(bytes.length + 24).fill(0xee);
  memory.set(bytes, 8);
  const input = { view: new DataView(memory.buffer), bytes: memory, time, keys };
  const events: (Event | Malformed)[] = [];
  decodeDatagram(input, 8, bytes.length, truncated, decoder, (event) => events.push(event));
  return events;
}

const xfrm = (bytes: Uint8Array, options?: { keys?: boolean; truncated?: boolean }) =>
  decode(bytes, decodeXfrm, options) as (XfrmEvent | Malformed)[];

const only = (bytes: Uint8Array, options?: { keys?: boolean }): XfrmEvent => {
  const [event, ...more] = xfrm(bytes, options);
  assert(event !== undefined && event.kind !== 'malformed' && more.length === 0, inspect(event));
  return event;
};

/** A copy with some bytes changed. */
function changed(
  bytes: Uint8Array,
  change: (view: DataView, bytes: Uint8Array) => void,
): Uint8Array {
  const copy = bytes.slice();
  change(new DataView(copy.buffer), copy);
  return copy;
}

/** The attributes a decoded object has, as the properties of lib/xfrm/attributes.ts. */
function found(event: XfrmEvent): string[] {
  const holders = [
    'state',
    'policy',
    'acquire',
    'aevent',
    'migration',
    'mapping',
    'report',
    'attributes',
  ];
  const all: Record<string, unknown> = { ...event };
  for (const holder of holders) Object.assign(all, all[holder]);
  return attributes.attributes
    .filter(({ name }) => all[name] !== undefined)
    .map(({ kernel }) => kernel);
}

test('every recorded message decodes to what an independent script saw in it', () => {
  let compared = 0;
  for (const { name, bytes, messages } of captures('xfrm')) {
    if (name.includes('.req.') || messages.length === 0) continue;
    const expected = messages.map((text) => {
      const [, kind, , seq, pid, list] =
        /^(\w+) len=(\d+) flags=\w+ seq=(\d+) pid=(\d+) hdr=\d+ attrs=(.*)$/.exec(text) ?? [];
      return { kind, seq: Number(seq), pid: Number(pid), list };
    });
    if (expected.some(({ kind }) => kind === undefined)) continue; // acknowledgements
    const events = xfrm(bytes);
    assert.equal(events.length, expected.length, name);
    for (const [index, event] of events.entries()) {
      assert(event.kind !== 'malformed', `${name}: ${inspect(event)}`);
      const { kind, seq, pid, list = '' } = expected[index] as (typeof expected)[0];
      if (event.kind === 'unknown') assert.match(kind ?? '', /^NEWS[AP]DINFO$/, name);
      else assert.equal(event.kind, kind, name);
      assert.equal(messageName(event.header.type), kind);
      assert.deepEqual([event.header.seq, event.header.portId], [seq, pid], name);
      if (event.kind === 'unknown') continue;
      for (const attribute of list.split(',').filter((one) => one !== '')) {
        const kernel = `XFRMA_${attribute.replace(/\(\d+\)/, '')}`;
        if (kernel === 'XFRMA_MIGRATE') {
          assert(event.kind === 'MIGRATE' && event.migrations.length > 0, name);
        } else if (kernel !== 'XFRMA_PAD')
          assert(found(event).includes(kernel), `${name}: ${kernel} in ${found(event)}`);
        compared++;
      }
    }
  }
  assert(compared > 150, `${compared} attributes compared`);
});

test('a recorded SA has every field', () => {
  const event = only(capture('uml-6.1/newsa_v6_esn_marks_ifid_tfc.event0'));
  assert(event.kind === 'NEWSA');
  assert.deepEqual(event.header, { type: 16, flags: 0, seq: 1005, portId: 3356999950 });
  const { selector, lifetime, ...state } = event.state;
  assert.equal(selector.family, 'unspec');
  assert.equal(lifetime.softBytes, NO_LIMIT);
  assert.deepEqual(state, {
    daddr: '2001:db8::2',
    spi: 0x2001,
    proto: 'esp',
    saddr: '2001:db8::1',
    current: { bytes: 0n, packets: 0n, addedAt: 1795292496_000, firstUsedAt: undefined },
    stats: { replayWindow: 0, replay: 0, integrityFailed: 0 },
    seq: 0,
    reqid: 21,
    family: 'inet6',
    mode: 'tunnel',
    replayWindow: 0,
    flags: { mask: 0xa0, names: ['af-unspec', 'esn'] },
    extraFlags: { mask: 1, names: ['dont-encap-dscp'] },
    aead: { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128 },
    tfcPad: 512,
    mark: { value: 0x10, mask: 0xff },
    setMark: 0x20,
    setMarkMask: 0xf0,
    replayEsn: {
      oseq: 0,
      seq: 0,
      oseqHi: 0,
      seqHi: 0,
      replayWindow: 64,
      bitmap: [0, 0, 0, 0],
    },
    ifId: 77,
  });
});

test('keys are decoded only on request, and never printed', () => {
  const bytes = capture('uml-6.1/newsa_v4_transport_authtrunc_crypt_encap.event0');
  const without = only(bytes);
  assert(without.kind === 'NEWSA');
  for (const algorithm of [without.state.auth, without.state.authTrunc, without.state.crypt]) {
    assert(algorithm !== undefined && !('key' in algorithm));
  }
  const event = only(bytes, { keys: true });
  assert(event.kind === 'NEWSA');
  const key = event.state.crypt?.key;
  assert(key !== undefined && key.length * 8 === event.state.crypt?.keyBits);
  const hex = Buffer.from(key.bytes()).toString('hex');
  assert(Buffer.from(bytes).toString('hex').includes(hex));
  const printed = [
    String(key),
    JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
    inspect(event, { depth: 9, showHidden: true }),
    formatEvent(event, pc.createColors(true)),
    formatJson(event, false),
  ];
  for (const text of printed) {
    assert(!text.includes(hex));
    assert(!text.includes([...key.bytes()].slice(0, 4).join(', ')));
  }
  assert(formatJson(event, true).includes(hex), 'but they do when asked for by name');
  key.wipe();
  assert(key.bytes().every((byte) => byte === 0));
});

test('an unknown attribute is reduced to its length, or kept whole with keys: true', () => {
  const bytes = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
  const longer = new Uint8Array(bytes.length + 8);
  longer.set(bytes);
  longer.set([7, 0, 200, 0x80, 1, 2, 3, 0], bytes.length);
  new DataView(longer.buffer).setUint32(0, longer.length, true);
  const event = only(longer);
  assert(event.kind === 'NEWSA');
  assert.deepEqual(event.state.unknown, [{ type: 200, flags: 0x8000, bytes: new OpaqueBytes(3) }]);
  assert.equal(event.state.unknown?.[0]?.bytes.bytes(), undefined);
  const asked = only(longer, { keys: true });
  assert(asked.kind === 'NEWSA');
  assert.deepEqual(asked.state.unknown?.[0]?.bytes.bytes(), Uint8Array.of(1, 2, 3));
  assert.deepEqual(event.state.aead?.name, 'rfc4106(gcm(aes))');
});

test('a message of unknown type is reduced to its length, or kept whole with keys: true', () => {
  const bytes = Uint8Array.of(20, 0, 0, 0, 99, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 6, 7, 8);
  const event = only(bytes);
  assert(event.kind === 'unknown');
  assert.deepEqual(event.header, { type: 99, flags: 0, seq: 1, portId: 2 });
  assert.equal(event.payload.length, 4);
  assert.equal(event.payload.bytes(), undefined);
  const asked = only(bytes, { keys: true });
  assert(asked.kind === 'unknown');
  assert.deepEqual(asked.payload.bytes(), Uint8Array.of(5, 6, 7, 8));
});

test('a malformed datagram is one record with position and reason', () => {
  const good = capture('uml-6.1/newsa_v4_tunnel_aead.event0'); // 352 bytes, AEAD at 240
  const length = (value: number) => changed(good, (view) => view.setUint32(0, value, true));
  const attribute = (value: number) => changed(good, (view) => view.setUint16(240, value, true));
  const cases: [name: string, bytes: Uint8Array, offset: number, path: string[], reason: RegExp][] =
    [
      ['empty', new Uint8Array(0), 0, [], /empty/],
      [
        'shorter than a header',
        good.slice(0, 15),
        0,
        [],
        /15 bytes are too few for a message header/,
      ],
      ['cut', good.slice(0, 300), 0, [], /has length 352, but 300 bytes are left/],
      ['overlong', length(400), 0, [], /has length 400, but 352 bytes are left/],
      ['length zero', length(0), 0, [], /has length 0/],
      ['length below a header', length(15), 0, [], /has length 15/],
      ['length 2^32 - 1', length(0xffffffff), 0, [], /has length 4294967295/],
      ['ones', new Uint8Array(64).fill(0xff), 0, [], /has length 4294967295/],
      [
        'a struct cut short',
        length(100).slice(0, 100),
        16,
        ['NEWSA', 'struct xfrm_usersa_info'],
        /needs 224 bytes, has 84/,
      ],
      [
        'an attribute of length 0',
        attribute(0),
        240,
        ['NEWSA'],
        /attribute 18 has length 0, but 112 bytes are left/,
      ],
      [
        'an attribute longer than the message',
        attribute(500),
        240,
        ['NEWSA'],
        /attribute 18 has length 500/,
      ],
      [
        'an algorithm cut short',
        attribute(20),
        240,
        ['NEWSA', 'XFRMA_ALG_AEAD'],
        /needs 72 bytes, has 16/,
      ],
      [
        'a key longer than its attribute',
        changed(good, (view) => view.setUint32(244 + 64, 0xffffffff, true)),
        244,
        ['NEWSA', 'XFRMA_ALG_AEAD'],
        /needs 536870984 bytes, has 92/,
      ],
    ];
  for (const [name, bytes, offset, path, reason] of cases) {
    const events = xfrm(bytes);
    assert.equal(events.length, 1, name);
    const [record] = events;
    assert(record?.kind === 'malformed', `${name}: ${record?.kind}`);
    assert.match(record.reason, reason, name);
    assert.deepEqual(record.path, path, name);
    assert.equal(record.offset, offset, name);
  }
});

test('after a malformed message the next one in the datagram is decoded', () => {
  const good = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
  const broken = changed(good, (view) => view.setUint16(240, 20, true));
  const both = new Uint8Array(2 * good.length);
  both.set(broken);
  both.set(good, good.length);
  assert.deepEqual(
    xfrm(both).map(({ kind }) => kind),
    ['malformed', 'NEWSA'],
  );
});

test('a truncated datagram is reported after its complete messages', () => {
  const good = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
  const kinds = (bytes: Uint8Array) => xfrm(bytes, { truncated: true }).map(({ kind }) => kind);
  assert.deepEqual(kinds(good), ['NEWSA', 'malformed']);
  assert.deepEqual(kinds(Uint8Array.from([...good, ...good.slice(0, 100)])), [
    'NEWSA',
    'malformed',
  ]);
});

test('DELSA without its SA is malformed', () => {
  const good = capture('uml-6.1/delsa.event0');
  const [record] = xfrm(changed(good, (view) => view.setUint16(16 + 24 + 2, 200, true)));
  assert(record?.kind === 'malformed');
  assert.deepEqual(record.path, ['DELSA', 'XFRMA_SA']);
});

test('whatever the bytes, there are events and records, and nothing else', () => {
  const recorded = [...captures('xfrm'), ...captures('route')].map(({ bytes }) => bytes);
  const mutation = fc.tuple(fc.nat(), fc.nat(255));
  let events = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...recorded),
      fc.array(mutation, { maxLength: 6 }),
      fc.option(fc.nat(), { nil: undefined }),
      fc.boolean(),
      (bytes, mutations, cut, keys) => {
        const mutated = bytes.slice(0, cut === undefined ? bytes.length : cut % (bytes.length + 1));
        for (const [at, value] of mutations)
          if (mutated.length > 0) mutated[at % mutated.length] = value;
        for (const event of [...xfrm(mutated, { keys }), ...decode(mutated, decodeRoute)]) {
          events++;
          if (event.kind === 'malformed') {
            assert(event.offset >= 0 && event.offset <= mutated.length, inspect(event));
            assert(event.reason.length > 0);
            continue;
          }
          const text = formatEvent(event, pc.createColors(false));
          // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
          assert(!/[\x00-\x1f\x7f-\x9f]/.test(text), text);
          JSON.parse(formatJson(event, keys));
        }
      },
    ),
    { numRuns: generated(5000) },
  );
  assert(events > generated(5000));
});

test('generated types and codecs are what their tables say', () => {
  const root = join(import.meta.dirname, '../../..');
  for (const [file, text] of protocols.flatMap((one) => Object.entries(generate(one)))) {
    const formatted = execFileSync(
      join(root, 'node_modules/.bin/biome'),
      ['check', '--write', `--stdin-file-path=${file}`],
      { cwd: root, input: text, encoding: 'utf8' },
    );
    const same = formatted === readFileSync(join(root, file), 'utf8');
    assert(same, `${file}: run npm run generate`);
  }
});
