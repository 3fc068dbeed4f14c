/**
 * Random policies, SAs and packets of two hosts and the sites behind them, made from a seed. The
 * left host sends or forwards; the right one has roughly what would accept the packets. @module
 */

import type { Encodable } from '../../lib/wire/encodable.ts';
import { isWild } from '../../lib/xfrm/matching.ts';
import type { SpiAllocation } from '../../lib/xfrm/objects.ts';
import type { Random } from '../unit/random.ts';
import {
  type Ability,
  ADDRESSES,
  FENCES,
  innerAddress,
  type Packet,
  type Side,
  type Where,
  XFRM_INTERFACE,
} from './oracle-hosts.ts';
import { algorithmOf, anyOf, type Family } from './oracle-shapes.ts';
import type { Policy, Sa } from './oracle-worlds.ts';

export type Sent = Packet & { readonly from: 'left' | 'leftSite'; readonly family: Family };

export interface FateWorld {
  readonly sas: Readonly<Record<Side, Sa[]>>;
  readonly policies: Readonly<Record<Side, Policy[]>>;
  /** Those of them that are then replaced, with other priorities. */
  readonly replaced: Readonly<Record<Side, Policy[]>>;
  readonly defaults: Readonly<Record<Side, { in: Verdict; fwd: Verdict; out: Verdict }>>;
  readonly packets: readonly Sent[];
  /** SPIs that are reserved on the left host: larval SAs. */
  readonly reserved: Encodable<SpiAllocation>[];
  /** Whether a key manager hears what SAs are needed: then larval SAs wait for it. */
  readonly heard: boolean;
}
type Verdict = 'accept' | 'block';

type Template = NonNullable<Policy['templates']>[number];
type Selector = NonNullable<Policy['selector']>;

const bits = (family: Family) => (family === 'inet' ? 32 : 128);
const netOf = (address: string, length: number): string => {
  if (length >= bits(address.includes(':') ? 'inet6' : 'inet')) return address;
  if (length === 0) return anyOf(address.includes(':') ? 'inet6' : 'inet');
  const [before = ''] = address.split('::');
  if (address.includes(':'))
    return `${before
      .split(':')
      .slice(0, length / 16)
      .join(':')}::`;
  return [...address.split('.').slice(0, length / 8), '0', '0', '0'].slice(0, 4).join('.');
};

/** An interface id that no link has, and the marks of packets. */
const IF_ID = 0x42;
const MARKS = [0, 0, 0, 1, 0x11, 5];

export function fateWorldOf(random: Random, can: ReadonlySet<Ability>, cable: number): FateWorld {
  // An SA that reaches its limit is gone after the packet.
  const worn = random.chance(1, 8);
  const packets = Array.from({ length: worn ? 1 : 4 + random.below(10) }, () =>
    packetOf(random, can.has('xfrm')),
  );
  const world: FateWorld = {
    sas: { left: [], right: [] },
    policies: { left: [], right: [] },
    replaced: { left: [], right: [] },
    defaults: { left: defaultsOf(random), right: defaultsOf(random) },
    packets,
    reserved: [],
    heard: random.chance(1, 3),
  };
  const maker = new Maker(random, can, cable, world, worn);
  maker.fences();
  const count = 1 + random.below(5);
  for (let i = 0; i < count; i++) maker.sends();
  if (random.chance(1, 2)) maker.forwards('left', 'fwd');
  if (random.chance(1, 3)) maker.forwards('right', 'out');
  maker.shuffle();
  return world;
}

/** @param hasXfrm whether there are xfrm interfaces, through which some of IPv4 are sent */
function packetOf(random: Random, hasXfrm: boolean): Sent {
  const family = random.pick(['inet', 'inet', 'inet6'] as const);
  const from = random.pick(['left', 'left', 'leftSite'] as const);
  const to: Where = from === 'left' ? 'right' : 'rightSite';
  const address = (where: Where) => innerAddress(family, where, random.below(3), random.below(2));
  // Between the ends of the tunnels themselves, sometimes.
  const outer = from === 'left' && random.chance(1, 6);
  const { left, right } = ADDRESSES.outer[family];
  const protocol = random.pick([17, 17, 17, 17, 253, family === 'inet' ? 1 : 58]);
  const isIcmp = protocol === 1 || protocol === 58;
  return {
    from,
    family,
    protocol,
    source: outer ? left : address(from),
    target: outer ? random.pick(right) : address(to),
    // Of ICMP: a type that has no use, and a code.
    port: isIcmp ? random.below(3) : random.pick([9, 1701, 6081]),
    sport: isIcmp ? (family === 'inet' ? 44 : 100) : random.pick([4999, 5000, 5001]),
    mark: from === 'left' ? random.pick(MARKS) : 0,
    ...(hasXfrm &&
      from === 'left' &&
      family === 'inet' &&
      random.chance(2, 3) && { device: XFRM_INTERFACE.name }),
  };
}

function defaultsOf(random: Random) {
  const one = (): Verdict => (random.chance(1, 16) ? 'block' : 'accept');
  return { in: one(), fwd: one(), out: one() };
}

class Maker {
  readonly #random: Random;
  readonly #can: ReadonlySet<Ability>;
  readonly #cable: number;
  readonly #world: FateWorld;
  readonly #worn: boolean;
  #spi: number;

  constructor(
    random: Random,
    can: ReadonlySet<Ability>,
    cable: number,
    world: FateWorld,
    worn: boolean,
  ) {
    this.#worn = worn;
    // What is late would be for SAs of another world.
    this.#spi = 0xc0000000 + random.below(0xffff) * 0x100;
    this.#random = random;
    this.#can = can;
    this.#cable = cable;
    this.#world = world;
  }

  /** What says that all packets before it were dealt with must pass. */
  fences(): void {
    for (const [a, b] of FENCES) {
      for (const side of ['left', 'right'] as const) {
        for (const dir of ['in', 'out', 'fwd'] as const) {
          const [saddr, daddr] = [a, b];
          const selector = {
            saddr,
            daddr,
            prefixlenS: 32,
            prefixlenD: 32,
            family: 'inet',
          } as const;
          this.#world.policies[side].push({ dir, priority: 1, selector } as Policy);
        }
      }
    }
  }

  /** A policy that sends, SAs for it, and what the peer has. */
  sends(): void {
    const random = this.#random;
    const packet = random.pick(this.#world.packets);
    const selector = this.#selector(packet);
    const templates = this.#templates(packet);
    const mark = this.#mark(packet);
    const ifId = this.#ifId(packet);
    const theirIfId = this.#theirIfId();
    const out = this.#policy('out', selector, templates, { mark, ifId });
    this.#add('left', out);
    if (random.chance(1, 3)) this.#replaceLater('left', out);
    // Those after a tunnel's are between its ends.
    let ends = { saddr: packet.source, daddr: packet.target };
    for (const template of templates) {
      if (template.mode === 'tunnel' || template.mode === 'beet') {
        const { left } = ADDRESSES.outer[template.family as Family];
        ends = { saddr: left, daddr: template.daddr as string };
      }
      this.#sas(packet, template, ends, { mark, ifId }, theirIfId);
    }
    const peer = packet.from === 'left' ? 'in' : 'fwd';
    if (random.chance(1, 8)) return;
    const dirs = random.chance(1, 6) ? (['in', 'fwd'] as const) : ([peer] as const);
    for (const dir of dirs) {
      const wider = random.chance(1, 6) ? this.#selector(packet) : selector;
      const theirs = templates.map((one) => this.#accepting(one));
      if (random.chance(1, 12) && theirs.length > 0) theirs.pop();
      if (random.chance(1, 16)) theirs.push(...this.#templates(packet));
      this.#add(
        'right',
        this.#policy(dir, { ...wider, ifindex: 0 }, theirs, { ifId: this.#nearly(theirIfId) }),
      );
    }
  }

  /** The interface id of a policy that sends. */
  #ifId({ device }: Sent): number | undefined {
    const random = this.#random;
    if (!this.#can.has('xfrm')) return random.chance(1, 16) ? IF_ID : undefined;
    if (random.chance(1, 16)) return random.pick([IF_ID, XFRM_INTERFACE.ifId]);
    return device !== undefined && random.chance(3, 4) ? XFRM_INTERFACE.ifId : undefined;
  }

  /** That of the peer's SAs and policies. */
  #theirIfId(): number | undefined {
    return this.#can.has('xfrm') && this.#random.chance(1, 2) ? XFRM_INTERFACE.ifId : undefined;
  }

  #nearly(ifId: number | undefined): number | undefined {
    if (!this.#can.has('xfrm') || !this.#random.chance(1, 8)) return ifId;
    return this.#random.pick([undefined, XFRM_INTERFACE.ifId, IF_ID]);
  }

  /** A policy that forwarded packets meet on their way. */
  forwards(side: Side, dir: 'fwd' | 'out'): void {
    const random = this.#random;
    const packet = random.pick(this.#world.packets);
    // No SA has this reqid: what the right host sent through one of its own would come back to it.
    const templates = random.chance(1, 5)
      ? this.#templates(packet).map((one) => ({ ...one, reqid: 9 }) as Template)
      : [];
    this.#add(side, this.#policy(dir, { ...this.#selector(packet), ifindex: 0 }, templates, {}));
  }

  /** The order in which they are added is that of the kernel's lists. */
  shuffle(): void {
    for (const side of ['left', 'right'] as const) {
      for (const list of [this.#world.sas[side], this.#world.policies[side]] as unknown[][]) {
        for (let i = list.length - 1; i > 0; i--) {
          const j = this.#random.below(i + 1);
          [list[i], list[j]] = [list[j], list[i]];
        }
      }
    }
  }

  /** None with a selector that the host has: the kernel would refuse the second. */
  #add(side: Side, policy: Policy): void {
    const key = ({ dir, selector, mark, ifId }: Policy) =>
      JSON.stringify([dir, selector, mark, ifId]);
    const all = this.#world.policies[side];
    if (!all.some((one) => key(one) === key(policy))) all.push(policy);
  }

  #replaceLater(side: Side, policy: Policy): void {
    // Of several that were replaced nothing tells the order.
    if (!this.#world.policies[side].includes(policy) || this.#world.replaced[side].length > 0)
      return;
    const priority = this.#random.pick([100, 200, 300, policy.priority]);
    this.#world.replaced[side].push({ ...policy, priority } as Policy);
  }

  #policy(
    dir: 'in' | 'out' | 'fwd',
    selector: Selector,
    templates: readonly Template[],
    more: Partial<Policy>,
  ): Policy {
    const random = this.#random;
    const action = random.chance(1, 10) ? 'block' : 'allow';
    const priority = random.pick([100, 200, 200, 300]);
    const its = templates.length === 0 ? {} : { templates: [...templates] };
    return { dir, selector, action, priority, ...its, ...defined(more) } as Policy;
  }

  #mark({ mark = 0 }: Sent) {
    if (!this.#random.chance(1, 6)) return undefined;
    const mask = this.#random.pick([0xff, 0x0f, 0x10, 0xffff_ffff]);
    const value = this.#random.chance(1, 6) ? 7 : mark;
    return { value: (value & mask) >>> 0, mask };
  }

  #selector({ family, source, target, protocol, port = 9, sport = 0 }: Sent): Selector {
    const random = this.#random;
    const lengths = family === 'inet' ? [32, 32, 24, 16, 8] : [128, 128, 64, 32, 16];
    const outer = source.startsWith('192.') || source.startsWith('2001:');
    const length = () => (outer ? bits(family) : random.pick(lengths));
    const [s, d] = [length(), length()];
    const wholly = random.chance(3, 4);
    return {
      family,
      saddr: netOf(source, s),
      daddr: netOf(target, d),
      prefixlenS: s,
      prefixlenD: d,
      ...(!wholly && { proto: random.pick([protocol, protocol, 17, 6]) }),
      ...(!wholly &&
        random.chance(1, 2) && { dport: port, dportMask: random.pick([0xffff, 0xff00]) }),
      ...(!wholly && random.chance(1, 3) && { sport, sportMask: 0xffff }),
      ...(random.chance(1, 24) && { ifindex: random.pick([1, this.#cable]) }),
    } as Selector;
  }

  #templates({ from, family, source, target }: Sent): Template[] {
    const random = this.#random;
    if (random.chance(1, 8)) return [];
    const outer = random.chance(1, 5) ? (family === 'inet' ? 'inet6' : 'inet') : family;
    const { left, right } = ADDRESSES.outer[outer];
    const between = source === left || target === right[0];
    // Of transport mode are only packets of the host itself.
    const mode = between || (from === 'left' && random.chance(1, 3)) ? 'transport' : 'tunnel';
    const tunnel = mode === 'tunnel';
    if (tunnel && outer === family && random.chance(1, 10)) {
      const reqid = random.pick([0, 1, 2]);
      const ends = { saddr: left, daddr: random.pick(right) };
      return [{ family: outer, proto: 'esp', mode: 'beet', reqid, ...ends } as Template];
    }
    const own = tunnel ? outer : family;
    const first = {
      family: own,
      proto: random.pick(['esp', 'esp', 'esp', 'ah'] as const),
      mode,
      saddr: tunnel && !random.chance(1, 8) ? left : anyOf(own),
      daddr: tunnel ? random.pick(right) : anyOf(own),
      reqid: random.pick([0, 1, 1, 2]),
      // Of the SA that comes next, or of none.
      ...(random.chance(1, 16) && { spi: random.pick([this.#spi, this.#spi, 0x7777]) }),
      optional: random.chance(1, 10),
    };
    // AH within ESP fails its integrity check (seen on 7.2).
    if (first.proto === 'ah' || !random.chance(1, 5)) return [first as Template];
    const second = {
      ...first,
      proto: 'ah',
      mode: 'transport',
      saddr: anyOf(own),
      daddr: anyOf(own),
      reqid: random.pick([1, 2]),
      optional: random.chance(1, 10),
    };
    return [first, second] as Template[];
  }

  /** The template of the peer's policy. */
  #accepting(template: Template): Template {
    const random = this.#random;
    const change = random.below(14);
    if (change === 0) return { ...template, reqid: 0 } as Template;
    if (change === 1) return { ...template, reqid: 3 } as Template;
    if (change === 2) return { ...template, optional: true } as Template;
    if (change === 3)
      return { ...template, proto: template.proto === 'esp' ? 'ah' : 'esp' } as Template;
    if (change === 4 && template.mode === 'tunnel') {
      return {
        ...template,
        saddr: ADDRESSES.outer[template.family as Family].right[0],
      } as Template;
    }
    if (change === 5) return { ...template, saddr: anyOf(template.family as Family) } as Template;
    return template;
  }

  /** SAs for a template, of which some differ from what it asks for, on both hosts. */
  #sas(
    packet: Sent,
    template: Template,
    ends: { readonly saddr: string; readonly daddr: string },
    { mark, ifId }: Pick<Policy, 'mark' | 'ifId'>,
    theirIfId: number | undefined,
  ): void {
    const random = this.#random;
    if (random.chance(1, 10)) return;
    const family = template.family as Family;
    const isTunnel = template.mode === 'tunnel';
    const host = { saddr: packet.source, daddr: packet.target, family: packet.family };
    const bit = bits(packet.family);
    if (random.chance(1, 10)) {
      const { proto, mode, reqid } = template;
      const larval = { ...ends, family, proto, mode, reqid, min: 0x5000, max: 0xffff };
      this.#world.reserved.push(larval as Encodable<SpiAllocation>);
    }
    const count = random.chance(1, 3) ? 2 : 1;
    for (let i = 0; i < count; i++) {
      const spi = this.#spi++;
      const sa = {
        ...ends,
        family,
        proto: template.proto,
        spi,
        mode: template.mode,
        reqid: template.reqid,
        ...algorithmOf(template.proto as 'esp' | 'ah', 1),
        ...(isTunnel && packet.family !== family && { flags: ['af-unspec'] }),
        // The kernel takes the addresses of its packets from there.
        ...(template.mode === 'beet' && {
          selector: { ...host, prefixlenS: bit, prefixlenD: bit },
        }),
        ...(random.chance(1, 3) && {
          lifetimeCurrent: { addedAt: this.#age(), bytes: 0n, packets: 0n, firstUsedAt: undefined },
        }),
      };
      const differing = random.chance(1, 4) ? this.#differing(sa as Sa, packet) : (sa as Sa);
      this.#world.sas.left.push({
        ...differing,
        ...(this.#worn && this.#wear()),
        ...(mark && random.chance(1, 2) && { mark: { value: mark.value, mask: mark.mask } }),
        ...(ifId !== undefined && random.chance(3, 4) && { ifId }),
        ...(this.#can.has('directions') &&
          random.chance(1, 8) && { dir: random.chance(1, 4) ? 'in' : 'out' }),
      } as Sa);
      if (random.chance(1, 12)) continue;
      const theirs = {
        ...sa,
        replayWindow: 32,
        ...defined({ ifId: this.#nearly(theirIfId) }),
      } as Sa;
      this.#world.sas.right.push(random.chance(1, 5) ? this.#differing(theirs, packet) : theirs);
    }
  }

  /** What brings an SA to its end with the next packet, or nearly. */
  #wear(): Partial<Sa> {
    const packets = BigInt(this.#random.below(3));
    const used = { addedAt: this.#age(), bytes: 0n, firstUsedAt: undefined };
    const last = { oseq: 0xffff_fffe + this.#random.below(2), seq: 0, bitmap: 0 };
    switch (this.#random.below(4)) {
      case 0:
        return {
          lifetime: { hardPackets: 2n },
          lifetimeCurrent: { ...used, packets },
        } as Partial<Sa>;
      case 1:
        return {
          lifetime: { softPackets: 2n },
          lifetimeCurrent: { ...used, packets },
        } as Partial<Sa>;
      case 2:
        return { replay: last } as Partial<Sa>;
      default:
        // The number 0, which it would come to, the peer refuses.
        return {
          replay: { ...last, oseq: 0xffff_fffe },
          extraFlags: ['oseq-may-wrap'],
        } as unknown as Partial<Sa>;
    }
  }

  #age(): number {
    return Math.floor(Date.now() / 1000 - 2 - this.#random.below(300)) * 1000;
  }

  #differing(sa: Sa, packet: Sent): Sa {
    const random = this.#random;
    const { family } = sa as { family: Family };
    switch (random.below(7)) {
      case 0:
        return { ...sa, reqid: random.pick([0, 1, 2, 3]) } as Sa;
      case 1:
        return {
          ...sa,
          mark: { value: random.pick([0, 1, 7]), mask: random.pick([0xff, 1]) },
        } as Sa;
      case 2:
        return { ...sa, ifId: random.pick([IF_ID, 7]) } as Sa;
      case 3:
        // That of BEET mode holds the addresses of the packets.
        if (sa.mode === 'beet') return sa;
        return { ...sa, selector: { ...this.#selector(packet), ifindex: 0 } } as Sa;
      case 4:
        return sa.mode === 'tunnel' && !isWild(sa.saddr as string)
          ? ({ ...sa, saddr: anyOf(family) } as Sa)
          : sa;
      case 5:
        return { ...sa, setMark: random.pick([1, 0x11]), setMarkMask: 0xff } as Sa;
      default:
        return { ...sa, daddr: random.pick(ADDRESSES.outer[family].right) } as Sa;
    }
  }
}

/** Without properties that are undefined. */
const defined = (given: object): object =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
