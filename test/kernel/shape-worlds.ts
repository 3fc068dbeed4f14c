/**
 * What systems that use IPsec install, by their sources and by public reports, with what can go wrong in it. Unless said
 * otherwise the right host has the same without marks, interfaces and traps.
 *
 * - Cilium: pkg/datapath/linux/ipsec/ipsec_linux.go
 * - OVN-Kubernetes: ovs-monitor-ipsec of Open vSwitch (ipsec/ovs-monitor-ipsec.in), which configures libreswan
 * - Submariner: submariner-io/submariner#592 and #1081 show policies of its libreswan cable driver
 * - DMVPN: the section of NHRP in FRR's documentation: `[dynamic[gre]]` in transport mode, beneath an interface of GRE without an end
 * - L2TP: nm-l2tp/NetworkManager-l2tp#42 shows its policies; libreswan's SAs of transport mode have a selector
 * - vti and xfrm interfaces: libreswan (testing/pluto/ipsec-interface-00*), strongSwan's documentation of route-based VPN
 * - OSPF: RFC 4552, 7: one SA for all that routers of a link send, from any source
 * @module
 */
import type { XfrmPolicy, XfrmState } from '../../lib/index.ts';
import type { Encodable } from '../../lib/wire/encodable.ts';
import { ADDRESSES, innerAddress, type Packet, type Side } from './oracle-hosts.ts';
import type { HostHas, Operation } from './oracle-worlds.ts';

type Sa = Encodable<XfrmState>;
type Policy = Encodable<XfrmPolicy>;
type Template = NonNullable<Policy['templates']>[number];
type Hosts = Record<Side, HostHas>;

/** Packets there and back, and the tunnel that they go through. */
export interface Flow {
  readonly peer: string;
  readonly reqid?: number;
  readonly there: Packet;
  readonly back: Packet;
}

/** A change of a host; `sh` is a line of a shell. Or packets that the left host sends, and that do not arrive. */
export type Step =
  | Exclude<
      Operation,
      {
        readonly do:
          | 'ip'
          | 'traffic'
          | 'listen'
          | 'migrate'
          | 'allocate'
          | 'updateSa'
          | 'replacePolicy';
      }
    >
  | { readonly do: 'send'; readonly packet: Packet }
  | { readonly do: 'sh'; readonly side: Side; readonly line: string; readonly undo: string };

export interface Variant {
  readonly words: string;
  readonly steps: readonly Step[];
  /** Flows that pass no more. */
  readonly stops: readonly number[];
  /** What is said of the tunnel of the first of them. */
  readonly says?: RegExp;
  /** Only the counters show it: keys that differ, or something at the peer. */
  readonly hidden?: boolean;
}

export interface Shape {
  readonly name: string;
  readonly hosts: Hosts;
  /** Lines of a shell that make devices and routes, and lines that take them away. */
  readonly links?: Partial<
    Record<Side, { readonly up: readonly string[]; readonly down: readonly string[] }>
  >;
  readonly flows: readonly Flow[];
  /** Flows that do not pass yet. */
  readonly stops?: readonly number[];
  /** Whether somebody listens when an SA is asked for, as key managers do: the kernel then makes a larval one. */
  readonly asks?: boolean;
  readonly variants: readonly Variant[];
}

const [HERE, [PEER, SECOND]] = [ADDRESSES.outer.inet.left, ADDRESSES.outer.inet.right];
const ANY = '0.0.0.0';
const inner = (side: Side, n: number) => innerAddress('inet', side, n, 0);
const far = (side: Side): Side => (side === 'left' ? 'right' : 'left');

const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key: new Uint8Array(20).fill(7) };
const authTrunc = { name: 'hmac(sha256)', truncBits: 128, key: new Uint8Array(32).fill(8) };
const comp = { name: 'deflate', key: new Uint8Array() };
const ALGORITHM = { esp: { aead }, ah: { authTrunc }, comp: { comp } };

const familyOf = (address: string) => (address.includes(':') ? 'inet6' : 'inet');
const bitsOf = (address: string) => (address.includes(':') ? 128 : 32);

interface Connection {
  readonly ends?: Record<Side, string>;
  /** Addresses behind the ends; else these. */
  readonly behind?: Record<Side, string>;
  readonly prefix?: Partial<Record<Side, number>>;
  readonly protos?: readonly ('esp' | 'ah' | 'comp')[];
  readonly mode?: 'tunnel' | 'transport';
  /** One, or one for each protocol. */
  readonly reqid?: number | readonly number[];
  readonly spi?: number;
  /** Of the packets that the left host sends. */
  readonly upper?: { readonly proto: number; readonly sport?: number; readonly dport?: number };
  readonly sa?: Partial<Sa>;
  readonly priority?: number;
  /** The ends as the right host sees them (NAT). */
  readonly seen?: Record<Side, string>;
}

/** A connection as key managers make it: two SAs of each protocol, and policies for each direction. */
function connect({
  ends = { left: HERE, right: PEER },
  mode = 'tunnel',
  behind = mode === 'tunnel' ? { left: inner('left', 0), right: inner('right', 0) } : ends,
  prefix = {},
  protos = ['esp'],
  reqid = 16389,
  spi = 0xc000_1000,
  upper,
  sa,
  priority = 1000,
  seen = ends,
}: Connection): Hosts {
  const host = (me: Side): HostHas => {
    const mine = me === 'left' ? ends : seen;
    const reqidOf = (n: number) => (typeof reqid === 'number' ? reqid : (reqid[n] as number));
    const modeOf = (n: number) => (n === 0 ? mode : 'transport');
    const selector = (from: Side) => {
      const to = far(from);
      const { proto = 0, sport = 0, dport = 0 } = upper ?? {};
      const [a, b] = from === 'left' ? [sport, dport] : [dport, sport];
      const outside = mode === 'transport' ? mine : behind;
      return {
        family: familyOf(outside[from]),
        saddr: prefix[from] === 0 ? ANY : outside[from],
        daddr: prefix[to] === 0 ? ANY : outside[to],
        prefixlenS: prefix[from] ?? bitsOf(outside[from]),
        prefixlenD: prefix[to] ?? bitsOf(outside[to]),
        proto,
        sport: a,
        sportMask: a === 0 ? 0 : 0xffff,
        dport: b,
        dportMask: b === 0 ? 0 : 0xffff,
      } as const;
    };
    const sas = (['left', 'right'] as const).flatMap((from) =>
      protos.map((proto, n): Sa => {
        const its = (proto === 'comp' ? 0x1a00 : spi) + 0x10 * n + (from === 'left' ? 0 : 1);
        return {
          saddr: mine[from],
          daddr: mine[far(from)],
          proto,
          spi: its,
          mode: modeOf(n),
          reqid: reqidOf(n),
          replayWindow: proto === 'comp' ? 0 : 32,
          ...ALGORITHM[proto],
          ...(upper && { selector: selector(from) }),
          ...sa,
        } as Sa;
      }),
    );
    const policies = (['out', 'in', 'fwd'] as const)
      .filter((dir) => dir !== 'fwd' || mode !== 'transport')
      .map((dir): Policy => {
        const from = dir === 'out' ? me : far(me);
        const templates = protos.map((proto, n): Template => {
          const open = modeOf(n) === 'transport';
          return {
            family: familyOf(mine[from]),
            proto,
            mode: modeOf(n),
            saddr: open ? ANY : mine[from],
            daddr: open ? ANY : mine[far(from)],
            reqid: reqidOf(n),
            optional: proto === 'comp' && dir !== 'out',
          } as Template;
        });
        return { dir, selector: selector(from), templates, priority } as Policy;
      });
    return { sas, policies };
  };
  return { left: host('left'), right: host('right') };
}

function together(...all: readonly Hosts[]): Hosts {
  const of = (side: Side) => ({
    sas: all.flatMap((one) => one[side].sas),
    policies: all.flatMap((one) => one[side].policies),
  });
  return { left: of('left'), right: of('right') };
}

/** What a host has, changed. */
function change(
  hosts: Hosts,
  side: Side,
  sa: (sa: Sa, incoming: boolean) => Sa,
  policy: (policy: Policy) => Policy = (one) => one,
): Hosts {
  const { sas, policies } = hosts[side];
  const locals = [...ADDRESSES.outer.inet.right] as string[];
  const changed = {
    sas: sas.map((one) => {
      const atRight = locals.includes(one.daddr as string);
      return sa(one, side === 'right' ? atRight : !atRight);
    }),
    policies: policies.map(policy),
  };
  return { ...hosts, [side]: changed };
}

const flow = (peer: string, left: string, right: string, more: Partial<Flow> = {}): Flow => ({
  peer,
  there: { source: left, target: right },
  back: { source: right, target: left },
  ...more,
});
const inside = (n: number, peer: string, reqid?: number): Flow =>
  flow(peer, inner('left', n), inner('right', n), reqid === undefined ? {} : { reqid });

/** Of SAs, the one that a description fits. */
function one(of: Hosts, fits: Partial<Sa>): Sa {
  const found = of.left.sas.find((sa) =>
    Object.entries(fits).every(([name, value]) => sa[name as keyof Sa] === value),
  );
  if (found === undefined) throw new Error(`no SA ${JSON.stringify(fits)}`);
  return found;
}
const without = (sa: Sa): Step => ({ do: 'deleteSa', side: 'left', sa });
const withoutInbound = (hosts: Hosts): Variant => ({
  words: 'no inbound SA',
  steps: [without(one(hosts, { daddr: HERE }))],
  stops: [0],
  says: /^one-way: no inbound (\w+ )?SA/,
});
const instead = (sa: Sa, more: Partial<Sa>): Step[] => [
  without(sa),
  { do: 'addSa', side: 'left', sa: { ...sa, ...more } as Sa },
];
const policyOf = (of: Hosts, dir: 'in' | 'out' | 'fwd', n = 0): Policy =>
  of.left.policies.filter((policy) => policy.dir === dir)[n] as Policy;
const noPolicy = (policy: Policy): Step => ({ do: 'deletePolicy', side: 'left', policy });
const addPolicy = (policy: Policy): Step => ({ do: 'addPolicy', side: 'left', policy });
const address = (verb: 'add' | 'del', text: string, dev = 'cable'): Step => ({
  do: 'sh',
  side: 'left',
  line: `ip address ${verb} ${text} dev ${dev}`,
  undo: `ip address ${verb === 'add' ? 'del' : 'add'} ${text} dev ${dev}`,
});

function compressed(by: string, reqid: number | readonly number[]): Shape {
  const hosts = connect({ protos: ['comp', 'esp'], reqid });
  return {
    name: `IPComp over ESP, ${by}`,
    hosts,
    flows: [inside(0, PEER)],
    variants: [
      {
        words: 'no inbound SA of ESP',
        steps: [without(one(hosts, { proto: 'esp', daddr: HERE }))],
        stops: [0],
        says: /^one-way: no inbound esp SA$/,
      },
      {
        words: 'no outbound SA of IPComp',
        steps: [without(one(hosts, { proto: 'comp', saddr: HERE }))],
        stops: [0],
        says: /^one-way: no outbound comp SA$/,
      },
    ],
  };
}

function byHand(name: string, given: Connection): Shape {
  const hosts = connect({ protos: ['esp', 'ah'], reqid: 0, spi: 0x201, ...given });
  const mode = given.mode ?? 'tunnel';
  return {
    name: `AH over ESP by hand, ${name}`,
    hosts,
    flows: [mode === 'transport' ? flow(PEER, HERE, PEER) : inside(0, PEER)],
    variants: [
      {
        words: 'no inbound SA of AH',
        steps: [without(one(hosts, { proto: 'ah', daddr: HERE }))],
        stops: [0],
        says: /^one-way: no inbound ah SA$/,
      },
    ],
  };
}

/** The inbound policy is for packets from anywhere. */
function openEnd(): Shape {
  const shape = byHand('a reqid, from anywhere', { mode: 'transport', reqid: 9 });
  const { left } = shape.hosts;
  const policies = left.policies.map((policy) =>
    policy.dir === 'in'
      ? ({ ...policy, selector: { ...policy.selector, saddr: ANY, prefixlenS: 0 } } as Policy)
      : policy,
  );
  return { ...shape, hosts: { ...shape.hosts, left: { ...left, policies } } };
}

/** racoon, and setkey with `unique`: each policy has a reqid of its own, and so have the SAs of each direction. */
function unique(): Shape {
  const plain = connect({ reqid: 20 });
  const hosts = change(
    plain,
    'left',
    (sa, incoming) => ({ ...sa, reqid: incoming ? 21 : 20 }) as Sa,
    (policy) => {
      if (policy.dir === 'out') return policy;
      return { ...policy, templates: [{ ...policy.templates?.[0], reqid: 21 }] } as Policy;
    },
  );
  return {
    name: 'a reqid for each direction',
    hosts,
    flows: [inside(0, PEER)],
    variants: [
      withoutInbound(hosts),
      {
        words: 'the inbound SA has the reqid of the other direction',
        steps: instead(one(hosts, { daddr: HERE }), { reqid: 20 }),
        stops: [0],
        says: /^one-way: no inbound (\w+ )?SA/,
      },
    ],
  };
}

/** One child for both families, as strongSwan makes it of traffic selectors of both: SAs for any, and policies for each. */
function dualStack(): Shape {
  const six = { left: 'fd00:1::1', right: 'fd00:2::1' };
  const sa = { flags: ['af-unspec'] } as Partial<Sa>;
  const { left, right } = together(connect({ sa }), connect({ sa, behind: six }));
  const half = left.sas.length / 2;
  const hosts = {
    left: { ...left, sas: left.sas.slice(0, half) },
    right: { ...right, sas: right.sas.slice(0, half) },
  };
  const [own, forwarded] = (['in', 'fwd'] as const).map((dir) => policyOf(hosts, dir, 1));
  return {
    name: 'one tunnel for both families',
    hosts,
    flows: [flow(PEER, six.left, six.right)],
    variants: [
      {
        words: 'no inbound policies for IPv6',
        steps: [noPolicy(own as Policy), noPolicy(forwarded as Policy)],
        stops: [0],
        says: /^one-way: inbound, no policy is for the answers/,
      },
      {
        words: 'no policy for IPv6 to this host',
        steps: [noPolicy(own as Policy)],
        stops: [0],
        says: /^one-way: inbound, no policy is for the answers/,
      },
      { words: 'no policy for forwarded IPv6', steps: [noPolicy(forwarded as Policy)], stops: [] },
    ],
  };
}

/** All hosts of a network, each with SAs for each other and with the same policies, which name no host. */
function mesh(): Shape {
  const [first, second] = [PEER, SECOND].map((peer, n) =>
    connect({ ends: { left: HERE, right: peer }, mode: 'transport', spi: 0xc000_1000 + 0x100 * n }),
  ) as [Hosts, Hosts];
  const all = together(first, second);
  const net = { saddr: '192.0.2.0', prefixlenS: 24, daddr: '192.0.2.0', prefixlenD: 24 };
  const policies = first.left.policies.map(
    (policy) => ({ ...policy, selector: { ...policy.selector, ...net } }) as Policy,
  );
  const hosts = { ...all, left: { ...all.left, policies } };
  return {
    name: 'a mesh in transport mode: policies for a network',
    hosts,
    flows: [flow(PEER, HERE, PEER), flow(SECOND, HERE, SECOND)],
    variants: [
      {
        words: 'no inbound SA of one',
        steps: [without(one(hosts, { saddr: SECOND }))],
        stops: [1],
        says: /^one-way: no inbound esp SA$/,
      },
      {
        words: 'no outbound SA of one',
        steps: [without(one(hosts, { daddr: SECOND }))],
        stops: [1],
        says: /^one-way: no outbound esp SA$/,
      },
    ],
  };
}

/** Marks that packets from peers get when they come in, as Cilium's programs of tc set them. */
function markIncoming(marks: Readonly<Record<string, number>>) {
  const filters = Object.entries(marks).map(
    ([peer, mark], i) =>
      `tc filter add dev cable ingress prio ${i + 1} protocol ip u32 match ip src ${peer}/32 match ip protocol 50 0xff action skbedit mark ${mark} pipe action pass`,
  );
  return {
    left: {
      up: ['tc qdisc add dev cable clsact', ...filters],
      down: ['tc qdisc del dev cable clsact'],
    },
  };
}
const IN_MARK = { value: 0xd00, mask: 0xf00 };
/** One policy for what comes from any node. */
const fromAny = (dir: 'in' | 'fwd'): Policy =>
  ({
    dir,
    selector: {
      family: 'inet',
      saddr: ANY,
      prefixlenS: 0,
      daddr: '10.1.0.0',
      prefixlenD: 16,
    },
    ...(dir === 'in' ? { mark: IN_MARK } : { priority: 2975 }),
    templates: [
      { proto: 'esp', mode: 'tunnel', saddr: ANY, daddr: HERE, reqid: 1, optional: true },
    ],
  }) as Policy;
/** What Cilium means to encrypt, and nothing encrypts. */
const DROP = {
  dir: 'out',
  selector: { family: 'inet', saddr: ANY, daddr: ANY, prefixlenS: 0, prefixlenD: 0 },
  action: 'block',
  priority: 8191,
  mark: { value: 0xe00, mask: 0xf00 },
} as Policy;

function cilium(old: boolean): Shape {
  const peers = [PEER, SECOND] as const;
  const plain = together(
    ...peers.map((peer, n) =>
      connect({
        ends: { left: HERE, right: peer },
        behind: { left: inner('left', n), right: inner('right', n) },
        reqid: 1,
        priority: 0,
      }),
    ),
  );
  const node = (peer: unknown) => peers.indexOf(peer as typeof PEER) + 2;
  const ofNode = (peer: unknown) => ({ value: (node(peer) << 16) | 0x3e00, mask: 0xffff_ff00 });
  const outMark = (peer: unknown) => (old ? { value: 0x3e00, mask: 0xff00 } : ofNode(peer));
  const marked = change(
    plain,
    'left',
    (sa, incoming) =>
      ({
        ...sa,
        spi: 3,
        mark: incoming
          ? old
            ? IN_MARK
            : { value: (node(sa.saddr) << 16) | 0xd00, mask: 0xffff_0f00 }
          : outMark(sa.daddr),
        setMark: incoming ? 0xd00 : 0xe00,
        setMarkMask: incoming ? 0xffff_ff00 : 0xf00,
        ...(old && incoming && { saddr: ANY, replayWindow: 0 }),
      }) as Sa,
  );
  const { sas, policies } = marked.left;
  const known = new Set<string>();
  const left = {
    sas: sas.filter(({ saddr, daddr }) => {
      const id = `${saddr} ${daddr}`;
      return !known.has(id) && known.add(id);
    }),
    policies: [
      ...policies
        .filter(({ dir }) => dir === 'out')
        .map((policy) => {
          const [template] = policy.templates ?? [];
          const mark = outMark(template?.daddr);
          return { ...policy, mark, templates: [{ ...template, spi: 3 }] } as Policy;
        }),
      fromAny('in'),
      fromAny('fwd'),
      DROP,
    ],
  };
  // The right host stands for both nodes: a mark tells which one sends.
  const right = change(
    plain,
    'right',
    (sa, incoming) => ({ ...sa, spi: 3, ...(!incoming && { mark: ofNode(sa.saddr) }) }) as Sa,
    (policy) => {
      const mark = ofNode(policy.templates?.[0]?.saddr);
      return policy.dir === 'out' ? ({ ...policy, mark } as Policy) : policy;
    },
  ).right;
  const hosts = { left, right };
  const marks = Object.fromEntries(
    peers.map((peer) => [peer, old ? 0xd00 : (node(peer) << 16) | 0xd00]),
  );
  const flows = peers.map((peer, n) => {
    const { there, back } = inside(n, peer);
    return {
      peer,
      there: { ...there, mark: outMark(peer).value },
      back: { ...back, mark: ofNode(peer).value },
    };
  });
  const lost = one(hosts, { saddr: old ? ANY : SECOND, daddr: HERE });
  const out = one(hosts, { saddr: HERE, daddr: SECOND });
  const sending = policyOf(hosts, 'out', 1);
  const rotated = (mark: Sa['mark']) => mark && { ...mark, value: (mark.value ?? 0) ^ 0x7000 };
  return {
    name: `Cilium, ${old ? 'up to 1.13: one inbound SA from any source' : '1.14 and newer: marks for each node'}`,
    hosts,
    links: markIncoming(marks),
    flows,
    variants: [
      {
        words: 'an inbound SA is missing',
        steps: [without(lost)],
        stops: old ? [0, 1] : [1],
        says: /^one-way: no inbound (\w+ )?SA/,
      },
      {
        words: 'an outbound SA has another mark',
        steps: instead(out, { mark: { value: 0x7_3e00, mask: 0xffff_ff00 } }),
        stops: [1],
        says: /^(one-way|orphan|blocked): /,
      },
      {
        // What the new key is for has another mark: packets go by the old one until they have that.
        words: 'keys rotate by the SPI',
        steps: [
          ...[out, lost].map((sa): Step => {
            const mark = sa === lost ? sa.mark : rotated(sa.mark);
            return { do: 'addSa', side: 'left', sa: { ...sa, spi: 4, mark } as Sa };
          }),
          addPolicy({
            ...sending,
            mark: rotated(sending.mark),
            templates: [{ ...sending.templates?.[0], spi: 4 }],
          } as Policy),
        ],
        stops: [],
      },
    ],
  };
}

/** Geneve (or VXLAN) between two nodes: one connection for what each receives, so that each carries one direction. */
function ovn(): Shape {
  const upper = { proto: 17 };
  const hosts = together(
    connect({ mode: 'transport', reqid: 16393, upper: { ...upper, dport: 6081 } }),
    connect({
      mode: 'transport',
      reqid: 16397,
      upper: { ...upper, sport: 6081 },
      spi: 0xc000_2000,
    }),
  );
  const there = { source: HERE, target: PEER, port: 6081 };
  const back = { source: PEER, target: HERE, port: 6081 };
  return {
    name: 'OVN-Kubernetes: Geneve in transport mode, a connection for each direction',
    hosts,
    flows: [{ peer: PEER, there, back }],
    variants: [
      {
        words: 'no outbound SA of the one that sends',
        steps: [without(one(hosts, { saddr: HERE, reqid: 16393 }))],
        stops: [0],
        says: /^one-way: no outbound (\w+ )?SA/,
      },
      {
        words: 'no inbound SA of the one that receives',
        steps: [without(one(hosts, { daddr: HERE, reqid: 16397 }))],
        stops: [0],
        says: /^one-way: no inbound (\w+ )?SA/,
      },
      {
        words: 'no policies and SAs of the one that receives',
        steps: [
          ...hosts.left.sas.filter(({ reqid }) => reqid === 16397).map(without),
          ...hosts.left.policies
            .filter(({ templates }) => templates?.[0]?.reqid === 16397)
            .map(noPolicy),
        ],
        stops: [0],
        hidden: true,
      },
    ],
  };
}

function submariner(): Shape {
  const reqids = [16405, 16417] as const;
  const hosts = together(
    ...reqids.map((reqid, n) =>
      connect({
        behind: { left: inner('left', n), right: inner('right', n) },
        reqid,
        spi: 0xc000_1000 + 0x1000 * n,
        sa: { encap: { type: 'espinudp', sport: 4500, dport: 4500, oa: ANY } },
      }),
    ),
  );
  // What is not connected yet is on hold: a trap for any peer.
  const trap = {
    dir: 'out',
    selector: {
      family: 'inet',
      saddr: '172.30.0.0',
      prefixlenS: 16,
      daddr: '172.31.0.0',
      prefixlenD: 16,
    },
    templates: [{ proto: 'esp', mode: 'transport', saddr: ANY, daddr: ANY, reqid: 0 }],
    priority: 2_089_950,
  } as Policy;
  hosts.left.policies.push(trap);
  return {
    name: 'Submariner with libreswan: a connection for each pair of networks, ESP in UDP',
    hosts,
    flows: reqids.map((reqid, n) => inside(n, PEER, reqid)),
    variants: [
      {
        words: 'the second has no SAs',
        steps: hosts.left.sas.filter(({ reqid }) => reqid === 16417).map(without),
        stops: [1],
        says: /^blocked: /,
      },
      {
        words: 'the second has no outbound policy',
        steps: [noPolicy(policyOf(hosts, 'out', 1))],
        stops: [1],
        says: /^orphan: /,
      },
    ],
  };
}

function roadWarriors(): Shape {
  const peers = ADDRESSES.outer.inet.right;
  const hosts = together(
    ...peers.map((peer, n) =>
      connect({
        ends: { left: HERE, right: peer },
        behind: { left: inner('left', n), right: inner('right', n) },
        // All that the client sends goes to the hub.
        prefix: { left: 0 },
        reqid: n + 1,
        spi: 0xc000_1000 + 0x100 * n,
      }),
    ),
  );
  return {
    name: 'a hub with road warriors that have virtual addresses',
    hosts,
    flows: peers.map((peer, n) => inside(n, peer, n + 1)),
    variants: [
      {
        words: 'one went without a word, and its SAs with it',
        steps: hosts.left.sas.filter(({ reqid }) => reqid === 2).map(without),
        stops: [1],
        says: /^blocked: /,
      },
      {
        words: 'the policies of one are gone, its SAs stay',
        steps: hosts.left.policies
          .filter(({ templates }) => templates?.[0]?.reqid === 3)
          .map(noPolicy),
        stops: [2],
        says: /^orphan: /,
      },
    ],
  };
}

const GRE = 47;
const netOf = (n: number) => ({ left: `10.25${n}.0.1`, right: `10.25${n}.0.2` });

function dmvpn(): Shape {
  const peers = [PEER, SECOND] as const;
  const hosts = together(
    ...peers.map((peer, n) =>
      connect({
        ends: { left: HERE, right: peer },
        mode: 'transport',
        upper: { proto: GRE },
        reqid: n + 1,
        spi: 0xc000_1000 + 0x100 * n,
      }),
    ),
  );
  const spokes = peers.map((peer, n) => ({ peer, ...netOf(n) }));
  return {
    name: 'DMVPN: GRE to many in transport mode',
    hosts,
    links: {
      left: {
        up: [
          `ip link add dmvpn type gre key 42 ttl 64 local ${HERE}`,
          ...spokes.map(({ left }) => `ip address add ${left}/24 dev dmvpn`),
          'ip link set dmvpn up',
          // As NHRP says.
          ...spokes.map(
            ({ peer, right }) => `ip neighbour add ${right} lladdr ${peer} dev dmvpn nud permanent`,
          ),
        ],
        down: ['ip link del dmvpn'],
      },
      right: {
        up: spokes.flatMap(({ peer, left, right }, n) => [
          `ip link add spoke${n} type gre key 42 ttl 64 local ${peer} remote ${HERE}`,
          `ip address add ${right} peer ${left} dev spoke${n}`,
          `ip link set spoke${n} up`,
        ]),
        down: spokes.map((_, n) => `ip link del spoke${n}`),
      },
    },
    flows: spokes.map(({ peer, left, right }) => flow(peer, left, right)),
    variants: [
      {
        words: 'no inbound SA of a spoke',
        steps: [without(one(hosts, { saddr: SECOND }))],
        stops: [1],
        says: /^one-way: no inbound (\w+ )?SA/,
      },
      {
        words: 'no policies of a spoke: GRE goes in clear',
        steps: hosts.left.policies
          .filter(({ templates }) => templates?.[0]?.reqid === 2)
          .map(noPolicy),
        stops: [1],
        says: /^orphan: /,
      },
    ],
  };
}

function mplsOverGre(): Shape {
  const hosts = connect({ mode: 'transport', upper: { proto: GRE }, protos: ['esp'] });
  const link = (me: Side) => {
    const [mine, its] = me === 'left' ? [HERE, PEER] : [PEER, HERE];
    const [label, back] = me === 'left' ? [100, 200] : [200, 100];
    const nets = netOf(4);
    return {
      up: [
        `ip link add lsp type gre ttl 64 local ${mine} remote ${its}`,
        'ip link set lsp up',
        `ip address add ${nets[me]}/32 dev lo`,
        `ip route add ${nets[far(me)]}/32 encap mpls ${label} dev lsp src ${nets[me]}`,
        'echo 1000 > /proc/sys/net/mpls/platform_labels',
        'echo 1 > /proc/sys/net/mpls/conf/lsp/input',
        `ip -f mpls route add ${back} dev lo`,
      ],
      down: [
        'ip link del lsp',
        `ip address del ${nets[me]}/32 dev lo`,
        `ip -f mpls route del ${back}`,
        'echo 0 > /proc/sys/net/mpls/platform_labels',
      ],
    };
  };
  const { left, right } = netOf(4);
  return {
    name: 'MPLS over GRE over ESP in transport mode',
    hosts,
    links: { left: link('left'), right: link('right') },
    flows: [flow(PEER, left, right)],
    variants: [
      {
        words: 'no outbound SA',
        steps: [without(one(hosts, { saddr: HERE }))],
        stops: [0],
        says: /^one-way: no outbound (\w+ )?SA/,
      },
      {
        words: 'the outbound SA is for another reqid',
        steps: instead(one(hosts, { saddr: HERE }), { reqid: 5 }),
        stops: [0],
        says: /^one-way: no outbound (\w+ )?SA/,
      },
    ],
  };
}

/** All packets of a device; its keys are the marks of the two directions. */
function vti(): Shape {
  const [KEY_IN, KEY_OUT] = [21, 42];
  const plain = connect({ prefix: { left: 0, right: 0 } });
  const mark = (incoming: boolean) => ({
    value: incoming ? KEY_IN : KEY_OUT,
    mask: 0xffff_ffff,
  });
  const marked = change(
    plain,
    'left',
    (sa, incoming) => ({ ...sa, mark: mark(incoming) }) as Sa,
    (policy) => ({ ...policy, mark: mark(policy.dir !== 'out') }) as Policy,
  );
  const hosts = { ...marked, right: connect({}).right };
  const there = inner('right', 0);
  return {
    name: 'route-based with a vti, marks by its keys',
    hosts,
    links: {
      left: {
        up: [
          `ip link add vti1 type vti local ${HERE} remote ${PEER} ikey ${KEY_IN} okey ${KEY_OUT}`,
          'ip link set vti1 up',
          `ip route replace ${there} dev vti1 src ${inner('left', 0)}`,
        ],
        down: [
          'ip link del vti1',
          `ip route replace ${there} via ${PEER} dev cable src ${inner('left', 0)}`,
        ],
      },
    },
    flows: [inside(0, PEER)],
    variants: [
      withoutInbound(hosts),
      {
        words: 'the outbound SA has the mark of the other direction',
        steps: instead(one(hosts, { saddr: HERE }), { mark: mark(true) }),
        stops: [0],
        says: /^blocked: policies, but no SAs$/,
      },
    ],
  };
}

/** keepalived with a virtual address: the standby gets the SAs from its peer (strongSwan's ha plugin), and not the address. */
function standby(): Shape {
  const shared = '192.0.2.50';
  const hosts = connect({ ends: { left: shared, right: PEER } });
  return {
    name: 'high availability: SAs of an address that keepalived moves',
    hosts,
    links: {
      left: {
        up: [`ip address add ${shared}/32 dev cable`],
        down: [`ip address del ${shared}/32 dev cable`],
      },
      right: {
        up: [`ip neighbour replace ${shared} lladdr 02:00:00:00:00:01 dev cable nud permanent`],
        down: [`ip neighbour del ${shared} dev cable`],
      },
    },
    flows: [inside(0, PEER)],
    variants: [
      {
        words: 'it becomes the standby',
        steps: [address('del', `${shared}/32`)],
        stops: [0],
        says: /^down: /,
      },
      {
        words: 'the address is on another link',
        steps: [address('add', `${shared}/32`, 'lo'), address('del', `${shared}/32`)],
        stops: [],
      },
      {
        words: 'the address is a local route only',
        steps: [
          address('del', `${shared}/32`),
          {
            do: 'sh',
            side: 'left',
            line: `ip route add local ${shared} dev lo table local`,
            undo: `ip route del local ${shared} dev lo table local`,
          },
        ],
        stops: [],
      },
    ],
  };
}

/** The left host is behind a NAT, which its own cable plays: the right one knows it by another address. */
function behindNat(): Shape {
  const outside = '198.51.100.77';
  const hosts = connect({
    seen: { left: outside, right: PEER },
    sa: { encap: { type: 'espinudp', sport: 4500, dport: 4500, oa: ANY } },
  });
  const match = 'protocol ip u32 match ip protocol 17 0xff match ip';
  return {
    name: 'site to site behind a NAT',
    hosts,
    links: {
      left: {
        up: [
          'tc qdisc add dev cable clsact',
          `tc filter add dev cable egress ${match} src ${HERE}/32 action nat egress ${HERE}/32 ${outside}`,
          `tc filter add dev cable ingress ${match} dst ${outside}/32 action nat ingress ${outside}/32 ${HERE}`,
        ],
        down: ['tc qdisc del dev cable clsact'],
      },
      right: {
        up: [
          `ip route add ${outside} dev cable`,
          `ip neighbour replace ${outside} lladdr 02:00:00:00:00:01 dev cable nud permanent`,
        ],
        down: [`ip route del ${outside} dev cable`],
      },
    },
    flows: [inside(0, PEER)],
    variants: [
      withoutInbound(hosts),
      {
        words: 'the NAT forgot',
        steps: [
          {
            do: 'sh',
            side: 'left',
            line: 'tc filter del dev cable ingress',
            undo: 'true',
          },
        ],
        stops: [0],
        hidden: true,
      },
    ],
  };
}

/** The client moves: SAs and policies are made again for its new address, under the same SPIs. */
function mobike(): Shape {
  const hosts = connect({});
  const moved = connect({ ends: { left: '192.0.2.9', right: PEER } });
  const both = (verb: 'delete' | 'add', of: Hosts): Step[] =>
    (['left', 'right'] as const).flatMap((side) => [
      ...of[side].sas.map((sa): Step => ({ do: `${verb}Sa`, side, sa })),
      ...of[side].policies.map((policy): Step => ({ do: `${verb}Policy`, side, policy })),
    ]);
  const move = [...both('delete', hosts), ...both('add', moved)];
  return {
    name: 'MOBIKE',
    hosts,
    links: {
      left: {
        up: ['ip address add 192.0.2.9/24 dev cable'],
        down: ['ip address del 192.0.2.9/24 dev cable'],
      },
      right: {
        up: ['ip neighbour replace 192.0.2.9 lladdr 02:00:00:00:00:01 dev cable nud permanent'],
        down: ['ip neighbour del 192.0.2.9 dev cable'],
      },
    },
    flows: [inside(0, PEER)],
    variants: [
      { words: 'it moves', steps: move, stops: [] },
      {
        words: 'it moves, and SAs of the new address are missing',
        steps: [...move, without(one(moved, { saddr: PEER }))],
        stops: [0],
        says: /^one-way: no inbound (\w+ )?SA/,
      },
      {
        words: 'the address goes, and nobody moves it',
        steps: [address('del', '192.0.2.9/24'), address('del', `${HERE}/24`)],
        stops: [0],
        says: /^down: /,
      },
    ],
  };
}

function l2tp(): Shape {
  const hosts = connect({
    mode: 'transport',
    reqid: 2,
    upper: { proto: 17, sport: 1701, dport: 1701 },
  });
  const packet = (source: string, target: string) => ({ source, target, port: 1701, sport: 1701 });
  return {
    name: 'L2TP in transport mode',
    hosts,
    flows: [{ peer: PEER, there: packet(HERE, PEER), back: packet(PEER, HERE) }],
    variants: [
      withoutInbound(hosts),
      {
        words: 'the SA is for another port',
        steps: instead(one(hosts, { saddr: HERE }), {
          selector: { ...hosts.left.sas[0]?.selector, sport: 1702 },
        } as Partial<Sa>),
        stops: [0],
        says: /^one-way: no outbound (\w+ )?SA/,
      },
    ],
  };
}

/** Policies without templates in addition to a tunnel: strongSwan's types passthrough and drop, libreswan's shunts. */
function shunts(): Shape {
  const hosts = connect({ prefix: { left: 16, right: 16 } });
  const net = (third: number, bits: number) => ({
    family: 'inet',
    saddr: '10.1.0.0',
    prefixlenS: 16,
    daddr: `10.2.${third}.0`,
    prefixlenD: bits,
  });
  const shunt = (action: 'allow' | 'block', third: number, bits: number, priority: number) =>
    ({ dir: 'out', selector: net(third, bits), action, priority }) as Policy;
  hosts.left.policies.push(shunt('allow', 9, 24, 1), shunt('block', 8, 24, 1));
  hosts.left.policies.push(shunt('block', 0, 8, 9000));
  return {
    name: 'passthrough and drop policies',
    hosts,
    flows: [inside(0, PEER)],
    variants: [
      {
        words: 'one that drops takes all',
        steps: [addPolicy(shunt('block', 0, 16, 2))],
        stops: [0],
        says: /^one-way: outbound, an earlier policy blocks all packets$/,
      },
      {
        words: 'one that lets pass takes all',
        steps: [addPolicy(shunt('allow', 0, 7, 2))],
        stops: [0],
        says: /^one-way: outbound, an earlier policy takes all packets, without SAs$/,
      },
    ],
  };
}

/** Made by hand: all policies have the priority that `ip` gives them. The kernel then takes the one that was there first. */
function samePriority(): Shape {
  const hosts = connect({ prefix: { left: 24, right: 24 }, priority: 0 });
  const wide = (dir: 'in' | 'out', action: 'allow' | 'block') =>
    ({
      dir,
      selector: {
        ...{ family: 'inet', saddr: '10.0.0.0', daddr: '10.0.0.0' },
        ...{ prefixlenS: 8, prefixlenD: 8 },
      },
      action,
      priority: 0,
    }) as Policy;
  const first = (dir: 'in' | 'out', action: 'allow' | 'block'): Step[] => {
    const policy = policyOf(hosts, dir);
    return [noPolicy(policy), addPolicy(wide(dir, action)), addPolicy(policy)];
  };
  return {
    name: 'policies of one priority, by hand',
    hosts,
    flows: [inside(0, PEER)],
    variants: [
      {
        words: 'one that drops came later',
        steps: [addPolicy(wide('out', 'block')), addPolicy(wide('in', 'block'))],
        stops: [],
      },
      {
        words: 'one that drops was there first',
        steps: first('out', 'block'),
        stops: [0],
        says: /^one-way: outbound, an earlier policy blocks all packets$/,
      },
      {
        words: 'one that lets pass was there first, inbound',
        steps: first('in', 'allow'),
        stops: [0],
        says: /^one-way: inbound, an earlier policy takes all packets, without SAs$/,
      },
      {
        words: 'one that drops was there first, and the tunnel was made again without a gap',
        steps: [
          ...first('out', 'block'),
          noPolicy(wide('out', 'block')),
          addPolicy(wide('out', 'block')),
        ],
        stops: [],
      },
    ],
  };
}

/** libreswan, on demand: a trap for any peer; packets ask for SAs between their ends; those that come are between the gateways. */
function trap(): Shape {
  const real = connect({ prefix: { left: 24, right: 24 } });
  const sending = policyOf(real, 'out');
  const open = { saddr: ANY, daddr: ANY, proto: 'esp', mode: 'transport', reqid: 16389 } as const;
  const hold = { ...sending, templates: [open] } as Policy;
  const asks = ['10.2.0.1', '10.2.0.77'].map((target): Step => {
    return { do: 'send', packet: { source: inner('left', 0), target } };
  });
  const comes: Step[] = [
    ...real.left.sas.map((sa): Step => ({ do: 'addSa', side: 'left', sa })),
    noPolicy(hold),
    ...real.left.policies.map(addPolicy),
  ];
  return {
    name: 'a trap for any peer',
    hosts: { left: { sas: [], policies: [hold] }, right: real.right },
    links: {
      left: {
        up: [`ip route add 10.2.0.77 via ${PEER} dev cable src ${inner('left', 0)}`],
        down: ['ip route del 10.2.0.77'],
      },
    },
    asks: true,
    flows: [inside(0, PEER)],
    stops: [0],
    variants: [
      { words: 'packets asked', steps: asks, stops: [0] },
      { words: 'what was asked for comes', steps: [...asks, ...comes], stops: [] },
      {
        words: 'what was asked for comes, and its inbound SA goes',
        steps: [...asks, ...comes, without(one(real, { daddr: HERE }))],
        stops: [0],
        says: /^one-way: no inbound (\w+ )?SA/,
      },
    ],
  };
}

const ROUTERS = 'ff02::5';
/** The same on all routers. */
function ospf(): Shape {
  const sa = {
    saddr: '::',
    daddr: ROUTERS,
    proto: 'esp',
    spi: 0x10003,
    mode: 'transport',
    replayWindow: 0,
    ...ALGORITHM.esp,
    family: 'inet6',
  } as Sa;
  const policies = (['in', 'out'] as const).map(
    (dir) =>
      ({
        dir,
        selector: {
          family: 'inet6',
          saddr: '::',
          prefixlenS: 0,
          daddr: ROUTERS,
          prefixlenD: 128,
          proto: 89,
        },
        templates: [
          { family: 'inet6', proto: 'esp', mode: 'transport', saddr: '::', daddr: '::', reqid: 0 },
        ],
      }) as Policy,
  );
  const hosts = { left: { sas: [sa], policies }, right: { sas: [sa], policies } };
  const packet = { source: '', target: ROUTERS };
  return {
    name: 'OSPFv3: one SA for all routers of a link',
    hosts,
    flows: [{ peer: ROUTERS, there: packet, back: packet }],
    variants: [
      { words: 'it is missing', steps: [without(sa)], stops: [0] },
      {
        words: 'the outbound policy is missing',
        steps: [noPolicy(policies[1] as Policy)],
        stops: [0],
        says: /^orphan: /,
      },
    ],
  };
}

/** All packets of a device, chosen by its if_id; strongSwan and libreswan set the id on SAs and policies of both directions. */
export function xfrmInterface(): Shape {
  const IF_ID = 42;
  const plain = connect({ prefix: { left: 0, right: 0 } });
  const { left } = change(
    plain,
    'left',
    (sa) => ({ ...sa, ifId: IF_ID }) as Sa,
    (policy) => ({ ...policy, ifId: IF_ID }) as Policy,
  );
  const hosts = { left, right: connect({}).right };
  const there = inner('right', 0);
  return {
    name: 'route-based with an xfrm interface',
    hosts,
    links: {
      left: {
        up: [
          `ip link add ipsec1 type xfrm dev cable if_id ${IF_ID}`,
          'ip link set ipsec1 up',
          `ip route replace ${there} dev ipsec1 src ${inner('left', 0)}`,
        ],
        down: [
          'ip link del ipsec1',
          `ip route replace ${there} via ${PEER} dev cable src ${inner('left', 0)}`,
        ],
      },
    },
    flows: [inside(0, PEER)],
    variants: [
      withoutInbound(hosts),
      {
        words: 'the outbound SA has another if_id',
        steps: instead(one(hosts, { saddr: HERE }), { ifId: 43 }),
        stops: [0],
        says: /^one-way: no outbound (\w+ )?SA/,
      },
      {
        words: 'the outbound policy has another if_id',
        steps: [
          noPolicy(policyOf(hosts, 'out')),
          addPolicy({ ...policyOf(hosts, 'out'), ifId: 43 } as Policy),
        ],
        stops: [0],
      },
    ],
  };
}

/** Shapes that need no more of a kernel than ESP, AH, IPComp and the devices that all of Debian's have. */
export const SHAPES: readonly Shape[] = [
  compressed('a reqid each (libreswan)', [16390, 16389]),
  compressed('one reqid (strongSwan)', 7),
  byHand('transport mode, reqid 0', { mode: 'transport' }),
  byHand('transport mode, a reqid', { mode: 'transport', reqid: 9 }),
  byHand('tunnel mode, reqid 0', {}),
  openEnd(),
  unique(),
  dualStack(),
  mesh(),
  cilium(false),
  cilium(true),
  ovn(),
  submariner(),
  roadWarriors(),
  dmvpn(),
  mplsOverGre(),
  vti(),
  standby(),
  behindNat(),
  mobike(),
  l2tp(),
  shunts(),
  samePriority(),
  trap(),
  ospf(),
];
