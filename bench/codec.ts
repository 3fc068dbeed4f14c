/**
 * Speed of decoding NEWSA events and encoding NEWSA requests, without a kernel, each compared with a
 * straightforward implementation (naive.ts).
 * @module
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DecodeInput } from '../lib/netlink/event.ts';
import { MessageWriter } from '../lib/wire/message-writer.ts';
import { decodeXfrm } from '../lib/xfrm/decode.ts';
import { type EncodableXfrmMessage, encodeXfrm } from '../lib/xfrm/encode.ts';
import { KeyMaterial } from '../lib/xfrm/key-material.ts';
import { decodeNewSa, encodeNewSa, type Request } from './naive.ts';
import { SPREAD } from './results.ts';
import { median } from './stats.ts';

/** Nanoseconds per message. */
export interface CodecSpeed {
  readonly title: string;
  readonly codec: number;
  readonly naive: number;
}

const MESSAGES = 256;
const ROUNDS = 400;

/** Messages that are prepared together: few, since a program encodes what it has just made. */
const TOGETHER = 16;

/**
 * Nanoseconds per call, the variants in alternation, several times; returns the medians.
 *
 * @param prepare makes what the calls for some messages take; its time does not count
 */
function measure(
  title: string,
  repeats: number,
  variants: Record<'codec' | 'naive', (i: number) => unknown>,
  prepare?: (from: number, to: number) => void,
): CodecSpeed {
  const step = prepare === undefined ? MESSAGES : TOGETHER;
  const times = { codec: [] as number[], naive: [] as number[] };
  // The first two rounds warm up the compiler.
  for (let repeat = -2; repeat < repeats; repeat++) {
    for (const name of ['codec', 'naive'] as const) {
      let taken = 0n;
      for (let round = 0; round < ROUNDS; round++) {
        for (let from = 0; from < MESSAGES; from += step) {
          prepare?.(from, from + step);
          const begun = process.hrtime.bigint();
          for (let i = from; i < from + step; i++) variants[name](i);
          taken += process.hrtime.bigint() - begun;
        }
      }
      if (repeat >= 0) times[name].push(Number(taken) / (ROUNDS * MESSAGES));
    }
  }
  return { title, codec: median(times.codec), naive: median(times.naive) };
}

const file = join(
  import.meta.dirname,
  '../../test/fixtures/captures/uml-6.1/newsa_v4_tunnel_aead.event0.hex',
);
const recorded = Buffer.from(readFileSync(file, 'utf8').trim(), 'hex');
assert.equal(recorded.length, 352);

// Laid out as in a receive buffer: back to back; 16 pairs of peers, each message with its own SPI.
const arena = Buffer.alloc(MESSAGES * 352);
for (let i = 0; i < MESSAGES; i++) {
  const message = arena.subarray(i * 352, (i + 1) * 352);
  recorded.copy(message);
  message[16 + 56 + 3] = i % 16; // daddr
  message[16 + 80 + 3] = 128 + (i % 16); // saddr
  message.writeUInt32BE(0x1000 + i, 16 + 72); // spi
  message.writeUInt32LE(i, 8); // nlmsg_seq
}
const time = { wall: Date.now(), monotonic: performance.now() };
const input: DecodeInput = {
  view: new DataView(arena.buffer, arena.byteOffset, arena.byteLength),
  bytes: arena,
  time,
  keys: false,
};
const decode = {
  codec: (i: number) => decodeXfrm(input, i * 352, 352),
  naive: (i: number) => decodeNewSa(input.view, arena, i * 352, time),
};
for (let i = 0; i < MESSAGES; i++) assert.deepEqual(decode.codec(i), decode.naive(i));

const requests: Request[] = Array.from({ length: MESSAGES }, (_, i) => ({
  saddr: `192.0.2.${i % 16}`,
  daddr: `198.51.100.${i % 16}`,
  spi: 0x1000 + i,
  reqid: 7,
  name: 'rfc4106(gcm(aes))',
  key: new Uint8Array(20).fill(i),
}));
const states = requests.map(({ saddr, daddr, spi, reqid, name, key }) => ({
  kind: 'request' as const,
  message: 'NEWSA' as const,
  header: { flags: 0x405, seq: 1 },
  state: {
    saddr,
    daddr,
    spi,
    reqid,
    family: 'inet' as const,
    proto: 'esp' as const,
    mode: 'tunnel' as const,
    replayWindow: 32,
    aead: { name, icvBits: 128, keyBits: 160, key: new KeyMaterial(key) },
  },
}));
const writer = new MessageWriter();

/** As the socket sends it: from the writer's own memory, which is then wiped. */
function encodeFrom(messages: readonly EncodableXfrmMessage[], i: number): number {
  encodeXfrm(writer, messages[i] as EncodableXfrmMessage);
  const { length } = writer;
  writer.wipe();
  return length;
}
const encode = {
  codec: (i: number) => encodeFrom(states, i),
  naive: (i: number) => encodeNewSa(requests[i] as Request, 1),
};
for (let i = 0; i < MESSAGES; i++) {
  encodeXfrm(writer, states[i] as (typeof states)[0]);
  assert.equal(Buffer.from(writer.written()).compare(encode.naive(i)), 0);
  writer.wipe();
}

/**
 * The same SAs, of eight shapes: made anew for each call, but not while it is timed. In Node 20 the
 * spreading alone takes two to three times as long as the encoding.
 */
const rebuilt: EncodableXfrmMessage[] = [];
function rebuild(from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const { state, ...message } = states[i] as (typeof states)[0];
    const { aead, ...rest } = state;
    rebuilt[i] = {
      ...message,
      state: {
        ...rest,
        ...(i & 1 ? { mark: { value: 1, mask: 3 } } : {}),
        ...(i & 2 ? { ifId: i } : {}),
        ...(i & 4 ? { lifetime: { hardAddSeconds: 3600 } } : {}),
        aead: { ...aead },
      },
    };
  }
}
const encodeRebuilt = {
  codec: (i: number) => encodeFrom(rebuilt, i),
  naive: encode.naive,
};

/** Compares the speeds, after checking that both give the same results. */
export function codec(repeats: number, progress: (text: string) => void): CodecSpeed[] {
  progress('codec');
  return [
    measure('decode a NEWSA event, 352 bytes', repeats, decode),
    measure('encode a NEWSA request, 336 bytes', repeats, encode),
    measure(SPREAD, repeats, encodeRebuilt, rebuild),
  ];
}
