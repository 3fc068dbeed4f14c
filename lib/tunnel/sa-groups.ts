/** All SAs and policies of a host, indexed by what a change may affect. @module */
import { hasSpi } from '../monitor/xfrm-objects.ts';
import type { PolicyEntry, StateEntry } from '../monitor/xfrm-views.ts';
import type { EventTime } from '../netlink/event.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy } from '../xfrm/objects.ts';
import {
  demandsOf,
  fits,
  isWild,
  makesTunnel,
  type Pair,
  pairKey,
  pairOf,
  type TemplateDemand,
} from './endpoints.ts';
import { acceptsIn } from './policy-match.ts';
import { type PolicyGone, SaGroup, type SaNeed, type Surroundings } from './sa-group.ts';
import { contains, isSame, meet, mirrored, withPortsExchanged } from './selectors.ts';
import { type Policy, type Sa, saOf } from './tunnel-contents.ts';

/** SPIs up to here are reserved (RFC 4303, 2.1): they are assigned by hand, perhaps twice. */
const RESERVED_SPIS = 255;
/** The most destinations counted for one SPI. */
const MANY = 100;

export class SaGroups {
  /** Groups to evaluate. */
  readonly dirty = new Set<SaGroup>();
  readonly #groups = new Map<string, SaGroup>();
  /** By uid. */
  readonly sas = new Map<string, Sa>();
  readonly policies = new Map<string, Policy>();
  /** Policies that cover more SAs than their own. */
  readonly #covers = new MultiMap<string, Policy>();
  /** The inbound ones among them, for any peer. */
  readonly #forAll = new Set<Policy>();
  /** Policies by their packets; inbound ones by the packets they carry the answers to. */
  readonly #byPackets = new MultiMap<string, Policy>();
  /** Outbound policies by the source of their packets, if that is a single address. */
  readonly #bySource = new MultiMap<string, Policy>();
  /** Policies without templates, by uid. */
  readonly #shunts = new Map<string, XfrmPolicy>();
  /** SAs without keys. */
  readonly #larval = new Set<Sa>();
  /** SAs from any source, by their destination. */
  readonly #shared = new MultiMap<string, Sa>();
  /** Groups by both endpoints, by each of them, and by reqid. */
  readonly #groupsBy = new MultiMap<string, SaGroup>();
  readonly #bySpi = new MultiMap<string, Sa>();

  #order = 0;

  get groups(): Iterable<SaGroup> {
    return this.#groups.values();
  }

  groupsByAddress(address: string): ReadonlySet<SaGroup> {
    return this.#groupsBy.get(address);
  }

  groupsByReqid(reqid: number): ReadonlySet<SaGroup> {
    return this.#groupsBy.get(reqidKey(reqid));
  }

  /** The SAs with an SPI and protocol. */
  bySpi(proto: IpsecProto, spi: number): ReadonlySet<Sa> {
    return this.#bySpi.get(`${proto} ${spi}`);
  }

  get nextOrder(): number {
    return ++this.#order;
  }

  /** The groups whose tunnels an SA serves. */
  servedBy({ group, entry }: Sa): Iterable<SaGroup> {
    const { saddr, daddr } = entry.value;
    return isWild(saddr) ? this.groupsByAddress(daddr) : group.linked;
  }

  /** Policies that may match a group's SAs, in addition to its own. */
  #coversOf({ pair, policies }: SaGroup, reqids: Iterable<number>): Policy[] {
    const covers = new Set(this.#covers.get(pairKey(pair)));
    for (const reqid of [...reqids, 0]) {
      for (const policy of this.#covers.get(reqidKey(reqid))) covers.add(policy);
    }
    for (const policy of policies.values()) covers.delete(policy);
    return [...covers];
  }

  /** @param group one, or several merged */
  surroundings(group: SaGroup, groups: readonly SaGroup[]): Surroundings {
    const reqids = new Set(groups.map(({ reqid }) => reqid));
    const [a, b] = group.pair;
    return {
      reqids,
      covers: this.#coversOf(group, reqids),
      others: this.#forAnswers(group),
      shared: [...this.#shared.get(a), ...this.#shared.get(b)],
      isLeftOver: (asked) => this.#isLeftOver(asked),
      shunts: this.#shunts,
    };
  }

  /**
   * Inbound policies that answers to a group's packets may meet: those for any peer, and those for
   * the same packets.
   */
  #forAnswers({ policies }: SaGroup): ReadonlySet<Policy> {
    const found = new Set(this.#forAll);
    for (const { entry } of policies.values()) {
      const packets = entry.value.dir === 'out' && packetsKey(entry.value);
      for (const policy of packets ? this.#byPackets.get(packets) : []) {
        if (policy.entry.value.dir !== 'out') found.add(policy);
      }
    }
    return found;
  }

  /**
   * An address of this host was added or removed: answers to it are now for this host, or
   * forwarded.
   */
  readdressed(address: string): void {
    for (const { demands } of this.#bySource.get(address)) {
      for (const demand of demands) {
        for (const group of this.#groupsOf(demand)) this.dirty.add(group);
      }
    }
  }

  /** Marks for evaluation the groups with the same packets as a policy. */
  #sharesPackets(packets: string): void {
    for (const other of this.#byPackets.get(packets)) {
      for (const demand of other.demands) {
        for (const group of this.#groupsOf(demand)) this.dirty.add(group);
      }
    }
  }

  /**
   * A trap policy for any peer requests SAs between the endpoints of each packet. When the SAs are
   * added, between the gateways, so are policies for those packets, and the request is a leftover
   * until it times out.
   */
  #isLeftOver({ pair, selector }: SaNeed): boolean {
    let best: Policy | undefined;
    for (const policy of this.policies.values()) {
      const { dir, priority, selector: its } = policy.entry.value;
      if (dir !== 'out' || (best && best.entry.value.priority <= priority)) continue;
      if (contains(its, selector)) best = policy;
    }
    const key = pairKey(pair);
    return (
      best?.demands.every((one) => makesTunnel(one) && pairKey(pairOf(one.from, one.to)) !== key) ??
      false
    );
  }

  /** Requests may have become leftovers, or stopped being that. */
  #asked(dir: XfrmPolicy['dir']): void {
    if (dir === 'out') for (const { group } of this.#larval) this.dirty.add(group);
  }

  /**
   * A group and those that form one tunnel with it: they share a policy (a bundle); or each carries
   * one direction, and one answers the other; or they serve both roles of a host towards a port.
   * The first is the one that protects packets: ESP before AH before IPCOMP.
   */
  linked(group: SaGroup): readonly [SaGroup, ...SaGroup[]] {
    const found = new Set([group]);
    for (const one of found) for (const other of this.#neighbours(one)) found.add(other);
    const all = [...found].map((one) => ({ one, rank: rankOf(one) }));
    all.sort((a, b) => a.rank - b.rank || a.one.reqid - b.one.reqid);
    return all.map(({ one }) => one) as [SaGroup, ...SaGroup[]];
  }

  *#neighbours(group: SaGroup): Generator<SaGroup> {
    const key = pairKey(group.pair);
    const [a, b] = group.pair;
    for (const { demands } of this.#policiesOf(group)) {
      for (const demand of demands) {
        if (demand.reqid === group.reqid || (!makesTunnel(demand) && !isFromAny(demand))) continue;
        if (!fits(demand, a, b) && !fits(demand, b, a)) continue;
        const other = this.#groups.get(`${key} ${demand.reqid}`);
        if (other) yield other;
      }
    }
    const toward = towardOf(group);
    for (const other of this.#groupsBy.get(key)) {
      if (other === group) continue;
      if (this.#accepts(group, other) || this.#accepts(other, group)) yield other;
      else if (isOtherRole(group, other)) yield other;
      else if (toward !== undefined) {
        const back = towardOf(other);
        if (back === undefined || back === toward) continue;
        if (answers([...this.#policiesOf(group)], [...this.#policiesOf(other)])) yield other;
      }
    }
  }

  /** A group's own policies, and outbound ones whose source the kernel chooses. */
  *#policiesOf({ policies, pair: [a, b], reqid }: SaGroup): Generator<Policy> {
    yield* policies.values();
    for (const policy of this.#covers.get(reqidKey(reqid))) {
      const isIts = (one: TemplateDemand) =>
        one.reqid === reqid && isFromAny(one) && (fits(one, a, b) || fits(one, b, a));
      if (policy.demands.some(isIts)) yield policy;
    }
  }

  /** Whether answers to a group's packets come in through SAs of another, which has no policies. */
  #accepts(sending: SaGroup, group: SaGroup): boolean {
    const { sas, policies, reqid } = group;
    if (policies.size > 0 || sas.size === 0) return false;
    const toward = towardOf(group);
    const sent = [...this.#policiesOf(sending)];
    if (toward === undefined || sent.length === 0) return false;
    return this.#coversOf(group, [reqid]).some(({ demands, entry: { value } }) =>
      demands.some(
        (one) =>
          one.direction === 'in' &&
          [...sas.values()].some((sa) => acceptsIn(sa.entry.value, one, value)) &&
          sent.some(
            (its) =>
              its.demands.some((demand) => demand.from === toward || isFromAny(demand)) &&
              meet(mirrored(its.entry.value.selector), value.selector),
          ),
      ),
    );
  }

  group(pair: Pair, reqid: number): SaGroup {
    const key = `${pairKey(pair)} ${reqid}`;
    const known = this.#groups.get(key);
    if (known) return known;
    const group = new SaGroup(key, pair, reqid);
    this.#groups.set(key, group);
    for (const one of keysOf(group)) this.#groupsBy.add(one, group);
    return group;
  }

  drop(group: SaGroup): void {
    this.#groups.delete(group.key);
    for (const one of keysOf(group)) this.#groupsBy.delete(one, group);
  }

  addSa(entry: StateEntry, came: EventTime, heard: boolean): void {
    const { saddr, daddr, reqid, proto, spi } = entry.value;
    if (!hasSpi(proto)) return;
    const group = this.group(pairOf(saddr, daddr), reqid);
    const sa = saOf({ group, entry, order: this.nextOrder, came, heard });
    group.sas.set(sa.uid, sa);
    this.sas.set(sa.uid, sa);
    if (isWild(saddr)) this.#shared.add(daddr, sa);
    if (sa.isLarval) this.#larval.add(sa);
    this.#share(sa);
    this.#spiChanges(sa, () => this.#bySpi.add(`${proto} ${spi}`, sa));
    this.dirty.add(group);
  }

  removeSa(sa: Sa): void {
    const { proto, spi, daddr } = sa.entry.value;
    sa.group.sas.delete(sa.uid);
    this.sas.delete(sa.uid);
    this.#share(sa);
    this.#shared.delete(daddr, sa);
    this.#larval.delete(sa);
    this.#spiChanges(sa, () => this.#bySpi.delete(`${proto} ${spi}`, sa));
  }

  /** Marks for evaluation the groups that an SA from any source may serve. */
  #share({ entry }: Sa): void {
    const { saddr, daddr } = entry.value;
    if (!isWild(saddr)) return;
    for (const group of this.groupsByAddress(daddr)) this.dirty.add(group);
  }

  /** Marks for evaluation the groups that start or stop sharing an SPI. */
  #spiChanges(sa: Sa, change: () => void): void {
    const { proto, spi } = sa.entry.value;
    const before = this.sharing(sa);
    const some = [...this.bySpi(proto, spi)].slice(0, 2);
    change();
    if (before > 1 === this.sharing(sa) > 1) return;
    for (const { group } of [...some, ...[...this.bySpi(proto, spi)].slice(0, 2)]) {
      this.dirty.add(group);
    }
  }

  /** Number of destinations with an SPI, at most {@link MANY}; 0 if sharing it means nothing. */
  sharing({ entry }: Sa): number {
    const { proto, spi } = entry.value;
    if (proto === 'comp' || spi <= RESERVED_SPIS) return 0;
    const destinations = new Set<string>();
    for (const { entry: other } of this.bySpi(proto, spi)) {
      destinations.add(other.value.daddr);
      if (destinations.size >= MANY) break;
    }
    return destinations.size;
  }

  addPolicy(entry: PolicyEntry, changedAt: number): void {
    const demands = demandsOf(entry.value);
    if (demands.length === 0) {
      this.#shunts.set(entry.uid, entry.value);
      this.#caught(entry.value);
      return;
    }
    this.#asked(entry.value.dir);
    const policy: Policy = { uid: entry.uid, entry, demands, changedAt };
    this.policies.set(policy.uid, policy);
    const packets = packetsKey(entry.value);
    if (packets !== undefined) {
      this.#byPackets.add(packets, policy);
      this.#sharesPackets(packets);
    }
    const source = sourceOf(entry.value);
    if (source !== undefined) this.#bySource.add(source, policy);
    for (const demand of demands) {
      if (makesTunnel(demand)) {
        const group = this.group(pairOf(demand.from, demand.to), demand.reqid);
        group.policies.set(policy.uid, policy);
        this.dirty.add(group);
      } else {
        this.#covers.add(coverKey(demand), policy);
        if (isForAll(demand)) this.#forAll.add(policy);
      }
    }
    this.#cover(demands);
  }

  removeShunt(uid: string): void {
    const shunt = this.#shunts.get(uid);
    if (shunt === undefined) return;
    this.#shunts.delete(uid);
    this.#caught(shunt);
  }

  /** Marks for evaluation the groups whose packets a policy without templates may catch. */
  #caught({ selector, dir }: XfrmPolicy): void {
    const sought = dir === 'out' ? selector : mirrored(selector);
    for (const { entry, demands } of this.policies.values()) {
      if (entry.value.dir !== 'out' || !contains(sought, entry.value.selector)) continue;
      for (const demand of demands) {
        for (const group of this.#groupsOf(demand)) this.dirty.add(group);
      }
    }
  }

  #groupsOf(demand: TemplateDemand): Iterable<SaGroup> {
    if (!makesTunnel(demand)) return this.#groupsBy.get(coverKey(demand));
    const group = this.#groups.get(`${pairKey(pairOf(demand.from, demand.to))} ${demand.reqid}`);
    return group ? [group] : [];
  }

  removePolicy(policy: Policy, gone?: PolicyGone): void {
    this.policies.delete(policy.uid);
    this.#forAll.delete(policy);
    const packets = packetsKey(policy.entry.value);
    if (packets !== undefined) {
      this.#sharesPackets(packets);
      this.#byPackets.delete(packets, policy);
    }
    this.#asked(policy.entry.value.dir);
    const source = sourceOf(policy.entry.value);
    if (source !== undefined) this.#bySource.delete(source, policy);
    for (const demand of policy.demands) {
      const { from, to, reqid } = demand;
      const group = this.#groups.get(`${pairKey(pairOf(from, to))} ${reqid}`);
      if (group?.policies.delete(policy.uid)) {
        group.policyGone = gone;
        this.dirty.add(group);
      }
      this.#covers.delete(coverKey(demand), policy);
    }
    this.#cover(policy.demands);
  }

  /** Marks for evaluation the groups that a policy covers: all, if it is for any peer and reqid. */
  #cover(demands: Policy['demands']): void {
    for (const demand of demands) {
      if (makesTunnel(demand)) continue;
      const all = isOpen(demand) && (demand.reqid === 0 || isForAll(demand));
      const groups = all ? this.groups : this.#groupsBy.get(coverKey(demand));
      for (const group of groups) this.dirty.add(group);
    }
  }
}

const reqidKey = (reqid: number): string => `reqid ${reqid}`;
const keysOf = ({ pair, reqid }: SaGroup) => [pairKey(pair), ...pair, reqidKey(reqid)];

/** Whether an endpoint is a wildcard. */
const isOpen = ({ from, to }: TemplateDemand): boolean => isWild(from) || isWild(to);
/**
 * Whether the kernel chooses the source of packets to an endpoint (xfrm_policy.c,
 * xfrm_tmpl_resolve_one).
 */
const isFromAny = ({ from, to, direction, optional }: TemplateDemand): boolean =>
  direction === 'out' && isWild(from) && !isWild(to) && !optional;
/** Its pair, or if an endpoint is a wildcard, its reqid. */
const coverKey = (demand: TemplateDemand): string =>
  isOpen(demand) ? reqidKey(demand.reqid) : pairKey(pairOf(demand.from, demand.to));

const isForAll = (demand: TemplateDemand): boolean => isOpen(demand) && demand.direction === 'in';

/** The source of an outbound policy's packets, if it is a single address. */
const sourceOf = ({ dir, selector }: XfrmPolicy): string | undefined =>
  dir === 'out' && selector.prefixlenS === (selector.family === 'inet6' ? 128 : 32)
    ? selector.saddr
    : undefined;

/** The packets of an outbound policy; for an inbound one, the packets that its packets answer. */
function packetsKey({ selector, dir, mark, ifId }: XfrmPolicy): string | undefined {
  if (dir !== 'in' && dir !== 'out' && dir !== 'fwd') return undefined;
  const s = dir === 'out' ? selector : mirrored(selector);
  const from = `${s.saddr}/${s.prefixlenS} ${s.sport}/${s.sportMask}`;
  const to = `${s.daddr}/${s.prefixlenD} ${s.dport}/${s.dportMask}`;
  return `${from} ${to} ${s.proto} ${mark?.value}/${mark?.mask} ${ifId}`;
}

const RANKS: { readonly [proto: string]: number } = { esp: 0, ah: 1, comp: 2 };

/** A group's rank, by the most protective protocol of its SAs and templates. */
function rankOf({ sas, policies, reqid }: SaGroup): number {
  let least = 3;
  const note = (proto: IpsecProto) => {
    least = Math.min(least, RANKS[proto] ?? 3);
  };
  for (const { entry } of sas.values()) note(entry.value.proto);
  for (const { demands } of policies.values()) {
    for (const demand of demands) if (demand.reqid === reqid) note(demand.proto);
  }
  return least;
}

/** The destination of all SAs with keys and policies of a group; undefined if there are several. */
function towardOf({ sas, policies, reqid }: SaGroup): string | undefined {
  const all = new Set<string>();
  for (const { entry, isLarval } of sas.values()) if (!isLarval) all.add(entry.value.daddr);
  for (const { demands } of policies.values()) {
    for (const demand of demands) if (demand.reqid === reqid) all.add(demand.to);
  }
  const [only] = all;
  return all.size === 1 ? only : undefined;
}

/** Whether the packets of any of some policies answer those of any of the others. */
const answers = (some: readonly Policy[], others: readonly Policy[]): boolean =>
  some.some(({ entry: { value } }) => {
    const back = mirrored(value.selector);
    return others.some(({ entry }) => isSame(back, entry.value.selector));
  });

/**
 * Whether one group is for packets to a port of the peer and the other for packets to the same port
 * here, as in Open vSwitch connections for Geneve and VXLAN (ipsec/ovs-monitor-ipsec.in): nothing
 * is sent from that port, and each carries one direction.
 */
const isOtherRole = (one: SaGroup, other: SaGroup): boolean =>
  [...one.policies.values()].some(({ entry: { value } }) => {
    const role = withPortsExchanged(value.selector);
    if (value.dir !== 'out' || isSame(role, value.selector)) return false;
    return [...other.policies.values()].some(
      ({ entry: { value: its } }) => its.dir === 'out' && isSame(role, its.selector),
    );
  });

/** A Map with several values per key. */
class MultiMap<Key, Value> {
  readonly #sets = new Map<Key, Set<Value>>();

  get(key: Key): ReadonlySet<Value> {
    return this.#sets.get(key) ?? new Set();
  }

  add(key: Key, value: Value): void {
    const set = this.#sets.get(key);
    if (set) set.add(value);
    else this.#sets.set(key, new Set([value]));
  }

  delete(key: Key, value: Value): void {
    const set = this.#sets.get(key);
    set?.delete(value);
    if (set?.size === 0) this.#sets.delete(key);
  }
}
