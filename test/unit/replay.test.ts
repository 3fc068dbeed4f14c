/** netlink-xfrm replay: the files it takes, and those it refuses. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { checkLine } from '../schema.ts';
import { program, runCommand } from '../warm-command.ts';
import { capture, captures } from './captures.ts';
import { cooked, pcap, pcapng } from './pcap.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
after(() => rmSync(folder, { recursive: true }));

function replay(bytes: Uint8Array, ...args: string[]) {
  const file = join(folder, 'recording');
  writeFileSync(file, bytes);
  const { stdout, stderr, status } = runCommand(['replay', file, ...args]);
  return { lines: stdout.split('\n').slice(0, -1), stderr, status };
}

const NEWSA = 'uml-6.1/newsa_v4_tunnel_aead.event0';
const KEY = '000102030405060708090a0b0c0d0e0f10111213';
const LINE =
  'NEWSA     192.0.2.1 > 192.0.2.2 esp 0x00001001 tunnel reqid 11 rfc4106(gcm(aes))/160 claims port 3356999950';

test('concatenated messages are printed one per line', () => {
  const bytes = Buffer.concat([capture(NEWSA), capture('uml-6.1/delsa.req')]);
  const { lines, status } = replay(bytes);
  assert.deepEqual(lines, [LINE, 'request   DELSA 192.0.2.2 esp 0x00001001']);
  assert.equal(status, 0);
});

test('the filters of the other commands choose among messages', () => {
  const bytes = Buffer.concat([
    capture(NEWSA),
    capture('uml-6.1/delsa.req'),
    capture('uml-6.1/flushsa.event0'),
  ]);
  const kinds = (...filter: string[]) =>
    replay(bytes, '--json', ...filter).lines.map((line) => checkLine(line));
  assert.deepEqual(kinds(), ['NEWSA', 'request DELSA', 'FLUSHSA']);
  assert.deepEqual(kinds('spi=0x1001'), ['NEWSA', 'request DELSA', 'FLUSHSA']);
  assert.deepEqual(kinds('reqid=11', 'kind!=FLUSHSA'), ['NEWSA']);
  assert.deepEqual(kinds('peer=10.0.0.0/8'), ['FLUSHSA']);
  assert.deepEqual(kinds('kind=request'), ['request DELSA']);
  const { stderr, status } = replay(bytes, 'spi=0x1001', 'peer=x');
  assert.equal(status, 2);
  assert.match(stderr, /invalid value 'x' for peer.*\n {2}spi=0x1001 peer=x\n {18}\^\n/);
});

test('captures of an nlmon device have a time, and other protocols in them', () => {
  const route = captures('route').find(({ name }) => name.includes('NEWLINK'));
  assert(route);
  const packets = [
    cooked(6, capture(NEWSA)),
    cooked(0, route.bytes),
    cooked(16, Uint8Array.of(1, 2, 3, 4)), // generic netlink: not ours
    cooked(6, capture('uml-6.1/flushsa.event0')),
  ];
  for (const file of [pcap(packets), pcap(packets, { magic: 0xa1b23c4d }), pcapng(packets)]) {
    const { lines, stderr, status } = replay(file);
    assert.equal(status, 0, stderr);
    assert.equal(lines.length, 3);
    assert.equal(lines[0], `13:46:40.250 ${LINE}`);
    assert.match(lines[1] ?? '', /^13:46:41\.250 NEWIFINFO lo index 1 IPv6 mtu 65536/);
    assert.equal(lines[2], '13:46:43.250 FLUSHSA   all SAs claims port 3356999950');
    const json = JSON.parse(replay(file, '--json').lines[0] ?? '') as { time: string };
    assert.equal(json.time, '1970-01-12T13:46:40.250Z');
  }
});

test('a part of a capture: --from, --to, --at and -n', () => {
  const packets = Array.from({ length: 4 }, () => cooked(6, capture('uml-6.1/flushsa.event0')));
  const times = (...args: string[]) =>
    replay(pcap(packets), ...args).lines.map((line) => line.slice(0, 8));
  const [first, second, third, fourth] = times();
  assert.equal(first, '13:46:40');
  const day = '1970-01-12';
  assert.deepEqual(times('--from', `${day}T13:46:41Z`), [second, third, fourth]);
  assert.deepEqual(times('--to', `${day} 13:46:42`), [first, second]);
  assert.deepEqual(times('--from', `${day} 13:46:41`, '--to', `${day} 13:46:43`), [second, third]);
  // Its beginning and end are known, as of a recording.
  assert.deepEqual(times('--from', '-1s'), [third, fourth]);
  assert.deepEqual(times('--to', '+1s'), [first, second]);
  assert.deepEqual(times('--from', '13:46:42.5', '--to', 'end'), [fourth]);
  assert.deepEqual(times('--at', '13:46:42'), [first, second, third, fourth]);
  assert.deepEqual(times('-n', '2'), [first, second]);
  assert.deepEqual(times('--count', '1', '--from', `${day}T13:46:42Z`), [third]);
  const fails = (bytes: Uint8Array, status: number, error: RegExp, ...args: string[]) => {
    const got = replay(bytes, ...args);
    assert.equal(got.status, status);
    assert.match(got.stderr, error);
  };
  fails(capture(NEWSA), 1, /it has no times: --at, --from and --to need/, '--from', '-5m');
  fails(pcap(packets), 1, /no part of the recording, which is from/, '--from', '2026-01-01');
  fails(pcap(packets), 2, /Of a recording it is '--from'/, '--since', '5m');
  // Of a pipe only what has been read is known.
  const piped = (...args: string[]) =>
    spawnSync(process.execPath, [program, 'replay', '-', ...args], {
      input: pcap(packets),
      encoding: 'utf8',
    });
  const unknown = piped('--from', '-1s');
  assert.match(unknown.stderr, /^netlink-xfrm: --from '-1s': It depends on the end, which is not/);
  assert.equal(unknown.status, 2);
  assert.equal(piped('--from', `${day}T13:46:42Z`).stdout.split('\n').length - 1, 2);
});

test('keys are shown only on request', () => {
  for (const format of ['text', 'json', 'iproute2']) {
    const { lines } = replay(capture(NEWSA), '-o', format);
    assert(lines.length > 0 && !lines.join('\n').includes(KEY.slice(0, 16)), format);
  }
  for (const format of ['json', 'iproute2']) {
    assert(replay(capture(NEWSA), '-o', format, '--show-keys').lines.join('\n').includes(KEY));
  }
  const { status, stderr } = replay(capture(NEWSA), '--show-keys');
  assert.equal(status, 2);
  assert.match(stderr, /'--show-keys' needs/);
});

test('a malformed message is a record in its place, and affects the exit status', () => {
  const broken = capture(NEWSA).slice();
  new DataView(broken.buffer).setUint16(240, 20, true);
  const file = Buffer.concat([capture(NEWSA), broken, capture(NEWSA)]);
  const { lines, status } = replay(file);
  assert.deepEqual(lines, [
    LINE,
    'malformed xfrm NEWSA › XFRMA_ALG_AEAD › needs 72 bytes, has 16 (offset 592)',
    LINE,
  ]);
  assert.equal(status, 1);
  const record = JSON.parse(replay(file, '--json').lines[1] ?? '') as object;
  assert.deepEqual(record, {
    schema: 'netlink-xfrm/event/2',
    kind: 'malformed',
    protocol: 'xfrm',
    reason: 'needs 72 bytes, has 16',
    path: ['NEWSA', 'XFRMA_ALG_AEAD'],
    offset: 592,
    expected: 72,
    found: 16,
    header: { type: 16, flags: 0, seq: 1001, portId: 3356999950 },
  });
  const ip = replay(file, '-o', 'iproute2');
  assert.equal(ip.lines.filter((line) => line.startsWith('src')).length, 2);
  assert.match(ip.stderr, /NEWSA › XFRMA_ALG_AEAD/);
  assert.equal(ip.status, 1);
});

test('a file that is not a recording is rejected with the reason', () => {
  const packet = cooked(6, capture(NEWSA));
  const swapped = Buffer.from(pcap([packet]));
  swapped.subarray(0, 24).swap32();
  const cases: [bytes: Uint8Array, reason: RegExp][] = [
    [Buffer.from('root:x:0:0:root'), /neither a file of netlink messages, nor a capture/],
    [
      Buffer.from('root:x:0:0:root:/root:/bin/bash\n'),
      /neither a file of netlink messages, nor a capture/,
    ],
    [pcap([packet], { link: 1 }), /capture of link type 1, not netlink/],
    [swapped, /opposite byte order/],
    [pcap([packet]).subarray(0, 100), /ends in the middle of a record/],
    [pcapng([packet]).subarray(0, 200), /ends in the middle of a record/],
    [pcap([packet.subarray(0, 10)]), /the packet of 10 bytes/],
  ];
  for (const [bytes, reason] of cases) {
    const { stderr, status } = replay(bytes);
    assert.match(stderr, reason);
    assert.equal(status, 1);
  }
  assert.deepEqual(replay(new Uint8Array(0)), { lines: [], stderr: '', status: 0 });
});

test('a line is printed as soon as its message arrives, from standard input and from a named pipe', async () => {
  const fifo = join(folder, 'pipe');
  execFileSync('mkfifo', [fifo]);
  const packets = [cooked(6, capture(NEWSA)), cooked(6, capture('uml-6.1/flushsa.event0'))];
  const messages = Buffer.concat([capture(NEWSA), capture('uml-6.1/flushsa.event0')]);
  for (const source of ['-', fifo]) {
    for (const recording of [messages, pcap(packets), pcapng(packets)]) {
      const child = spawn(process.execPath, [program, 'replay', source], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      const input = source === '-' ? child.stdin : createWriteStream(fifo);
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
      // In the middle of the second message.
      input.write(recording.subarray(0, recording.length - 10));
      assert.match((await lines.next()).value, /NEWSA {5}192\.0\.2\.1 > 192\.0\.2\.2/);
      input.end(recording.subarray(recording.length - 10));
      assert.match((await lines.next()).value, /FLUSHSA {3}all SAs/);
      assert.deepEqual([(await lines.next()).done, await exited], [true, [0, null]]);
    }
  }
});

test('a file that cannot be read is an error', () => {
  for (const [path, reason] of [
    [folder, /has no files \*\.nxr of `netlink-xfrm record`/],
    [join(folder, 'none'), /ENOENT/],
  ] as const) {
    const { stderr, status } = spawnSync(process.execPath, [program, 'replay', path], {
      encoding: 'utf8',
    });
    assert.match(stderr, reason);
    assert.equal(status, 1);
  }
});
