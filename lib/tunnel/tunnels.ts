/**
 * Joins SAs and policies into tunnels, live: fed with table changes, counter readings, addresses
 * and time, it reports changes of tunnels. No I/O. @module
 */
import { isDeepStrictEqual } from 'node:util';
import { flat } from '../base/flat.ts';
import type { ObjectChange } from '../monitor/changes.ts';
import { type AnyEntry, incarnationOf } from '../monitor/table.ts';
import type { XfrmObjectTypes } from '../monitor/xfrm-objects.ts';
import type { EventTime } from '../netlink/event.ts';
import { canonicalAddress } from '../wire/address.ts';
import type { AcquireEvent, MappingEvent } from '../xfrm/events.ts';
import { isWild } from '../xfrm/matching.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { PolicyDefaults } from '../xfrm/types.ts';
import type { LocalAddresses, LostAddress } from './addresses.ts';
import { Deadlines } from './deadlines.ts';
import { addressGoneReason, downReasonOf, policyGoneReason, unreachable } from './down-reasons.ts';
import { demandsOf, type Orientation, pairOf } from './endpoints.ts';
import { isExpected, type NamedExpectedTunnel } from './expected.ts';
import { each, excluding, has, including, kept, MultiMap, NONE } from './few.ts';
import { detectRekeys, enterFound, rekeyed, restUntil, successionOf } from './rekeys.ts';
import {
  type GroupPart,
  type Labels,
  labelText,
  matchRecords,
  mergedGroup,
  type PolicyGone,
  partsOfGroup,
  type SaGroup,
} from './sa-group.ts';
import { SaGroups } from './sa-groups.ts';
import { isSoftSpent } from './sa-limits.ts';
import { Clock, evaluateState, type StateEvaluation } from './state.ts';
import type { TunnelThresholds } from './thresholds.ts';
import { carries, isUpState, type Tunnel, type TunnelState, type TunnelWarning } from './tunnel.ts';
import type { ClaimedRequester, TunnelDownReason, TunnelEvent } from './tunnel-changes.ts';
import { both, DIRECTIONS, NO_CONTENTS, type Sa, serving } from './tunnel-contents.ts';
import { type Showing, TunnelRecord } from './tunnel-record.ts';
import { VacantTunnels } from './vacant.ts';
import { differences, evaluateLeaks, evaluateWarnings, type Surplus } from './warnings.ts';

export interface TunnelsHost extends Pick<LocalAddresses, 'has' | 'isLocal' | 'lost'> {
  emit(event: TunnelEvent): void;
  /**
   * The sender that wrote a port ID into a request, for the reason of a `down`; undefined while the
   * lookup is pending; {@link Tunnels.requesterFound} is called when it is done.
   */
  readonly claimant: (portId: number, time: EventTime) => ClaimedRequester | undefined;
}

/** The most tunnels remembered that are down and not expected. */
const REMEMBERED = 10_000;
/**
 * Milliseconds by which the wall clock is off before it was set. Less is the time between readings
 * of the two clocks.
 */
const WALL_CLOCK_SET = 500;
/** Groups evaluated per slice after a counter reading … */
const SOME = 16;
/** … and SAs read. */
const MORE = 128;
/** Before all readings. */
const NEVER: EventTime = { wall: -Infinity, monotonic: -Infinity };

export class Tunnels {
  readonly #host: TunnelsHost;
  readonly #apart: boolean;
  readonly #limits: TunnelThresholds;
  /** For tunnels that existed when the monitor opened: they have settled. */
  readonly #limitsFound: TunnelThresholds;
  readonly #records = new Map<string, TunnelRecord>();
  readonly #members = new SaGroups();
  readonly #deadlines = new Deadlines<TunnelRecord>();
  /** Expected tunnels without contents. */
  readonly #vacant = new VacantTunnels();
  /** Tunnels that are down and not expected, longest first. */
  readonly #remembered = new Set<TunnelRecord>();
  /** Tunnels that went down, not yet reported because the requester lookup is pending. */
  readonly #awaitingRequester = new Set<TunnelRecord>();
  readonly #samples: Surplus[] = [];
  /** Warnings about the host. */
  warnings: readonly TunnelWarning[] = [];
  /** The time of the counter reading that all tunnels show. */
  countersReadAt: EventTime;
  /** When the counters were last read; some tunnels may not be evaluated yet. */
  #read: EventTime;
  /** When that reading began. */
  #readBegan = NEVER;
  readonly #showing: Showing = { readAt: NEVER, count: 0 };
  /** Groups still to be evaluated after the last counter reading. */
  readonly #unevaluated = new Set<SaGroup>();
  /** What remains to be done by that reading. */
  #counting: Generator<undefined, undefined, EventTime> | undefined;
  /** Whether all entries of that reading are known. */
  #isKnown = false;
  /** The offset of the wall clock from the monotonic one, by which limits of SAs become deadlines. */
  #wallOffset: number;
  /** Whether it changed, and tunnels still have deadlines by the former one. */
  #isClockSet = false;
  /** Up to when everything the kernel announced is known, monotonic. */
  #heardUntil = -Infinity;
  #opening = true;

  /**
   * @param now the time of the first counter reading
   * @param apart whether tunnels show their parts
   */
  constructor(
    host: TunnelsHost,
    expected: readonly NamedExpectedTunnel[],
    limits: TunnelThresholds,
    now: EventTime,
    apart = false,
  ) {
    this.#host = host;
    this.#apart = apart;
    this.#limits = limits;
    this.#limitsFound = { ...limits, settle: 0 };
    this.#read = now;
    this.countersReadAt = now;
    this.#wallOffset = now.wall - now.monotonic;
    for (const one of expected) {
      const record = new TunnelRecord(one.name, apart, this.#showing, one);
      this.#records.set(record.id, record);
      this.#vacant.add(record, one);
    }
  }

  /** How often a tunnel was shown, for {@link shownSince}. */
  get shows(): number {
    return this.#showing.count;
  }

  /** The tunnels that were shown since; the others are as they were, but for the time of a reading. */
  *shownSince(shows: number): Generator<Tunnel> {
    for (const record of this.#records.values()) {
      const tunnel = record.shown > shows ? record.tunnel : undefined;
      if (tunnel) yield tunnel;
    }
  }

  /** The states of visible tunnels, which are not made for it. */
  *states(): Generator<TunnelState, undefined> {
    for (const { shownState } of this.#records.values()) if (shownState) yield shownState;
  }

  /** The number of visible tunnels. */
  get size(): number {
    let size = 0;
    for (const { isShown } of this.#records.values()) if (isShown) size++;
    return size;
  }

  *[Symbol.iterator](): Generator<Tunnel> {
    for (const { tunnel } of this.#records.values()) if (tunnel) yield tunnel;
  }

  get(id: string): Tunnel | undefined {
    return this.#records.get(id)?.tunnel;
  }

  byRemote(text: string): Tunnel[] {
    const address = canonicalAddress(text);
    return this.#byEnd(address).filter(({ remote }) => remote === address);
  }

  byLocal(text: string): Tunnel[] {
    const address = canonicalAddress(text);
    return this.#byEnd(address).filter(({ local }) => local === address);
  }

  filter(by: (tunnel: Tunnel) => unknown): Tunnel[] {
    return [...this].filter((tunnel) => by(tunnel));
  }

  /**
   * Tunnels that may have an address; expected ones that were never seen, only by their
   * description.
   */
  #byEnd(address: string): Tunnel[] {
    const there = shown(this.#members.groupsByAddress(address));
    const vacant = [...this.#vacant].flatMap(({ tunnel }) => tunnel ?? []);
    return [...new Set([...there, ...vacant])];
  }

  byReqid(reqid: number): Tunnel[] {
    const groups = [...this.#members.groupsByReqid(reqid)];
    const there = shown(new Set(groups.map((group) => group.linked[0] ?? group)));
    const vacant = [...this.#vacant].filter(({ expected }) => expected?.reqid === reqid);
    return [...new Set([...there, ...vacant.flatMap(({ tunnel }) => tunnel ?? [])])];
  }

  /** When to call {@link flush} without a change, monotonic; Infinity: never. */
  get next(): number {
    return this.#members.dirty.size > 0 ? 0 : this.#deadlines.next;
  }

  /** Adds everything that exists at the start, without reports. */
  open(
    states: Iterable<AnyEntry<XfrmState>>,
    policies: Iterable<AnyEntry<XfrmPolicy>>,
    now: EventTime,
  ): void {
    const opening = this.opening(states, policies, now);
    while (!opening.next().done);
  }

  /**
   * As {@link open}, with pauses in which nothing else may be called: everything is as it was at
   * the start.
   */
  *opening(
    states: Iterable<AnyEntry<XfrmState>>,
    policies: Iterable<AnyEntry<XfrmPolicy>>,
    now: EventTime,
  ): Generator<undefined, undefined> {
    let count = 0;
    this.#comesTo(now, now.monotonic);
    for (const entry of inOrder(states)) {
      const wall = entry.value.current.addedAt;
      this.#members.addSa(entry, { wall, monotonic: wall - this.#wallOffset }, true);
      if (++count % SOME === 0) yield;
    }
    for (const entry of policies) {
      this.#members.addPolicy(entry, -Infinity);
      if (++count % SOME === 0) yield;
    }
    this.#members.opened();
    for (const group of this.#members.groups) {
      // Some are evaluated with others.
      if (!group.looked) this.#evaluateGroup(group, now);
      if (++count % SOME === 0) yield;
    }
    this.flush(now);
    for (const record of this.#vacant) this.#evaluate(record, now);
    for (const group of this.#members.groups) group.looked = false;
    this.#opening = false;
  }

  /** A change of the tables. {@link flush} then reports its effect on tunnels. */
  change(change: ObjectChange<XfrmObjectTypes>): void {
    const { kind, uid, time } = change;
    const incarnation = incarnationOf(change);
    if (change.object === 'policy') {
      const { id, value, countersReadAt } = change;
      const entry = { id, uid, value, countersReadAt };
      const before = kind === 'updated' ? change.before : value;
      const known = kind === 'added' ? undefined : this.#members.policy(incarnation, before);
      const portId = kind === 'removed' ? change.portId : undefined;
      const isGone = kind === 'removed' || demandsOf(value).length === 0;
      if (known) this.#members.removePolicy(known, isGone ? { portId, time } : undefined);
      else this.#members.removeShunt(incarnation);
      if (kind === 'added' || kind === 'updated') this.#members.addPolicy(entry, time.monotonic);
      else if (kind === 'expiring') this.#members.addPolicy(entry, known?.changedAt ?? -Infinity);
      return;
    }
    const { id, value, countersReadAt } = change;
    const entry = { id, uid, value, countersReadAt };
    const heard = change.origin === 'kernel';
    if (kind === 'added') {
      this.#members.addSa(entry, time, heard);
      return;
    }
    const sa = this.#members.sa(incarnation, kind === 'updated' ? change.before : value);
    if (sa === undefined) return;
    const { group } = sa;
    if (kind === 'removed') {
      const { reason, portId } = change;
      this.#members.removeSa(sa);
      const order = this.#members.nextOrder;
      group.lose({ sa, last: value, reason, portId, time, order, heard });
    } else if (group.isFor(value)) {
      this.#hold(sa);
      sa.entry = entry;
      sa.read = undefined;
      if (kind === 'expiring' || isSoftSpent(value)) sa.softAt ??= time.wall;
      // With other limits the kernel starts anew (net/xfrm/xfrm_state.c, xfrm_state_update).
      else if (change.fields.includes('lifetime')) sa.softAt = undefined;
      // One from any source makes no tunnel of its own.
      for (const one of this.#members.servedBy(sa)) this.#members.dirty.add(one);
    } else {
      // A resync can mistake another SA for the previous one (docs/consistency.md).
      const last = sa.entry.value;
      this.#members.removeSa(sa);
      const order = this.#members.nextOrder;
      group.lose({ sa, last, reason: 'replaced', portId: undefined, time, order, heard });
      this.#members.addSa(entry, time, heard);
    }
    this.#members.dirty.add(group);
  }

  /** An SA was requested, or a peer has a new address or port. */
  keyRequested(event: AcquireEvent | MappingEvent, now: EventTime): void {
    if (event.kind === 'MAPPING') {
      const { proto, spi, daddr } = event.mapping;
      for (const sa of this.#members.bySpi(proto, spi)) {
        if (sa.entry.value.daddr !== daddr || !sa.record) continue;
        sa.record.mappingHeard(now.monotonic);
        this.#members.dirty.add(sa.group);
      }
      return;
    }
    const { saddr, daddr, proto, templates, mark, ifId, selector } = event.acquire;
    const template = templates?.find((one) => one.proto === proto);
    const pair = pairOf(saddr, daddr);
    const group = this.#members.group(saddr, daddr, template?.reqid ?? 0);
    const number = -this.#members.nextOrder;
    const at = now.monotonic;
    group.ask({ number, at, pair, selector, saddr, mark, ifId, record: undefined });
    this.#members.dirty.add(group);
  }

  /**
   * The counters were read. {@link evaluateSomeCounters} then evaluates tunnels whose counters moved
   * or that changed meanwhile: nothing new is known about the others, and effects of time alone
   * have deadlines ({@link next}).
   *
   * @param states at least those whose counters moved, as a live table has them as that goes on
   * @param began when the reading began
   */
  readCounters(states: Iterable<AnyEntry<XfrmState>>, now: EventTime, began = now): void {
    this.#counting = this.#count(states, now, began);
  }

  /**
   * Continues what {@link readCounters} began.
   *
   * @param heardUntil as for {@link flush}
   * @returns whether all are evaluated
   */
  evaluateSomeCounters(now: EventTime, heardUntil = now.monotonic): boolean {
    this.#comesTo(now, heardUntil);
    if (this.#counting?.next(now).done === false) return false;
    this.#counting = undefined;
    this.flush(now, heardUntil);
    if (this.countersReadAt !== this.#read) {
      this.countersReadAt = this.#read;
      this.#showing.readAt = this.#readBegan;
      this.#sampleSurplus(this.#read);
    }
    return true;
  }

  /** Evaluates tunnels by a reading, in slices. It is given the time at which each begins. */
  *#count(
    states: Iterable<AnyEntry<XfrmState>>,
    read: EventTime,
    began: EventTime,
  ): Generator<undefined, undefined, EventTime> {
    let count = 0;
    // Until all entries are known, tunnels are evaluated by the former reading.
    this.#isKnown = false;
    for (const entry of states) {
      if (++count % MORE === 0) yield;
      const sa = this.#members.sa(incarnationOf(entry), entry.value);
      // Unchanged values are the same object (lib/monitor/staging-tables.ts).
      if (sa === undefined || sa.entry.value === entry.value) continue;
      sa.read = entry;
      for (const group of this.#members.servedBy(sa)) this.#unevaluated.add(group);
    }
    this.#isKnown = true;
    this.#read = read;
    this.#readBegan = began;
    this.#followWallClock(read);
    const isSet = this.#isClockSet;
    this.#isClockSet = false;
    // They also serve other groups, which may be evaluated before their own.
    for (const sa of this.#members.shared) {
      if (sa.read === undefined) continue;
      this.#hold(sa);
      this.#renew(sa);
    }
    for (const group of this.#members.groups) {
      // Requests count for a limited time, which no state may depend on.
      if (isSet || group.looked || group.acquired.length > 0) this.#unevaluated.add(group);
    }
    for (const group of this.#members.dirty) this.#unevaluated.add(group);
    let now = yield;
    for (const group of this.#unevaluated) {
      this.#evaluateGroup(group, now);
      for (const one of group.linked) one.looked = false;
      if (++count % SOME === 0) now = yield;
    }
  }

  /** An SA's entry is about to be replaced: the tunnels it serves still show the one before. */
  #hold(sa: Sa): void {
    sa.record?.hold();
    if (sa.record && !isWild(sa.entry.value.saddr)) return;
    for (const { records } of this.#members.servedBy(sa))
      for (const record of each(records)) record.hold();
  }

  /** Gives the SAs of a group, which is then evaluated, the entries of the last reading. */
  #renewAll({ sas }: SaGroup): void {
    if (this.#isKnown) for (const sa of each(sas)) this.#renew(sa);
  }

  #renew(sa: Sa): void {
    if (sa.read === undefined) return;
    sa.entry = sa.read;
    sa.read = undefined;
    if (sa.softAt === undefined && isSoftSpent(sa.entry.value)) sa.softAt = this.#read.wall;
  }

  /** Notices if the wall clock was set. */
  #followWallClock({ wall, monotonic }: EventTime): void {
    const offset = wall - monotonic;
    if (Math.abs(offset - this.#wallOffset) <= WALL_CLOCK_SET) return;
    this.#wallOffset = offset;
    this.#isClockSet = true;
  }

  /** What becomes of packets that match no policy; undefined: they pass. */
  setDefaults(defaults: PolicyDefaults | undefined): void {
    this.#members.setDefaults(defaults);
  }

  /** Addresses of this host were added, removed, or became unusable. */
  addressesChanged(addresses: Iterable<string>): void {
    for (const address of addresses) {
      for (const group of this.#members.groupsByAddress(address)) this.#members.dirty.add(group);
      this.#members.readdressed(address);
    }
  }

  /** A lookup of {@link TunnelsHost.claimant} has completed. */
  requesterFound(): void {
    for (const record of this.#awaitingRequester) this.#touch(record);
    this.#awaitingRequester.clear();
  }

  /**
   * Evaluates everything that changed, and everything that is due.
   *
   * @param heardUntil up to when everything the kernel announced is known, monotonic: timeouts are
   *   evaluated as of then
   */
  flush(now: EventTime, heardUntil = now.monotonic): void {
    this.#comesTo(now, heardUntil);
    for (const record of this.#deadlines.due(this.#heardUntil)) this.#touch(record);
    this.#members.markTaken();
    // Evaluating one can make another dirty, from which an expected tunnel moves.
    for (const group of this.#members.dirty) this.#evaluateGroup(group, now);
  }

  /** Time passes; what was due once stays due. */
  #comesTo(now: EventTime, heardUntil: number): void {
    this.#followWallClock(now);
    this.#heardUntil = Math.max(this.#heardUntil, heardUntil);
  }

  /** Removes a tunnel that is down from the list. */
  forget(id: string, now: EventTime): boolean {
    const record = this.#records.get(id);
    if (!record?.isEmpty || record.state !== 'down' || record.expected) return false;
    this.#remove(record, now);
    return true;
  }

  /** Marks a tunnel's group for evaluation. */
  #touch({ group }: TunnelRecord): void {
    if (group) this.#members.dirty.add(group);
  }

  /** Joins a group again, with the groups it is linked to, and evaluates its tunnels. */
  #evaluateGroup(group: SaGroup, now: EventTime): void {
    const ordinary = this.#members.ordinary(group, this.#host.has);
    if (ordinary) {
      const alone = group.linked;
      this.#look(group, alone);
      this.#updateAll(group, ordinary, alone, group, now);
      return;
    }
    const groups = this.#members.linked(group);
    const [first] = groups;
    for (const one of groups) {
      // Groups no longer linked to it have lost something, except those that were dropped.
      for (const other of one.linked) if (!groups.includes(other)) this.#members.touch(other);
      this.#look(one, groups);
      if (one === first) continue;
      for (const record of each(one.records)) this.#enter(record, first);
      one.records = undefined;
    }
    const all = mergedGroup(groups);
    const surroundings = this.#members.surroundings(all, groups);
    const found = partsOfGroup(all, surroundings, this.#host);
    this.#updateAll(all, found, groups, first, now);
  }

  /** Notes that a group is evaluated now, with others. */
  #look(group: SaGroup, groups: readonly SaGroup[]): void {
    this.#members.dirty.delete(group);
    this.#unevaluated.delete(group);
    group.linked = groups;
    group.looked = true;
    this.#renewAll(group);
    if (group.acquired.length > 0)
      group.forget(({ at }) => at + this.#limits.acquiring > this.#heardUntil);
  }

  /** @param all the groups, merged; the first of them has the records */
  #updateAll(
    all: SaGroup,
    { orientation, parts }: ReturnType<typeof partsOfGroup>,
    groups: readonly SaGroup[],
    first: SaGroup,
    now: EventTime,
  ): void {
    const records = matchRecords(parts, first.records);
    for (const record of parts.length > 0 ? each(first.records) : NONE) {
      // Nobody was told of it, so what comes now need not have another id.
      if (!record.isShown && !record.expected && !records.includes(record)) {
        this.#remove(record, now);
      }
    }
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i] as GroupPart;
      const known = records[i];
      const standsFor = (one: NamedExpectedTunnel) =>
        isExpected(one, { ...orientation, reqids: first.reqids, ...part.labels });
      const expected = known?.expected ? undefined : this.#vacant.find(orientation, standsFor);
      // A vacant expected one that stands for it takes its place.
      if (known && expected) this.#remove(known, now);
      const record =
        (expected ? undefined : known) ?? this.#occupant(first, orientation, part, expected);
      record.orientation = orientation;
      records[i] = record;
      this.#update(record, all, part, now);
    }
    for (const record of each(first.records)) {
      // An expected one may take the place of another.
      if (!records.includes(record) && has(first.records, record))
        this.#update(record, all, undefined, now);
    }
    for (const record of each(first.records)) {
      const { expected, isEmpty } = record;
      if (expected && isEmpty && !this.#vacant.has(record)) this.#vacate(record, expected);
    }
    for (const one of groups) {
      one.gone = NONE;
      if (one !== all) one.forget((asked) => all.acquired.includes(asked));
    }
    // With others, an empty one stands for a reqid that these lack SAs of.
    if (groups.every(({ isEmpty }) => isEmpty)) for (const one of groups) this.#drop(one);
  }

  /** The record for a new tunnel: an expected one without contents, or a new one. */
  #occupant(
    group: SaGroup,
    orientation: Orientation,
    part: GroupPart,
    expected: TunnelRecord | undefined,
  ): TunnelRecord {
    const { reqid } = group;
    if (expected) {
      if (expected.group) leave(expected, expected.group);
      this.#touch(expected);
      return this.#enter(expected, group);
    }
    const id = this.#freeId(orientation, reqid, part.labels);
    const record = new TunnelRecord(id, this.#apart, this.#showing);
    this.#records.set(record.id, record);
    return this.#enter(record, group);
  }

  /** An unused id for a tunnel that is not expected. */
  #freeId(
    { local, remote, directed }: Orientation,
    reqid: number,
    { marks, ifIds }: Labels,
  ): string {
    const label = labelText(marks.find(Boolean), ifIds.find(Boolean));
    const ends = directed ? `${local} > ${remote}` : `${local} <> ${remote}`;
    const name = `${ends}${reqid === 0 ? '' : ` reqid ${reqid}`}${label}`;
    let id = flat(name);
    for (let n = 2; this.#records.has(id); n++) id = `${name} (${n})`;
    return id;
  }

  #enter(record: TunnelRecord, group: SaGroup): TunnelRecord {
    group.records = including(group.records, record);
    record.group = group;
    return record;
  }

  /** The contents of a tunnel may have changed. @param part undefined: it has none */
  #update(record: TunnelRecord, group: SaGroup, part: GroupPart | undefined, now: EventTime): void {
    if (this.#opening && part) enterFound(record, part);
    const replaced = this.#opening ? NONE : detectRekeys(record, group, part);
    if (replaced.length > 0) {
      record.untold = kept([...record.untold, ...replaced]);
      record.rekeying = kept([...record.rekeying, ...replaced]);
    }
    record.read(part?.contents ?? NO_CONTENTS);
    record.members = part?.members ?? NONE;
    if (part) record.labels = part.labels;
    if (part) this.#vacant.delete(record);
    this.#evaluate(record, now);
  }

  /** An expected tunnel that lost its contents takes the place of another that matches, if any. */
  #vacate(record: TunnelRecord, expected: NamedExpectedTunnel): void {
    this.#vacant.add(record, expected);
    const { remote } = expected;
    const groups = remote ? this.#members.groupsByAddress(remote) : this.#members.groups;
    for (const { records, linked } of groups) {
      // Those that changed are evaluated anyway, and may have lost everything.
      if (linked.some((one) => this.#members.dirty.has(one))) continue;
      for (const other of each(records)) {
        if (other.expected || other.isEmpty || !this.#fits(other, expected)) continue;
        this.#touch(other);
        return;
      }
    }
  }

  /** Whether a tunnel matches an expected one, or last did. */
  #fits({ orientation, group, labels }: TunnelRecord, expected: NamedExpectedTunnel): boolean {
    if (!orientation || !group) return false;
    return isExpected(expected, { ...orientation, reqids: group.reqids, ...labels });
  }

  /**
   * Replaces the list of expected tunnels. A tunnel whose entry is unchanged, or that still matches
   * it, stays. One that gets a name, another name or none is the same tunnel under another id, so
   * it is `removed` and `added`. One that is no longer expected and has no contents is removed.
   * Call {@link flush} before and after.
   */
  expect(list: readonly NamedExpectedTunnel[], now: EventTime): void {
    const wanted = new Map(list.map((one) => [one.name, one]));
    const freed: TunnelRecord[] = [];
    const changed: TunnelRecord[] = [];
    for (const record of this.#records.values()) {
      if (record.expected === undefined) continue;
      const next = wanted.get(record.id);
      const isSame = isDeepStrictEqual(next, record.expected);
      if (next && (isSame || this.#fits(record, next))) {
        record.expected = next;
        if (!isSame && this.#vacant.has(record)) {
          this.#vacant.add(record, next);
          changed.push(record);
        }
        wanted.delete(next.name);
      } else freed.push(record);
    }
    // Existing ones first; of them and of others, those that lost their name before the rest.
    const ordinary = [...this.#records.values()].filter(({ expected }) => expected === undefined);
    const all = [...freed, ...ordinary];
    const there = all.filter(({ isEmpty }) => !isEmpty);
    const candidates = new Set([...there, ...all]);
    const named = new Map<TunnelRecord, NamedExpectedTunnel>();
    const byEnd = byEnds(candidates);
    for (const one of wanted.values()) {
      let found: TunnelRecord | undefined;
      const some = one.remote === undefined ? candidates : byEnd.get(one.remote);
      for (const record of some) {
        if (!candidates.has(record) || !this.#fits(record, one)) continue;
        found = record;
        break;
      }
      if (found) candidates.delete(found);
      named.set(found ?? new TunnelRecord(one.name, this.#apart, this.#showing, one), one);
    }
    // Other tunnels may have such an id by chance.
    const holders = [...wanted.keys()].flatMap((name) => this.#records.get(name) ?? []);
    const moving = new Set([...named.keys(), ...freed, ...holders]);
    for (const record of moving) this.#detach(record, now);
    for (const [record, one] of named) this.#attach(record, one, now);
    for (const record of moving) {
      if (named.has(record)) continue;
      const { expected, isEmpty, orientation } = record;
      record.expected = undefined;
      const vacant =
        orientation && this.#vacant.find(orientation, (one) => this.#fits(record, one));
      if (vacant && !isEmpty) this.#touch(record);
      if ((expected && isEmpty) || (vacant && !isEmpty)) this.#dispose(record);
      else this.#attach(record, undefined, now);
    }
    // One that stays may match others now.
    for (const record of changed) this.#vacate(record, record.expected as NamedExpectedTunnel);
  }

  /** Removes a tunnel from the list, to be added again under another id. */
  #detach(record: TunnelRecord, time: EventTime): void {
    if (this.#records.get(record.id) === record) this.#records.delete(record.id);
    this.#vacant.delete(record);
    if (record.isShown) this.#tellOf(record, (tunnel) => ({ kind: 'removed', tunnel, time }));
  }

  #attach(record: TunnelRecord, expected: NamedExpectedTunnel | undefined, now: EventTime): void {
    const { orientation, group, labels } = record;
    record.expected = expected;
    record.id =
      expected?.name ?? this.#freeId(orientation as Orientation, group?.reqid ?? 0, labels);
    this.#records.set(record.id, record);
    if (expected && record.isEmpty) this.#vacant.add(record, expected);
    if (record.isShown) {
      record.show(this.#readBegan);
      this.#tellOf(record, (tunnel) => ({ kind: 'added', tunnel, time: now }));
    }
    this.#evaluate(record, now, record.evaluation === undefined);
  }

  /**
   * Evaluates a tunnel's state and warnings, and reports changes.
   *
   * @param found whether it existed when the monitor opened: then it has settled
   */
  #evaluate(record: TunnelRecord, now: EventTime, found = this.#opening): void {
    const limits = found ? this.#limitsFound : this.#limits;
    record.unmoved(this.countersReadAt);
    const before = record.evaluation;
    const { isShown } = record;
    const lost = this.#lostAddress(record);
    const reason = lost && unreachable(lost);
    const observation = record.observe(limits, this.#read, reason, found);
    const [heard, offset] = [this.#heardUntil, this.#wallOffset];
    const evaluated = evaluateState(observation, before, now, limits, heard, offset);
    const evaluation = this.#unlessUnclaimed(evaluated, before, record, lost, now);
    record.evaluation = evaluation;
    this.#giveUp(record, before);
    const { state } = evaluation;
    if (state === undefined) {
      this.#deadlines.set(record, deadlineOf(record, limits));
      return;
    }
    const warnedBefore = record.warningState?.warnings ?? NONE;
    const clock = new Clock(now, heard, this.#read.monotonic, offset);
    record.warningState = evaluateWarnings(record, this.#members, clock, limits);
    const forgotten = record.isEmpty && state === 'down' && !record.expected;
    if (forgotten && !isShown) {
      this.#remove(record, now);
      return;
    }
    const isOver = restUntil(record, limits) <= this.#heardUntil || !carries(state);
    const rekey = rekeyed(record, isOver);
    if (rekey) record.rekeys++;
    record.show(this.#readBegan);
    if (!isShown) this.#tellOf(record, (tunnel) => ({ kind: 'added', tunnel, time: now }));
    // A rekey is reported while it lasts, and before what ends it.
    const isRekeying = state === 'rekeying';
    if (isRekeying) this.#tellState(before, evaluation, record, lost, now);
    const { untold } = record;
    record.untold = NONE;
    for (const one of untold) {
      const { direction } = one;
      const succession = { direction, ...successionOf(one), time: now };
      this.#tellOf(record, (tunnel) => ({ kind: 'replaced', tunnel, ...succession }));
    }
    if (rekey) {
      this.#tellOf(record, (tunnel) => ({ kind: 'rekeyed', tunnel, ...rekey, time: now }));
    }
    if (!isRekeying) this.#tellState(before, evaluation, record, lost, now);
    const { warnings } = record.warningState;
    const isSame = warnings.length + warnedBefore.length === 0;
    for (const change of isSame ? NONE : differences(warnedBefore, warnings)) {
      this.#tellOf(record, (tunnel) => ({ kind: 'warning', ...change, tunnel, time: now }));
    }
    const until = forgotten ? evaluation.since.monotonic + limits.remember : Infinity;
    this.#deadlines.set(record, Math.min(until, deadlineOf(record, limits)));
    if (!forgotten) this.#remembered.delete(record);
    else if (
      !record.hadSas ||
      record.downReason?.kind === 'migrated' ||
      until <= this.#heardUntil
    ) {
      this.#remove(record, now);
    } else {
      this.#remembered.add(record);
      const [oldest] = this.#remembered;
      if (oldest && this.#remembered.size > REMEMBERED) this.#remove(oldest, now);
    }
  }

  /**
   * A `down` that waits for its reason is treated as not yet settled: the tunnel keeps its state,
   * and changes of others are reported. The lookup starts when the SAs were just removed, and is
   * usually done before it settles.
   */
  #unlessUnclaimed(
    evaluation: StateEvaluation,
    before: StateEvaluation | undefined,
    record: TunnelRecord,
    lost: LostAddress | undefined,
    now: EventTime,
  ): StateEvaluation {
    if (before?.state === undefined || evaluation.state === undefined || lost) return evaluation;
    if (evaluation.pending) {
      if (!before.pending) this.#downReasonOf(record, evaluation.state);
      return evaluation;
    }
    if (!carries(before.state) || carries(evaluation.state)) return evaluation;
    if (this.#downReasonOf(record, evaluation.state)) return evaluation;
    this.#awaitingRequester.add(record);
    const pending = before.pending ?? now;
    return { ...before, counters: evaluation.counters, pending, next: Infinity };
  }

  /**
   * Stops waiting for successors of removed SAs when `settle` is over, or when it is reported that
   * something is missing; but not while that is undecided: a successor that is added then is a
   * rekey, however late.
   */
  #giveUp(record: TunnelRecord, before: StateEvaluation | undefined): void {
    const { pending, since } = record.evaluation as StateEvaluation;
    if (pending) return;
    const told = before?.pending !== undefined && since === before.pending;
    for (const [key, { reason, time }] of record.missed ?? NONE) {
      if (!told && time.monotonic + this.#limits.settle > this.#heardUntil) continue;
      record.missed?.delete(key);
      if (reason === 'hard-expired') record.unreplaced++;
    }
  }

  #tellState(
    before: StateEvaluation | undefined,
    { state, stalled }: StateEvaluation,
    record: TunnelRecord,
    lost: LostAddress | undefined,
    time: EventTime,
  ): void {
    const [was, is] = [before?.state, state as TunnelState];
    if (this.#opening || (was === is && before?.stalled === stalled)) return;
    const tunnel = record.tunnel as Tunnel;
    if (isUpState(is) && (was === undefined || !isUpState(was))) {
      this.#tell({ kind: 'up', tunnel, before: was, time });
    } else if (was === undefined) return;
    else if (carries(was) && !carries(is)) {
      const reason = lost ? addressGoneReason(lost) : this.#downReasonOf(record, is);
      record.downReason = reason ?? { kind: 'unknown' };
      this.#tell({ kind: 'down', tunnel, before: was, reason: record.downReason, time });
    } else if (stalled) this.#tell({ kind: 'stalled', tunnel, before: was, time });
    else {
      if (is === 'rekeying') record.steady = was;
      const rekey =
        is === 'rekeying' || (was === 'rekeying' && (is === 'up' || is === record.steady));
      this.#tell({ kind: 'state', tunnel, before: was, rekey, time });
    }
  }

  /** @returns undefined while the requester is being looked up */
  #downReasonOf(record: TunnelRecord, state: TunnelState): TunnelDownReason | undefined {
    const { claimant } = this.#host;
    if (state === 'orphan') {
      let last: PolicyGone | undefined;
      for (const { policyGone: gone } of record.group?.linked ?? NONE)
        if (gone && !(last && gone.time.monotonic < last.time.monotonic)) last = gone;
      return policyGoneReason(last, claimant);
    }
    return downReasonOf(record.lastGone, this.#members, this.#limits.settle, claimant);
  }

  /** The tunnel's local address, if it is lost. */
  #lostAddress({ orientation, isEmpty }: TunnelRecord): LostAddress | undefined {
    if (isEmpty || !orientation?.directed) return undefined;
    return this.#host.lost(orientation.local);
  }

  #remove(record: TunnelRecord, time: EventTime): void {
    this.#detach(record, time);
    this.#dispose(record);
  }

  /** Discards the record of a tunnel that is no longer listed. */
  #dispose(record: TunnelRecord): void {
    const { group } = record;
    if (group) leave(record, group);
    if (group?.isEmpty) this.#members.touch(group);
    record.group = undefined;
    this.#remembered.delete(record);
    this.#awaitingRequester.delete(record);
    this.#deadlines.set(record, Infinity);
  }

  #drop(group: SaGroup): void {
    this.#members.drop(group);
    this.#unevaluated.delete(group);
  }

  /** Samples unused objects, to detect leaks. */
  #sampleSurplus(at: EventTime): void {
    let [sas, policies] = [0, 0];
    for (const { contents, state } of this.#records.values()) {
      const all = both((direction) => serving(contents, direction).length);
      if (all.out + all.in === 0) policies += contents.policies.length;
      if (state === 'orphan') sas += contents.sas.out.length + contents.sas.in.length;
      else for (const each of DIRECTIONS) sas += surplus(contents.sas[each]);
    }
    this.#samples.push({ at, sas, policies });
    const start = at.monotonic - this.#limits.leakWindow;
    // The first sample may be older than the window, so that the samples span all of it.
    while ((this.#samples[1]?.at.monotonic ?? Infinity) <= start) this.#samples.shift();
    const before = this.warnings;
    this.warnings = evaluateLeaks(this.#samples, before, this.#limits);
    for (const change of differences(before, this.warnings)) {
      this.#tell({ kind: 'warning', ...change, tunnel: undefined, time: at });
    }
  }

  /** Nobody may ask for a tunnel before it is told of. */
  #tellOf(record: TunnelRecord, event: (tunnel: Tunnel) => TunnelEvent): void {
    if (!this.#opening) this.#host.emit(event(record.tunnel as Tunnel));
  }

  #tell(event: TunnelEvent): void {
    if (!this.#opening) this.#host.emit(event);
  }
}

/** Entries in the order in which they were added. */
function inOrder(entries: Iterable<AnyEntry<XfrmState>>): Iterable<AnyEntry<XfrmState>> {
  const all = [...entries];
  const numbers = new Float64Array(all.length);
  let [rise, fall] = [true, true];
  for (let i = 0; i < all.length; i++) {
    numbers[i] = incarnationOf(all[i] as AnyEntry<XfrmState>);
    const [before, number] = [numbers[i - 1], numbers[i] as number];
    if (before === undefined) continue;
    rise &&= number > before;
    fall &&= number < before;
  }
  // As they are in a table, and as a kernel lists them.
  if (rise) return all;
  if (fall) return all.reverse();
  const places = all.map((_, i) => i);
  places.sort((a, b) => (numbers[a] as number) - (numbers[b] as number));
  return places.map((place) => all[place] as AnyEntry<XfrmState>);
}

/** Tunnels by both of their ends. */
function byEnds(records: Iterable<TunnelRecord>): MultiMap<string, TunnelRecord> {
  const found = new MultiMap<string, TunnelRecord>();
  for (const record of records) {
    const { local, remote } = record.orientation ?? {};
    for (const end of [local, remote]) if (end !== undefined) found.add(end, record);
  }
  return found;
}

function leave(record: TunnelRecord, group: SaGroup): void {
  group.records = excluding(group.records, record);
}

function deadlineOf(record: TunnelRecord, limits: TunnelThresholds): number {
  const { evaluation, warningState, missed } = record;
  let next = Math.min(evaluation?.next ?? Infinity, warningState?.next ?? Infinity);
  // The end of a rekey is told of tunnels that are shown; for another it would stay due.
  if (evaluation?.state !== undefined) next = Math.min(next, restUntil(record, limits));
  // The evaluation determines when a missing part is reported.
  if (evaluation?.pending) return next;
  for (const { time } of missed?.values() ?? NONE)
    next = Math.min(next, time.monotonic + limits.settle);
  return next;
}

/** The number of SAs other than the newest of each slot. */
const surplus = (sas: readonly Sa[]): number =>
  sas.length < 2 ? 0 : sas.length - new Set(sas.map(({ slot }) => slot)).size;

const shown = (groups: Iterable<SaGroup>): Tunnel[] =>
  [...groups].flatMap(({ records }) => [...each(records)].flatMap(({ tunnel }) => tunnel ?? []));
