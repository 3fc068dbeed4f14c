/** All SAs and policies of a host, found by what a change may touch. @module */
import { hasSpi } from '../monitor/xfrm-objects.ts';
import type { PolicyEntry, StateEntry } from '../monitor/xfrm-views.ts';
import type { EventTime } from '../netlink/event.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import {
  type Demand,
  demandsOf,
  isWild,
  makesTunnel,
  type Pair,
  pairKey,
  pairOf,
} from './endpoints.ts';
import { Group, type PolicyGone } from './group.ts';
import { type Policy, type Sa, saOf } from './present.ts';

/** SPIs up to here are reserved (RFC 4303, 2.1): who uses them gives them out by hand, perhaps twice. */
const RESERVED_SPIS = 255;
/** Destinations of one SPI that are counted. */
const MANY = 100;

export class Members {
  /** Groups that are to be looked at. */
  readonly dirty = new Set<Group>();
  readonly #groups = new Map<string, Group>();
  /** By uid. */
  readonly sas = new Map<string, Sa>();
  readonly policies = new Map<string, Policy>();
  /** Policies that cover SAs beside their own. */
  readonly #covers = new MultiMap<string, Policy>();
  /** By their ends, by each of them, and by reqid. */
  readonly #groupsBy = new MultiMap<string, Group>();
  readonly #bySpi = new MultiMap<string, Sa>();

  #order = 0;

  get groups(): Iterable<Group> {
    return this.#groups.values();
  }

  groupsByAddress(address: string): ReadonlySet<Group> {
    return this.#groupsBy.get(address);
  }

  groupsByReqid(reqid: number): ReadonlySet<Group> {
    return this.#groupsBy.get(reqidKey(reqid));
  }

  /** Those with the SPI and protocol of one, itself included. */
  bySpi(proto: IpsecProto, spi: number): ReadonlySet<Sa> {
    return this.#bySpi.get(`${proto} ${spi}`);
  }

  get nextOrder(): number {
    return ++this.#order;
  }

  /** Policies that fit a group's SAs, beside its own; some may not. */
  covers({ pair, reqid, policies }: Group): Policy[] {
    const covers = new Set([
      ...this.#covers.get(pairKey(pair)),
      ...this.#covers.get(reqidKey(reqid)),
      ...this.#covers.get(reqidKey(0)),
    ]);
    for (const policy of policies.values()) covers.delete(policy);
    return [...covers];
  }

  group(pair: Pair, reqid: number): Group {
    const key = `${pairKey(pair)} ${reqid}`;
    const known = this.#groups.get(key);
    if (known) return known;
    const group = new Group(key, pair, reqid);
    this.#groups.set(key, group);
    for (const one of keysOf(group)) this.#groupsBy.add(one, group);
    return group;
  }

  drop(group: Group): void {
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
    this.#spiChanges(sa, () => this.#bySpi.add(`${proto} ${spi}`, sa));
    this.dirty.add(group);
  }

  removeSa(sa: Sa): void {
    const { proto, spi } = sa.entry.value;
    sa.group.sas.delete(sa.uid);
    this.sas.delete(sa.uid);
    this.#spiChanges(sa, () => this.#bySpi.delete(`${proto} ${spi}`, sa));
  }

  /** Those that begin or end to share an SPI are to be looked at. */
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

  /** Destinations of an SPI, at most {@link MANY}; 0 where several mean nothing. */
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
    if (demands.length === 0) return;
    const policy: Policy = { uid: entry.uid, entry, demands, changedAt };
    this.policies.set(policy.uid, policy);
    for (const demand of demands) {
      if (makesTunnel(demand)) {
        const group = this.group(pairOf(demand.from, demand.to), demand.reqid);
        group.policies.set(policy.uid, policy);
        this.dirty.add(group);
      } else this.#covers.add(coverKey(demand), policy);
    }
    this.#cover(demands);
  }

  removePolicy(policy: Policy, gone?: PolicyGone): void {
    this.policies.delete(policy.uid);
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

  /** Groups that a policy covers beside its own are to be looked at: all, if for any peer and reqid. */
  #cover(demands: Policy['demands']): void {
    for (const demand of demands) {
      if (makesTunnel(demand)) continue;
      const all = isOpen(demand) && demand.reqid === 0;
      const groups = all ? this.groups : this.#groupsBy.get(coverKey(demand));
      for (const group of groups) this.dirty.add(group);
    }
  }
}

const reqidKey = (reqid: number): string => `reqid ${reqid}`;
const keysOf = ({ pair, reqid }: Group) => [pairKey(pair), ...pair, reqidKey(reqid)];

/** Whether an end is left open. */
const isOpen = ({ from, to }: Demand): boolean => isWild(from) || isWild(to);
/** By its pair, or with an end left open by its reqid. */
const coverKey = (demand: Demand): string =>
  isOpen(demand) ? reqidKey(demand.reqid) : pairKey(pairOf(demand.from, demand.to));

/** Several values a key. */
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
