/** All SAs and policies of a host, indexed by what a change may affect. @module */
import { isDeepStrictEqual } from 'node:util';
import { type AnyEntry, incarnationOf, LateEntry } from '../monitor/table.ts';
import { hasSpi } from '../monitor/xfrm-objects.ts';
import type { EventTime } from '../netlink/event.ts';
import { contains, isSame, isWild, meet, mirrored, withPortsExchanged } from '../xfrm/matching.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { PolicyDefaults, XfrmSelector } from '../xfrm/types.ts';
import {
  Demands,
  demandsOf,
  fits,
  isOnlyShared,
  isOpen,
  makesTunnel,
  type Pair,
  pairKey,
  pairOf,
  type TemplateDemand,
} from './endpoints.ts';
import {
  each,
  excluding,
  type Few,
  has,
  including,
  LateMap,
  MultiMap,
  NONE,
  sizeOf,
} from './few.ts';
import { ordinaryPart } from './ordinary.ts';
import { type Label, labelKey, leaving, PolicyIndex } from './policy-index.ts';
import { acceptsIn, carriesOut, labelsIn } from './policy-match.ts';
import { type PolicyGone, SaGroup, type SaNeed, type Surroundings } from './sa-group.ts';
import { type Policy, Sa } from './tunnel-contents.ts';

/** SPIs up to here are reserved (RFC 4303, 2.1): they are assigned by hand, perhaps twice. */
const RESERVED_SPIS = 255;
/** The most destinations counted for one SPI. */
const MANY = 100;
/** The most reqids of one tunnel, or between two endpoints, that are looked through. */
const FEW = 16;
const PASS: PolicyDefaults = { in: 'accept', fwd: 'accept', out: 'accept' };

export class SaGroups {
  /** Groups to evaluate. */
  readonly dirty = new Set<SaGroup>();
  /** In the order in which they were found. */
  readonly groups = new Set<SaGroup>();
  /** By both endpoints. */
  readonly #byEnds = new Map<string, Few<SaGroup>>();
  /** Where many have the same endpoints. */
  readonly #byKey = new LateMap<string, SaGroup>(
    () => this.groups,
    ({ ends, reqid }) => [groupKey(ends, reqid)],
  );
  /** By each endpoint. */
  readonly #byAddress = new LateMap<string, SaGroup>(
    () => this.groups,
    ({ pair }) => pair,
  );
  readonly #byReqid = new LateMap<number, SaGroup>(
    () => this.groups,
    ({ reqid }) => [reqid],
  );
  /** By incarnation. */
  readonly #sas = new LateMap<number, Sa>(
    () => this.#allSas(),
    ({ incarnation }) => [incarnation],
  );
  readonly #policies = new LateMap<number, Policy>(
    () => this.#allPolicies(),
    ({ incarnation }) => [incarnation],
  );
  /** Policies that cover more SAs than their own. */
  readonly #covers = new MultiMap<GroupsKey, Policy>();
  /** The inbound ones among them, for any peer. */
  readonly #forAll = new Set<Policy>();
  readonly #index = new PolicyIndex();
  /** Policies that changed and may take packets of others, with what they take as it leaves. */
  readonly #before = new PolicyIndex();
  /** Groups by the labels of answers to their packets, and the masks of those. */
  readonly #byLabel = new MultiMap<string, SaGroup>();
  readonly #masks = new Map<number, number>();
  #defaults: PolicyDefaults = PASS;
  /** Outbound policies whose source the kernel chooses, by the endpoint they send to. */
  readonly #fromAny = new MultiMap<string, Policy>();
  /** Outbound policies by the source of their packets, if that is a single address. */
  readonly #bySource = new LateMap<string, Policy>(
    () => this.#allPolicies(),
    ({ entry }) => sourcesOf(entry.value),
  );
  /** Policies without templates, by incarnation. */
  readonly #shunts = new Map<number, Policy>();
  /**
   * How many demands have an address as this host's, and as a peer's; made when someone asks for the
   * first time, which no ordinary tunnel does.
   */
  #roles: Map<string, [number, number]> | undefined;
  /** SAs without keys. */
  readonly #larval = new Set<Sa>();
  /** SAs from any source, by their destination. */
  readonly #shared = new MultiMap<string, Sa>();
  readonly #bySpi = new MultiMap<number, Sa>();

  /** The one that was last asked for. */
  #last: SaGroup | undefined;
  readonly #demands = new Demands();
  #order = 0;
  /** Until then everything is still to be evaluated, and nothing has to be marked for it. */
  #isOpening = true;

  /** From then on the groups that a change affects are marked for evaluation. */
  opened(): void {
    this.#isOpening = false;
  }

  groupsByAddress(address: string): Iterable<SaGroup> {
    return this.#byAddress.get(address);
  }

  groupsByReqid(reqid: number): Iterable<SaGroup> {
    return this.#byReqid.get(reqid);
  }

  /** The groups with both endpoints, or with a reqid. */
  #groupsBy(key: GroupsKey): readonly SaGroup[] | Set<SaGroup> {
    return typeof key === 'number' ? this.#byReqid.get(key) : each(this.#byEnds.get(key));
  }

  #groupOf(ends: string, reqid: number): SaGroup | undefined {
    return this.#groupAmong(this.#byEnds.get(ends), ends, reqid);
  }

  #groupAmong(all: Few<SaGroup>, ends: string, reqid: number): SaGroup | undefined {
    if (all instanceof SaGroup) return all.reqid === reqid ? all : undefined;
    if (all instanceof Set) return this.#byKey.first(groupKey(ends, reqid));
    for (const one of each(all)) if (one.reqid === reqid) return one;
    return undefined;
  }

  /** @param value as far as it is known: found with its group, it needs no index */
  sa(incarnation: number, value: XfrmState): Sa | undefined {
    if (!hasSpi(value.proto)) return undefined;
    const near = this.#groupOf(pairKey(pairOf(value.saddr, value.daddr)), value.reqid);
    return among(near?.sas, incarnation) ?? this.#sas.first(incarnation);
  }

  /** A policy with templates. @param value as of an SA */
  policy(incarnation: number, value: XfrmPolicy): Policy | undefined {
    for (const { from, to, reqid } of demandsOf(value)) {
      const near = this.#groupOf(pairKey(pairOf(from, to)), reqid)?.policies;
      const found = among(near, incarnation);
      if (found) return found;
    }
    return this.#policies.first(incarnation);
  }

  *#allSas(): Generator<Sa, undefined> {
    for (const { sas } of this.groups) yield* each(sas);
  }

  /** Those with templates, each once. */
  *#allPolicies(): Generator<Policy, undefined> {
    // Only one with several templates can be in several groups.
    const others = new Set<Policy>(this.#covers.values());
    for (const { policies } of this.groups) {
      for (const one of each(policies)) {
        if (one.demands.length > 1) others.add(one);
        else yield one;
      }
    }
    yield* others;
  }

  /** The SAs with an SPI and protocol. */
  *bySpi(proto: IpsecProto, spi: number): Generator<Sa, undefined> {
    for (const sa of this.#bySpi.get(spi)) if (sa.entry.value.proto === proto) yield sa;
  }

  get nextOrder(): number {
    return ++this.#order;
  }

  /** The SAs from any source. */
  get shared(): Iterable<Sa> {
    return this.#shared.values();
  }

  /** The groups whose tunnels an SA serves. */
  servedBy({ group, entry }: Sa): Iterable<SaGroup> {
    const { saddr, daddr } = entry.value;
    if (isWild(saddr)) return this.groupsByAddress(daddr);
    return group.linked.filter((one) => !one.isEmpty);
  }

  /** Policies that may match a group's SAs, in addition to its own. */
  #coversOf({ ends, policies }: SaGroup, reqids: Iterable<number>): Policy[] {
    const covers = new Set(this.#covers.get(ends));
    for (const reqid of [...reqids, 0]) {
      for (const policy of this.#covers.get(reqid)) covers.add(policy);
    }
    for (const policy of each(policies)) covers.delete(policy);
    return [...covers];
  }

  /** @param group one, or several merged */
  surroundings(group: SaGroup, groups: readonly SaGroup[]): Surroundings {
    const reqids = new Set(groups.map(({ reqid }) => reqid));
    const [a, b] = group.pair;
    const covers = this.#coversOf(group, reqids);
    const shared = [...this.#shared.get(a), ...this.#shared.get(b)];
    const sas = [...each(group.sas), ...shared].map(({ entry }) => entry.value);
    const labels = labelsIn([...each(group.policies), ...covers, ...this.#forAll], sas);
    const labelled = labels.filter((one) => labelKey(one) !== '');
    const some = labelled.length > 0 ? labelled : NONE;
    for (const one of groups) this.#label(one, some);
    const isAlone = (key: GroupsKey) => this.#isAlone(key, groups);
    return {
      reqids,
      alone: {
        ends: isAlone(group.ends),
        reqids: [...reqids].every(isAlone),
      },
      covers,
      open: this.#forAll,
      shared,
      roleOf: (address) => this.#roleOf(address),
      isLeftOver: (asked) => this.#isLeftOver(asked, reqids),
      host: { index: this.#index, defaults: this.#defaults },
    };
  }

  /**
   * What {@link linked} and {@link surroundings} find for a group that nothing else concerns, if it
   * is an ordinary tunnel (ordinary.ts).
   */
  ordinary(group: SaGroup, has: (address: string) => boolean) {
    const { ends, pair, reqid } = group;
    if (group.isLinked || this.#forAll.size > 0 || sizeOf(this.#byEnds.get(ends)) > 1)
      return undefined;
    if (this.#covers.count(ends) + this.#covers.count(reqid) + this.#covers.count(0) > 0)
      return undefined;
    for (const end of pair)
      if (this.#shared.count(end) + this.#fromAny.count(end) > 0) return undefined;
    const host = { index: this.#index, defaults: this.#defaults, has };
    const found = ordinaryPart(group, host);
    if (found && group.labels.length > 0) this.#label(group, NONE);
    return found;
  }

  /** Whether no other groups with a key have SAs or policies, but for SAs from any source. */
  #isAlone(key: GroupsKey, groups: readonly SaGroup[]): boolean {
    const all = this.#groupsBy(key);
    if (sizeOf(all) > FEW) return false;
    for (const one of all) {
      if (!groups.includes(one) && !isVacant(one) && !isOnlyShared(one.pair)) return false;
    }
    return true;
  }

  /** Marks for evaluation the groups that are alone only without this one. */
  #joins({ ends, reqid }: SaGroup): void {
    if (this.#isOpening) return;
    for (const key of [ends, reqid]) {
      const all = this.#groupsBy(key);
      if (sizeOf(all) > FEW + 1) continue;
      for (const one of all) this.dirty.add(one);
    }
  }

  /**
   * An address of this host was added or removed: answers to it are now for this host, or
   * forwarded.
   */
  readdressed(address: string): void {
    for (const policy of this.#bySource.get(address)) this.#markSenders(policy);
  }

  /** Marks for evaluation the groups whose packets, or the answers to them, a policy takes. */
  #taken(policy: Policy): void {
    if (this.#isOpening) return;
    const { value } = policy.entry;
    const packets = leaving(value);
    for (const some of packets) {
      for (const one of this.#index.alike('out', some, value)) this.#markSenders(one);
    }
    const label = value.dir === 'out' ? '' : labelKey(value);
    for (const group of label === '' ? [] : this.#byLabel.get(label)) {
      const isTaken = ({ entry }: Policy) =>
        packets.some((some) => contains(some, entry.value.selector));
      if (this.#sendersOf(group).some(isTaken)) this.dirty.add(group);
    }
    // Others are found in one pass, for all that changed.
    const mask = value.mark?.mask ?? 0;
    const isFiner = (its: number) => its !== mask && (mask & ~its) === 0;
    if (
      packets.some((some) => this.#index.hasFiner('out', some, value)) ||
      (label !== '' && [...this.#masks.keys()].some(isFiner))
    ) {
      for (const selector of packets) this.#before.add(asLeaving(policy, selector));
    }
  }

  /** Notes what the answers to a group's packets may have. */
  #label(group: SaGroup, labels: readonly Label[]): void {
    for (const one of group.labels) {
      this.#byLabel.delete(labelKey(one), group);
      this.#count(one, -1);
    }
    group.labels = labels;
    for (const one of labels) {
      this.#byLabel.add(labelKey(one), group);
      this.#count(one, 1);
    }
  }

  #count({ mark }: Label, by: number): void {
    if (mark === undefined) return;
    const count = (this.#masks.get(mark.mask) ?? 0) + by;
    if (count > 0) this.#masks.set(mark.mask, count);
    else this.#masks.delete(mark.mask);
  }

  #markSenders({ demands }: Policy): void {
    for (const demand of demands) for (const group of this.#groupsOf(demand)) this.dirty.add(group);
  }

  /** Marks for evaluation the groups whose packets changed policies may take. */
  markTaken(): void {
    const before = this.#before;
    if (before.isEmpty) return;
    for (const group of this.groups) {
      const isTaken = ({ entry: { value } }: Policy) => {
        const has = (its: Label) => before.encloses('out', value.selector, its);
        // Packets without a label too: those that are sent on, and answers with none.
        return has(NO_LABEL) || (labelKey(value) !== '' && has(value)) || group.labels.some(has);
      };
      if (this.#sendersOf(group).some(isTaken)) this.dirty.add(group);
    }
    before.clear();
  }

  /** What becomes of packets that match no policy; undefined: they pass. */
  setDefaults(defaults: PolicyDefaults = PASS): void {
    const before = this.#defaults;
    this.#defaults = defaults;
    if (isDeepStrictEqual(before, defaults)) return;
    for (const group of this.groups) this.dirty.add(group);
  }

  /**
   * A trap policy for any peer requests SAs between the endpoints of each packet. When the SAs are
   * added, between the gateways or with a reqid of their own, so are policies for those packets, and
   * the request is a leftover until it times out. So is one from a source that the kernel chose while
   * another address was missing, if SAs of that serve the policy.
   */
  #isLeftOver({ pair, selector, mark, ifId }: SaNeed, reqids: ReadonlySet<number>): boolean {
    const [best] = this.#index.enclosing('out', selector, { mark, ifId });
    const key = pairKey(pair);
    const isHere = ({ from, to }: TemplateDemand) =>
      isWild(from) ? pair.includes(to) : pairKey(pairOf(from, to)) === key;
    const isServed = (one: TemplateDemand) =>
      isFromAny(one) &&
      [...this.groupsByAddress(one.to)].some(
        (group) =>
          pairKey(group.pair) !== key &&
          [...each(group.sas)].some(
            ({ entry, isLarval }) =>
              !isLarval && best && carriesOut(entry.value, one, best.entry.value),
          ),
      );
    const isElsewhere = (one: TemplateDemand) =>
      isServed(one) ||
      ((makesTunnel(one) || isFromAny(one)) && !(isHere(one) && reqids.has(one.reqid)));
    return best?.demands.every(isElsewhere) ?? false;
  }

  /** Whether policies have an address as this host's (true) or a peer's. */
  #roleOf(address: string): boolean | undefined {
    if (this.#roles === undefined) {
      this.#roles = new Map();
      for (const { demands } of this.#allPolicies()) countRoles(demands, 1, this.#roles);
    }
    return roleIn(this.#roles, address);
  }

  /** Counts in which roles a policy has addresses. */
  #addRoles(demands: Policy['demands'], by: 1 | -1): void {
    const roles = this.#roles;
    // No group was evaluated by them.
    if (roles === undefined) return;
    const addresses = new Set(demands.flatMap(({ from, to }) => [from, to]));
    const before = new Map(Array.from(addresses, (one) => [one, roleIn(roles, one)]));
    countRoles(demands, by, roles);
    for (const [address, role] of before) {
      if (roleIn(roles, address) === role) continue;
      for (const group of this.groupsByAddress(address)) this.dirty.add(group);
    }
  }

  /** Requests may have become leftovers, or stopped being that. */
  #asked(dir: XfrmPolicy['dir']): void {
    if (dir === 'out' && !this.#isOpening)
      for (const { group } of this.#larval) this.dirty.add(group);
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
    const key = group.ends;
    const [a, b] = group.pair;
    for (const { demands } of this.#policiesOf(group)) {
      for (const demand of demands) {
        if (demand.reqid === group.reqid || (!makesTunnel(demand) && !isFromAny(demand))) continue;
        if (!fits(demand, a, b) && !fits(demand, b, a)) continue;
        yield this.group(a, b, demand.reqid);
      }
    }
    for (const end of group.pair) {
      for (const { demands } of this.#fromAny.get(end)) {
        for (const demand of demands) {
          const { reqid, to } = demand;
          if (!isFromAny(demand) || to !== end) continue;
          const its = this.#groupOf(key, reqid);
          if (its && !isVacant(its)) continue;
          // It makes no tunnel, but may send what these SAs bring the answers to.
          if (!this.#accepts(new SaGroup(group.pair, reqid), group)) continue;
          yield this.group(a, b, reqid);
        }
      }
    }
    const toward = towardOf(group);
    for (const other of this.#groupsBy(key)) {
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
    yield* each(policies);
    for (const policy of this.#covers.get(reqid)) {
      const isIts = (one: TemplateDemand) =>
        one.reqid === reqid && isFromAny(one) && (fits(one, a, b) || fits(one, b, a));
      if (policy.demands.some(isIts)) yield policy;
    }
  }

  /** The policies that send packets through a group's SAs. */
  #sendersOf({ policies, ends, reqid }: SaGroup): Policy[] {
    const all = [...each(policies)];
    if (this.#covers.size > 0) {
      all.push(...this.#covers.get(ends), ...this.#covers.get(reqid));
    }
    return all.filter(({ entry }) => entry.value.dir === 'out');
  }

  /** Whether answers to a group's packets come in through SAs of another, which has no policies. */
  #accepts(sending: SaGroup, group: SaGroup): boolean {
    const { sas, policies, reqid } = group;
    if (policies !== undefined || sas === undefined) return false;
    const toward = towardOf(group);
    const sent = [...this.#policiesOf(sending)];
    if (toward === undefined || sent.length === 0) return false;
    return this.#coversOf(group, [reqid]).some(({ demands, entry: { value } }) =>
      demands.some(
        (one) =>
          one.direction === 'in' &&
          [...each(sas)].some((sa) => acceptsIn(sa.entry.value, one, value)) &&
          sent.some(
            (its) =>
              its.demands.some((demand) => demand.from === toward || isFromAny(demand)) &&
              meet(mirrored(its.entry.value.selector), value.selector),
          ),
      ),
    );
  }

  /** The group between two endpoints, in either order. */
  group(a: string, b: string, reqid: number): SaGroup {
    // The SAs and policies of a tunnel are listed one after the other.
    const last = this.#last;
    if (last?.reqid === reqid && isBetween(last.pair, a, b)) return last;
    const pair = pairOf(a, b);
    const ends = pairKey(pair);
    const all = this.#byEnds.get(ends);
    let group = this.#groupAmong(all, ends, reqid);
    if (group === undefined) {
      group = new SaGroup(pair, reqid, ends);
      this.groups.add(group);
      this.#byEnds.set(ends, including(all, group));
      this.#byKey.add(group);
      this.#byAddress.add(group);
      this.#byReqid.add(group);
    }
    this.#last = group;
    return group;
  }

  drop(group: SaGroup): void {
    if (this.#last === group) this.#last = undefined;
    this.groups.delete(group);
    this.#label(group, NONE);
    const left = excluding(this.#byEnds.get(group.ends), group);
    if (left === undefined) this.#byEnds.delete(group.ends);
    else this.#byEnds.set(group.ends, left);
    this.#byKey.delete(group);
    this.#byAddress.delete(group);
    this.#byReqid.delete(group);
  }

  /** Marks a group for evaluation, unless it was dropped. */
  touch(group: SaGroup): void {
    if (this.groups.has(group)) this.dirty.add(group);
  }

  addSa(entry: AnyEntry<XfrmState>, came: EventTime, heard: boolean): void {
    const { saddr, daddr, reqid, proto, spi } = entry.value;
    if (!hasSpi(proto)) return;
    const group = this.group(saddr, daddr, reqid);
    const sa = new Sa(group, entry, came, heard);
    if (isVacant(group)) this.#joins(group);
    group.sas = including(group.sas, sa);
    this.#sas.add(sa);
    if (isWild(saddr)) this.#shared.add(daddr, sa);
    if (sa.isLarval) this.#larval.add(sa);
    if (this.#isOpening) this.#bySpi.add(spi, sa);
    else this.#came(sa);
  }

  /** An SA was added since the opening. */
  #came(sa: Sa): void {
    this.#share(sa);
    this.#spiChanges(sa, () => this.#bySpi.add(sa.entry.value.spi, sa));
    this.dirty.add(sa.group);
  }

  removeSa(sa: Sa): void {
    const { spi, daddr } = sa.entry.value;
    sa.group.sas = excluding(sa.group.sas, sa);
    if (isVacant(sa.group)) this.#joins(sa.group);
    this.#sas.delete(sa);
    this.#share(sa);
    this.#shared.delete(daddr, sa);
    this.#larval.delete(sa);
    this.#spiChanges(sa, () => this.#bySpi.delete(spi, sa));
  }

  /** Marks for evaluation the groups that an SA from any source may serve. */
  #share({ entry }: Sa): void {
    const { saddr, daddr } = entry.value;
    // It may also serve a policy that requested SAs from other sources.
    if (!isWild(saddr) && sizeOf(this.#fromAny.get(daddr)) === 0) return;
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
    // As of most.
    if (this.#bySpi.count(spi) < 2) return 1;
    const destinations = new Set<string>();
    for (const { entry: other } of this.bySpi(proto, spi)) {
      destinations.add(other.value.daddr);
      if (destinations.size >= MANY) break;
    }
    return destinations.size;
  }

  addPolicy(entry: AnyEntry<XfrmPolicy>, changedAt: number): void {
    const demands = this.#demands.of(entry.value);
    const policy: Policy = { incarnation: incarnationOf(entry), entry, demands, changedAt };
    this.#index.add(policy);
    this.#taken(policy);
    this.#asked(entry.value.dir);
    if (demands.length === 0) {
      this.#shunts.set(policy.incarnation, policy);
      return;
    }
    this.#policies.add(policy);
    this.#bySource.add(policy);
    this.#addRoles(demands, 1);
    for (const demand of demands) {
      if (makesTunnel(demand)) {
        const group = this.group(demand.from, demand.to, demand.reqid);
        if (isVacant(group)) this.#joins(group);
        group.policies = including(group.policies, policy);
        if (!this.#isOpening) this.dirty.add(group);
      } else {
        this.#covers.add(coverKey(demand), policy);
        if (isFromAny(demand)) this.#fromAny.add(demand.to, policy);
        if (isForAll(demand)) this.#forAll.add(policy);
      }
    }
    this.#cover(demands);
  }

  removeShunt(incarnation: number): void {
    const shunt = this.#shunts.get(incarnation);
    if (shunt === undefined) return;
    this.#shunts.delete(incarnation);
    this.#index.delete(shunt);
    this.#taken(shunt);
    this.#asked(shunt.entry.value.dir);
  }

  #groupsOf(demand: TemplateDemand): Iterable<SaGroup> {
    if (!makesTunnel(demand)) return this.#groupsBy(coverKey(demand));
    const group = this.#groupOf(pairKey(pairOf(demand.from, demand.to)), demand.reqid);
    return group ? [group] : [];
  }

  /** @param gone if it is gone for good, or no longer sends anything */
  removePolicy(policy: Policy, gone: PolicyGone | undefined): void {
    this.#policies.delete(policy);
    this.#bySource.delete(policy);
    this.#addRoles(policy.demands, -1);
    this.#forAll.delete(policy);
    this.#index.delete(policy);
    this.#taken(policy);
    this.#asked(policy.entry.value.dir);
    for (const demand of policy.demands) {
      const { from, to, reqid } = demand;
      const group = this.#groupOf(pairKey(pairOf(from, to)), reqid);
      if (group && has(group.policies, policy)) {
        group.policies = excluding(group.policies, policy);
        if (isVacant(group)) this.#joins(group);
        this.dirty.add(group);
      }
      if (gone && demand.direction === 'out')
        for (const one of this.#groupsOf(demand)) one.policyGone = gone;
      this.#covers.delete(coverKey(demand), policy);
      this.#fromAny.delete(to, policy);
    }
    this.#cover(policy.demands);
  }

  /** Marks for evaluation the groups that a policy covers: all, if it is for any peer and reqid. */
  #cover(demands: Policy['demands']): void {
    if (this.#isOpening) return;
    for (const demand of demands) {
      if (makesTunnel(demand)) continue;
      const all = isOpen(demand) && (demand.reqid === 0 || isForAll(demand));
      const groups = all ? this.groups : this.#groupsBy(coverKey(demand));
      for (const group of groups) this.dirty.add(group);
      if (isFromAny(demand))
        for (const group of this.groupsByAddress(demand.to)) this.dirty.add(group);
    }
  }
}

/** In which role policies have an address; undefined if in both or none. */
function roleIn(roles: ReadonlyMap<string, [number, number]>, address: string) {
  const [local = 0, remote = 0] = roles.get(address) ?? [];
  return local > 0 === remote > 0 ? undefined : local > 0;
}

/** Adds the addresses of a policy's templates, or takes them away. */
function countRoles(
  demands: Policy['demands'],
  by: 1 | -1,
  roles: Map<string, [number, number]>,
): void {
  for (const demand of demands) {
    const { direction, from, to } = demand;
    if (direction === undefined || !makesTunnel(demand) || from === to) continue;
    const [local, remote] = direction === 'out' ? [from, to] : [to, from];
    for (const [address, role] of [
      [local, 0],
      [remote, 1],
    ] as const) {
      const counts = roles.get(address) ?? [0, 0];
      counts[role] += by;
      if (counts[0] + counts[1] > 0) roles.set(address, counts);
      else roles.delete(address);
    }
  }
}

const NO_LABEL: Label = {};

/** A policy as if it was for packets that leave; it is not shown. */
const asLeaving = (policy: Policy, selector: XfrmSelector): Policy => {
  const { value, countersReadAt } = policy.entry;
  const leaving: XfrmPolicy = { ...value, dir: 'out', selector };
  return { ...policy, entry: new LateEntry(policy.incarnation, leaving, countersReadAt, '') };
};

/** One of some, unless there are too many to look through. */
function among<Member extends Sa | Policy>(
  some: Few<Member>,
  incarnation: number,
): Member | undefined {
  if (sizeOf(some) > FEW) return undefined;
  for (const one of each(some)) if (one.incarnation === incarnation) return one;
  return undefined;
}

const isVacant = ({ sas, policies }: SaGroup): boolean =>
  sas === undefined && policies === undefined;
/** A pair, or a reqid. */
type GroupsKey = string | number;
const groupKey = (ends: string, reqid: number): string => `${ends} ${reqid}`;

const isBetween = ([one, other]: Pair, a: string, b: string): boolean =>
  (one === a && other === b) || (one === b && other === a);

/**
 * Whether the kernel chooses the source of packets to an endpoint (xfrm_policy.c,
 * xfrm_tmpl_resolve_one).
 */
const isFromAny = ({ from, to, direction, optional }: TemplateDemand): boolean =>
  direction === 'out' && isWild(from) && !isWild(to) && !optional;
/** Its pair, or if an endpoint is a wildcard, its reqid. */
const coverKey = (demand: TemplateDemand): GroupsKey =>
  isOpen(demand) ? demand.reqid : pairKey(pairOf(demand.from, demand.to));

const isForAll = (demand: TemplateDemand): boolean => isOpen(demand) && demand.direction === 'in';

/** The source of an outbound policy's packets, if it is a single address. */
const sourcesOf = ({ dir, selector }: XfrmPolicy): readonly string[] =>
  dir === 'out' && selector.prefixlenS === (selector.family === 'inet6' ? 128 : 32)
    ? [selector.saddr]
    : NONE;

const RANKS: { readonly [proto: string]: number } = { esp: 0, ah: 1, comp: 2 };

/** A group's rank, by the most protective protocol of its SAs and templates. */
function rankOf({ sas, policies, reqid }: SaGroup): number {
  let least = 3;
  const note = (proto: IpsecProto) => {
    least = Math.min(least, RANKS[proto] ?? 3);
  };
  for (const { entry } of each(sas)) note(entry.value.proto);
  for (const { demands } of each(policies)) {
    for (const demand of demands) if (demand.reqid === reqid) note(demand.proto);
  }
  return least;
}

/** The destination of all SAs with keys and policies of a group; undefined if there are several. */
function towardOf({ sas, policies, reqid }: SaGroup): string | undefined {
  const all = new Set<string>();
  for (const { entry, isLarval } of each(sas)) if (!isLarval) all.add(entry.value.daddr);
  for (const { demands } of each(policies)) {
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
  [...each(one.policies)].some(({ entry: { value } }) => {
    const role = withPortsExchanged(value.selector);
    if (value.dir !== 'out' || isSame(role, value.selector)) return false;
    return [...each(other.policies)].some(
      ({ entry: { value: its } }) => its.dir === 'out' && isSame(role, its.selector),
    );
  });
