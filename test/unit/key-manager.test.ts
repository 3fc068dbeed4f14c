/** What key managers say of their SAs, and where that differs from the kernel's. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { driftBetween, driftOf, lastingDrift } from '../../lib/cli/key-manager/drift.ts';
import { keyManagerOption } from '../../lib/cli/key-manager/find-key-manager.ts';
import type { KeyManagerSa } from '../../lib/cli/key-manager/key-manager-sa.ts';
import { parseStatus } from '../../lib/cli/key-manager/libreswan.ts';
import { mirrorDrift, parseStates, sequenceDrift } from '../../lib/cli/key-manager/mirror.ts';
import { sasOfEvent, strongSwan } from '../../lib/cli/key-manager/strongswan.ts';
import { parseViciMessage } from '../../lib/cli/key-manager/vici-message.ts';
import { checkTunnels, DEFAULT_SEVERITIES } from '../../lib/cli/tunnels/check-result.ts';
import type { XfrmState } from '../../lib/xfrm.ts';

type Value = string | string[] | { [name: string]: Value };
const short = (text: string) => Buffer.from([text.length, ...Buffer.from(text)]);
function long(text: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([length, Buffer.from(text)]);
}
/** A message of VICI, as strongSwan's README describes it. */
function vici(section: { [name: string]: Value }): Buffer {
  return Buffer.concat(
    Object.entries(section).flatMap(([name, value]) => {
      if (typeof value === 'string') return [Buffer.from([3]), short(name), long(value)];
      if (Array.isArray(value)) {
        const items = value.flatMap((one) => [Buffer.from([5]), long(one)]);
        return [Buffer.from([4]), short(name), ...items, Buffer.from([6])];
      }
      return [Buffer.from([1]), short(name), vici(value), Buffer.from([2])];
    }),
  );
}

const CHILD = { name: 'inner', protocol: 'ESP', state: 'INSTALLED' };
const EVENT = {
  paris: {
    ...{ version: '2', 'local-host': '192.0.2.1', 'remote-host': '192.0.2.2' },
    'child-sas': {
      'inner-1': {
        ...CHILD,
        'spi-in': 'c0000001',
        'spi-out': 'c0000002',
        'local-ts': ['10.0.1.0/24'],
      },
      'inner-2': { ...CHILD, state: 'REKEYED', 'spi-in': 'c0000003', 'spi-out': 'c0000004' },
    },
  },
};
const SAS: readonly KeyManagerSa[] = [
  { proto: 'esp', spi: 0xc0000001, daddr: '192.0.2.1', name: 'paris/inner', installed: true },
  { proto: 'esp', spi: 0xc0000002, daddr: '192.0.2.2', name: 'paris/inner', installed: true },
  { proto: 'esp', spi: 0xc0000003, daddr: '192.0.2.1', name: 'paris/inner', installed: false },
  { proto: 'esp', spi: 0xc0000004, daddr: '192.0.2.2', name: 'paris/inner', installed: false },
];

test('messages of VICI: sections, lists and values; damaged ones are refused', () => {
  const bytes = vici(EVENT);
  assert.deepEqual(JSON.parse(JSON.stringify(parseViciMessage(bytes))), EVENT);
  assert.deepEqual(sasOfEvent(parseViciMessage(bytes)), SAS);
  for (let length = 1; length < bytes.length; length++) {
    assert.throws(() => parseViciMessage(bytes.subarray(0, length)), RangeError, `${length}`);
  }
  for (const wrong of [[2], [5, 0, 0], [6], [9], [4, 1, 97, 3, 1, 98, 0, 0]]) {
    assert.throws(() => parseViciMessage(Buffer.from(wrong)), RangeError);
  }
  const deep = Buffer.from(Array.from({ length: 100 }, () => [1, 1, 97]).flat());
  assert.throws(() => parseViciMessage(deep), RangeError);
  // No name of the daemon reaches a prototype.
  const hostile = parseViciMessage(vici({ ['__proto__']: { polluted: 'yes' } } as never));
  assert.equal(({} as { polluted?: string }).polluted, undefined);
  assert.deepEqual(sasOfEvent(hostile), []);
});

function framed(type: number, content: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + content.length);
  head[4] = type;
  return Buffer.concat([head, content]);
}

/** A daemon that answers in its own way. @returns the path of its socket */
async function daemon(
  t: TestContext,
  answer: (socket: Socket, packet: Buffer) => void,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  const path = join(folder, 'vici');
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => answer(socket, data.subarray(4)));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  return path;
}

test('strongSwan is asked over its socket; its answer may come in pieces', async (t) => {
  const path = await daemon(t, (socket, packet) => {
    if (packet[0] === 3) {
      assert.equal(packet.subarray(2).toString(), 'list-sa');
      socket.write(framed(5, Buffer.alloc(0)));
      return;
    }
    assert.equal(packet.subarray(2).toString(), 'list-sas');
    const events = framed(7, Buffer.concat([short('list-sa'), vici(EVENT)]));
    socket.write(events.subarray(0, 9));
    setImmediate(() =>
      socket.write(Buffer.concat([events.subarray(9), events, framed(1, Buffer.alloc(0))])),
    );
  });
  assert.deepEqual(await strongSwan(path).listSas(), [...SAS, ...SAS]);
});

test('a daemon that is not there, ends, or answers nonsense is an error that names the socket', async (t) => {
  const cases: [RegExp, (socket: Socket) => void][] = [
    [/it closed the connection/, (socket) => socket.destroy()],
    [/does not know list-sas \(packet 6\)/, (socket) => socket.write(framed(6, Buffer.alloc(0)))],
    [/a packet of 4294967295 bytes/, (socket) => socket.write(Buffer.alloc(4, 0xff))],
    [/cut off/, (socket) => socket.write(framed(7, Buffer.from([0, 3, 9])))],
  ];
  for (const [reason, answer] of cases) {
    const path = await daemon(t, answer);
    await assert.rejects(strongSwan(path).listSas(), ({ message }: Error) => {
      assert(message.startsWith(`strongSwan cannot be asked at ${path}: `));
      assert.match(message, reason);
      return true;
    });
  }
  await assert.rejects(strongSwan('/no/such').listSas(), /\/no\/such: connect ENOENT/);
});

/** Of libreswan 4.10, shortened. */
const STATUS = `000 using kernel interface: xfrm
000 #1: "paris":500 STATE_V2_ESTABLISHED_IKE_SA (established IKE SA); REKEY in 27891s; newest; idle;
000 #2: "paris":500 STATE_V2_ESTABLISHED_CHILD_SA (established Child SA); REKEY in 28071s; newest; eroute owner; IKE SA #1; idle;
000 #2: "paris" esp.9c7c3b1d@192.0.2.2 esp.d8f0a9b2@192.0.2.1 tun.0@192.0.2.2 tun.0@192.0.2.1 Traffic: ESPin=0B ESPout=0B ESPmax=2^63B
000 #3: "rome"[1] 2001:db8::2:500 STATE_V2_REKEY_CHILD_I1 (sent CREATE_CHILD_SA request); RETRANSMIT in 1s;
000 #3: "rome"[1] 2001:db8::2 ah.1@2001:db8::2 ah.2@2001:db8::1 Traffic: AHin=0B
000 Bare Shunt list:
`;

test('the SAs in the status of libreswan', () => {
  assert.deepEqual(parseStatus(STATUS), [
    { proto: 'esp', spi: 0x9c7c3b1d, daddr: '192.0.2.2', name: 'paris', installed: true },
    { proto: 'esp', spi: 0xd8f0a9b2, daddr: '192.0.2.1', name: 'paris', installed: true },
    { proto: 'ah', spi: 1, daddr: '2001:db8::2', name: 'rome[1]', installed: false },
    { proto: 'ah', spi: 2, daddr: '2001:db8::1', name: 'rome[1]', installed: false },
  ]);
  assert.deepEqual(parseStatus(''), []);
  // libreswan 5, and IKEv1 of libreswan 3.
  const newer = STATUS.replaceAll('000 #', '#').replace('STATE_V2_ESTABLISHED', 'ESTABLISHED');
  assert.deepEqual(parseStatus(newer), parseStatus(STATUS));
  const older = STATUS.replace(
    'STATE_V2_ESTABLISHED_CHILD_SA (established Child SA)',
    'STATE_QUICK_I2 (sent QI2, IPsec SA established)',
  );
  assert.deepEqual(parseStatus(older), parseStatus(STATUS));
});

const state = (spi: number, daddr: string) =>
  ({
    proto: 'esp',
    spi,
    daddr,
    saddr: '192.0.2.9',
    aead: {},
    mode: 'tunnel',
    lifetime: {},
  }) as unknown as XfrmState;
const [ours, theirs] = [state(0xc0000001, '192.0.2.1'), state(0xc0000002, '192.0.2.2')];

test('an SA that one has and the other has not is named; one that is being replaced is not', () => {
  assert.deepEqual(driftBetween('strongSwan', SAS, [ours, theirs]), []);
  assert.deepEqual(
    driftBetween('strongSwan', SAS, [ours, theirs, state(0xc0000003, '192.0.2.1')]),
    [],
  );
  assert.deepEqual(
    driftBetween('strongSwan', SAS, [ours, state(7, '192.0.2.2')]).map(({ what, text }) => [
      what,
      text,
    ]),
    [
      [
        'not-in-kernel',
        'strongSwan has esp 0xc0000002 to 192.0.2.2 of paris/inner, and the kernel has not: packets of this SA are dropped',
      ],
      [
        'not-in-daemon',
        'the kernel has esp 0x00000007 to 192.0.2.2 from 192.0.2.9, and strongSwan has not: nobody rekeys it',
      ],
    ],
  );
});

test('a difference that does not last, as during a rekey, is none', async () => {
  const answers = [SAS.slice(0, 1), SAS, SAS];
  const manager = { name: 'x', listSas: async () => [...(answers.shift() ?? [])] };
  assert.deepEqual(await lastingDrift(() => driftOf(manager, async () => [ours, theirs])), []);
  const stale = { name: 'x', listSas: async () => [...SAS] };
  assert.equal((await lastingDrift(() => driftOf(stale, async () => [ours]))).length, 1);
});

test('check reports a difference with the severity of its word', () => {
  const drift = driftBetween('x', SAS, [ours, state(7, '192.0.2.2')]);
  const { status, problems } = checkTunnels([], [], DEFAULT_SEVERITIES, drift);
  assert.equal(status, 'CRITICAL');
  assert.deepEqual(
    problems.map(({ status, what }) => [status, what]),
    [
      ['CRITICAL', 'not-in-kernel'],
      ['WARNING', 'not-in-daemon'],
    ],
  );
});

test('which daemon: a word, or a word and a socket', () => {
  assert.equal(keyManagerOption('strongswan')().name, 'strongSwan');
  assert.equal(keyManagerOption('libreswan=/x')().name, 'libreswan');
  for (const wrong of ['', 'racoon', 'strongswan=', 'toString']) {
    assert.throws(() => keyManagerOption(wrong), /Expected auto, strongswan/);
  }
});

const copy = (of: object) => ({ ...ours, ...of }) as XfrmState;
const texts = (all: readonly { text: string }[]) => all.map(({ text }) => text);

test('SAs of both ends: missing, and different in algorithm, mode or selector', () => {
  const selector = { saddr: '0.0.0.0', daddr: '0.0.0.0', prefixlenS: 0, prefixlenD: 0 };
  const aead = { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128 };
  const base = copy({ aead, selector, flags: { mask: 0, names: [] } });
  assert.deepEqual(mirrorDrift([base], [base], 'b'), []);
  const other = copy({ ...base, aead: { ...aead, keyBits: 288 }, mode: 'transport' });
  assert.deepEqual(texts(mirrorDrift([base], [other], 'b')), [
    'esp 0xc0000001 to 192.0.2.1 here and in b: mode tunnel and transport, aead: keys of 160 and 288 bits',
  ]);
  const more = copy({ ...base, spi: 9 });
  assert.deepEqual(texts(mirrorDrift([base, more], [base], 'b')), [
    'esp 0x00000009 to 192.0.2.1 is here, and not in b',
  ]);
  assert.deepEqual(texts(mirrorDrift([base], [base, more], 'b')), [
    'esp 0x00000009 to 192.0.2.1 is in b, and not here',
  ]);
  // Of another peer.
  assert.deepEqual(mirrorDrift([base, copy({ ...base, daddr: '192.0.2.77' })], [base], 'b'), []);
});

test('a sender behind its receiver is named, with extended numbers too', () => {
  const plainly = (oseq: number, seq: number) => copy({ replay: { oseq, seq, bitmap: 0 } });
  assert.deepEqual(sequenceDrift([plainly(0, 7)], [plainly(7, 0)]), []);
  assert.deepEqual(texts(sequenceDrift([plainly(0, 7)], [plainly(6, 0)])), [
    'esp 0xc0000001 to 192.0.2.1: 7 was received, and the sender is at 6: packets are dropped as replayed',
  ]);
  const extended = (oseqHi: number, seqHi: number) =>
    copy({ replayEsn: { oseq: 1, seq: 1, oseqHi, seqHi, replayWindow: 64, bitmap: [] } });
  assert.deepEqual(sequenceDrift([extended(0, 1)], [extended(1, 0)]), []);
  assert.equal(sequenceDrift([extended(0, 2)], [extended(1, 0)]).length, 1);
  const offloaded = copy({ replay: { oseq: 0, seq: 9, bitmap: 0 }, offload: {} });
  assert.deepEqual(sequenceDrift([offloaded], [plainly(0, 0)]), []);
});

test('a file of SAs; anything else names the line', () => {
  const line = JSON.stringify({ kind: 'state', state: { spi: 1, daddr: '::1' } });
  assert.equal(parseStates(`${line}\n${line}\n`, 'f').length, 2);
  for (const wrong of [
    'x',
    'null',
    '{}',
    '{"kind":"policy"}',
    '[]',
    '{"kind":"state","state":{}}',
  ]) {
    assert.throws(() => parseStates(`${line}\n${wrong}\n`, 'f'), /^Error: f: line 2 is not an SA/);
  }
});
