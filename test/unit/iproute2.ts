/**
 * Our output compared with that of iproute2's `ip xfrm monitor file`, an independent decoder.
 * @module
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IPROUTE2_VERSION } from '../../lib/cli/text/iproute2.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { type EncodableXfrmMessage, encodeXfrm } from '../../lib/xfrm/encode.ts';
import { captures } from './captures.ts';
import { answers, events, type Limits, messageBytes } from './generate.ts';
import type { Random } from './random.ts';
import { strongswan } from './recordings.ts';

const program = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');

/** How to start an `ip`, and what it says it is. */
export interface Ip {
  readonly command: readonly string[];
  /** As `7.3.0`. */
  readonly version: string;
}

/** The `ip` that a command starts; undefined if there is none. */
export function findIp(...command: readonly string[]): Ip | undefined {
  const [file = '', ...args] = command;
  const { stdout } = spawnSync(file, [...args, '-V'], { encoding: 'utf8' });
  const version = /iproute2-(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1];
  return version === undefined ? undefined : { command, version };
}

function run(command: readonly string[], ...more: readonly string[]): string {
  const [file = '', ...args] = [...command, ...more];
  const { stdout, error, signal } = spawnSync(file, args, { maxBuffer: 2 ** 30 });
  assert.ifError(error);
  assert.equal(signal, null, `${command.join(' ')} ended by ${signal}`);
  return stdout.toString('latin1');
}

/** What both print for some bytes; `words` are for ip only. */
export function both(
  ip: Ip,
  bytes: Uint8Array,
  ...words: string[]
): { theirs: string; ours: string } {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    const file = join(folder, 'recording');
    writeFileSync(file, bytes);
    const replay = [process.execPath, program, 'replay', '-o', 'iproute2', '--show-keys', file];
    return {
      theirs: run(ip.command, 'xfrm', 'monitor', ...words, 'file', file),
      ours: run(replay),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Our output as an older iproute2 has it, as far as it has it. */
function older(text: string): string {
  return text
    .replaceAll(/^\tdir (in|out|other \(\d+\))\n/gm, '') // XFRMA_SA_DIR
    .replaceAll(/^\tpcpu-num \d+\n/gm, ''); // XFRMA_SA_PCPU
}

/** Fails, showing the first message, unless both print the same. */
export function compare(ip: Ip, messages: readonly Uint8Array[], origin: string): void {
  const adapt = ip.version === IPROUTE2_VERSION ? (text: string) => text : older;
  const same = (bytes: Uint8Array) => {
    const { theirs, ours } = both(ip, bytes);
    return adapt(ours) === theirs;
  };
  if (same(Buffer.concat(messages))) return;
  // Which one? Halve what differs.
  let rest = messages;
  while (rest.length > 1) {
    const half = rest.slice(0, rest.length >> 1);
    rest = same(Buffer.concat(half)) ? rest.slice(half.length) : half;
  }
  const [bytes = new Uint8Array(0)] = rest;
  const { theirs, ours } = both(ip, bytes);
  const hex = Buffer.from(bytes).toString('hex');
  assert.equal(adapt(ours), theirs, `${origin}, iproute2 ${ip.version}: ${hex}`);
}

/** All recorded messages of XFRM, without those that no decoder takes. */
export const recorded = (): Uint8Array[] => [
  ...captures('xfrm')
    .filter(({ name }) => !name.includes('short_msg'))
    .map(({ bytes }) => bytes),
  strongswan(),
];

const AF_MPLS = 28;

/** What ip gets right: what the list of differences is about is left out. */
const LIMITS: Limits = {
  character: (random) => 33 + random.below(94),
  name: 63,
  notFamily: AF_MPLS,
};

/** Attributes that releases before 7.3 are not asked about, and why. */
const OLDER = {
  offload: 'they print less of it (6.1 does not know the mode "packet")',
  lastUsedAt: 'a time out of range ends them by SIGSEGV (seen with 6.1.0)',
};

/** Messages of every kind that a listener can see, each field over its whole range. */
export function generated(ip: Ip, count: number, random: Random): Uint8Array[] {
  const kinds = [...events, ...answers];
  const limits =
    ip.version === IPROUTE2_VERSION ? LIMITS : { ...LIMITS, without: Object.keys(OLDER) };
  return Array.from({ length: count }, () => messageBytes(random.pick(kinds), random, limits));
}

/** A difference that is meant to be. */
export interface Difference {
  readonly reason: string;
  /** An example, and the lines of it that differ. */
  readonly example: Uint8Array;
  readonly theirs: string;
  readonly ours: string;
}

const state = { daddr: '192.0.2.2', saddr: '192.0.2.1', spi: 1, proto: 'esp' } as const;
const HEAD = 'src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x00000001 reqid 0 mode transport\n';

/** An SA with attributes that are given as bytes. */
function withRaw(...unknown: [type: number, ...bytes: number[]][]): Uint8Array {
  const raw = unknown.map(([type, ...bytes]) => ({
    type: type & 0x3fff,
    flags: type & 0xc000,
    bytes: Uint8Array.from(bytes),
  }));
  return encodeOne({ kind: 'NEWSA', state: { ...state, unknown: raw } });
}

function encodeOne(
  message: EncodableXfrmMessage,
  change: (view: DataView) => void = () => {},
): Uint8Array {
  const writer = new MessageWriter();
  encodeXfrm(writer, message);
  change(writer.view);
  return writer.written();
}

const ATTRIBUTES = 16 + 224;
const NEWSA = `${HEAD}\treplay-window 0 \n`;
const mark = (value: number) => [value, 0, 0, 0, 255, 0, 0, 0];

/** All differences from iproute2 7.3.0. */
export const DIFFERENCES: readonly Difference[] = [
  {
    reason: 'a name of 64 characters has no NUL; ip reads on into what follows it',
    example: encodeOne({
      kind: 'NEWSA',
      state: { ...state, comp: { name: 'x'.repeat(64), key: Uint8Array.of(0x40, 0x41) } },
    }),
    theirs: `${NEWSA}\tcomp ${'x'.repeat(64)}\x10 0x4041\n`,
    ours: `${NEWSA}\tcomp ${'x'.repeat(64)} 0x4041\n`,
  },
  {
    reason: 'control characters act on the terminal; ip prints them as they are',
    example: encodeOne({ kind: 'NEWSA', state: { ...state, comp: { name: '\x1b[2J' } } }),
    theirs: `${NEWSA}\tcomp \x1b[2J \n`,
    ours: `${NEWSA}\tcomp \\x1b[2J \n`,
  },
  {
    reason:
      'addresses of family AF_MPLS: ip reads them as a stack of labels, beyond their 16 bytes',
    example: encodeOne({
      kind: 'NEWSA',
      state: { ...state, family: AF_MPLS, saddr: '00012100'.padEnd(32, '0'), daddr: 'any' },
    }),
    theirs: NEWSA.replace(/^.*\n/, 'src 18 dst 0/0/0/0/0/204800/18\n'),
    ours: NEWSA.replace(/^.*\n/, 'src ??? dst ???\n'),
  },
  {
    reason: 'of an attribute that is there twice, the kernel takes the last one, ip the first',
    example: withRaw([21, ...mark(1)], [21, ...mark(2)]),
    theirs: `${NEWSA}\tmark 0x1/0xff \n`,
    ours: `${NEWSA}\tmark 0x2/0xff \n`,
  },
  {
    reason: 'the flag bits of nla_type are no part of the number; ip passes over such attributes',
    example: withRaw([21 | 0x8000, ...mark(1)]),
    theirs: NEWSA,
    ours: `${NEWSA}\tmark 0x1/0xff \n`,
  },
  {
    reason: 'an attribute that the kernel has no use for in this message is kept raw, not shown',
    example: withRaw([5, ...new Array(64).fill(0)]),
    theirs: `${NEWSA}\ttmpl src ??? dst ???\n\t\tproto 0 reqid 0 mode transport\n`,
    ours: NEWSA,
  },
  {
    reason: 'an attribute shorter than its type is an error; ip reads what follows it',
    example: withRaw([21, 1, 0, 0, 0]),
    theirs: `${NEWSA}\tmark 0x1/0 \n`,
    ours: '',
  },
  {
    reason:
      'a length inside that is longer than the attribute is an error; ip goes on, or reads beyond',
    example: encodeOne(
      { kind: 'NEWSA', state: { ...state, replayEsn: { bitmap: [1, 2] } } },
      (view) => view.setUint32(ATTRIBUTES + 4, 9, true),
    ),
    theirs:
      `${NEWSA}\tanti-replay esn context:\n\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0\n` +
      '\t replay_window 0, bitmap-length 9\n' +
      '\t 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000002 \n\t 00000001 \n',
    ours: '',
  },
];
