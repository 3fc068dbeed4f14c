/**
 * Small worlds of tunnels between two hosts, of the shapes that key managers, orchestrators and people make, and what can go
 * wrong in them; made from a seed. The right host has what the shape needs; what goes wrong does so on the left one, which is looked at, unless
 * it is said to be the peer's. @module
 */
import type { XfrmPolicy, XfrmState } from '../../lib/index.ts';
import type { Encodable } from '../../lib/wire/encodable.ts';
import type { Random } from '../unit/random.ts';
import { ADDRESSES, type Side } from './oracle-hosts.ts';

type Family = 'inet' | 'inet6';
type Proto = 'esp' | 'ah' | 'comp';
type Mode = 'tunnel' | 'transport' | 'beet';
type Sa = Encodable<XfrmState>;
type Policy = Encodable<XfrmPolicy>;

/** What one host has of a world. */
export interface HostHas {
  sas: Sa[];
  policies: Policy[];
}
export type Operation =
  | { readonly do: 'addSa' | 'deleteSa'; readonly side: Side; readonly sa: Sa }
  | {
      readonly do: 'addPolicy' | 'deletePolicy';
      readonly side: Side;
      readonly policy: Policy;
    }
  | { readonly do: 'removeAddress'; readonly address: string };

export interface Connection {
  readonly index: number;
  readonly words: string;
  readonly remote: string;
  readonly ends: { readonly left: string; readonly right: string };
}

export interface World {
  readonly words: string;
  readonly connections: readonly Connection[];
  readonly left: HostHas;
  readonly right: HostHas;
  /** What happens to it when it has been set up. */
  readonly then: readonly Operation[];
  /** Whether that happens at the peer, or inside of packets: only the counters can tell. */
  readonly hidden: boolean;
}

const GCM = { name: 'rfc4106(gcm(aes))', icvBits: 128 } as const;
const key = (n: number) => new Uint8Array(20).fill(n);
const algorithmOf = (proto: Proto, n: number) =>
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
  readonly inbound: 'exact' | 'any source' | 'optional' | 'any reqid' | 'no policy';
  readonly source: 'exact' | 'any';
  readonly mark: 'none' | 'of what comes out' | 'of what goes in';
  readonly encap: boolean;
  readonly esn: boolean;
}

function shapeOf(random: Random): Shape {
  const outer = random.pick(['inet', 'inet6'] as const);
  const mode = random.pick([
    'tunnel',
    'tunnel',
    'tunnel',
    'transport',
    'transport',
    'beet',
  ] as const);
  const inner =
    mode === 'tunnel' && random.chance(1, 4) ? (outer === 'inet' ? 'inet6' : 'inet') : outer;
  const protos = random.pick<readonly Proto[]>([
    ['esp'],
    ['esp'],
    ['esp'],
    ['ah'],
    ['esp', 'ah'],
    ...(mode === 'beet' || inner !== outer ? [] : [['comp', 'esp'] as const]),
  ]);
  const reqids = random.pick(['same', 'same', 'each', 'none', 'split'] as const);
  const inbound = random.pick(['exact', 'exact', 'any source', 'optional', 'any reqid'] as const);
  const single = protos.length === 1 && protos[0] === 'esp';
  const source =
    single &&
    mode === 'tunnel' &&
    (inbound === 'any source' || inbound === 'optional') &&
    random.chance(1, 2)
      ? 'any'
      : 'exact';
  return {
    outer,
    inner: mode === 'beet' && protos[0] === 'ah' ? outer : inner,
    mode: mode === 'beet' && protos[0] === 'ah' ? 'tunnel' : mode,
    protos,
    reqids,
    inbound,
    source,
    mark:
      single && mode === 'tunnel'
        ? random.pick(['none', 'none', 'of what comes out'] as const)
        : 'none',
    encap: single && source === 'exact' && random.chance(1, 4),
    esn: random.chance(1, 4),
  };
}

const bits = (family: Family) => (family === 'inet' ? 32 : 128);
const anyOf = (family: Family) => (family === 'inet' ? '0.0.0.0' : '::');

/** A connection as each host has it. */
function connect(random: Random, index: number, words: string[]) {
  const shape = shapeOf(random);
  const { outer, inner, mode, protos, reqids, inbound, source, mark, encap, esn } = shape;
  words.push(
    `${mode} ${protos.join('+')} ${outer === inner ? outer : `${inner} in ${outer}`}`,
    ...(reqids === 'same' ? [] : [`reqids ${reqids}`]),
    ...(inbound === 'exact' ? [] : [`inbound template ${inbound}`]),
    ...(source === 'exact' ? [] : ['inbound SA of any source']),
    ...(mark === 'none' ? [] : [`mark ${mark}`]),
    ...(encap ? ['encap'] : []),
    ...(esn ? ['esn'] : []),
  );
  const outerEnds = {
    left: ADDRESSES.outer[outer].left,
    right: ADDRESSES.outer[outer].right[index] as string,
  };
  const innerEnds = {
    left: ADDRESSES.inner[inner].left[index] as string,
    right: ADDRESSES.inner[inner].right[index] as string,
  };
  const ends = mode === 'transport' ? outerEnds : innerEnds;
  const base = 10 * (index + 1);
  const reqidOf = (n: number, incoming: boolean) =>
    ({ same: base, none: 0, each: base + n, split: base + (incoming ? 1 : 0) })[reqids];
  const far = (side: Side): Side => (side === 'left' ? 'right' : 'left');
  const modeOf = (n: number): Mode => (n === 0 ? mode : 'transport');
  const net = (from: Side) => ({
    saddr: ends[from],
    daddr: ends[far(from)],
    prefixlenS: bits(inner),
    prefixlenD: bits(inner),
    family: inner,
  });
  const spiOf = (n: number, from: Side) =>
    (protos[n] === 'comp' ? 0x1000 : 0xc0001000) +
    0x100 * index +
    0x10 * n +
    (from === 'left' ? 0 : 1);
  const side = (me: Side): HostHas => {
    const sas = (['left', 'right'] as const).flatMap((from) =>
      protos.map((proto, n): Sa => {
        const incoming = from !== me;
        const windows = esn && proto !== 'comp';
        return {
          saddr: incoming && source === 'any' ? anyOf(outer) : outerEnds[from],
          daddr: outerEnds[far(from)],
          family: outer,
          proto,
          spi: spiOf(n, from),
          mode: modeOf(n),
          reqid: reqidOf(n, incoming),
          replayWindow: windows || proto === 'comp' ? 0 : 32,
          ...algorithmOf(proto, index + n + (from === 'left' ? 0 : 100)),
          ...(windows && {
            flags: ['esn', ...(inner === outer ? [] : (['af-unspec'] as const))],
            replayEsn: { replayWindow: 64, oseq: 0, seq: 0, oseqHi: 0, seqHi: 0, bitmap: [0, 0] },
          }),
          ...(!windows && inner !== outer && { flags: ['af-unspec'] }),
          ...(mode === 'beet' && n === 0 && { selector: net(from) }),
          ...(encap && { encap: { type: 'espinudp', sport: 4500, dport: 4500, oa: anyOf(outer) } }),
          ...(incoming && mark === 'of what comes out' && { setMark: 0xd00, setMarkMask: 0xf00 }),
        } as Sa;
      }),
    );
    const policies = (['out', 'in', 'fwd'] as const)
      .filter((dir) => dir !== 'fwd' || mode !== 'transport')
      .map((dir): Policy => {
        const from = dir === 'out' ? me : far(me);
        const incoming = dir !== 'out';
        const templates = protos.map((proto, n) => ({
          family: outer,
          proto,
          mode: modeOf(n),
          saddr:
            modeOf(n) === 'transport' ||
            (incoming && (inbound === 'any source' || source === 'any'))
              ? anyOf(outer)
              : outerEnds[from],
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
        } as Policy;
      });
    return { sas, policies };
  };
  return {
    connection: { index, words: '', remote: outerEnds.right, ends },
    left: side('left'),
    right: side('right'),
    shape,
  };
}

/** What goes wrong, or only looks like it. */
function faultOf(random: Random, world: { left: HostHas; right: HostHas }, words: string[]) {
  const then: Operation[] = [];
  let hidden = false;
  const { left, right } = world;
  const say = (text: string) => words.push(`then ${text}`);
  const one = <T>(all: readonly T[]): T => random.pick(all);
  const shown = ({ saddr, daddr, proto, spi }: Sa) =>
    `${proto} SA ${saddr} > ${daddr} 0x${(spi ?? 0).toString(16)}`;
  const reSa = (sa: Sa, change: Partial<Sa>, text: string) => {
    say(`${shown(sa)} has ${text}`);
    then.push(
      { do: 'deleteSa', side: 'left', sa },
      { do: 'addSa', side: 'left', sa: { ...sa, ...change } },
    );
  };
  const rePolicy = (policy: Policy, change: Partial<Policy>, text: string) => {
    say(`policy ${policy.dir} has ${text}`);
    then.push(
      { do: 'deletePolicy', side: 'left', policy },
      { do: 'addPolicy', side: 'left', policy: { ...policy, ...change } },
    );
  };
  const sa = one(left.sas);
  const main = left.policies.filter(({ dir }) => dir !== 'fwd');
  const policy = one(main);
  const [template, ...others] = policy.templates ?? [];
  switch (random.below(22)) {
    case 0:
    case 1:
    case 2:
    case 3:
      say(`no ${shown(sa)}`);
      then.push({ do: 'deleteSa', side: 'left', sa });
      break;
    case 4: {
      const out = one(left.policies.filter(({ dir }) => dir === 'out'));
      say('no policy out');
      then.push({ do: 'deletePolicy', side: 'left', policy: out });
      break;
    }
    case 5:
      // A template that is optional lets packets pass through any SA of transport mode: that one is not of the tunnel.
      if (
        sa.mode === 'transport' &&
        main.some(({ templates = [] }) => templates.some(({ optional }) => optional))
      )
        break;
      reSa(sa, { reqid: (sa.reqid ?? 0) + 5 }, 'another reqid');
      break;
    case 6:
      if (sa.mode !== 'beet')
        reSa(sa, { mode: sa.mode === 'tunnel' ? 'transport' : 'tunnel' }, 'another mode');
      break;
    case 7:
      // Where the kernel compares it: not for transport mode, nor where the template has none.
      if (
        sa.mode !== 'transport' &&
        !/^(::|0\.0\.0\.0)$/.test(sa.saddr ?? '') &&
        left.policies.some(
          ({ dir, templates = [] }) =>
            dir === 'in' && templates.some((one) => one.saddr === sa.saddr),
        ) &&
        (sa.daddr === ADDRESSES.outer.inet.left || sa.daddr === ADDRESSES.outer.inet6.left)
      ) {
        const saddr = (sa.daddr as string).includes(':') ? '2001:db8::99' : '192.0.2.99';
        reSa(sa, { saddr }, 'another source');
      }
      break;
    case 8:
      // Which marks packets have that come in, firewalls and interfaces say.
      if (sa.saddr === ADDRESSES.outer.inet.left || sa.saddr === ADDRESSES.outer.inet6.left) {
        reSa(sa, { mark: { value: 0x77, mask: 0xff } }, 'a mark that no packet has');
      }
      break;
    case 9:
      rePolicy(
        policy,
        {
          templates: [{ ...template, reqid: (template?.reqid ?? 0) + 3 }, ...others],
        } as Partial<Policy>,
        'a template of another reqid',
      );
      break;
    case 10:
      // An optional template lets packets pass through any SA of transport mode, as above.
      if (others.length > 0 || (template?.mode === 'transport' && template.optional)) break;
      rePolicy(
        policy,
        {
          templates: [{ ...template, proto: template?.proto === 'esp' ? 'ah' : 'esp' }, ...others],
        } as Partial<Policy>,
        'a template of another protocol',
      );
      break;
    case 11:
      if (template?.mode === 'tunnel') {
        const saddr = template.family === 'inet6' ? '2001:db8::99' : '192.0.2.99';
        rePolicy(
          policy,
          {
            templates: [
              policy.dir === 'out' ? { ...template, daddr: saddr } : { ...template, saddr },
              ...others,
            ],
          } as Partial<Policy>,
          'a template of another peer',
        );
      }
      break;
    case 12:
      rePolicy(
        policy,
        {
          templates: [
            ...(policy.templates ?? []),
            {
              ...template,
              proto: 'ah',
              mode: 'transport',
              saddr: anyOf(template?.family as Family),
              daddr: anyOf(template?.family as Family),
            },
          ],
        } as Partial<Policy>,
        'a template more, of ah',
      );
      break;
    case 13:
      say(`a policy ${policy.dir} that blocks, before it`);
      then.push({
        do: 'addPolicy',
        side: 'left',
        policy: {
          dir: policy.dir,
          selector: wider(policy),
          action: 'block',
          priority: 1,
        } as Policy,
      });
      break;
    case 14:
      say(`a policy ${policy.dir} that blocks, after it`);
      then.push({
        do: 'addPolicy',
        side: 'left',
        policy: {
          dir: policy.dir,
          selector: wider(policy),
          action: 'block',
          priority: 9000,
        } as Policy,
      });
      break;
    case 15: {
      say('keys that differ');
      hidden = true;
      const incoming = left.sas.filter(
        ({ proto, daddr }) =>
          proto !== 'comp' &&
          (daddr === ADDRESSES.outer.inet.left || daddr === ADDRESSES.outer.inet6.left),
      );
      const wrong = one(incoming);
      then.push(
        { do: 'deleteSa', side: 'left', sa: wrong },
        {
          do: 'addSa',
          side: 'left',
          sa: { ...wrong, ...algorithmOf(wrong.proto as Proto, 77) } as Sa,
        },
      );
      break;
    }
    case 16: {
      const lost = one(right.sas);
      say(`the peer has no ${shown(lost)}`);
      hidden = true;
      then.push({ do: 'deleteSa', side: 'right', sa: lost });
      break;
    }
    case 17: {
      const outer = one(['inet', 'inet6'] as const);
      const address = ADDRESSES.outer[outer].left;
      say(`the address ${address} goes`);
      then.push({ do: 'removeAddress', address });
      break;
    }
    case 18: {
      // A rekey of one direction: the successor is newer.
      const { spi = 0 } = sa;
      say(`a second ${shown(sa)}`);
      const second = { ...sa, spi: spi + 0x800, seq: 0 };
      then.push(
        { do: 'addSa', side: 'left', sa: second },
        { do: 'addSa', side: 'right', sa: counterpart(sa, right, second) },
      );
      break;
    }
    default:
      say('nothing goes wrong');
  }
  return { then, hidden };
}

/** A selector for the packets of a policy and of its neighbours. */
const wider = ({ selector }: Policy) => ({
  ...selector,
  prefixlenS: (selector?.prefixlenS ?? 0) - 8,
  prefixlenD: (selector?.prefixlenD ?? 0) - 8,
});

/** The SA of the other host that goes with one, under another SPI. */
function counterpart(sa: Sa, right: HostHas, second: Sa): Sa {
  const its = right.sas.find(({ spi, proto }) => spi === sa.spi && proto === sa.proto);
  return { ...its, spi: second.spi } as Sa;
}

export function worldOf(random: Random): World {
  const words: string[] = [];
  const connections: Connection[] = [];
  const [left, right]: HostHas[] = [
    { sas: [], policies: [] },
    { sas: [], policies: [] },
  ] as [HostHas, HostHas];
  const count = random.pick([1, 1, 2, 3]);
  for (let i = 0; i < count; i++) {
    const its: string[] = [];
    const made = connect(random, i, its);
    connections.push({ ...made.connection, words: its.join(', ') });
    for (const [all, more] of [
      [left, made.left],
      [right, made.right],
    ] as const) {
      const known = new Set(all.sas.map(({ daddr, spi, proto }) => `${daddr} ${spi} ${proto}`));
      all.sas.push(
        ...more.sas.filter(({ daddr, spi, proto }) => !known.has(`${daddr} ${spi} ${proto}`)),
      );
      all.policies.push(...more.policies);
    }
    words.push(`[${i}] ${its.join(', ')}`);
  }
  const { then, hidden } = faultOf(
    random,
    { left: left as HostHas, right: right as HostHas },
    words,
  );
  return {
    words: words.join('; '),
    connections,
    left: left as HostHas,
    right: right as HostHas,
    then,
    hidden,
  };
}
