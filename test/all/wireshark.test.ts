/** Wireshark with contrib/wireshark-xfrm.lua says what the JSON of the same messages says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { formatJson, type JsonRecord } from '../../lib/cli/json.ts';
import { fetchLabTools } from '../../lib/lab/index.ts';
import { decodeDatagram } from '../../lib/netlink/event.ts';
import { interfaceBlock, packetBlock, sectionHeader } from '../../lib/recording/pcapng-writer.ts';
import { NLMSG_HDRLEN } from '../../lib/wire/message.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { Enumeration, type Flags } from '../../lib/wire/names.ts';
import { attributes, sadAttributes, spdAttributes } from '../../lib/xfrm/attributes.ts';
import { decodeXfrmMessage } from '../../lib/xfrm/decode-message.ts';
import { encodeXfrm } from '../../lib/xfrm/encode.ts';
import * as structs from '../../lib/xfrm/structs.ts';
import { captures } from '../unit/captures.ts';
import { answers, events, messageBytes, requests } from '../unit/generate.ts';
import { generated, Random, runSeed } from '../unit/random.ts';

const root = join(import.meta.dirname, '../../..');
const DISSECTOR = join(root, 'contrib/wireshark-xfrm.lua');
/** The keys of test/fixtures/esp. */
const GCM = Uint8Array.from(Buffer.from('000102030405060708090a0b0c0d0e0f10111213', 'hex'));
const CBC = Uint8Array.from(Buffer.from('00112233445566778899aabbccddeeff', 'hex'));
const HMAC = Uint8Array.from(
  Buffer.from('2021222324252627282930313233343536373839404142434445464748495051', 'hex'),
);
const time = { wall: 1_700_000_000_000, monotonic: 5 };
const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-wireshark-'));
after(() => rmSync(folder, { recursive: true }));

let tshark: { program: string; env: NodeJS.ProcessEnv };
before(async () => {
  const tools = await fetchLabTools(['tshark', 'libwireshark-data']);
  // What init.lua defines; the package's own link to it is to a file of the system.
  const data = join(folder, 'data');
  mkdirSync(data);
  const of = (path: string) => join(tools.root, path);
  copyFileSync(of('etc/wireshark/init.lua'), join(data, 'init.lua'));
  const scripts = readdirSync(of('usr/share/wireshark')).filter((name) => name.endsWith('.lua'));
  for (const name of scripts) {
    if (name !== 'init.lua') copyFileSync(of(`usr/share/wireshark/${name}`), join(data, name));
  }
  const own = { HOME: folder, WIRESHARK_CONFIG_DIR: folder, WIRESHARK_DATA_DIR: data };
  const program = join(tools.root, 'usr/bin/tshark');
  tshark = { program, env: { ...process.env, ...tools.env, ...own } };
});

/**
 * What tshark prints about a capture. For root it takes no other folder for its data, and runs no
 * scripts without the system's init.lua: so it is run under another id.
 */
function say(file: string, args: readonly string[]): string {
  const { program, env } = tshark;
  const user = process.getuid?.() === 0 ? ['unshare', '--user', '--map-user=1000', '--'] : [];
  const [first = program, ...more] = [...user, program];
  const all = [...more, '-X', `lua_script:${DISSECTOR}`, '-r', file, ...args];
  const { status, stdout, stderr, error } = spawnSync(first, all, {
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 29,
  });
  assert.equal(status, 0, `${error ?? ''}${stderr}`);
  assert.doesNotMatch(stderr, /Lua|lua/, 'the dissector fails');
  return stdout;
}

/** A field of a struct, or an attribute, as the dissector names it. */
interface Shown {
  readonly key: string;
  readonly names?: Enumeration<string> | Flags<string>;
  readonly unit?: string;
}

/** What may hold a property of that name. */
const shown = new Map<string, Shown[]>();
const add = (name: string, one: Shown) => shown.set(name, [...(shown.get(name) ?? []), one]);
for (const struct of Object.values(structs)) {
  const short = struct.kernel.replace(/^xfrm_/, '');
  for (const field of struct.fields) {
    add(field.name, { ...field, key: `xfrm.${short}.${field.kernel}` } as Shown);
  }
}
for (const { attributes: all } of [attributes, sadAttributes, spdAttributes]) {
  for (const one of all) {
    const key = `xfrm.${one.kernel.replace(/^XFRMA_/, '').toLowerCase()}`;
    add(one.name, { ...one, key } as Shown);
  }
}
for (const [name, key] of [
  ['type', 'type'],
  ['flags', 'flags'],
  ['seq', 'seq'],
  ['portId', 'pid'],
] as const) {
  add(name, { key: `xfrm.nlmsg_${key}` });
}
add('flags', { key: 'xfrm.flags' });

/** The values under each name, of one packet. */
function valuesOf(layer: unknown, into = new Map<string, string[]>()): Map<string, string[]> {
  if (Array.isArray(layer)) for (const one of layer) valuesOf(one, into);
  else if (typeof layer === 'object' && layer !== null) {
    for (const [key, value] of Object.entries(layer)) {
      const all = Array.isArray(value) ? value : [value];
      for (const one of all) {
        if (typeof one === 'string') into.set(key, [...(into.get(key) ?? []), one]);
        else valuesOf(one, into);
      }
    }
  }
  return into;
}

const number = (text: string): bigint | undefined => {
  if (text === 'True') return 1n;
  if (text === 'False') return 0n;
  return /^-?(0x[0-9a-f]+|\d+)$/.test(text) ? BigInt(text) : undefined;
};

/** Programs end some IPv6 addresses with an IPv4 one. */
const shortest = (address: string): string => new URL(`http://[${address}]`).hostname;

/** Whether tshark's text is this value of the JSON. */
function isSame(value: unknown, text: string, { names, unit }: Shown): boolean {
  const wanted =
    typeof value === 'string' && names instanceof Enumeration && value in names.numbers
      ? names.numbers[value]
      : value;
  if (typeof wanted === 'boolean') return number(text) === (wanted ? 1n : 0n);
  if (wanted === null) return number(text) === 0n || number(text) === 2n ** 64n - 1n;
  if (typeof wanted === 'string' && wanted.includes(':') && text.includes(':')) {
    return shortest(text) === shortest(wanted);
  }
  if (typeof wanted === 'string' && !/^\d+$/.test(wanted)) return text === wanted;
  const plain = BigInt(wanted as string | number);
  return number(text) === (unit === 'moment' ? plain / 1000n : plain);
}

/** Looks for each value of a message among those of its packet. @returns how many there are */
function compare(json: unknown, values: Map<string, string[]>, about: string): number {
  let found = 0;
  for (const [name, value] of Object.entries(json as object)) {
    // A text of no bytes has nothing that tshark could show.
    if (value === undefined || value === '' || name === 'exact' || name === 'unknown') continue;
    const all = Array.isArray(value) ? value : [value];
    for (const one of all) {
      const leaf = typeof one === 'object' && one !== null && 'names' in one ? one.mask : one;
      if (typeof leaf === 'object' && leaf !== null) {
        found += compare(leaf, values, about);
        continue;
      }
      const places = shown.get(name);
      assert(places, `${about}: nothing is called ${name}`);
      const said = places.flatMap((place) =>
        [place.key, `${place.key}6`, `${place.key}_raw`].flatMap((key) =>
          (values.get(key) ?? []).map((text) => [place, text] as const),
        ),
      );
      assert(
        said.some(([place, text]) => isSame(leaf, text, place)),
        `${about}: ${name} is ${leaf}; tshark says ${said.map(([{ key }, text]) => `${key} ${text}`).join(', ')}`,
      );
      found++;
    }
  }
  return found;
}

/** A capture of datagrams. */
function write(name: string, datagrams: readonly Uint8Array[]): string {
  const packets = datagrams.map((bytes) =>
    packetBlock({ from: 0, protocol: 6, bytes, truncated: false, wall: time.wall, comments: [] }),
  );
  const file = join(folder, name);
  writeFileSync(file, Buffer.concat([sectionHeader('test'), interfaceBlock('nlmon'), ...packets]));
  return file;
}

/** The message of a datagram that has one, as JSON; undefined if it is malformed or of control. */
function jsonOf(bytes: Uint8Array): JsonRecord | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const all: JsonRecord[] = [];
  decodeDatagram(
    { view, bytes, time, keys: false },
    0,
    bytes.length,
    false,
    decodeXfrmMessage,
    (one) => {
      const record = one.kind === 'malformed' ? { ...one, protocol: 'xfrm' as const } : one;
      all.push(JSON.parse(formatJson(record, false)));
    },
  );
  const [message] = all;
  const isKnown = message && message.kind !== 'malformed' && message.kind !== 'unknown';
  return all.length === 1 && isKnown ? message : undefined;
}

function check(name: string, datagrams: readonly Uint8Array[]): void {
  const meant = datagrams.flatMap((bytes) => {
    // Wireshark passes no message on that is only a header.
    const json = bytes.length > NLMSG_HDRLEN ? jsonOf(bytes) : undefined;
    return json ? [{ bytes, json }] : [];
  });
  assert(meant.length > datagrams.length / 3, 'few messages are looked at');
  const file = write(
    name,
    meant.map(({ bytes }) => bytes),
  );
  const packets = JSON.parse(say(file, ['-T', 'json', '--no-duplicate-keys'])) as {
    _source: { layers: Record<string, unknown> };
  }[];
  assert.equal(packets.length, meant.length);
  let values = 0;
  packets.forEach(({ _source: { layers } }, i) => {
    const { json } = meant[i] as (typeof meant)[number];
    const { schema, kind, protocol, time, monotonic, message, ...rest } = json as unknown as Record<
      string,
      unknown
    >;
    const said = valuesOf(layers.xfrm);
    // Where IPv4 and IPv6 are mixed, only templates tell of which family these are; the dissector does not look there.
    const { acquire } = rest as { acquire?: { daddr?: string; saddr?: string } };
    delete acquire?.daddr;
    delete acquire?.saddr;
    const about = `${name} ${i} ${kind} ${message ?? ''}`;
    assert.deepEqual(said.get('xfrm.message'), [message ?? kind], about);
    assert.equal(said.get('xfrm.malformed'), undefined, `${about} ${JSON.stringify(layers.xfrm)}`);
    values += compare(rest, said, about);
  });
  assert(values > 10 * meant.length, `${values} values`);
}

describe('Wireshark with the dissector', { timeout: 600_000 }, () => {
  it('shows all that the JSON of recorded messages has', () => {
    check(
      'recorded.pcapng',
      captures('xfrm').map(({ bytes }) => bytes),
    );
  });

  it('shows all that the JSON of generated messages has', () => {
    const seed = runSeed();
    console.log(`seed ${seed}`);
    const random = new Random(seed);
    // tshark prints what is not ASCII in its own ways.
    const limits = {
      unknown: false,
      timeBits: 32 as const,
      character: (one: Random) => 0x61 + one.below(26),
    };
    const datagrams = Array.from({ length: generated(100) }, () =>
      [...events, ...answers, ...requests].map((kind) => messageBytes(kind, random, limits)),
    );
    check('generated.pcapng', datagrams.flat());
  });

  it('shows no key unless asked', () => {
    const all = captures('xfrm').filter(({ name }) => name.includes('newsa'));
    assert(all.length > 0);
    const file = write(
      'keys.pcapng',
      all.map(({ bytes }) => bytes),
    );
    const quiet = say(file, ['-V']);
    assert.match(quiet, /alg_key: \d+ bits, hidden/);
    const loud = say(file, ['-V', '-o', 'xfrm.keys:TRUE']);
    assert.doesNotMatch(loud, /hidden/);
  });

  it('survives any bytes', () => {
    const datagrams = captures('xfrm').flatMap(({ bytes }) => [
      bytes.slice(0, bytes.length >> 1),
      bytes.map((byte, i) => (i % 7 === 5 ? byte ^ 0xff : byte)),
    ]);
    const text = say(write('damaged.pcapng', datagrams), ['-V']);
    assert.match(text, /A length is invalid|is too short|is invalid/);
  });

  it('decrypts ESP with the file of `convert --with-keys`', () => {
    const common = {
      family: 'inet',
      proto: 'esp',
      mode: 'transport',
      reqid: 1,
    } as const;
    const writer = new MessageWriter();
    for (const state of [
      {
        ...common,
        saddr: '192.0.2.1',
        daddr: '192.0.2.2',
        spi: 0x1001,
        aead: { name: 'rfc4106(gcm(aes))', keyBits: 160, icvBits: 128, key: GCM },
      },
      {
        ...common,
        saddr: '192.0.2.2',
        daddr: '192.0.2.1',
        spi: 0x1002,
        crypt: { name: 'cbc(aes)', keyBits: 128, key: CBC },
        authTrunc: { name: 'hmac(sha256)', keyBits: 256, truncBits: 128, key: HMAC },
      },
    ]) {
      encodeXfrm(writer, { kind: 'NEWSA', state });
    }
    const messages = join(folder, 'keys.nl');
    writeFileSync(messages, writer.written());
    const convert = (output: string, ...more: string[]) =>
      spawnSync(
        process.execPath,
        [join(root, 'bin/netlink-xfrm.js'), 'convert', messages, join(folder, output), ...more],
        { encoding: 'utf8' },
      );
    assert.match(convert('esp_sa').stderr, /'--with-keys' is needed/);
    assert.deepEqual(
      ((one) => [one.status, one.stdout, one.stderr])(convert('esp_sa', '--with-keys')),
      [0, '', '2 SAs, with keys: whoever reads the file can decrypt their traffic\n'],
    );
    const capture = join(root, 'test/fixtures/esp/udp-uml-7.2.pcap');
    const text = say(capture, [
      '-o',
      'esp.enable_encryption_decode:TRUE',
      '-T',
      'fields',
      '-e',
      'data.data',
    ]);
    const hex = (one: string) => Buffer.from(one).toString('hex');
    assert.equal(text, `${hex('from left to right')}\n${hex('from right to left')}\n`);
    // Without the keys, it does not.
    assert.equal(convert('plain.pcapng').status, 0);
    const plain = readFileSync(join(folder, 'plain.pcapng'));
    assert(!plain.includes(Buffer.from(GCM)) && !plain.includes(Buffer.from(CBC)));
  });
});
