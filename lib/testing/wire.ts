/** Captures the frames on a host's cables. Needs CAP_NET_RAW. @module */
import { readSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { wrongValue } from '../base/argument.ts';
import { SystemError } from '../socket/index.ts';
import { type OpenFile, openAsFile } from '../socket/namespace.ts';
import { readIPv4, readIPv6 } from '../wire/address.ts';
import { namespaces } from './argument.ts';
import type { NetworkNamespace } from './network-namespace.ts';

/** From linux/socket.h, bits/socket_type.h, linux/if_ether.h. */
const [AF_PACKET, SOCK_RAW, ETH_P_ALL] = [17, 3, 3];
const [ETH_P_IP, ETH_P_IPV6] = [0x0800, 0x86dd];
/** Largest frame on a veth pair, with GSO segments merged. */
const MOST = 65_536 + 14;
/** Milliseconds between reads: the socket's buffer holds a few hundred frames. */
const INTERVAL = 10;

/** Kind of frame. `clear` is a packet that IPsec neither protects nor needs for its operation. */
export type WireFrameKind = 'esp' | 'ah' | 'ipcomp' | 'esp-in-udp' | 'ike' | 'control' | 'clear';

/** A frame sent by a host. */
export interface WireFrame {
  readonly kind: WireFrameKind;
  readonly source: string;
  readonly target: string;
  /** The Ethernet frame, from its first byte. */
  readonly bytes: Buffer;
  /** Offset of the data after the IP header. */
  readonly payload: number;
  /** Index of the interface it was sent on. */
  readonly index: number;
}

const KINDS: Readonly<Record<number, WireFrameKind>> = { 50: 'esp', 51: 'ah', 108: 'ipcomp' };

/** IPv6 extension headers before the data (RFC 8200): hop-by-hop options, routing, fragment, destination options. */
const [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION] = [0, 43, 44, 60];
const EXTENSIONS = new Set([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION]);

/** What a packet holds, and where. */
interface Contents {
  readonly protocol: number;
  readonly payload: number;
  /** A fragment other than the first, which has no header of the protocol. */
  readonly continued: boolean;
}

function contents4(bytes: Buffer): Contents {
  return {
    protocol: bytes[23] as number,
    payload: 14 + ((bytes[14] as number) & 15) * 4,
    continued: (bytes.readUInt16BE(20) & 0x1fff) !== 0,
  };
}

function contents6(bytes: Buffer): Contents {
  let [protocol, payload, continued] = [bytes[20] as number, 54, false];
  while (EXTENSIONS.has(protocol) && payload + 8 <= bytes.length) {
    const fragment = protocol === FRAGMENT;
    if (fragment) continued = bytes.readUInt16BE(payload + 2) >> 3 !== 0;
    protocol = bytes[payload] as number;
    payload += fragment ? 8 : ((bytes[payload + 1] as number) + 1) * 8;
    if (continued) break;
  }
  return { protocol, payload, continued };
}

/** Parses an IP packet; undefined for other frames, such as ARP, and for those too short to be one. */
export function parseFrame(bytes: Buffer, index: number): WireFrame | undefined {
  if (bytes.length < 34) return undefined;
  const type = bytes.readUInt16BE(12);
  if (type !== ETH_P_IP && (type !== ETH_P_IPV6 || bytes.length < 54)) return undefined;
  const v4 = type === ETH_P_IP;
  const { protocol, payload, continued } = v4 ? contents4(bytes) : contents6(bytes);
  const [source, target] = v4
    ? [readIPv4(bytes, 26), readIPv4(bytes, 30)]
    : [readIPv6(bytes, 22), readIPv6(bytes, 38)];
  const kind = KINDS[protocol] ?? kindOf(protocol, bytes.subarray(payload), continued);
  return { kind, source, target, bytes, payload, index };
}

/** Kind of a packet that is not ESP, AH or IPComp. */
function kindOf(protocol: number, payload: Buffer, continued: boolean): WireFrameKind {
  // IGMP; then ICMPv6 neighbour, router and multicast group discovery (MLD).
  if (protocol === 2) return 'control';
  if (protocol === 58) return !continued && (payload[0] ?? 0) >= 130 ? 'control' : 'clear';
  if (protocol !== 17) return 'clear';
  // Its ports are in the first fragment, which was judged.
  if (continued) return 'control';
  if (payload.length < 8) return 'clear';
  const ports = [payload.readUInt16BE(0), payload.readUInt16BE(2)];
  if (ports.includes(500)) return 'ike';
  if (!ports.includes(4500)) return 'clear';
  // A NAT keepalive is one byte; IKE on port 4500 begins with four zero bytes (RFC 3948).
  if (payload.length < 16) return 'control';
  return payload.readUInt32BE(8) === 0 ? 'ike' : 'esp-in-udp';
}

/** A struct sockaddr_ll for an interface. */
function linkAddress(index: number): Uint8Array {
  const bytes = Buffer.alloc(20);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const little = endianness() === 'LE';
  view.setUint16(0, AF_PACKET, little);
  view.setUint16(2, ETH_P_ALL);
  view.setInt32(4, index, little);
  return bytes;
}

/** Captures the frames a host sends on each of its cables. */
export class Wire implements Disposable {
  readonly #taps = new Map<number, { file: OpenFile; own: string }>();
  readonly #heard: WireFrame[] = [];
  readonly #buffer = Buffer.alloc(MOST);
  readonly #timer: NodeJS.Timeout;
  readonly #forget: () => void;
  #closed = false;

  /** @throws SystemError `socket EPERM` without CAP_NET_RAW */
  static async tap(host: NetworkNamespace): Promise<Wire> {
    namespaces({ host });
    const { items } = await host.route.listLinks();
    return new Wire(
      host,
      items.filter(({ address, index }) => index !== 1 && address !== undefined),
    );
  }

  private constructor(
    host: NetworkNamespace,
    links: readonly { readonly index: number; readonly address?: string }[],
  ) {
    this.#timer = setInterval(() => this.#read(), INTERVAL).unref();
    this.#forget = host.own(() => this.close());
    try {
      for (const { index, address = '' } of links) {
        const kind = [
          AF_PACKET,
          SOCK_RAW,
          endianness() === 'LE' ? ETH_P_ALL << 8 : ETH_P_ALL,
        ] as const;
        const file = openAsFile(host.netns, kind, linkAddress(index));
        this.#taps.set(index, { file, own: address.replaceAll(':', '') });
      }
    } catch (error) {
      this.close();
      if (!(error instanceof SystemError) || error.code !== 'EPERM') throw error;
      const hint = 'capturing packets needs CAP_NET_RAW: docker run --cap-add NET_RAW';
      throw new SystemError(error.errno, error.syscall, hint);
    }
  }

  /** IP packets sent by the host so far, without those it received. */
  get sent(): readonly WireFrame[] {
    this.#read();
    return this.#heard;
  }

  /** Sends a frame on the cable with this interface index. */
  send(bytes: Buffer, index: number): void {
    const tap = this.#taps.get(index);
    if (this.#closed) throw wrongValue('the wire is closed');
    if (tap === undefined) throw wrongValue(`${index} is not a tapped interface`);
    writeSync(tap.file.descriptor, bytes);
  }

  #read(): void {
    for (const [index, { file, own }] of this.#taps) {
      for (;;) {
        let length: number;
        try {
          length = readSync(file.descriptor, this.#buffer);
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          if (code === 'ENETDOWN') continue; // reported once; frames after the link is up again are received
          if (code === 'EAGAIN') break;
          throw error;
        }
        const bytes = Buffer.from(this.#buffer.subarray(0, length));
        // A decrypted packet shows up again on the same interface, but never with the host's own source address.
        if (bytes.toString('hex', 6, 12) !== own) continue;
        const frame = parseFrame(bytes, index);
        if (frame) this.#heard.push(frame);
      }
    }
  }

  /** Stops capturing. Can be called twice. */
  close(): void {
    clearInterval(this.#timer);
    this.#forget();
    for (const { file } of this.#taps.values()) file.close();
    this.#taps.clear();
    this.#closed = true;
  }

  /** The same as {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
