/**
 * A simulated kernel with many tunnels, for measurements that need SAs where no kernel has ESP: what
 * it answers are the datagrams that a kernel would send, made before anything is measured.
 * @module
 */
import {
  NETLINK_ROUTE,
  NETLINK_XFRM,
  XFRM_MSG_GETDEFAULT,
  XFRM_MSG_GETPOLICY,
  XFRM_MSG_GETSA,
  XFRM_MSG_GETSADINFO,
} from '../lib/constants.ts';
import { IFA_LOCAL } from '../lib/route/constants.ts';
import { RTM_GETADDR, RTM_NEWADDR } from '../lib/route/message-constants.ts';
import { FakeKernel } from '../lib/socket.ts';
import { AF_INET } from '../lib/wire/address.ts';
import type { AttributeWriter } from '../lib/wire/attribute-writer.ts';
import { encodeXfrm, MessageWriter } from '../lib/xfrm.ts';

const HERE = '192.0.2.1';
const ADDED = Math.floor(Date.now() / 1000 - 60) * 1000;
const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) };

const one = new MessageWriter();
/** The bytes of a message, until the next. */
export function bytesOf(message: Parameters<typeof encodeXfrm>[1]): Uint8Array {
  one.wipe();
  encodeXfrm(one, message);
  return one.written();
}

/** Bytes of a datagram of a dump, at most: what the kernel packs into one (net/netlink/af_netlink.c, netlink_dump). */
const DATAGRAM = 32_000;

/** Messages, packed into datagrams as a kernel does: otherwise the simulation takes more memory than what is measured. */
class Datagrams {
  readonly all: Uint8Array[] = [];
  #writer = new MessageWriter(DATAGRAM);

  add(message: Uint8Array): void {
    if (this.#writer.length + message.length > DATAGRAM) this.end();
    const at = this.#writer.reserve(message.length);
    this.#writer.bytes.set(message, at);
  }

  end(): void {
    if (this.#writer.length === 0) return;
    this.all.push(this.#writer.written());
    this.#writer = new MessageWriter(DATAGRAM);
  }
}

export const peerOf = (i: number): string => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;

/** An SA of a tunnel; a rekey makes one of the next generation. */
export function saOf(i: number, dir: 'out' | 'in', generation = 0, packets = i) {
  const peer = peerOf(i);
  const [saddr, daddr] = dir === 'out' ? [HERE, peer] : [peer, HERE];
  const spi = (dir === 'out' ? 0x100_0000 : 0x200_0000) + generation * 0x10_0000 + i;
  const lifetime = { softAddSeconds: 3000, hardAddSeconds: 3600 };
  const current = { bytes: BigInt(1000 * packets), packets: BigInt(packets), addedAt: ADDED };
  return {
    ...{ saddr, daddr, spi, proto: 'esp', reqid: i, mode: 'tunnel', replayWindow: 32 },
    ...{ aead, lifetime, current },
  } as const;
}

const DIRS = { out: 1, in: 0, fwd: 2 } as const;

/** The datagrams of the SAs and policies of so many tunnels: two SAs and three policies each. */
export function dumpsOf(count: number, packetsOf = (i: number) => i) {
  const [states, policies] = [new Datagrams(), new Datagrams()];
  for (let i = 1; i <= count; i++) {
    for (const dir of ['out', 'in'] as const) {
      const state = saOf(i, dir, 0, packetsOf(i));
      states.add(bytesOf({ kind: 'NEWSA', state } as never));
    }
    for (const [dir, place] of Object.entries(DIRS)) {
      const { saddr, daddr } = saOf(i, dir === 'out' ? 'out' : 'in');
      const selector = { saddr, prefixlenS: 32, daddr, prefixlenD: 32 };
      const templates = [{ saddr, daddr, proto: 'esp', mode: 'tunnel', reqid: i }] as const;
      const policy = { dir, selector, templates, index: 8 * i + place };
      policies.add(bytesOf({ kind: 'NEWPOLICY', policy } as never));
    }
  }
  states.end();
  policies.end();
  return { states: states.all, policies: policies.all };
}

/** This host's address, without which all tunnels would be down: struct ifaddrmsg, and IFA_LOCAL. */
const address = {
  type: RTM_NEWADDR,
  header: Uint8Array.of(AF_INET, 32, 0, 0, ...new Uint8Array(Uint32Array.of(1).buffer)),
  attributes: (write: AttributeWriter) => write.bytes(IFA_LOCAL, Uint8Array.of(192, 0, 2, 1)),
};

/** A kernel that lists what `dumps` has at the time. */
export function kernelWith(dumps: {
  states: readonly Uint8Array[];
  policies: readonly Uint8Array[];
}): FakeKernel {
  const kernel = new FakeKernel();
  kernel.answer(NETLINK_ROUTE, ({ type }) => ({ messages: type === RTM_GETADDR ? [address] : [] }));
  kernel.answer(NETLINK_XFRM, ({ type, dump }) => {
    kernel.requests.length = 0;
    if (type === XFRM_MSG_GETSADINFO) {
      return { messages: [bytesOf({ kind: 'NEWSADINFO', info: { count: 0 } } as never).slice()] };
    }
    // As of a kernel that has no defaults for policies.
    if (type === XFRM_MSG_GETDEFAULT) return { refusal: { code: 'EINVAL' } };
    if (!dump) return {};
    const found =
      type === XFRM_MSG_GETSA ? dumps.states : type === XFRM_MSG_GETPOLICY ? dumps.policies : [];
    return { messages: found };
  });
  return kernel;
}
