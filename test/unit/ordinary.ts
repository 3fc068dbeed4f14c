/**
 * Events of SAs and policies as daemons make them: both families, every attribute there or not,
 * limits below 2^32 or none. (generate.ts makes what is allowed; little of that is ordinary.)
 * @module
 */
import type { DecodeInput } from '../../lib/netlink/event.ts';
import { type EncodableXfrmMessage, encodeXfrm, MessageWriter } from '../../lib/xfrm.ts';
import type { Random } from './random.ts';

/** Keys are of the letter Q alone, which no line has. */
const key = (bytes: number) => new Uint8Array(bytes).fill(0x51);
/** A part of a key: in hex, as keys are printed, or as text. */
export const KEY_SHOWN = /(?:51){12}|Q/;

const NONE = 2n ** 64n - 1n;
const FAMILIES = ['inet', 'inet6'] as const;
const MODES = ['transport', 'tunnel', 'beet', 'iptfs', 9] as const;
const PROTOS = ['esp', 'ah', 'comp', 'any', 77] as const;

/** The input of a decoder. The memory ends with the message: what reads beyond it fails. */
export function inputOf(message: Uint8Array, wall = 1_700_000_000_123): DecodeInput {
  const bytes = message.slice();
  const time = { wall, monotonic: 17.25 };
  return { view: new DataView(bytes.buffer), bytes, time, keys: false };
}

/** The bytes of one message. */
export function ordinaryMessage(random: Random): Uint8Array {
  const writer = new MessageWriter();
  encodeXfrm(writer, ordinary(random));
  return writer.written().slice();
}

function ordinary(random: Random): EncodableXfrmMessage {
  const header = { portId: random.chance(1, 2) ? 0 : random.number(32) };
  switch (random.below(6)) {
    case 0:
      return { kind: 'NEWSA', header, state: state(random) };
    case 1:
      return { kind: 'UPDSA', header, state: state(random) };
    case 2:
      return { kind: 'DELSA', header, id: {}, state: state(random) };
    case 3:
      return { kind: 'NEWPOLICY', header, policy: policy(random) };
    case 4:
      return { kind: 'UPDPOLICY', header, policy: policy(random) };
    default:
      return { kind: 'DELPOLICY', header, id: {}, policy: policy(random) };
  }
}

const maybe = <Value extends object>(random: Random, value: Value): Value | undefined =>
  random.chance(1, 2) ? value : undefined;

function address(random: Random, family: (typeof FAMILIES)[number]): string {
  if (family === 'inet') return [...random.bytes(4)].join('.');
  const word = () => (random.chance(1, 3) ? '0' : random.below(2 ** 16).toString(16));
  return Array.from({ length: 8 }, word).join(':');
}

function ends(random: Random) {
  const family = random.pick(FAMILIES);
  return { family, saddr: address(random, family), daddr: address(random, family) };
}

/** Of each kind of limit both, one or none is set. */
function lifetime(random: Random) {
  const seconds = () => random.number(32);
  const limit = () => (random.chance(1, 2) ? NONE : BigInt(random.number(32)));
  return {
    softAddSeconds: seconds(),
    hardAddSeconds: seconds(),
    softUseSeconds: seconds(),
    hardUseSeconds: seconds(),
    softBytes: limit(),
    hardBytes: limit(),
    softPackets: limit(),
    hardPackets: limit(),
  };
}

const mark = (random: Random) => ({ value: random.number(32), mask: random.number(32) });

function state(random: Random) {
  const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: key(20) };
  const keyed = (name: string) => ({ name, key: key(16 * (1 + random.below(3))) });
  const counter = () => BigInt(random.number(32));
  return {
    ...ends(random),
    spi: random.number(32),
    proto: random.pick(PROTOS),
    mode: random.pick(MODES),
    reqid: random.number(32),
    lifetime: lifetime(random),
    current: { bytes: counter(), packets: counter() },
    stats: {
      replayWindow: random.number(32),
      replay: random.number(32),
      integrityFailed: random.number(32),
    },
    ...maybe(random, { aead }),
    ...maybe(random, { auth: keyed('hmac(sha1)') }),
    ...maybe(random, { authTrunc: { ...keyed('hmac(sha256)'), truncBits: 128 } }),
    ...maybe(random, { crypt: keyed('cbc(aes)') }),
    ...maybe(random, { comp: { name: 'deflate' } }),
    ...maybe(random, { dir: random.pick(['in', 'out', 7] as const) }),
    ...maybe(random, {
      encap: {
        type: random.pick(['espinudp', 'espintcp', 3] as const),
        sport: random.number(16),
        dport: random.number(16),
      },
    }),
    ...maybe(random, { mark: mark(random) }),
    ...maybe(random, { ifId: random.number(32) }),
    ...maybe(random, { pcpu: random.number(32) }),
    ...maybe(random, { offload: { ifindex: random.below(2 ** 31) } }),
    ...maybe(random, { replayEsn: { replayWindow: 64, bitmap: [1, 2] } }),
    ...maybe(random, { extraFlags: ['oseq-may-wrap'] as const, lastUsedAt: 9000, tfcPad: 1 }),
  };
}

function policy(random: Random) {
  const ports = () => (random.chance(1, 2) ? random.pick([0xffff, 0xff00]) : 0);
  const { family, saddr, daddr } = ends(random);
  return {
    dir: random.pick(['in', 'out', 'fwd', 5] as const),
    selector: {
      family,
      saddr,
      daddr,
      prefixlenS: random.below(129),
      prefixlenD: random.below(129),
      sport: random.number(16),
      sportMask: ports(),
      dport: random.number(16),
      dportMask: ports(),
      proto: random.number(8),
      ifindex: random.chance(1, 2) ? 0 : random.below(2 ** 31),
    },
    action: random.pick(['allow', 'block', 2] as const),
    priority: random.number(32),
    index: random.number(32),
    lifetime: lifetime(random),
    ...maybe(random, { mark: mark(random) }),
    ...maybe(random, { ifId: random.number(32) }),
    ...maybe(random, { policyType: { type: random.pick(['main', 'sub', 4] as const) } }),
    ...maybe(random, {
      templates: Array.from({ length: random.below(7) }, () => template(random)),
    }),
  };
}

const template = (random: Random) => ({
  ...ends(random),
  proto: random.pick(PROTOS),
  mode: random.pick(MODES),
  reqid: random.number(32),
  spi: random.chance(1, 2) ? 0 : random.number(32),
  optional: random.chance(1, 2),
});
