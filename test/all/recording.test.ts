/** Recordings larger than memory, through a pipe. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { setInterval, setTimeout as sleep } from 'node:timers/promises';
import { capture } from '../unit/captures.ts';
import { cooked, pcap, pcapng } from '../unit/pcap.ts';

const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');
const NEWSA = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
const FLUSHSA = capture('uml-6.1/flushsa.event0');

function replay(...args: string[]) {
  const child = spawn(process.execPath, [program, 'replay', '-', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  return { child, exited: once(child, 'close') };
}

/** Of the process, in KiB. */
function peak({ pid }: ChildProcess): number {
  const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib);
}

/** Bytes the process has read. */
function bytesRead({ pid }: ChildProcess): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

/** An SA with attributes that nobody knows, of about a mebibyte. */
function large(): Uint8Array {
  const payload = Buffer.alloc(60_000);
  payload.writeUInt16LE(payload.length, 0);
  payload.writeUInt16LE(999, 2);
  const message = Buffer.concat([NEWSA, ...Array.from({ length: 17 }, () => payload)]);
  message.writeUInt32LE(message.length, 0);
  return message;
}

const GIB = 2 ** 30;
/** Far above what the process needs (some 150 MiB), far below what it reads. */
const MOST_KIB = 400 * 1024;

for (const form of ['messages', 'a capture'] as const) {
  test(`four gibibytes of ${form} through a pipe are replayed in bounded memory`, async () => {
    const make = (message: Uint8Array) =>
      form === 'messages' ? message : pcap([cooked(6, message)]).subarray(24);
    const block = Buffer.concat([large(), NEWSA, NEWSA].map(make));
    const head = form === 'messages' ? Buffer.alloc(0) : pcap([]);
    const blocks = Math.ceil((4 * GIB) / block.length) + 1;
    const damaged = NEWSA.slice();
    new DataView(damaged.buffer).setUint16(240, 20, true);
    const { child, exited } = replay('--json');
    const lines = createInterface(child.stdout);
    let count = 0;
    const last: string[] = [];
    const heard = new Promise<void>((resolve) => {
      lines.on('line', (line) => {
        count++;
        last.push(line);
        if (last.length > 2) last.shift();
        if (line.includes('FLUSHSA')) resolve();
      });
    });
    function* recording() {
      yield head;
      for (let i = 0; i < blocks; i++) yield block;
      yield make(damaged);
      yield make(FLUSHSA);
    }
    Readable.from(recording()).pipe(child.stdin, { end: false });
    await heard;
    assert(peak(child) < MOST_KIB, `${peak(child)} KiB`);
    child.stdin.end();
    assert.deepEqual(await exited, [1, null]);
    assert.equal(count, 3 * blocks + 2);
    const header = form === 'messages' ? 0 : 32;
    const { kind, offset } = JSON.parse(last[0] ?? '');
    assert.equal(kind, 'malformed');
    assert.equal(offset, head.length + blocks * block.length + header + 240);
    assert(offset > 4 * GIB);
  });
}

test('a file of more than four gibibytes is replayed in bounded memory', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'recording');
  const begin = pcapng([cooked(6, NEWSA)]);
  // A block of a type that nobody reads, of zeros that take no room on the disk.
  const size = 0xffff_fff0;
  const block = Buffer.alloc(8);
  block.writeUInt32LE(0x0bad, 0);
  block.writeUInt32LE(size, 4);
  const file = openSync(path, 'w');
  writeSync(file, begin, 0, begin.length, 0);
  writeSync(file, block, 0, block.length, begin.length);
  // Without the header of a section.
  const end = pcapng([cooked(6, FLUSHSA)]).subarray(28);
  writeSync(file, end, 0, end.length, begin.length + size);
  closeSync(file);
  const child = spawn(process.execPath, [program, 'replay', path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'close');
  const lines: string[] = [];
  let memory = 0;
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  for await (const _ of setInterval(100)) {
    if (child.exitCode !== null) break;
    memory = peak(child) || memory;
  }
  assert.deepEqual(await exited, [0, null]);
  assert.match(lines[0] ?? '', /NEWSA/);
  assert.match(lines[1] ?? '', /FLUSHSA/);
  assert(memory > 0 && memory < MOST_KIB, `${memory} KiB`);
});

test('as long as nobody reads what replay prints, it does not read on', async () => {
  const count = 300_000;
  const { child, exited } = replay();
  function* recording() {
    const block = Buffer.concat(Array.from({ length: 1000 }, () => NEWSA));
    for (let i = 0; i < count; i += 1000) yield block;
  }
  Readable.from(recording()).pipe(child.stdin);
  // Until it has begun, and then reads no more.
  for (let before = -1, same = 0; same < 4; await sleep(250)) {
    const now = bytesRead(child);
    same = now === before && now > 2 ** 16 ? same + 1 : 0;
    before = now;
  }
  const read = bytesRead(child);
  assert(read < 32 * 2 ** 20, `${read} of ${count * NEWSA.length} bytes were read`);
  let lines = 0;
  createInterface(child.stdout).on('line', () => lines++);
  assert.deepEqual(await exited, [0, null]);
  assert.equal(lines, count);
});
