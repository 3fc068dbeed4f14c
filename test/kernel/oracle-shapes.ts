/** The shapes of tunnels in random worlds. @module */
import type { Random } from '../unit/random.ts';
import { type Ability, ADDRESSES, innerAddress, type Side, type Where } from './oracle-hosts.ts';
import type { Connection, HostHas, Policy, Probe, Sa } from './oracle-worlds.ts';

export type Family = 'inet' | 'inet6';
export type Proto = 'esp' | 'ah' | 'comp';
type Mode = 'tunnel' | 'transport' | 'beet';

const GCM = { name: 'rfc4106(gcm(aes))', icvBits: 128 } as const;
const key = (n: number) => new Uint8Array(20).fill(n);
export const algorithmOf = (proto: Proto, n: number) =>
  proto === 'esp'
    ? { aead: { ...GCM, key: key(n) } }
    : proto === 'ah'
      ? { authTrunc: { name: 'hmac(sha256)', truncBits: 128, key: new Uint8Array(32).fill(n) } }
      : { comp: { name: 'deflate', key: new Uint8Array() } };

interface Shape {
  readonly outer: Family;
  readonly inner: Family;
  readonly mode: Mode;
  readonly protos: readonly Proto[];
  readonly reqids: 'same' | 'each' | 'none' | 'split';
  /** Of the template of the inbound policy. */
  readonly inbound: 'exact' | 'any source' | 'optional' | 'any reqid';
  /** Of the template of the outbound one: the kernel may choose the source. */
  readonly outbound: 'exact' | 'any source';
  readonly source: 'exact' | 'any';
  /** Of the outbound SA of the left host. */
  readonly from: 'exact' | 'any';
  readonly mark: 'none' | 'of what comes out';
  /** What leads packets to it: their addresses, or a link. */
  readonly by: 'policy' | 'vti' | 'xfrm';
  readonly encap: boolean;
  readonly esn: boolean;
  /** Whose packets its policies are for: of one address, of the nets of two sites, or of one address to all. */
  readonly packets: 'host' | 'site host' | 'sites' | 'all';
  readonly children: 1 | 2;
  /** Of several children: whether one is for IPv4 and the other for IPv6. */
  readonly dual: boolean;
  /** Of several children: whether all have the same reqids. */
  readonly together: boolean;
  /** Whether its SAs say their direction (XFRMA_SA_DIR). */
  readonly directions: boolean;
  /** Whether a second outbound SA is for the first CPU (XFRMA_SA_PCPU). */
  readonly cpus: boolean;
}

function shapeOf(random: Random, can: ReadonlySet<Ability>): Shape {
  const outer = random.pick(['inet', 'inet6'] as const);
  const mode = random.pick([
    'tunnel',
    'tunnel',
    'tunnel',
    'transport',
    'transport',
    'beet',
  ] as const);
  const mixed = mode !== 'transport' && random.chance(1, 4);
  const inner = mixed ? (outer === 'inet' ? 'inet6' : 'inet') : outer;
  const protos = random.pick<readonly Proto[]>([
    ['esp'],
    ['esp'],
    ['esp'],
    ...(mode === 'beet' ? [] : [['ah'] as const]),
    ['esp', 'ah'],
    ...(mode === 'beet' || mixed ? [] : [['comp', 'esp'] as const, ['comp', 'esp', 'ah'] as const]),
  ]);
  const reqids = random.pick(['same', 'same', 'each', 'none', 'split'] as const);
  const inbound = random.pick(['exact', 'exact', 'any source', 'optional', 'any reqid'] as const);
  const single = protos.length === 1 && protos[0] === 'esp';
  const plain = single && mode === 'tunnel';
  const source =
    plain && (inbound === 'any source' || inbound === 'optional') && random.chance(1, 2)
      ? 'any'
      : 'exact';
  const links = (['vti', 'xfrm'] as const).filter((one) => can.has(one));
  const by = plain && source === 'exact' && random.chance(1, 4) ? random.pick(links) : undefined;
  const packets =
    mode !== 'tunnel' || by !== undefined
      ? 'host'
      : random.pick(['host', 'host', 'site host', 'sites', 'all'] as const);
  const directions = can.has('directions') && random.chance(1, 4);
  // Such SAs say their direction.
  const cpus = can.has('cpus') && plain && source === 'exact' && random.chance(1, 4);
  return {
    outer,
    inner,
    mode,
    protos,
    reqids,
    inbound,
    outbound: mode === 'tunnel' && random.chance(1, 8) ? 'any source' : 'exact',
    source,
    from: 'exact',
    mark:
      plain && by === undefined
        ? random.pick(['none', 'none', 'of what comes out'] as const)
        : 'none',
    by: by ?? 'policy',
    encap: single && source === 'exact' && by === undefined && random.chance(1, 4),
    esn: random.chance(1, 4),
    packets,
    children:
      mode === 'tunnel' && by === undefined && packets !== 'sites' && random.chance(1, 4) ? 2 : 1,
    dual: false,
    together: random.chance(1, 2),
    directions: directions || cpus,
    cpus,
  };
}

/** Of transport mode, which needs no source, sometimes without. */
function withoutSources(shape: Shape, random: Random): Shape {
  const { mode, protos, encap, reqids } = shape;
  if (mode !== 'transport' || protos.length > 1 || encap || !random.chance(1, 3)) return shape;
  // Without sources, nothing but the reqid says whose they are.
  if (reqids === 'split') return shape;
  const [source, from] = random.pick([
    ['any', 'exact'],
    ['exact', 'any'],
    ['any', 'any'],
  ] as const);
  return { ...shape, source, from };
}

/** Of several children, sometimes of both families. Each of their SAs serves both. */
function withFamilies(shape: Shape, random: Random): Shape {
  const { children, protos } = shape;
  if (children < 2 || protos.includes('comp')) return shape;
  return { ...shape, dual: random.chance(1, 2) };
}

/** The shape of one of its children. */
const ofChild = (shape: Shape, child: number): Shape =>
  shape.dual && child > 0 ? { ...shape, inner: shape.inner === 'inet' ? 'inet6' : 'inet' } : shape;

const bits = (family: Family) => (family === 'inet' ? 32 : 128);
export const anyOf = (family: Family) => (family === 'inet' ? '0.0.0.0' : '::');
export const far = (side: Side): Side => (side === 'left' ? 'right' : 'left');
const SIDES = ['left', 'right'] as const;

/** How the ends of a connection may move. */
export interface Moves {
  readonly peer: string;
  readonly peerTo: string;
  /** Where this host may move to; undefined if SAs or policies of several connections have its address alone. */
  readonly ownTo: string | undefined;
  /** Whether MIGRATE can move it (net/xfrm/xfrm_policy.c, xfrm_migrate): one SA of each kind, of exact addresses; it finds no policy with a mark. */
  readonly migrates: boolean;
}

/** A shape, as each host has it. */
export interface Made {
  readonly connections: readonly Connection[];
  readonly words: readonly string[];
  readonly hosts: Readonly<Record<Side, HostHas>>;
  /** Its peer, and where that may move to; undefined if it stays where it is. */
  readonly moves: Moves | undefined;
  /** Lines of `ip` before and after. */
  readonly lines: Readonly<Record<Side, readonly string[]>>;
  readonly undo: Readonly<Record<Side, readonly string[]>>;
}

export function connect(
  random: Random,
  index: number,
  can: ReadonlySet<Ability>,
  more?: Random,
): Made {
  const first = shapeOf(random, can);
  const shape = more ? withFamilies(withoutSources(first, more), more) : first;
  const hosts = { left: { sas: [], policies: [] }, right: { sas: [], policies: [] } } as Record<
    Side,
    HostHas
  >;
  const connections: Connection[] = [];
  for (let child = 0; child < shape.children; child++) {
    const apart = child > 0 && !(shape.together || shape.reqids === 'none');
    const base = 100 * (index + 1) + (apart ? 50 : 0);
    const made = childOf(ofChild(shape, child), index, child, base);
    for (const side of SIDES) {
      // Children of the same reqids have SAs of their own, of which each serves both.
      hosts[side].sas.push(...made[side].sas);
      hosts[side].policies.push(...made[side].policies);
    }
    const probes = probesOf(ofChild(shape, child), index, child);
    const earlier = connections[0];
    // Inbound SAs of any reqid serve all children where none has one in both directions: they are one tunnel.
    const isOne = !apart || (shape.reqids === 'split' && shape.inbound === 'any reqid');
    if (child > 0 && isOne && earlier)
      connections[0] = {
        ...earlier,
        end: 100 * (index + 2),
        probes: [...earlier.probes, ...probes],
      };
    else connections.push({ remote: endsOf(shape, index).right, base, end: base + 50, probes });
  }
  const moves = movesOf(shape, index);
  return { connections, words: wordsOf(shape), hosts, moves, ...linksOf(shape, index) };
}

/** The policies of transport mode are for the ends themselves, and links have them. */
function movesOf(shape: Shape, index: number): Moves | undefined {
  const { outer, mode, by, source, inbound, outbound, mark, cpus, protos } = shape;
  if (mode === 'transport' || by !== 'policy') return undefined;
  const { left, right } = ADDRESSES.elsewhere[outer];
  const isExact = source === 'exact' && inbound !== 'any source' && outbound === 'exact';
  return {
    peer: endsOf(shape, index).right,
    peerTo: right[index] as string,
    ownTo: isExact ? left : undefined,
    // 6.12 dropped what came through SAs of IPComp after it.
    migrates: isExact && mark === 'none' && !cpus && !protos.includes('comp'),
  };
}

function wordsOf(shape: Shape): string[] {
  const { outer, inner, mode, protos } = shape;
  const said: [boolean, string][] = [
    [shape.reqids !== 'same', `reqids ${shape.reqids}`],
    [shape.inbound !== 'exact', `inbound template ${shape.inbound}`],
    [shape.outbound !== 'exact', `outbound template ${shape.outbound}`],
    [shape.source !== 'exact', 'inbound SA of any source'],
    [shape.from !== 'exact', 'outbound SA of any source'],
    [shape.mark !== 'none', `mark ${shape.mark}`],
    [shape.by !== 'policy', shape.by],
    [shape.encap, 'encap'],
    [shape.esn, 'esn'],
    [shape.packets !== 'host', `packets of ${shape.packets}`],
    [shape.dual, 'of both families'],
    [shape.children > 1, shape.together ? 'two children together' : 'two children'],
    [shape.directions, 'directions'],
    [shape.cpus, 'cpus'],
  ];
  return [
    `${mode} ${protos.join('+')} ${outer === inner ? outer : `${inner} in ${outer}`}`,
    ...said.flatMap(([holds, text]) => (holds ? [text] : [])),
  ];
}

const endsOf = ({ outer }: Shape, index: number) => ({
  left: ADDRESSES.outer[outer].left,
  right: ADDRESSES.outer[outer].right[index] as string,
});

function probesOf(shape: Shape, index: number, child: number): Probe[] {
  const { inner, mode, packets } = shape;
  if (mode === 'transport') return [{ from: 'left', ends: endsOf(shape, index) }];
  const own = (where: Where) => innerAddress(inner, where, index, child);
  const hosts: Probe = { from: 'left', ends: { left: own('left'), right: own('right') } };
  const sites: Probe = {
    from: 'leftSite',
    ends: { left: own('leftSite'), right: own('rightSite') },
  };
  return packets === 'sites' ? [hosts, sites] : [packets === 'site host' ? sites : hosts];
}

/** The marks of a vti, and the interface id of an xfrm interface, by the connection. */
const markOf = (index: number, incoming: boolean) => ({
  value: 0x10 * (index + 1) + (incoming ? 1 : 0),
  mask: 0xffff_ffff,
});
const ifIdOf = (index: number) => 0x100 + index;

/** What a host has of a child. */
function childOf(shape: Shape, index: number, child: number, base: number) {
  const { outer, inner, mode, protos, reqids, inbound, outbound, source, mark, by } = shape;
  const isOpen = (me: Side, incoming: boolean) =>
    incoming ? source === 'any' : shape.from === 'any' && me === 'left';
  const isAny = shape.dual || inner !== outer;
  const outerEnds = endsOf(shape, index);
  const [probe] = probesOf(shape, index, child);
  const ends = (probe as Probe).ends;
  const reqidOf = (n: number, incoming: boolean) =>
    ({ same: base, none: 0, each: base + n, split: base + (incoming ? 1 : 0) })[reqids];
  const modeOf = (n: number): Mode => (n === 0 ? mode : 'transport');
  const net = (from: Side) => {
    const to = far(from);
    const wide = (one: Side) => shape.packets === 'all' && one === 'right';
    const length = (one: Side) =>
      wide(one) ? 0 : shape.packets === 'sites' ? bits(inner) - 8 : bits(inner);
    const address = (one: Side) => {
      if (wide(one)) return anyOf(inner);
      if (shape.packets !== 'sites') return ends[one];
      return inner === 'inet' ? ends[one].replace(/\d+$/, '0') : ends[one].replace(/[^:]+$/, '');
    };
    return {
      saddr: by === 'policy' ? address(from) : anyOf(inner),
      daddr: by === 'policy' ? address(to) : anyOf(inner),
      prefixlenS: by === 'policy' ? length(from) : 0,
      prefixlenD: by === 'policy' ? length(to) : 0,
      family: inner,
    };
  };
  const spiOf = (n: number, from: Side) =>
    (protos[n] === 'comp' ? 0x1000 : 0xc0001000) +
    0x1000 * child +
    0x100 * index +
    0x10 * n +
    (from === 'left' ? 0 : 1);
  const labels = (me: Side, incoming: boolean) => ({
    ...(by === 'vti' && { mark: markOf(index, incoming) }),
    ...(by === 'xfrm' && { ifId: ifIdOf(index) + (me === 'left' ? 0 : 0x10) }),
  });
  const side = (me: Side): HostHas => {
    const sas = SIDES.flatMap((from) =>
      protos.flatMap((proto, n): Sa[] => {
        const incoming = from !== me;
        const windows = shape.esn && proto !== 'comp';
        const [size, bitmap] = shape.directions && !incoming ? [0, []] : [64, [0, 0]];
        const sa = {
          saddr: isOpen(me, incoming) ? anyOf(outer) : outerEnds[from],
          daddr: outerEnds[far(from)],
          family: outer,
          proto,
          spi: spiOf(n, from),
          mode: modeOf(n),
          reqid: reqidOf(n, incoming),
          replayWindow: windows || proto === 'comp' || (shape.directions && !incoming) ? 0 : 32,
          ...algorithmOf(proto, 10 * child + index + n + (from === 'left' ? 0 : 100)),
          ...(windows && {
            flags: ['esn', ...(isAny ? (['af-unspec'] as const) : [])],
            replayEsn: { replayWindow: size, oseq: 0, seq: 0, oseqHi: 0, seqHi: 0, bitmap },
          }),
          ...(!windows && isAny && { flags: ['af-unspec'] }),
          ...(mode === 'beet' && n === 0 && { selector: net(from) }),
          ...(shape.encap && {
            encap: { type: 'espinudp', sport: 4500, dport: 4500, oa: anyOf(outer) },
          }),
          ...(incoming && mark === 'of what comes out' && { setMark: 0xd00, setMarkMask: 0xf00 }),
          ...(shape.directions && { dir: incoming ? 'in' : 'out' }),
          ...labels(me, incoming),
        } as Sa;
        // The peer has one for it too: it is another SA.
        return shape.cpus ? [sa, { ...sa, spi: (sa.spi ?? 0) + 8, pcpu: 0 } as Sa] : [sa];
      }),
    );
    const policies = (['out', 'in', 'fwd'] as const)
      // What goes through a link of its own here is for the gateways themselves.
      .filter((dir) => dir !== 'fwd' || (mode !== 'transport' && by === 'policy'))
      .map((dir): Policy => {
        const from = dir === 'out' ? me : far(me);
        const incoming = dir !== 'out';
        const open = (n: number) =>
          modeOf(n) === 'transport' ||
          (incoming
            ? inbound === 'any source' || source === 'any'
            : outbound === 'any source' && me === 'left');
        const templates = protos.map((proto, n) => ({
          family: outer,
          proto,
          mode: modeOf(n),
          saddr: open(n) ? anyOf(outer) : outerEnds[from],
          daddr: modeOf(n) === 'transport' ? anyOf(outer) : outerEnds[far(from)],
          reqid: incoming && inbound === 'any reqid' ? 0 : reqidOf(n, incoming),
          optional: incoming && (inbound === 'optional' || proto === 'comp'),
        }));
        return {
          dir,
          selector: net(from),
          templates,
          priority: 1000,
          ...(incoming && mark === 'of what comes out' && { mark: { value: 0xd00, mask: 0xf00 } }),
          ...labels(me, incoming),
        } as Policy;
      });
    return { sas, policies };
  };
  return { left: side('left'), right: side('right') };
}

/** The links that lead packets to it, and the lines that take them away. */
function linksOf(shape: Shape, index: number): Pick<Made, 'lines' | 'undo'> {
  const lines: Record<Side, string[]> = { left: [], right: [] };
  const undo: Record<Side, string[]> = { left: [], right: [] };
  const { by, outer, inner } = shape;
  if (by === 'policy') return { lines, undo };
  const ends = endsOf(shape, index);
  for (const me of SIDES) {
    const name = `tunnel${index}`;
    const [own, its] = [me, far(me)].map((one) => innerAddress(inner, one as Side, index, 0));
    const local = `local ${ends[me]} remote ${ends[far(me)]}`;
    const keys = `okey ${markOf(index, false).value} ikey ${markOf(index, true).value}`;
    const kind = outer === 'inet' ? 'vti' : 'vti6';
    const ifId = ifIdOf(index) + (me === 'left' ? 0 : 0x10);
    lines[me].push(
      by === 'vti'
        ? `link add ${name} type ${kind} ${local} ${keys}`
        : `link add ${name} type xfrm dev cable if_id ${ifId}`,
      `link set ${name} up`,
      `route replace ${its} dev ${name} src ${own}`,
    );
    const via = me === 'left' ? ADDRESSES.outer[inner].right[index] : ADDRESSES.outer[inner].left;
    undo[me].push(`link del ${name}`, `route replace ${its} via ${via} dev cable src ${own}`);
  }
  return { lines, undo };
}
