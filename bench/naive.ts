/**
 * The baseline for the codec: the same results, written straightforwardly with what the platform
 * offers and no regard to speed.
 * @module
 */
import { NO_LIMIT } from '../lib/wire/time.ts';
import type { NewSaEvent } from '../lib/xfrm/events.ts';
import {
  IpsecProto,
  StateExtraFlags,
  StateFlags,
  XfrmFamily,
  XfrmMode,
} from '../lib/xfrm/names.ts';

const decoder = new TextDecoder('latin1');

function address(bytes: Uint8Array, at: number, family: number): string {
  if (family === 2) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  const text = Buffer.from(bytes.subarray(at, at + 16)).toString('hex');
  if (family !== 10) return /[^0]/.test(text) ? text : 'any';
  const groups = (text.match(/..../g) ?? []).map((group) =>
    Number.parseInt(group, 16).toString(16),
  );
  return groups
    .join(':')
    .replace(/\b0(:0)+\b/, ':')
    .replace(/:{2,}/, '::');
}

function name(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function flags<Name extends string>(mask: number, bits: Readonly<Record<Name, number>>) {
  const names = (Object.keys(bits) as Name[]).filter((one) => mask & bits[one]);
  return { mask, names };
}

const limit = (value: bigint) => (value === 2n ** 64n - 1n ? NO_LIMIT : value);

/** Decodes a NEWSA event with the attributes that the kernel sends for an AEAD SA. */
export function decodeNewSa(
  v: DataView,
  b: Uint8Array,
  start: number,
  time: NewSaEvent['time'],
): NewSaEvent {
  const length = v.getUint32(start, true);
  const family = v.getUint16(start + 16 + 212, true);
  const selectorFamily = v.getUint16(start + 16 + 40, true) || family;
  const state: NewSaEvent['state'] = {
    selector: {
      daddr: address(b, start + 16, selectorFamily),
      saddr: address(b, start + 32, selectorFamily),
      dport: v.getUint16(start + 48),
      dportMask: v.getUint16(start + 50),
      sport: v.getUint16(start + 52),
      sportMask: v.getUint16(start + 54),
      family: XfrmFamily.name(v.getUint16(start + 56, true)),
      prefixlenD: v.getUint8(start + 58),
      prefixlenS: v.getUint8(start + 59),
      proto: v.getUint8(start + 60),
      ifindex: v.getInt32(start + 64, true),
      user: v.getUint32(start + 68, true),
    },
    daddr: address(b, start + 72, family),
    spi: v.getUint32(start + 88),
    proto: IpsecProto.name(v.getUint8(start + 92)),
    saddr: address(b, start + 96, family),
    lifetime: {
      softBytes: limit(v.getBigUint64(start + 112, true)),
      hardBytes: limit(v.getBigUint64(start + 120, true)),
      softPackets: limit(v.getBigUint64(start + 128, true)),
      hardPackets: limit(v.getBigUint64(start + 136, true)),
      softAddSeconds: Number(v.getBigUint64(start + 144, true)) || NO_LIMIT,
      hardAddSeconds: Number(v.getBigUint64(start + 152, true)) || NO_LIMIT,
      softUseSeconds: Number(v.getBigUint64(start + 160, true)) || NO_LIMIT,
      hardUseSeconds: Number(v.getBigUint64(start + 168, true)) || NO_LIMIT,
    },
    current: {
      bytes: v.getBigUint64(start + 176, true),
      packets: v.getBigUint64(start + 184, true),
      addedAt: Number(v.getBigUint64(start + 192, true)) * 1000,
      firstUsedAt: Number(v.getBigUint64(start + 200, true)) * 1000 || undefined,
    },
    stats: {
      replayWindow: v.getUint32(start + 208, true),
      replay: v.getUint32(start + 212, true),
      integrityFailed: v.getUint32(start + 216, true),
    },
    seq: v.getUint32(start + 220, true),
    reqid: v.getUint32(start + 224, true),
    family: XfrmFamily.name(family),
    mode: XfrmMode.name(v.getUint8(start + 230)),
    replayWindow: v.getUint8(start + 231),
    flags: flags(v.getUint8(start + 232), StateFlags.bits),
  };
  for (let at = start + 240; at < start + length; ) {
    const size = v.getUint16(at, true);
    switch (v.getUint16(at + 2, true) & 0x3fff) {
      case 18: {
        const keyBits = v.getUint32(at + 68, true);
        if (72 + Math.ceil(keyBits / 8) > size - 4) throw new Error('XFRMA_ALG_AEAD');
        const icvBits = v.getUint32(at + 72, true);
        state.aead = { name: name(b.subarray(at + 4, at + 68)), keyBits, icvBits };
        break;
      }
      case 10:
        state.replay = {
          oseq: v.getUint32(at + 4, true),
          seq: v.getUint32(at + 8, true),
          bitmap: v.getUint32(at + 12, true),
        };
        break;
      case 24:
        state.extraFlags = flags(v.getUint32(at + 4, true), StateExtraFlags.bits);
        break;
      case 21:
        state.mark = { value: v.getUint32(at + 4, true), mask: v.getUint32(at + 8, true) };
        break;
      case 31:
        state.ifId = v.getUint32(at + 4, true);
        break;
      default:
        throw new Error(`attribute ${v.getUint16(at + 2, true)}`);
    }
    at += (size + 3) & ~3;
  }
  const header = {
    type: v.getUint16(start + 4, true),
    flags: v.getUint16(start + 6, true),
    seq: v.getUint32(start + 8, true),
    portId: v.getUint32(start + 12, true),
  };
  return { kind: 'NEWSA', protocol: 'xfrm', header, time, state };
}

/** Contents of a request for an AEAD SA. */
export interface Request {
  readonly saddr: string;
  readonly daddr: string;
  readonly spi: number;
  readonly reqid: number;
  readonly name: string;
  readonly key: Uint8Array;
}

function writeIPv4(bytes: Uint8Array, at: number, text: string): void {
  text.split('.').forEach((octet, i) => {
    bytes[at + i] = Number(octet);
  });
}

/** Encodes a NEWSA request: an IPv4 ESP tunnel with an AEAD that has a 20-byte key. */
export function encodeNewSa({ saddr, daddr, spi, reqid, name, key }: Request, seq: number): Buffer {
  const size = 16 + 224 + 4 + 72 + key.length;
  const b = Buffer.alloc(size);
  const v = new DataView(b.buffer, b.byteOffset, size);
  v.setUint32(0, size, true);
  v.setUint16(4, 16, true);
  v.setUint16(6, 0x405, true);
  v.setUint32(8, seq, true);
  writeIPv4(b, 72, daddr);
  v.setUint32(88, spi);
  b[92] = 50;
  writeIPv4(b, 96, saddr);
  for (let at = 112; at < 144; at += 8) v.setBigUint64(at, 2n ** 64n - 1n, true);
  v.setUint32(224, reqid, true);
  v.setUint16(228, 2, true);
  b[230] = 1;
  b[231] = 32;
  v.setUint16(240, 4 + 72 + key.length, true);
  v.setUint16(242, 18, true);
  b.write(name, 244, 'latin1');
  v.setUint32(308, key.length * 8, true);
  v.setUint32(312, 128, true);
  b.set(key, 316);
  return b;
}
