/**
 * Two hosts between which packets are really sent, each with a program that sends and hears datagrams and takes ESP in
 * UDP. @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, type TwoHosts, twoHosts } from '../../lib/cli/demo/two-hosts.ts';

/** Tunnel ends and addresses behind them. The first of `right` is that of {@link twoHosts}; the others are other peers. */
export const ADDRESSES = {
  outer: {
    inet: { left: '192.0.2.1', right: ['192.0.2.2', '192.0.2.3', '192.0.2.4'] },
    inet6: { left: '2001:db8::1', right: ['2001:db8::2', '2001:db8::3', '2001:db8::4'] },
  },
  inner: {
    inet: {
      left: ['10.1.0.1', '10.1.1.1', '10.1.2.1'],
      right: ['10.2.0.1', '10.2.1.1', '10.2.2.1'],
    },
    inet6: {
      left: ['fd00:1::1', 'fd00:1:0:1::1', 'fd00:1:0:2::1'],
      right: ['fd00:2::1', 'fd00:2:0:1::1', 'fd00:2:0:2::1'],
    },
  },
} as const;
/** Which no policy is for: what is sent between them after a packet comes after it. */
const FENCE = { left: '203.0.113.1', right: '203.0.113.2' } as const;

/**
 * Node cannot ask for UDP_ENCAP, without which the kernel takes ESP in UDP for UDP, nor for a policy of that socket
 * (IP_XFRM_POLICY), without which policies between the hosts themselves refuse it.
 */
const PROGRAM = `
import json, os, selectors, socket, struct, sys
poll = selectors.DefaultSelector()
held = []
OSPF, GROUP = 89, 'ff02::5'
for family, any in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
    for port in (9, 1701, 4500, 6081):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((any, port))
        if port == 4500:
            s.setsockopt(socket.IPPROTO_UDP, 100, 2)
            for way in (0, 1):
                policy = struct.pack('=40xH14x96xIIBBBBI', family, 0, 0, way, 0, 0, 0, 0)
                if family == socket.AF_INET: s.setsockopt(socket.IPPROTO_IP, 17, policy)
                else: s.setsockopt(socket.IPPROTO_IPV6, 35, policy)
        else: poll.register(s, selectors.EVENT_READ)
        held.append(s)
def routers(index):
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, OSPF)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, GROUP) + struct.pack('I', index))
    return s
listening = routers(socket.if_nametoindex('cable'))
poll.register(listening, selectors.EVENT_READ)
poll.register(0, selectors.EVENT_READ)
rest = ''
def send(source, target, text, port=9, sport=0, mark=0):
    if target == GROUP:
        listening.sendto(text.encode(), (target, 0, 0, socket.if_nametoindex('cable')))
        return
    family = socket.AF_INET6 if ':' in source else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if mark: s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        s.bind((source, sport))
        s.sendto(text.encode(), (target, port))
print('ready', flush=True)
while True:
    for key, _ in poll.select():
        if key.fileobj == 0:
            read = os.read(0, 65536)
            if not read: sys.exit()
            *lines, rest = (rest + read.decode()).split('\\n')
            for line in lines:
                try: send(**json.loads(line))
                except OSError: pass
        else:
            print(key.fileobj.recv(2048).decode().rstrip('.'), flush=True)
`;

export type Side = 'left' | 'right';
const far = (side: Side): Side => (side === 'left' ? 'right' : 'left');

/** A datagram to a port (default 9); to the group ff02::5 it is one of OSPF. */
export interface Packet {
  readonly source: string;
  readonly target: string;
  readonly port?: number;
  readonly sport?: number;
  /** SO_MARK. */
  readonly mark?: number;
}

class Endpoint {
  readonly #child: ChildProcess;
  /** What was heard since the last call of {@link heard}. */
  #heard: string[] = [];
  readonly #waiting = new Map<string, () => void>();

  constructor(host: Host) {
    const [program, args] = host.command('python3', '-u', '-c', PROGRAM);
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => {
      this.#heard.push(line);
      this.#waiting.get(line)?.();
      this.#waiting.delete(line);
    });
  }

  hears(text: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(text, resolve));
  }

  send(packet: Packet & { readonly text: string }): void {
    this.#child.stdin?.write(`${JSON.stringify(packet)}\n`);
  }

  heard(): string[] {
    return this.#heard.splice(0);
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    await once(this.#child, 'exit');
  }
}

export class OracleHosts {
  readonly hosts: TwoHosts;
  readonly #ends: Record<Side, Endpoint>;
  #fences = 0;

  private constructor(hosts: TwoHosts) {
    this.hosts = hosts;
    this.#ends = { left: new Endpoint(hosts.left), right: new Endpoint(hosts.right) };
  }

  static async open(): Promise<OracleHosts> {
    const hosts = await twoHosts();
    for (const side of ['left', 'right'] as const) await network(hosts, side);
    const all = new OracleHosts(hosts);
    await Promise.all([all.#ends.left.hears('ready'), all.#ends.right.hears('ready')]);
    return all;
  }

  async close(): Promise<void> {
    await Promise.all([this.#ends.left.end(), this.#ends.right.end()]);
    this.hosts[Symbol.dispose]();
  }

  /** Sends datagrams from one host to the other, one that IPComp compresses and one that is too small for it. @returns whether both arrived */
  async send(from: Side, packet: Packet): Promise<boolean> {
    const [here, there] = [this.#ends[from], this.#ends[far(from)]];
    const small = `packet-${++this.#fences}`;
    const large = `packet-${++this.#fences}`;
    here.send({ ...packet, text: small });
    here.send({ ...packet, text: large.padEnd(1000, '.') });
    const heard = new Set<string>();
    // What comes out of an SA is queued once more, in transport mode for a kernel thread (xfrm_trans_queue). Nothing tells
    // that a packet will not come.
    for (let i = 0; i < 10; i++) {
      const fence = `fence-${++this.#fences}`;
      const passed = there.hears(fence);
      here.send({ source: FENCE[from], target: FENCE[far(from)], text: fence });
      await passed;
      for (const text of there.heard()) heard.add(text);
      if (heard.has(small) && heard.has(large)) return true;
      if (i > 0) await sleep(5);
    }
    return false;
  }
}

async function network({ left, right }: TwoHosts, side: Side): Promise<void> {
  const host = side === 'left' ? left : right;
  const { outer, inner } = ADDRESSES;
  const ip = (line: string) => host.ip(line);
  await ip(`address add ${FENCE[side]}/24 dev cable`);
  await ip(`link set cable address 02:00:00:00:00:0${side === 'left' ? 1 : 2}`);
  const mac = `02:00:00:00:00:0${side === 'left' ? 2 : 1}`;
  const [v4, v6] = [outer.inet, outer.inet6];
  const own = side === 'left' ? [v6.left] : [...v6.right];
  for (const address of own) await ip(`address add ${address}/64 dev cable nodad`);
  if (side === 'right') {
    for (const address of v4.right.slice(1)) await ip(`address add ${address}/24 dev cable`);
  }
  for (const address of [...inner.inet[side], ...inner.inet6[side]]) {
    await ip(`address add ${address} dev lo`);
  }
  // Asking for neighbours would be subject to the policies too.
  const peers = side === 'left' ? [...v4.right, ...v6.right] : [v4.left, v6.left];
  for (const peer of [...peers, FENCE[far(side)]]) {
    await ip(`neighbour replace ${peer} lladdr ${mac} dev cable nud permanent`);
  }
  for (const family of ['inet', 'inet6'] as const) {
    for (const [i, address] of inner[family][far(side)].entries()) {
      const via = side === 'left' ? outer[family].right[i] : outer[family].left;
      await ip(`route add ${address} via ${via} dev cable src ${inner[family][side][i]}`);
    }
  }
}
