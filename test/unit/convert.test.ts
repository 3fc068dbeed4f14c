/** Recordings for other programs, and from them: pcapng, strace, Wireshark's dissector and its esp_sa. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { CaptureReader } from '../../lib/recording/capture.ts';
import { espSaLine } from '../../lib/recording/esp-sa.ts';
import { interfaceBlock, packetBlock, sectionHeader } from '../../lib/recording/pcapng-writer.ts';
import type { Recorded } from '../../lib/recording/recorded.ts';
import type { XfrmState } from '../../lib/xfrm/objects.ts';
import { DISSECTOR_FILE, dissectorText } from '../../tools/generate-dissector.ts';
import { capture } from './captures.ts';

const root = join(import.meta.dirname, '../../..');
const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-convert-'));
after(() => rmSync(folder, { recursive: true }));

/** All that a file holds, copied. */
function read(bytes: Uint8Array, chunk = bytes.length): Recorded[] {
  const reader = new CaptureReader(6);
  const all: Recorded[] = [];
  const take = (some: Iterable<Recorded>) => {
    for (const one of some) all.push({ ...one, bytes: one.bytes.slice() });
  };
  for (let at = 0; at < bytes.length; at += chunk)
    take(reader.push(bytes.subarray(at, at + chunk)));
  take(reader.end());
  return all;
}

const run = (...args: string[]) =>
  spawnSync(process.execPath, [join(root, 'bin/netlink-xfrm.js'), ...args], { encoding: 'utf8' });

describe('the dissector for Wireshark', () => {
  it('is current', () => {
    const file = readFileSync(join(root, DISSECTOR_FILE), 'utf8');
    assert.equal(file, dissectorText(), 'run "npm run generate"');
  });
});

describe('pcapng', () => {
  it('is read again as it was written', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            protocol: fc.constantFrom(0, 6),
            bytes: fc.uint8Array({ maxLength: 300 }),
            truncated: fc.boolean(),
            // Microseconds.
            wall: fc.integer({ min: 0, max: 2 ** 42 * 1000 }).map((us) => us / 1000),
            from: fc.constantFrom(0, 1),
            comments: fc.array(fc.string({ maxLength: 20 }), { maxLength: 2 }),
          }),
        ),
        fc.integer({ min: 1, max: 99 }),
        (packets, chunk) => {
          const file = Buffer.concat([
            sectionHeader('a test', 'Linux'),
            interfaceBlock('one'),
            interfaceBlock('other, überall'),
            ...packets.map(packetBlock),
          ]);
          assert.deepEqual(
            read(file, chunk).map(({ protocol, bytes, truncated, wall }) => ({
              protocol,
              bytes,
              truncated,
              wall,
            })),
            packets.map(({ protocol, bytes, truncated, wall }) => ({
              protocol,
              bytes,
              truncated,
              wall,
            })),
          );
        },
      ),
    );
  });

  it('has the recorded messages, with zeros in the place of keys', () => {
    const bytes = capture('uml-6.1/newsa_m.event0');
    const file = join(folder, 'newsa.nl');
    writeFileSync(file, bytes);
    const output = join(folder, 'newsa.pcapng');
    const { status, stderr } = run('convert', file, output);
    assert.deepEqual([status, stderr], [0, '1 packets\n']);
    assert.equal(statSync(output).mode & 0o777, 0o600);
    const print = (name: string) =>
      run('replay', '-o', 'json', name).stdout.replace(/"time":[^,]*,/, '');
    assert.equal(print(output), print(file));
    const [quiet] = read(readFileSync(output));
    const loud = join(folder, 'keys.pcapng');
    assert.equal(run('convert', file, loud, '--with-keys').stderr, '1 packets, with keys\n');
    const [shown] = read(readFileSync(loud));
    assert.deepEqual(shown?.bytes, bytes);
    const differences = bytes.filter((byte, i) => quiet?.bytes[i] !== byte).length;
    assert(differences > 10);
    assert(bytes.every((byte, i) => [0, byte].includes(quiet?.bytes[i] as number)));
  });

  it('refuses what cannot be meant', () => {
    const file = join(folder, 'refused.nl');
    writeFileSync(file, capture('uml-6.1/newsa_m.event0'));
    const said = (...args: string[]) => {
      const { status, stderr } = run('convert', ...args);
      return [status, stderr.split('\n')[0]];
    };
    assert.deepEqual(said(file, join(folder, 'a.pcap')), [
      2,
      `error: '${join(folder, 'a.pcap')}' is neither *.pcapng, *.nxr nor esp_sa: name a format with '--format'`,
    ]);
    assert.deepEqual(said(file, join(folder, 'esp_sa')), [
      2,
      "error: an esp_sa file consists of keys: '--with-keys' is needed",
    ]);
    assert(!existsSync(join(folder, 'esp_sa')));
    const there = join(folder, 'there.pcapng');
    writeFileSync(there, 'precious');
    const [status, text] = said(file, there);
    assert.notEqual(status, 0);
    assert.match(String(text), /EEXIST|exists/);
    assert.equal(readFileSync(there, 'utf8'), 'precious');
  });
});

it('an output that cannot be written is an error, in every format', () => {
  const file = join(folder, 'long.nl');
  const message = capture('uml-6.1/newsa_m.event0');
  const messages = Array.from({ length: 5000 }, () => {
    const bytes = Buffer.from(message);
    // A recording is compressed: they differ, in their sequence numbers and port ids.
    randomFillSync(bytes, 8, 8);
    return bytes;
  });
  writeFileSync(file, Buffer.concat(messages));
  const whole = join(folder, 'whole.pcapng');
  assert.equal(run('convert', file, whole).status, 0);
  for (const name of ['long.pcapng', 'long.nxr']) {
    const input = name === 'long.nxr' ? whole : file;
    const command = [process.execPath, join(root, 'bin/netlink-xfrm.js'), 'convert', input];
    // As on a full disk, with another error.
    const limited = 'trap "" XFSZ; ulimit -f 64; exec "$@"';
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', limited, '-', ...command, join(folder, name)],
      { encoding: 'utf8' },
    );
    assert.equal(status, 1, name);
    assert.match(stderr, /EFBIG/, name);
  }
});

describe('the output of strace', () => {
  const dump = (bytes: readonly number[]) =>
    Array.from({ length: Math.ceil(bytes.length / 16) }, (_, row) => {
      const hex = bytes
        .slice(16 * row, 16 * row + 16)
        .map((byte) => byte.toString(16).padStart(2, '0'));
      const shown = `${hex.slice(0, 8).join(' ').padEnd(23)}  ${hex.slice(8).join(' ').padEnd(23)}`;
      return ` | ${(16 * row).toString(16).padStart(5, '0')}  ${shown}  ................ |\n`;
    }).join('');
  const done = [20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
  const bytesOf = (text: string) => read(Buffer.from(text)).map(({ bytes }) => [...bytes]);

  it('is read: calls, times, protocols, parts', () => {
    const text = `7 1795996323.794929 socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM) = 4<NETLINK:[1]>
7 1795996323.800000 sendmsg(4<NETLINK:[XFRM:7]>, {msg_iov=[...], msg_iovlen=2}, 0) = 20
 * 16 bytes in buffer 0
${dump(done.slice(0, 16))} * 4 bytes in buffer 1
${dump(done.slice(16))}7 1795996323.810000 recvmsg(4<NETLINK:[XFRM:7]>, {...}, MSG_PEEK|MSG_TRUNC) = 20
 * 20 bytes in buffer 0
${dump(done)}7 1795996323.820000 recvfrom(5<NETLINK:[ROUTE:7]>, [...], 8192, 0, NULL, NULL) = 20
${dump(done)}7 1795996323.830000 read(6<TCP:[1]>, "...", 20) = 20
${dump(done)}8 1795996323.840000 recvmmsg(4<NETLINK:[XFRM:7]>,  <unfinished ...>
7 1795996323.850000 close(6<TCP:[1]>) = 0
8 1795996323.860000 <... recvmmsg resumed>[...], 2, 0, NULL) = 2
 = 1 buffers in vector 0
 * 20 bytes in buffer 0
${dump(done)} = 1 buffers in vector 1
 * 20 bytes in buffer 0
${dump(done)}`;
    const all = read(Buffer.from(text), 7);
    assert.deepEqual(
      all.map(({ protocol, bytes, wall }) => [protocol, [...bytes], wall]),
      [
        [6, done, 1795996323800],
        [0, done, 1795996323820],
        [6, done, 1795996323840],
        [6, done, 1795996323840],
      ],
    );
  });

  it('without names of protocols is of the one that is asked for', () => {
    assert.deepEqual(bytesOf(`sendto(3<socket:[1]>, "...", 20, 0, NULL, 0) = 20\n${dump(done)}`), [
      done,
    ]);
  });

  it('without dumps is refused with what makes them', () => {
    assert.throws(
      () => bytesOf(`${'socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM) = 4\n'.repeat(3)}`),
      /a text without messages; strace writes them with: strace -f -yy/,
    );
  });
});

describe('lines of esp_sa', () => {
  const key = (length: number) => ({ bytes: () => new Uint8Array(length).fill(0xab) });
  const state = (more: object) =>
    espSaLine({
      family: 'inet',
      saddr: '192.0.2.1',
      daddr: '192.0.2.2',
      spi: 0x1001,
      proto: 'esp',
      flags: { mask: 0, names: [] },
      ...more,
    } as unknown as XfrmState);

  it('have what Wireshark calls the algorithms', () => {
    const aead = { name: 'rfc4106(gcm(aes))', icvBits: 96, key: key(20) };
    assert.deepEqual(state({ aead }), {
      line: `"IPv4","192.0.2.1","192.0.2.2","0x00001001","AES-GCM with 12 octet ICV [RFC4106]","0x${'ab'.repeat(20)}","NULL","","32-bit","0"`,
    });
    const crypt = { name: 'cbc(aes)', key: key(16) };
    const authTrunc = { name: 'hmac(sha1)', truncBits: 96, key: key(20) };
    assert.deepEqual(state({ crypt, authTrunc }), {
      line: `"IPv4","192.0.2.1","192.0.2.2","0x00001001","AES-CBC [RFC3602]","0x${'ab'.repeat(16)}","HMAC-SHA-1-96 [RFC2404]","0x${'ab'.repeat(20)}","32-bit","0"`,
    });
    const cmac = { name: 'cmac(aes)', truncBits: 96, key: key(16) };
    assert.match(
      (state({ crypt, authTrunc: cmac }) as { line: string }).line,
      /"ANY 96 bit authentication \[no checking\]",""/,
    );
  });

  it('say why there is none', () => {
    assert.deepEqual(state({ proto: 'ah' }), { why: 'its protocol is ah' });
    const chacha = { name: 'rfc7539esp(chacha20,poly1305)', icvBits: 128, key: key(36) };
    assert.deepEqual(state({ aead: chacha }), {
      why: 'Wireshark does not decrypt rfc7539esp(chacha20,poly1305)',
    });
    const zero = { name: 'cbc(aes)', key: { bytes: () => new Uint8Array(16) } };
    assert.deepEqual(state({ crypt: zero }), { why: 'its key is not in the recording' });
  });
});
