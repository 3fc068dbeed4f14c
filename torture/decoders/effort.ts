/**
 * Checks that decoding work grows linearly with the input. Work is counted rather than timed: numbers read
 * from memory, and the size of the output. Time is compared as well, with a tolerance that only quadratic
 * growth exceeds.
 * @module
 */
import '../../lib/monitor/trace.ts';
import assert from 'node:assert/strict';
import { formatJson } from '../../lib/cli/json.ts';
import { Filter } from '../../lib/monitor/filter.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { type DecodeMessage, decodeDatagram, type Malformed } from '../../lib/netlink/event.ts';
import { describeDatagram } from '../../lib/netlink/trace.ts';
import { CaptureReader } from '../../lib/recording/capture.ts';
import { decodeRoute } from '../../lib/route/decode.ts';
import type { RouteEvent } from '../../lib/route/events.ts';
import { printable } from '../../lib/wire/text.ts';
import { decodeXfrm } from '../../lib/xfrm/decode.ts';
import type { XfrmEvent } from '../../lib/xfrm/events.ts';
import { capture } from '../../test/unit/captures.ts';
import { cooked, pcap, pcapng } from '../../test/unit/pcap.ts';

/** A view of bytes that counts the numbers read from it. */
function counting(bytes: Uint8Array): [view: DataView, reads: () => number] {
  let reads = 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (const name of ['getUint8', 'getUint16', 'getUint32'] as const) {
    const read = view[name].bind(view);
    Object.assign(view, {
      [name]: (at: number, little?: boolean) => {
        reads++;
        return read(at, little);
      },
    });
  }
  return [view, () => reads];
}

const bytesOf = (...numbers: number[]) => Uint8Array.from(numbers);
const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
const repeat = (part: Uint8Array, size: number) =>
  join(...Array.from({ length: Math.floor(size / part.length) }, () => part));

function attribute(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + payload.length + 3) & ~3);
  new DataView(bytes.buffer).setUint16(0, 4 + payload.length, true);
  new DataView(bytes.buffer).setUint16(2, type, true);
  bytes.set(payload, 4);
  return bytes;
}

function message(type: number, ...body: Uint8Array[]): Uint8Array {
  const bytes = join(new Uint8Array(16), ...body);
  new DataView(bytes.buffer).setUint32(0, bytes.length, true);
  new DataView(bytes.buffer).setUint16(4, type, true);
  return bytes;
}

/** Nests within nests, to the end. */
function nested(type: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size & ~3);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) {
    view.setUint16(at, bytes.length - at, true);
    view.setUint16(at + 2, type, true);
  }
  return bytes;
}

const NEWSA = 0x10;
const NEWPOLICY = 0x13;
const MIGRATE = 0x21;
const NEWLINK = 16;
const NEWROUTE = 24;
const recorded = capture('uml-6.1/newsa_v4_tunnel_aead.event0');
const fixed = { sa: 224, policy: 168, policyId: 64, link: 16, route: 12 } as const;
const AF_BRIDGE = 7;

/** Datagrams of about a given size, each a worst case of its kind. */
const SHAPES: Readonly<Record<string, readonly ['xfrm' | 'route', (size: number) => Uint8Array]>> =
  {
    'many messages': ['xfrm', (size) => repeat(recorded, size)],
    'messages without a body': ['xfrm', (size) => repeat(message(0x3f), size)],
    'one attribute, repeated': [
      'xfrm',
      (size) =>
        message(NEWSA, new Uint8Array(fixed.sa), repeat(attribute(4, new Uint8Array(12)), size)),
    ],
    'empty attributes nobody knows': [
      'xfrm',
      (size) => message(NEWSA, new Uint8Array(fixed.sa), repeat(attribute(999, bytesOf()), size)),
    ],
    templates: [
      'xfrm',
      (size) =>
        message(
          NEWPOLICY,
          new Uint8Array(fixed.policy),
          repeat(attribute(5, new Uint8Array(64)), size),
        ),
    ],
    'migrations, an attribute each': [
      'xfrm',
      (size) =>
        message(
          MIGRATE,
          new Uint8Array(fixed.policyId),
          repeat(attribute(17, new Uint8Array(76)), size),
        ),
    ],
    'VLANs, an attribute each': [
      'route',
      (size) => {
        const link = new Uint8Array(fixed.link);
        link[0] = AF_BRIDGE;
        return message(
          NEWLINK,
          link,
          attribute(26, repeat(attribute(2, bytesOf(0, 0, 7, 0)), size)),
        );
      },
    ],
    'many numbers': [
      'route',
      (size) => {
        const settings = attribute(2, attribute(1, new Uint8Array(size & ~3)));
        return message(NEWLINK, new Uint8Array(fixed.link), attribute(26, settings));
      },
    ],
    'a long bitmap': [
      'xfrm',
      (size) => {
        const bitmap = new Uint8Array(24 + (size & ~3));
        new DataView(bitmap.buffer).setUint32(0, size >> 2, true);
        return message(NEWSA, new Uint8Array(fixed.sa), attribute(23, bitmap));
      },
    ],
    'nests in nests': [
      'route',
      (size) => message(NEWLINK, new Uint8Array(fixed.link), nested(0x8012, size)),
    ],
    'records without attributes': [
      'route',
      (size) =>
        message(
          NEWROUTE,
          new Uint8Array(fixed.route),
          attribute(9, repeat(bytesOf(8, 0, 0, 0, 1, 0, 0, 0), size)),
        ),
    ],
    'choices, repeated': [
      'route',
      (size) =>
        message(
          NEWLINK,
          new Uint8Array(fixed.link),
          repeat(attribute(18, attribute(2, bytesOf(1, 0, 0, 0))), size),
        ),
    ],
    'choices in one nest': [
      'route',
      (size) =>
        message(
          NEWLINK,
          new Uint8Array(fixed.link),
          attribute(18, repeat(attribute(2, bytesOf(8, 0, 1, 0, 0, 0, 0, 0)), size)),
        ),
    ],
    'names, repeated': [
      'route',
      (size) =>
        message(
          NEWLINK,
          new Uint8Array(fixed.link),
          repeat(attribute(53, bytesOf(97, 0, 0, 0)), size),
        ),
    ],
  };

const time = { wall: 0, monotonic: 0 };

/** Decodes, prints and describes; returns the amount of work. */
function effort(protocol: 'xfrm' | 'route', bytes: Uint8Array): number {
  const [view, reads] = counting(bytes);
  const decode = (protocol === 'xfrm' ? decodeXfrm : decodeRoute) as DecodeMessage<
    XfrmEvent | RouteEvent
  >;
  let written = 0;
  const input = { view, bytes, time, keys: true };
  decodeDatagram<XfrmEvent | RouteEvent>(
    input,
    0,
    bytes.length,
    false,
    decode,
    (one: XfrmEvent | RouteEvent | Malformed) => {
      written += formatJson(one.kind === 'malformed' ? { ...one, protocol } : one, true).length;
    },
  );
  const number = protocol === 'xfrm' ? NETLINK_XFRM : NETLINK_ROUTE;
  written += JSON.stringify(describeDatagram(number, bytes, 0, bytes.length)).length;
  return reads() + written;
}

/** The minimum of several runs, in seconds of CPU time, so that other programs do not count. */
function seconds(work: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const begun = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(begun);
    best = Math.min(best, user + system);
  }
  return best / 1e6;
}

const SMALL = 7_800;
const LARGE = 8 * SMALL;

/** Number of attempts: quadratic growth shows every time, chance does not. */
const ATTEMPTS = 4;

/** Inputs eight times as long may take up to 24 times as long; quadratic growth would give 64. */
function linear(name: string, small: () => unknown, large: () => unknown): void {
  let ratio = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ATTEMPTS && ratio >= 24; i++) {
    ratio = seconds(large) / Math.max(seconds(small), 2e-5);
  }
  assert(ratio < 24, `${name}: eight times the input takes ${ratio.toFixed(1)} times the time`);
}

/** Checks that twice the input is twice the work. @returns the number of shapes @throws a finding */
export function checkWork(): number {
  for (const [name, [protocol, make]] of Object.entries(SHAPES)) {
    const ratio = effort(protocol, make(2 * SMALL)) / effort(protocol, make(SMALL));
    assert(ratio < 2.2, `${name}: twice the input is ${ratio.toFixed(2)} times the work`);
  }
  return Object.keys(SHAPES).length;
}

/** The same for time. */
export function checkTime(): number {
  for (const [name, [protocol, make]] of Object.entries(SHAPES)) {
    const [small, large] = [make(SMALL), make(LARGE)];
    linear(
      name,
      () => effort(protocol, small),
      () => effort(protocol, large),
    );
  }
  const more: Readonly<Record<string, (size: number) => () => unknown>> = {
    pcap: (size) => {
      const file = pcap(Array.from({ length: size / 30 }, () => cooked(6, new Uint8Array(20))));
      return () => captured(file);
    },
    pcapng: (size) => {
      const file = pcapng(Array.from({ length: size / 30 }, () => cooked(6, new Uint8Array(20))));
      return () => captured(file);
    },
    'escaped text': (size) => () => printable('\u001b'.repeat(size)),
    'a filter of many values': (size) => () => new Filter([`spi=${'1,'.repeat(size)}1`]),
    'a network of many parts': (size) => () => {
      try {
        new Filter([`src=${'1:'.repeat(size)}`]);
      } catch {}
    },
  };
  for (const [name, make] of Object.entries(more)) linear(name, make(SMALL), make(LARGE));
  return Object.keys(SHAPES).length + Object.keys(more).length;
}

function captured(file: Uint8Array): number {
  const reader = new CaptureReader(NETLINK_XFRM);
  return [...reader.push(file), ...reader.end()].length;
}
