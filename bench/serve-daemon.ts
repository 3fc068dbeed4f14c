/**
 * A process that serves many tunnels of a simulated kernel, for bench/serve.ts. The simulation is in
 * it: what it costs is part of what is measured. The namespace of the process is watched too.
 *
 *   node serve-daemon.js TUNNELS REFRESH
 * @module
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
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
import { DEFAULTS } from '../lib/serve/config.ts';
import { HttpServer } from '../lib/serve/http-server.ts';
import { LifeCycle } from '../lib/serve/life-cycle.ts';
import { Routes } from '../lib/serve/routes.ts';
import { Service } from '../lib/serve/service.ts';
import { FakeKernel } from '../lib/socket.ts';
import { AF_INET } from '../lib/wire/address.ts';
import type { AttributeWriter } from '../lib/wire/attribute-writer.ts';
import { encodeXfrm, MessageWriter } from '../lib/xfrm.ts';

const [count = 0, refresh = 0] = process.argv.slice(2).map(Number);
const HERE = '192.0.2.1';
const ADDED = Math.floor(Date.now() / 1000 - 60) * 1000;
const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20) };

const one = new MessageWriter();
/** The bytes of a message, until the next. */
function bytesOf(message: Parameters<typeof encodeXfrm>[1]): Uint8Array {
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
    this.all.push(this.#writer.written());
    this.#writer = new MessageWriter(DATAGRAM);
  }
}

const states = new Datagrams();
const policies = new Datagrams();
for (let i = 1; i <= count; i++) {
  const peer = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
  for (const [dir, saddr, daddr, spi] of [
    ['out', HERE, peer, 0x10_0000 + i],
    ['in', peer, HERE, 0x20_0000 + i],
  ] as const) {
    const lifetime = { softAddSeconds: 3000, hardAddSeconds: 3600 };
    const current = { bytes: BigInt(1000 * i), packets: BigInt(i), addedAt: ADDED };
    const state = {
      saddr,
      daddr,
      spi,
      proto: 'esp',
      reqid: i,
      mode: 'tunnel',
      replayWindow: 32,
      aead,
      lifetime,
      current,
    } as const;
    states.add(bytesOf({ kind: 'NEWSA', state } as never));
    const selector = { saddr, prefixlenS: 32, daddr, prefixlenD: 32 };
    const templates = [{ saddr, daddr, proto: 'esp', mode: 'tunnel', reqid: i }] as const;
    policies.add(
      bytesOf({
        kind: 'NEWPOLICY',
        policy: { dir, selector, templates, index: 8 * i + (dir === 'out' ? 1 : 0) },
      } as never),
    );
  }
}

states.end();
policies.end();

const sadInfo = bytesOf({ kind: 'NEWSADINFO', info: { count: 2 * count } } as never).slice();
/** This host's address, without which all tunnels would be down: struct ifaddrmsg, and IFA_LOCAL. */
const address = {
  type: RTM_NEWADDR,
  header: Uint8Array.of(AF_INET, 32, 0, 0, ...new Uint8Array(Uint32Array.of(1).buffer)),
  attributes: (write: AttributeWriter) => write.bytes(IFA_LOCAL, Uint8Array.of(192, 0, 2, 1)),
};
const kernel = new FakeKernel();
kernel.answer(NETLINK_ROUTE, ({ type }) => ({ messages: type === RTM_GETADDR ? [address] : [] }));
kernel.answer(NETLINK_XFRM, ({ type, dump }) => {
  kernel.requests.length = 0;
  if (type === XFRM_MSG_GETSADINFO) return { messages: [sadInfo] };
  // As of a kernel that has no defaults for policies.
  if (type === XFRM_MSG_GETDEFAULT) return { refusal: { code: 'EINVAL' } };
  if (!dump) return {};
  return {
    messages:
      type === XFRM_MSG_GETSA ? states.all : type === XFRM_MSG_GETPOLICY ? policies.all : [],
  };
});

const lifeCycle = new LifeCycle();
const service = new Service({ ...DEFAULTS, netns: ['fake', 'here'], refresh }, lifeCycle, (name) =>
  name === 'fake' ? (kernel as never) : '/proc/self/ns/net',
);
await service.start();
const routes = new Routes(
  service,
  'bench',
  () => [],
  () => {},
);
const server = new HttpServer({ hosts: new Set(), token: undefined, tls: undefined }, 512, {
  handle: (request, response, url) => routes.handle(request, response, url),
  isOpen: (path) => routes.isOpen(path),
  refused() {},
  answered() {},
  failed: (error) => {
    throw error;
  },
});
const delay = monitorEventLoopDelay({ resolution: 1 });
const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
const [fake, here] = service.namespaces;
process.send?.({ port, tunnels: fake?.monitor?.tunnels.size });
process.once('SIGTERM', () => process.exit());
process.on('message', (what) => {
  if (what === 'watch') {
    delay.reset();
    delay.enable();
    return;
  }
  delay.disable();
  process.send?.({
    longest: delay.max / 1e6,
    resident: process.memoryUsage.rss(),
    dropped: here?.monitor?.xfrm.dropped,
  });
});
