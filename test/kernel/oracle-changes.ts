/** What becomes of random worlds: lives that end well, and what goes wrong or only looks like it. @module */
import { BlockList } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { Random } from '../unit/random.ts';
import { ADDRESSES, FENCES, type Side } from './oracle-hosts.ts';
import {
  algorithmOf,
  anyOf,
  type Family,
  type Made,
  type Moves,
  type Proto,
} from './oracle-shapes.ts';
import type { HostHas, Operation, Policy, Sa } from './oracle-worlds.ts';

const BEGINNING: readonly string[] = [ADDRESSES.outer.inet.left, ADDRESSES.outer.inet6.left];
const { elsewhere } = ADDRESSES;
const LEFT: readonly string[] = [...BEGINNING, elsewhere.inet.left, elsewhere.inet6.left];
const isOut = ({ saddr }: Sa) => LEFT.includes(saddr as string);
const isIn = ({ daddr }: Sa) => LEFT.includes(daddr as string);
const ANY = /^(::|0\.0\.0\.0)$/;
const withLength = (address: string) => `${address}/${address.includes(':') ? 64 : 24}`;
const nodad = (address: string) => (address.includes(':') ? ' nodad' : '');

const shown = ({ saddr, daddr, proto, spi }: Sa) =>
  `${proto} SA ${saddr} > ${daddr} 0x${(spi ?? 0).toString(16)}`;

/** An address of a gateway itself, behind its end (innerAddress). */
const OWN = /[.:][12]$/;

/** Whether a policy is for packets to a host behind a gateway. */
const isOfSite = ({ selector }: Policy): boolean =>
  /[.:]1[12]$/.test(selector?.daddr as string) && !LEFT.includes(selector?.daddr as string);

/** Whether a policy is for packets to a network. */
const isOfSites = ({ selector }: Policy): boolean =>
  (selector?.prefixlenD ?? 0) < (selector?.family === 'inet6' ? 128 : 32);

const reqidsOf = ({ templates = [] }: Policy) => templates.map(({ reqid }) => reqid);

/** Whether a policy is for packets to or from all. */
const isForAll = ({ selector }: Policy): boolean => !(selector?.prefixlenS && selector.prefixlenD);

/** Whether packets between two addresses match a policy, in this direction or the opposite one. */
function matches({ selector }: Policy, one: string, other: string): boolean {
  const { saddr, daddr, prefixlenS = 0, prefixlenD = 0 } = selector ?? {};
  const isWithin = (address: string, net = '', length: number) => {
    if (address.includes(':') !== net.includes(':')) return false;
    const nets = new BlockList();
    const family = net.includes(':') ? 'ipv6' : 'ipv4';
    nets.addSubnet(net, length, family);
    return nets.check(address, family);
  };
  const fits = (from: string, to: string) =>
    isWithin(from, saddr, prefixlenS) && isWithin(to, daddr, prefixlenD);
  return fits(one, other) || fits(other, one);
}

const isMarkedOut = ({ dir, mark }: Policy): boolean => dir === 'out' && mark !== undefined;

/** Some address that nobody has: also its first 32 bits are of nobody (xfrm_state_addr_cmp). */
const stranger = (like: string) => (like.includes(':') ? '3fff::99' : '192.0.2.99');

export class Life {
  readonly words: string[] = [];
  readonly operations: Operation[] = [];
  readonly undo: Record<Side, string[]> = { left: [], right: [] };
  hidden = false;
  readonly #random: Random;
  readonly #hosts: Record<Side, HostHas> = {
    left: { sas: [], policies: [] },
    right: { sas: [], policies: [] },
  };
  #count = 0;
  /** Whether an SPI is kept for a tunnel that does not come. */
  #hasKept = false;
  /** Whether packets without a policy are blocked. */
  #blocks = false;
  /** Whether an address is elsewhere. */
  #moved = false;
  readonly #removed = new Set<string>();
  readonly #moves: Moves[] = [];
  readonly #made: Made[] = [];
  /** Where peers have moved to. */
  readonly #peers = new Map<string, string>();
  /** Whether somebody listens to requests for SAs. */
  #listens = false;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Where a peer is in the end. */
  whereIs(peer: string): string {
    return this.#peers.get(peer) ?? peer;
  }

  /** What there is before the first tunnel: perhaps somebody to request SAs of, and a trap for any peer. */
  prepare(all: readonly Made[]): void {
    const random = this.#random;
    this.#listens = random.chance(1, 3);
    if (!this.#listens) return;
    this.#say('somebody listens');
    this.operations.push({ do: 'listen' });
    // Packets of a link meet the policies twice, and those of a vti for the gateways too.
    const hasLinks = all.some(({ lines }) => lines.left.length > 0);
    const isPlain = all.every(({ words }) => words[0]?.startsWith('transport'));
    if (!hasLinks && random.chance(1, 2)) this.#trap(random.pick([0, 9]), isPlain);
  }

  /** Not for the packets that must always pass. @param isPlain whether it is for those of the gateways too */
  #trap(reqid: number, isPlain: boolean): void {
    this.#say(`a trap for any peer, reqid ${reqid}`);
    const outer = [
      ['inet', '192.0.2.0', 24],
      ['inet6', '2001:db8::', 32],
    ] as const;
    const nets = [
      ['inet', '10.0.0.0', 8],
      ['inet6', 'fd00::', 16],
      ...(isPlain ? outer : []),
    ] as const;
    for (const [family, net, bits] of nets) {
      const any = anyOf(family);
      const ends = { saddr: net, daddr: net, prefixlenS: bits, prefixlenD: bits };
      const template = { family, proto: 'esp', mode: 'transport', saddr: any, daddr: any, reqid };
      const policy = { dir: 'out', selector: { family, ...ends }, templates: [template] };
      this.operations.push({
        do: 'addPolicy',
        side: 'left',
        policy: { ...policy, priority: 100_000 } as Policy,
      });
    }
    this.#sometimesTraffic();
  }

  /** Sets up what a shape needs. */
  begin(made: Made): void {
    const { hosts, lines, undo, moves } = made;
    this.#made.push(made);
    if (moves) this.#moves.push(moves);
    const isTrap = this.#listens && this.#random.chance(1, 2);
    if (isTrap) this.#say('policies first, for packets to request the SAs');
    for (const side of ['right', 'left'] as const) {
      const { sas, policies } = hosts[side];
      if (lines[side].length > 0) this.#ip(side, lines[side], undo[side]);
      if (side === 'left' && isTrap) {
        for (const policy of policies) this.#addPolicy(side, policy);
        this.operations.push({ do: 'traffic' });
        for (const sa of sas) this.#addSa(side, sa);
      } else {
        for (const sa of sas) this.#addSa(side, sa);
        for (const policy of policies) this.#addPolicy(side, policy);
      }
    }
  }

  /** Some things that end well, then some that may not. */
  goOn(): void {
    const random = this.#random;
    for (let i = random.pick([0, 0, 1, 2, 3]); i > 0; i--) this.#live();
    for (let i = random.pick([1, 1, 1, 2]); i > 0; i--) this.#fault();
  }

  /** Of kinds that were added later. */
  goWrong(random: Random): void {
    const { sas, policies } = this.#hosts.left;
    const tunnels = policies.filter(({ templates = [] }) => templates.length > 0);
    switch (random.below(10)) {
      case 0:
      case 1:
        if (tunnels.length > 0) this.#subPolicy(random.pick(tunnels), random);
        break;
      case 2:
      case 3: {
        const inUdp = sas.filter((one) => one.encap && isIn(one));
        if (inUdp.length === 0) break;
        const { encap: _, ...plain } = random.pick(inUdp);
        this.#replaceSa(plain as Sa, 'no encapsulation');
        break;
      }
      case 4: {
        const sending = sas.filter((one) => !isIn(one) && one.proto !== 'comp');
        if (sending.length === 0) break;
        const sa = random.pick(sending);
        const { replayEsn } = sa;
        // It may be for a CPU that sends nothing. One that says its direction is refused.
        if (this.#hasSiblings(sa) || (replayEsn && sa.dir)) break;
        const oseq = 0xffff_ffff;
        const used = replayEsn
          ? { replayEsn: { ...replayEsn, oseq, oseqHi: oseq } }
          : { replay: { oseq, seq: 0, bitmap: 0 } };
        this.#replaceSa({ ...sa, ...used } as Sa, 'used all its sequence numbers');
        break;
      }
      case 5:
        this.#acceptAll(tunnels);
        break;
      case 6:
      case 7:
      case 8:
        this.#refuseSome(tunnels, random);
        break;
      default:
    }
  }

  /** Another in place of the one with its SPI. */
  #replaceSa(sa: Sa, text: string): void {
    const isIts = ({ spi, proto, daddr }: Sa) =>
      spi === sa.spi && proto === sa.proto && daddr === sa.daddr;
    const before = this.#hosts.left.sas.find(isIts) as Sa;
    this.#say(`${shown(sa)} has ${text}`);
    this.#deleteSa('left', before);
    this.#addSa('left', sa);
    if (isIn(sa)) this.#maybeUsed(sa);
  }

  /** Sub-policies, of the same packets as another, come before all others. */
  #subPolicy({ dir, selector, mark, ifId, ...beside }: Policy, random: Random): void {
    if (this.#isForLink({ dir, selector, mark, ifId, ...beside } as Policy)) return;
    // Of several templates it would change the order (net/xfrm/xfrm_policy.c, xfrm_tmpl_sort).
    const isBundle = (beside.templates ?? []).length > 1;
    // Forwarded packets that one allows meet policies in (__xfrm_policy_check).
    const action =
      isBundle || dir === 'fwd' ? 'block' : random.pick(['block', 'block', 'allow'] as const);
    const labels = { ...(mark && { mark }), ...(ifId && { ifId }) };
    const added = { dir, selector, action, priority: 9000, policyType: { type: 'sub' }, ...labels };
    this.#say(`a sub-policy ${dir} ${action}s its packets`);
    this.operations.push({ do: 'addPolicy', side: 'left', policy: added as Policy });
  }

  /** What arrives in transport mode needs no policy. */
  #acceptAll(tunnels: readonly Policy[]): void {
    const isTransport = ({ templates = [] }: Policy) =>
      templates.every(({ mode }) => mode === 'transport');
    const reqidsOf = (some: readonly Policy[]) =>
      new Set(some.flatMap(({ templates = [] }) => templates.map(({ reqid }) => reqid)));
    const sent = reqidsOf(tunnels.filter(({ dir }) => dir === 'out'));
    // Of reqids for each direction, the policy is what they have in common.
    if (!tunnels.every(isTransport)) return;
    if (this.#hosts.left.sas.some((one) => isIn(one) && !sent.has(one.reqid ?? 0))) return;
    this.#say('no policies in');
    for (const policy of tunnels) if (policy.dir === 'in') this.#deletePolicy('left', policy);
  }

  /**
   * Inbound policies for the answers to what one policy sends are missing: those for this host, those
   * for forwarded packets, or both. Of networks either is enough; where none is left, nothing may be checked.
   */
  #refuseSome(tunnels: readonly Policy[], random: Random): void {
    const isInbound = ({ dir, templates = [] }: Policy) =>
      dir !== 'out' && templates.some(({ mode }) => mode !== 'transport');
    const lost = random.pick(tunnels.filter(isInbound));
    const dirs = random.pick([['in'], ['fwd'], ['in', 'fwd']]);
    if (lost === undefined || isOfSites(lost)) return;
    const isIts = (one: Policy) =>
      isInbound(one) &&
      isDeepStrictEqual(one.selector, lost.selector) &&
      dirs.includes(String(one.dir));
    const isOf =
      ({ selector }: Policy) =>
      (made: Made) =>
        made.hosts.left.policies.some((one) => isDeepStrictEqual(one.selector, selector));
    const its = this.#made.filter(isOf(lost));
    const isSibling = (one: Policy) =>
      isInbound(one) &&
      !isIts(one) &&
      its.some(isOf(one)) &&
      isDeepStrictEqual(reqidsOf(one), reqidsOf(lost));
    if (!tunnels.some(isSibling)) return;
    this.#say(`no policies ${dirs.join(' and ')} for some of the answers`);
    for (const policy of tunnels.filter(isIts)) this.#deletePolicy('left', policy);
  }

  #cableAddress(): string {
    return this.#moved ? ADDRESSES.outer.inet6.left : this.#random.pick(BEGINNING);
  }

  #say(text: string): void {
    this.words.push(text);
  }

  #addSa(side: Side, sa: Sa): void {
    const { sas } = this.#hosts[side];
    const isSame = (one: Sa) =>
      one.daddr === sa.daddr && one.spi === sa.spi && one.proto === sa.proto;
    if (sas.some(isSame)) return;
    this.#hosts[side].sas.push(sa);
    this.operations.push({ do: 'addSa', side, sa });
  }

  #deleteSa(side: Side, sa: Sa): void {
    const { sas } = this.#hosts[side];
    sas.splice(sas.indexOf(sa), 1);
    this.operations.push({ do: 'deleteSa', side, sa });
  }

  #addPolicy(side: Side, policy: Policy): void {
    this.#hosts[side].policies.push(policy);
    this.operations.push({ do: 'addPolicy', side, policy });
  }

  #deletePolicy(side: Side, policy: Policy): void {
    const { policies } = this.#hosts[side];
    policies.splice(policies.indexOf(policy), 1);
    this.operations.push({ do: 'deletePolicy', side, policy });
  }

  #ip(side: Side, lines: readonly string[], undo: readonly string[]): void {
    this.operations.push({ do: 'ip', side, lines });
    this.undo[side].unshift(...undo);
  }

  /** The SA of the other host that goes with one of the left. */
  #counterpart({ spi, proto, daddr }: Sa): Sa | undefined {
    return this.#hosts.right.sas.find(
      (one) => one.spi === spi && one.proto === proto && one.daddr === daddr,
    );
  }

  /** A successor on both hosts, added before or after the old SA is removed. */
  #rekey(sa: Sa, first: 'new' | 'old'): void {
    const its = this.#counterpart(sa);
    if (its === undefined) return;
    const spi = (sa.spi ?? 0) + (sa.proto === 'comp' ? 0x400 : 0x10000) + ++this.#count;
    const pairs = [
      ['right', its],
      ['left', sa],
    ] as const;
    if (first === 'old') for (const [side, one] of pairs) this.#deleteSa(side, one);
    for (const [side, one] of pairs) this.#addSa(side, { ...one, spi });
    if (first === 'new') for (const [side, one] of pairs) this.#deleteSa(side, one);
  }

  /** Another in its place, on both hosts: it counts from the start. */
  #renew(sa: Sa, change: Partial<Sa> = {}, between: () => void = () => {}): void {
    const its = this.#counterpart(sa);
    this.#deleteSa('left', sa);
    if (its) this.#deleteSa('right', its);
    between();
    if (its) this.#addSa('right', its);
    this.#addSa('left', { ...sa, ...change } as Sa);
    if (Object.keys(change).length > 0 && !isOut(sa)) this.#maybeUsed(sa);
  }

  /** Where an inbound SA is not what it should be and there are others, nobody here knows through which the peer sends. */
  #maybeUsed(sa: Sa): void {
    this.hidden ||= this.#hasSiblings(sa);
  }

  #hasSiblings({ saddr, daddr, proto, reqid, spi }: Sa): boolean {
    return this.#hosts.left.sas.some(
      (one) =>
        one.saddr === saddr &&
        one.daddr === daddr &&
        one.proto === proto &&
        one.reqid === reqid &&
        one.spi !== spi,
    );
  }

  #sometimesTraffic(): void {
    if (this.#random.chance(1, 2)) this.operations.push({ do: 'traffic' });
  }

  /** Ends as it began, or equivalent. */
  #live(): void {
    const random = this.#random;
    const { sas, policies } = this.#hosts.left;
    const [sa, policy] = [random.pick(sas), random.pick(policies)];
    switch (random.below(15)) {
      case 12:
      case 13:
        this.#move(['left', 'right']);
        break;
      case 0:
      case 1: {
        const first = random.pick(['new', 'old'] as const);
        this.#say(`a rekey of ${shown(sa)}, the ${first} one first`);
        this.#rekey(sa, first);
        break;
      }
      case 2:
        this.#say('a rekey of all SAs');
        for (const one of [...sas]) this.#rekey(one, 'new');
        break;
      case 3:
        this.#say(`${shown(sa)} goes and comes again`);
        this.#renew(sa, {}, () => this.#sometimesTraffic());
        break;
      case 4:
        this.#say(`policy ${policy.dir} goes and comes again`);
        this.#deletePolicy('left', policy);
        this.#sometimesTraffic();
        this.#addPolicy('left', policy);
        break;
      case 5: {
        this.#say(`policy ${policy.dir} is updated`);
        const changed = { ...policy, lifetime: { softUseSeconds: 100_000 } } as Policy;
        policies[policies.indexOf(policy)] = changed;
        this.operations.push({ do: 'replacePolicy', side: 'left', policy: changed });
        break;
      }
      case 6: {
        const address = this.#cableAddress();
        this.#say(`the address ${address} goes and comes again`);
        const line = `address add ${withLength(address)} dev cable${nodad(address)}`;
        this.#ip('left', [`address del ${withLength(address)} dev cable`], [line]);
        this.#sometimesTraffic();
        this.#ip('left', [line], []);
        break;
      }
      case 7: {
        const address = ADDRESSES.outer.inet.left;
        if (this.#moved) break;
        this.#moved = true;
        const byRoute = random.chance(1, 2);
        this.#say(`the address ${address} moves to ${byRoute ? 'a local route' : 'lo'}`);
        const way = `${address.replace(/\d+$/, '0')}/24 dev cable src ${address}`;
        const place = byRoute
          ? `route add local ${address} dev lo`
          : `address add ${address} dev lo`;
        this.#ip(
          'left',
          [`address del ${withLength(address)} dev cable`, place, `route add ${way}`],
          [
            byRoute ? place.replace('add', 'del') : `address del ${address}/32 dev lo`,
            `route del ${way}`,
            `address add ${withLength(address)} dev cable`,
          ],
        );
        break;
      }
      case 8: {
        const { saddr, daddr, family, mode, reqid } = random.pick(sas.filter(isIn)) ?? sa;
        this.#say('an SPI is kept for a tunnel that does not come');
        this.#hasKept = true;
        const request = {
          ...{ saddr, daddr, family, proto: 'esp', mode },
          reqid: random.chance(1, 2) ? reqid : 0,
          ...{ min: 0xc9000000, max: 0xc9ffffff },
        };
        this.operations.push({ do: 'allocate', side: 'left', request: request as never });
        break;
      }
      case 9:
        this.#say(`${shown(sa)} is updated`);
        this.operations.push({ do: 'updateSa', side: 'left', sa });
        break;
      case 10: {
        this.#say('all SAs and policies go and come again');
        const all = { sas: [...sas], policies: [...policies] };
        const its = [...this.#hosts.right.sas];
        for (const one of all.sas) this.#deleteSa('left', one);
        for (const one of its) this.#deleteSa('right', one);
        for (const one of all.policies) this.#deletePolicy('left', one);
        this.#sometimesTraffic();
        for (const one of all.policies) this.#addPolicy('left', one);
        for (const one of its) this.#addSa('right', one);
        for (const one of all.sas) this.#addSa('left', one);
        break;
      }
      default:
        this.#say('packets');
        this.operations.push({ do: 'traffic' });
    }
  }

  /**
   * An end of a connection moves, and the hosts that know move its SAs and policies: by MIGRATE, or
   * by adding them anew with the same SPIs, as strongSwan does.
   */
  #move(sides: readonly Side[]): void {
    const random = this.#random;
    const moves = random.pick(this.#moves.filter(({ peer }) => !this.#peers.has(peer)));
    if (moves === undefined) return;
    const isOwn = moves.ownTo !== undefined && random.chance(1, 2);
    const byMigrate = moves.migrates && random.chance(1, 2);
    // It would find the SA that keeps an SPI, which has no keys, and fail.
    const migrates = byMigrate && !this.#hasKept;
    const { peer, peerTo, ownTo } = moves;
    const move = (address: string) => {
      if (!isOwn) return address === peer ? peerTo : address;
      return BEGINNING.includes(address) ? (ownTo as string) : address;
    };
    const isMoved = ({ saddr, daddr }: Partial<Sa>) => [saddr, daddr].includes(peer);
    const moved = <T extends Partial<Sa>>(one: T): T =>
      isMoved(one)
        ? { ...one, saddr: move(one.saddr as string), daddr: move(one.daddr as string) }
        : one;
    this.#say(
      `${isOwn ? 'this host' : `the peer ${peer}`} moves${migrates ? ', by MIGRATE' : ''}${sides.length < 2 ? `, known to the ${sides} only` : ''}`,
    );
    if (sides.length < 2) this.hidden = true;
    for (const side of sides) {
      const host = this.#hosts[side];
      const [sas, policies] = [host.sas.filter(isMoved), [...host.policies]];
      if (migrates) host.sas.splice(0, Infinity, ...host.sas.map(moved));
      else {
        for (const sa of sas) this.#deleteSa(side, sa);
        for (const sa of sas) this.#addSa(side, moved(sa));
      }
      for (const policy of policies) {
        const { templates = [] } = policy;
        const changed = { ...policy, templates: templates.map((one) => moved(one as Partial<Sa>)) };
        if (!templates.some((one) => isMoved(one as Partial<Sa>))) continue;
        host.policies[host.policies.indexOf(policy)] = changed as Policy;
        if (!migrates) {
          this.operations.push({ do: 'replacePolicy', side, policy: changed as Policy });
          continue;
        }
        const [from = '', to = ''] = [templates[0]?.saddr, templates[0]?.daddr];
        const migrations = templates.map(({ proto, mode, reqid, family }) => ({
          ...{ oldSaddr: from, oldDaddr: to, newSaddr: move(from), newDaddr: move(to) },
          ...{ oldFamily: family, newFamily: family, proto, mode, reqid },
        }));
        this.operations.push({ do: 'migrate', side, policy, migrations: migrations as never });
      }
    }
    if (!isOwn && sides.includes('left')) this.#peers.set(peer, peerTo);
    else this.#moves.splice(this.#moves.indexOf(moves), 1);
  }

  #reSa(sa: Sa, change: Partial<Sa>, text: string): void {
    this.#say(`${shown(sa)} has ${text}`);
    this.#renew(sa, change);
  }

  #rePolicy(policy: Policy, change: Partial<Policy>, text: string): void {
    this.#say(`policy ${policy.dir} has ${text}`);
    this.#deletePolicy('left', policy);
    this.#addPolicy('left', { ...policy, ...change } as Policy);
  }

  #fault(): void {
    const random = this.#random;
    const { left, right } = this.#hosts;
    if (left.sas.length === 0) return;
    const sa = random.pick(left.sas);
    const tunnels = left.policies.filter(({ templates = [] }) => templates.length > 0);
    if (tunnels.length === 0) return;
    const policy = random.pick(tunnels);
    const [template, ...others] = policy.templates ?? [];
    const some = (mode: string) =>
      tunnels.some(
        ({ dir, templates = [] }) =>
          dir !== 'out' && templates.some((one) => one.optional && one.mode === mode),
      );
    const templated = (first: object) =>
      ({ templates: [{ ...template, ...first }, ...others] }) as Partial<Policy>;
    switch (random.below(32)) {
      case 31:
        this.#move([random.pick(['left', 'right'] as const)]);
        break;
      case 0:
      case 1:
      case 2:
      case 3:
        this.#say(`no ${shown(sa)}`);
        this.#deleteSa('left', sa);
        if (!isOut(sa)) this.#maybeUsed(sa);
        break;
      case 4: {
        const out = tunnels.filter(({ dir }) => dir === 'out');
        if (out.length === 0) break;
        const lost = random.pick(out);
        if (this.#isOneOfSome(lost)) break;
        this.#say('no policy out');
        this.#deletePolicy('left', lost);
        break;
      }
      case 5:
        // A template that is optional lets packets pass through any SA of transport mode: that one is not of the tunnel.
        if (sa.mode === 'transport' && some('transport')) break;
        // So is an SPI kept for the former one, which is by itself then.
        // Alone it is an orphan, and rightly said to be one, while the others serve.
        if (this.#hasSiblings(sa) || this.#hasKept) break;
        this.#reSa(sa, { reqid: (sa.reqid ?? 0) + 5 }, 'another reqid');
        break;
      case 6:
        if (sa.mode === 'beet') break;
        this.#reSa(sa, { mode: sa.mode === 'tunnel' ? 'transport' : 'tunnel' }, 'another mode');
        break;
      case 7:
        // Where the kernel compares it: not for transport mode, nor where the template has none; of IPv6 around IPv4 only the
        // first 32 bits, which are the same here.
        if (
          sa.mode !== 'transport' &&
          !ANY.test(sa.saddr ?? '') &&
          isIn(sa) &&
          tunnels.some(
            ({ dir, selector, templates = [] }) =>
              dir === 'in' &&
              !(sa.family === 'inet6' && selector?.family === 'inet') &&
              templates.some((one) => one.saddr === sa.saddr),
          )
        ) {
          this.#reSa(sa, { saddr: stranger(sa.daddr as string) }, 'another source');
        }
        break;
      case 8:
        // Which marks packets have that come in, firewalls and interfaces say. Beside others it is an orphan, as above.
        if (isOut(sa) && !this.#hasSiblings(sa))
          this.#reSa(sa, { mark: { value: 0x77, mask: 0xff } }, 'a mark that no packet has');
        break;
      case 9:
        // Where nothing is forwarded, such a policy is blocked by itself, and rightly said to be, while packets pass.
        if (policy.dir === 'fwd' && OWN.test(policy.selector?.daddr as string)) break;
        // So is one for packets to this host where all are forwarded.
        if (policy.dir === 'in' && isOfSite(policy)) break;
        // An optional template lets packets pass through any SA of transport mode, as above.
        if (template?.mode === 'transport' && template.optional) break;
        this.#rePolicy(
          policy,
          templated({ reqid: (template?.reqid ?? 0) + 3 }),
          'a template of another reqid',
        );
        break;
      case 10:
        // An optional template lets packets pass through any SA of transport mode, as above.
        if (others.length > 0 || (template?.mode === 'transport' && template.optional)) break;
        this.#rePolicy(
          policy,
          templated({ proto: template?.proto === 'esp' ? 'ah' : 'esp' }),
          'a template of another protocol',
        );
        break;
      case 11:
        if (template?.mode === 'tunnel') {
          const other = stranger(template.daddr as string);
          this.#rePolicy(
            policy,
            templated(policy.dir === 'out' ? { daddr: other } : { saddr: other }),
            'a template of another peer',
          );
        }
        break;
      case 12: {
        const any = anyOf(template?.family as Family);
        const more = { ...template, proto: 'ah', mode: 'transport', saddr: any, daddr: any };
        const templates = [...(policy.templates ?? []), more];
        this.#rePolicy(policy, { templates } as Partial<Policy>, 'a template more, of ah');
        break;
      }
      case 13:
      case 14:
      case 15:
      case 16:
        this.#shunt(policy);
        break;
      case 17: {
        const incoming = left.sas.filter((one) => one.proto !== 'comp' && isIn(one));
        if (incoming.length === 0) break;
        this.#say('keys that differ');
        this.hidden = true;
        const wrong = random.pick(incoming);
        this.#deleteSa('left', wrong);
        this.#addSa('left', { ...wrong, ...algorithmOf(wrong.proto as Proto, 77) } as Sa);
        break;
      }
      case 18: {
        const lost = random.pick(right.sas);
        this.#say(`the peer has no ${shown(lost)}`);
        this.hidden = true;
        this.#deleteSa('right', lost);
        break;
      }
      case 19: {
        const address = this.#cableAddress();
        if (this.#removed.has(address)) break;
        this.#removed.add(address);
        this.#say(`the address ${address} goes`);
        this.#ip(
          'left',
          [`address del ${withLength(address)} dev cable`],
          [`address add ${withLength(address)} dev cable${nodad(address)}`],
        );
        break;
      }
      case 20: {
        // Only tunnels may be for packets of another family.
        const family = sa.mode === 'transport' ? sa.family : policy.selector?.family;
        const isOfLink = ({ selector: its, mark, ifId }: Policy) =>
          its?.family === family && isDeepStrictEqual([mark, ifId], [sa.mark, sa.ifId]);
        // An SA of BEET mode has that of its packets. Of packets to all it would still be for some.
        const isForSome = (one: Policy) =>
          isForAll(one) && ((!one.mark && !one.ifId) || isOfLink(one));
        if (sa.selector || tunnels.some(isForSome)) break;
        // Inside of a tunnel for the other family, 6.1 compares it as if it was of that one.
        const isOther = ({ selector: its, templates = [] }: Policy) =>
          its?.family !== family &&
          templates.some(({ proto, reqid }) => proto === sa.proto && reqid === sa.reqid);
        if (sa.mode === 'transport' && tunnels.some(isOther)) break;
        const saddr = family === 'inet6' ? 'fd00:77::' : '10.77.0.0';
        const prefixlenS = family === 'inet6' ? 64 : 16;
        const daddr = anyOf(family as Family);
        const selector = { family, saddr, daddr, prefixlenS, prefixlenD: 0 };
        this.#reSa(sa, { selector } as Partial<Sa>, 'a selector of other packets');
        break;
      }
      case 21:
      case 22:
      case 23:
        this.#wider(policy);
        break;
      case 24:
      case 25:
        this.#block();
        break;
      default:
        this.#say('nothing goes wrong');
    }
  }

  /**
   * Whether others send to the same peer, and the policy that accepts the answers names no source,
   * and no reqid, or another than SAs between these ends have: it is not known to be of this tunnel.
   */
  #isOneOfSome({ selector, templates }: Policy): boolean {
    const { policies, sas } = this.#hosts.left;
    const [first] = templates ?? [];
    const isOfAny = (reqid: number | undefined) =>
      !reqid ||
      (reqid !== first?.reqid &&
        sas.some((sa) => sa.reqid === reqid && ANY.test(sa.saddr as string)));
    const isNobodys = (one: Policy) =>
      one.dir === 'in' &&
      one.selector?.daddr === selector?.saddr &&
      one.selector?.saddr === selector?.daddr &&
      (one.templates ?? []).every(
        ({ saddr, reqid }) => isOfAny(reqid) && ANY.test(saddr as string),
      );
    const isSibling = (one: Policy) =>
      one.dir === 'out' &&
      one.selector !== selector &&
      one.templates?.some(({ daddr }) => daddr === first?.daddr);
    return policies.some(isNobodys) && policies.some(isSibling);
  }

  /** Whether a policy is for the gateways themselves and there is a vti, whose ESP packets then meet it too. */
  #isForLink({ selector }: Policy): boolean {
    const ends = [selector?.saddr, selector?.daddr] as string[];
    return ends.some((one) => LEFT.includes(one)) && this.#hosts.left.policies.some(isMarkedOut);
  }

  /** Whether there is a policy for the same packets: of those there is only one. */
  #hasPolicy({ dir, selector, mark, ifId }: Policy): boolean {
    return this.#hosts.left.policies.some(
      (one) =>
        one.dir === dir &&
        isDeepStrictEqual([one.selector, one.mark, one.ifId], [selector, mark, ifId]),
    );
  }

  /**
   * Whether a policy takes packets that are sent, but not all those of their policy, which is for
   * all: SAs and policies do not show which of them are sent.
   */
  #takesPart(policy: Policy): boolean {
    const isItsLabel = ({ mark, ifId }: Policy) =>
      ifId === policy.ifId && (!policy.mark || isDeepStrictEqual(mark, policy.mark));
    const isTaken = ({ connections, hosts }: Made) =>
      hosts.left.policies.some((one) => isForAll(one) && isItsLabel(one)) &&
      connections.some(({ probes }) =>
        probes.some(({ ends }) => matches(policy, ends.left, ends.right)),
      );
    return policy.priority === 1 && !isForAll(policy) && this.#made.some(isTaken);
  }

  /** A policy of another tunnel for more packets than another. */
  #wider(than: Policy): void {
    const random = this.#random;
    if (this.#isForLink(than)) return;
    const selector = { ...than.selector };
    if (selector.prefixlenS === 0 && selector.prefixlenD === 0) return;
    selector.prefixlenS = Math.max(0, (selector.prefixlenS ?? 0) - 8);
    selector.prefixlenD = Math.max(0, (selector.prefixlenD ?? 0) - 8);
    if (this.#hasPolicy({ ...than, selector })) return;
    const family = random.pick(['inet', 'inet6'] as const);
    const [here, there] = [ADDRESSES.outer[family].left, stranger(ADDRESSES.outer[family].left)];
    const [saddr, daddr] = than.dir === 'out' ? [here, there] : [there, here];
    // Not out: newer kernels refuse that.
    const optional = than.dir !== 'out' && random.chance(1, 4);
    const template = { family, proto: 'esp', mode: 'tunnel', saddr, daddr, reqid: 77, optional };
    const priority = random.pick([1, 1, 9000]);
    const { mark, ifId } = than;
    const labels = { ...(mark && { mark }), ...(ifId && { ifId }) };
    const more = { selector, templates: [template], priority, ...labels };
    const added = { dir: than.dir, ...more } as Policy;
    if (this.#takesPart(added)) return;
    const which = `${priority === 1 ? 'before' : 'after'} it${optional ? ', optional' : ''}`;
    this.#say(`a policy ${than.dir} of another tunnel takes more packets ${which}`);
    this.#addPolicy('left', added);
  }

  /** Packets without a policy are blocked. */
  #block(): void {
    // Packets of a link meet the policies twice, also without its mark or interface ID.
    if (this.#hosts.left.policies.some((one) => (one.mark && one.dir === 'out') || one.ifId))
      return;
    if (this.#blocks) return;
    this.#blocks = true;
    const dir = this.#random.pick(['in', 'fwd', 'out', 'in block fwd block out'] as const);
    this.#say(`packets ${dir} block by default`);
    const lines = FENCES.flatMap(([a, b]) =>
      (['in', 'out', 'fwd'] as const).flatMap((way) => [
        `xfrm policy add src ${a} dst ${b} dir ${way}`,
        `xfrm policy add src ${b} dst ${a} dir ${way}`,
      ]),
    );
    this.#ip(
      'left',
      [...lines, `xfrm policy setdefault ${dir} block`],
      ['xfrm policy setdefault in accept fwd accept out accept'],
    );
  }

  /** A policy without templates in addition to another. */
  #shunt(beside: Policy): void {
    const random = this.#random;
    if (this.#isForLink(beside)) return;
    const dir = beside.dir as 'in' | 'out' | 'fwd';
    const action = random.pick(['block', 'allow'] as const);
    const priority = random.pick([1, 1, 9000]);
    const selector = { ...beside.selector };
    const packets = random.pick(['all', 'all', 'some', 'other'] as const);
    if (packets === 'all') {
      // There is one policy for the same packets.
      if (selector.prefixlenS === 0 && selector.prefixlenD === 0) return;
      selector.prefixlenS = Math.max(0, (selector.prefixlenS ?? 0) - 8);
      selector.prefixlenD = Math.max(0, (selector.prefixlenD ?? 0) - 8);
    } else if (packets === 'some') {
      Object.assign(selector, { proto: 17, dport: 7777, dportMask: 0xffff });
    } else {
      selector.saddr = selector.family === 'inet6' ? 'fd00:77::' : '10.77.0.0';
      selector.prefixlenS = selector.family === 'inet6' ? 64 : 16;
    }
    const { mark, ifId } = beside;
    const labels = { ...(mark && { mark }), ...(ifId && { ifId }) };
    const added = { dir, selector, action, priority, ...labels } as Policy;
    if (this.#hasPolicy(added) || (packets === 'all' && this.#takesPart(added))) return;
    const which = priority === 1 ? 'before' : 'after';
    this.#say(`a policy ${dir} for ${packets} packets ${action}s ${which} it`);
    this.#addPolicy('left', added);
  }
}
