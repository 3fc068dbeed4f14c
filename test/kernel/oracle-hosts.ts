/**
 * Two hosts between which packets are really sent, each with a program that sends and hears datagrams and takes ESP in
 * UDP. @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetworkNamespace } from '../../lib/testing/index.ts';
import { twoHosts } from '../../lib/testing/topologies.ts';
import type { TwoHosts } from './here.ts';

/** Tunnel ends and addresses behind them. The first of `right` is that of {@link hostsHere}; the others are other peers. */
export const ADDRESSES = {
  outer: {
    inet: { left: '192.0.2.1', right: ['192.0.2.2', '192.0.2.3', '192.0.2.4'] },
    inet6: { left: '2001:db8::1', right: ['2001:db8::2', '2001:db8::3', '2001:db8::4'] },
  },
  /** To which a host that moves goes, a peer to that of its connection. */
  elsewhere: {
    inet: { left: '192.0.2.11', right: ['192.0.2.12', '192.0.2.13', '192.0.2.14'] },
    inet6: { left: '2001:db8::11', right: ['2001:db8::12', '2001:db8::13', '2001:db8::14'] },
  },
} as const;

/** Connections that a world may have, and pairs of addresses that each may be for. */
const CONNECTIONS = [0, 1, 2];
const CHILDREN = [0, 1];

/** An address behind a tunnel end: of the gateway itself, or of a host of its site, for which it forwards. */
export function innerAddress(
  family: 'inet' | 'inet6',
  where: Where,
  connection: number,
  child: number,
): string {
  const net = where.startsWith('left') ? 1 : 2;
  const last = (where.endsWith('Site') ? 11 : 1) + child;
  if (family === 'inet') return `10.${net}.${connection}.${last}`;
  return connection === 0 ? `fd00:${net}::${last}` : `fd00:${net}:0:${connection}::${last}`;
}

/** Which no policy is for: what is sent between them after a packet comes after it. */
const FENCE = {
  left: '203.0.113.1',
  right: '203.0.113.2',
  leftSite: '198.51.100.1',
  rightSite: '198.51.100.129',
} as const;
/** What is sent between them must always pass. */
export const FENCES = [
  [FENCE.left, FENCE.right],
  [FENCE.leftSite, FENCE.rightSite],
] as const;
/** Of the gateways, in the nets of their sites. */
const GATEWAY = {
  left: { inet: '198.51.100.2', inet6: '2001:db8:1::2' },
  right: { inet: '198.51.100.130', inet6: '2001:db8:2::2' },
} as const;

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
# Raw: a protocol of no other socket, and ICMP, of a type that nobody answers.
raw = {}
for family, protocols in ((socket.AF_INET, (253, 1)), (socket.AF_INET6, (253, 58))):
    for protocol in protocols:
        s = socket.socket(family, socket.SOCK_RAW, protocol)
        poll.register(s, selectors.EVENT_READ)
        raw[s] = (20 if family == socket.AF_INET else 0) + (0 if protocol == 253 else 8)
def sum16(data):
    if len(data) % 2: data += b'\\0'
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def icmp(kind, code, text):
    data = struct.pack('!BBHI', kind, code, 0, 0) + text.encode()
    return struct.pack('!BBHI', kind, code, sum16(data), 0) + text.encode()
poll.register(0, selectors.EVENT_READ)
rest = ''
def send(source, target, text, port=9, sport=0, mark=0, protocol=17, device=''):
    if target == GROUP:
        listening.sendto(text.encode(), (target, 0, 0, socket.if_nametoindex('cable')))
        return
    family = socket.AF_INET6 if ':' in source else socket.AF_INET
    if protocol != 17:
        with socket.socket(family, socket.SOCK_RAW, protocol) as s:
            if mark: s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            if device: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            s.bind((source, 0))
            s.sendto(text.encode() if protocol == 253 else icmp(sport, port, text), (target, 0))
        return
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if mark: s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        if device: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
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
            read = key.fileobj.recv(2048)[raw.get(key.fileobj, 0):]
            print(read.decode(errors='replace').rstrip('.'), flush=True)
`;

export type Side = 'left' | 'right';
/** A gateway, or the hosts behind it. */
export type Where = Side | `${Side}Site`;
const SIDES = ['left', 'right'] as const;
const far = (side: Side): Side => (side === 'left' ? 'right' : 'left');
export const FAR: Readonly<Record<Where, Where>> = {
  left: 'right',
  right: 'left',
  leftSite: 'rightSite',
  rightSite: 'leftSite',
};

/** A datagram to a port (default 9); to the group ff02::5 it is one of OSPF. */
export interface Packet {
  readonly source: string;
  readonly target: string;
  readonly port?: number;
  readonly sport?: number;
  /** SO_MARK. */
  readonly mark?: number;
  /** Default: 17, UDP; 253; or 1 and 58, ICMP, of which the ports are type and code. */
  readonly protocol?: number;
  /** SO_BINDTODEVICE. */
  readonly device?: string;
}

/** What not all kernels can: SAs for a CPU (6.13), SAs with a direction (6.10), links of type vti and xfrm. */
export type Ability = 'cpus' | 'directions' | 'vti' | 'xfrm';

/** The xfrm interface of both hosts, where the kernel has such. */
export const XFRM_INTERFACE = { name: 'ipsec7', ifId: 7 } as const;

class Endpoint {
  readonly #child: ChildProcess;
  /** What was heard since the last call of {@link heard}. */
  #heard: string[] = [];
  readonly #waiting = new Map<string, () => void>();

  constructor(host: NetworkNamespace) {
    const [program, args] = host.command('python3', '-u', '-c', PROGRAM);
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => {
      this.#heard.push(line);
      this.#waiting.get(line)?.();
      this.#waiting.delete(line);
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
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
  readonly #ends: Readonly<Record<Where, Endpoint>>;
  readonly #sites: readonly NetworkNamespace[];
  #fences = 0;

  private constructor(hosts: TwoHosts, sites: readonly [NetworkNamespace, NetworkNamespace]) {
    this.hosts = hosts;
    this.#sites = sites;
    this.#ends = {
      left: new Endpoint(hosts.left),
      right: new Endpoint(hosts.right),
      leftSite: new Endpoint(sites[0]),
      rightSite: new Endpoint(sites[1]),
    };
  }

  static async open(): Promise<OracleHosts> {
    // IPv6 addresses have another prefix length here.
    const alone = { address6: '', inner6: '' };
    const hosts = await twoHosts({ left: { here: true, ...alone }, right: alone });
    const sites = [
      await NetworkNamespace.make('site'),
      await NetworkNamespace.make('site'),
    ] as const;
    for (const [i, side] of SIDES.entries()) {
      await network(hosts, side);
      await networkOfSite(hosts, side, sites[i] as NetworkNamespace);
    }
    const all = new OracleHosts(hosts, [...sites]);
    await Promise.all(Object.values(all.#ends).map((end) => end.hears('ready')));
    return all;
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#ends).map((end) => end.end()));
    for (const site of this.#sites) await site.close();
    const { inet, inet6 } = ADDRESSES.elsewhere;
    const inner = innerOnes().map(([family, i, child]) => innerAddress(family, 'left', i, child));
    const own = [inet.left, inet6.left, ...inner];
    await ipLines(
      this.hosts.left,
      own.map((one) => `address del ${one}/${one.includes(':') ? 128 : 32} dev lo`),
    );
    await ipLines(this.hosts.left, [`link del ${XFRM_INTERFACE.name}`], true);
    await settings(this.hosts.left, ['ipv4/ip_forward=0', 'ipv6/conf/all/forwarding=0']);
    await this.hosts[Symbol.asyncDispose]();
  }

  /** What this kernel can do. */
  async abilities(): Promise<ReadonlySet<Ability>> {
    const [major = 0, minor = 0] = release().split('.').map(Number);
    const since = (wanted: number) => 1000 * major + minor >= wanted;
    const found = new Set<Ability>(['vti']);
    if (since(6010)) found.add('directions');
    if (since(6013)) found.add('cpus');
    const [program, args] = this.hosts.left.command(
      'ip',
      'link',
      'add',
      'trial',
      'type',
      'xfrm',
      'if_id',
      '1',
    );
    const [status] = await once(spawn(program, args, { stdio: 'ignore' }), 'exit');
    if (status !== 0) return found;
    await this.hosts.left.ip('link del trial');
    return found.add('xfrm');
  }

  /** Gives both hosts an xfrm interface. @returns its index on the left one */
  async addXfrmInterfaces(): Promise<number> {
    const { name, ifId } = XFRM_INTERFACE;
    for (const side of SIDES) {
      // Without a link-local address IPv6 sends nothing by itself that policies are for.
      await ipLines(this.hosts[side], [
        `link add ${name} type xfrm dev cable if_id ${ifId}`,
        `link set ${name} addrgenmode none`,
        `link set ${name} up`,
      ]);
    }
    return (await this.hosts.left.route.getLink({ name })).index;
  }

  /** What a file of /proc/net says in the namespace of a host. */
  read(side: Side, name: string): Promise<string> {
    return readFile(`/proc/${this.#ends[side].pid}/net/${name}`, 'utf8');
  }

  /**
   * Sends datagrams from one host to the other, one that IPComp compresses and one that is too small for it.
   *
   * @param looks how often it is looked whether they arrived: 1 where it does not matter
   * @returns whether both arrived
   */
  async send(from: Where, packet: Packet, looks = 10): Promise<boolean> {
    const [here, there] = [this.#ends[from], this.#ends[FAR[from]]];
    const small = `packet-${++this.#fences}`;
    const large = `packet-${++this.#fences}`;
    here.send({ ...packet, text: small });
    here.send({ ...packet, text: large.padEnd(1000, '.') });
    const heard = new Set<string>();
    // What comes out of an SA is queued once more, in transport mode for a kernel thread (xfrm_trans_queue). Nothing tells
    // that a packet will not come.
    for (let i = 0; i < looks; i++) {
      const fence = `fence-${++this.#fences}`;
      const passed = there.hears(fence);
      here.send({ source: FENCE[from], target: FENCE[FAR[from]], text: fence });
      await passed;
      for (const text of there.heard()) heard.add(text);
      if (heard.has(small) && heard.has(large)) return true;
      if (i > 0) await sleep(5);
    }
    return false;
  }
  /**
   * Sends one datagram for each packet, all at once.
   *
   * @param expected how many of them should arrive: it waits longer if fewer do
   * @returns whether each arrived
   */
  async sendAll(
    packets: readonly (Packet & { readonly from: Where })[],
    expected: number,
  ): Promise<boolean[]> {
    const texts = packets.map(() => `packet-${++this.#fences}`);
    for (const [i, { from, source, target, ...rest }] of packets.entries()) {
      const { port = 9, sport = 0, mark = 0, protocol = 17, device = '' } = rest;
      const text = texts[i] as string;
      this.#ends[from].send({ source, target, port, sport, mark, protocol, device, text });
    }
    const heard = new Set<string>();
    const senders = [...new Set(packets.map(({ from }) => from))];
    // Two fences at least: what comes out of an SA is queued once more.
    for (let round = 0; round < 50 && (round < 2 || heard.size < expected); round++) {
      if (round > 1) await sleep(5);
      for (const from of senders) {
        const there = this.#ends[FAR[from]];
        const fence = `fence-${++this.#fences}`;
        const passed = there.hears(fence);
        this.#ends[from].send({ source: FENCE[from], target: FENCE[FAR[from]], text: fence });
        await passed;
        for (const text of there.heard()) if (text.startsWith('packet')) heard.add(text);
      }
    }
    return texts.map((text) => heard.has(text));
  }
}

/** Runs many lines of `ip` on a host. @param all also those after one that fails, which then does not matter */
export async function ipLines(
  host: NetworkNamespace,
  lines: readonly string[],
  all = false,
): Promise<void> {
  const [program, args] = host.command('ip', ...(all ? ['-force'] : []), '-batch', '-');
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', all ? 'ignore' : 'inherit'] });
  child.stdin.end(`${lines.join('\n')}\n`);
  const [status] = await once(child, 'exit');
  if (status !== 0 && !all) throw new Error(`ip -batch: status ${status}: ${lines.join('; ')}`);
}

/** Writes settings below /proc/sys/net of a host, such as `ipv4/ip_forward=1`. */
export async function settings(host: NetworkNamespace, values: readonly string[]): Promise<void> {
  const script = values.map((value) => {
    const [name, to] = value.split('=');
    return `echo ${to} > /proc/sys/net/${name}`;
  });
  const [program, args] = host.command('sh', '-ec', script.join('\n'));
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const [status] = await once(child, 'exit');
  if (status !== 0) throw new Error(`settings: status ${status}: ${script}`);
}

async function network(hosts: TwoHosts, side: Side): Promise<void> {
  const host = hosts[side];
  const { outer, elsewhere } = ADDRESSES;
  const [v4, v6] = [outer.inet, outer.inet6];
  const more = [elsewhere.inet, elsewhere.inet6] as const;
  const mac = (of: Side) => `02:00:00:00:00:0${of === 'left' ? 1 : 2}`;
  const lines = [
    `address add ${FENCE[side]}/24 dev cable`,
    // With its network, as hosts in one have it.
    `address del ${host.address}/32 dev cable`,
    `address add ${host.address}/24 dev cable`,
    `link set cable address ${mac(side)}`,
    ...(side === 'left' ? [v6.left] : v6.right).map(
      (one) => `address add ${one}/64 dev cable nodad`,
    ),
    ...(side === 'left' ? [] : v4.right.slice(1)).map((one) => `address add ${one}/24 dev cable`),
    // Where the kernel does not choose it as a source.
    ...more
      .flatMap((one) => (side === 'left' ? [one.left] : one.right))
      .map((one) => `address add ${one} dev lo`),
    // Which do not go with the first addresses.
    `route add ${host.address.replace(/\d+$/, '0')}/24 dev cable metric 1000`,
    `route add 2001:db8::/64 dev cable metric 1000`,
  ];
  // Asking for neighbours would be subject to the policies too.
  const peers = [v4, v6, ...more].flatMap((one) => (side === 'left' ? one.right : [one.left]));
  for (const peer of [...peers, FENCE[far(side)]]) {
    lines.push(`neighbour replace ${peer} lladdr ${mac(far(side))} dev cable nud permanent`);
  }
  for (const [family, i, child] of innerOnes()) {
    const [own, its] = [side, far(side)].map((one) => innerAddress(family, one as Side, i, child));
    const via = side === 'left' ? outer[family].right[i] : outer[family].left;
    const site = innerAddress(family, `${far(side)}Site`, i, child);
    lines.push(`address add ${own} dev lo${family === 'inet' ? '' : ' nodad'}`);
    lines.push(`route add ${its} via ${via} dev cable src ${own}`);
    lines.push(`route add ${site} via ${via} dev cable`);
  }
  lines.push(`route add ${FENCE[`${far(side)}Site`]} via ${FENCE[far(side)]} dev cable`);
  await ipLines(host, lines);
  await settings(host, ['ipv4/ip_forward=1', 'ipv6/conf/all/forwarding=1']);
}

/** The addresses behind tunnel ends: family, connection, child. */
const innerOnes = () =>
  (['inet', 'inet6'] as const).flatMap((family) =>
    CONNECTIONS.flatMap((i) => CHILDREN.map((child) => [family, i, child] as const)),
  );

/** The hosts behind a gateway, as one with all their addresses. */
async function networkOfSite(hosts: TwoHosts, side: Side, site: NetworkNamespace): Promise<void> {
  const gateway = hosts[side];
  const where = `${side}Site` as const;
  const { inet, inet6 } = GATEWAY[side];
  const nets = { inet: 25, inet6: 64 };
  const own = innerOnes().map(([family, i, child]) => innerAddress(family, where, i, child));
  const peer = { name: 'cable', netNsFd: site.netns };
  await gateway.route.addLink({ name: 'site', info: { kind: 'veth', veth: { peer } } });
  await ipLines(gateway, [
    'link set site up address 02:00:00:00:00:03',
    `address add ${inet}/${nets.inet} dev site`,
    `address add ${inet6}/${nets.inet6} dev site nodad`,
    ...[FENCE[where], ...own].map(
      (one) => `neighbour replace ${one} lladdr 02:00:00:00:00:04 dev site nud permanent`,
    ),
    ...own.map((one) => `route add ${one} dev site`),
  ]);
  await ipLines(site, [
    'link set lo up',
    'link set cable up address 02:00:00:00:00:04',
    `address add ${FENCE[where]}/${nets.inet} dev cable`,
    `address add ${side === 'left' ? '2001:db8:1::1' : '2001:db8:2::1'}/${nets.inet6} dev cable nodad`,
    ...own.map((one) => `address add ${one} dev lo${one.includes(':') ? ' nodad' : ''}`),
    ...[inet, inet6].map(
      (one) => `neighbour replace ${one} lladdr 02:00:00:00:00:03 dev cable nud permanent`,
    ),
    `route add default via ${inet} dev cable`,
    `route add default via ${inet6} dev cable`,
  ]);
}
