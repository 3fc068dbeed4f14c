/**
 * All SAs and policies between two endpoints with one reqid: one tunnel, or several that are
 * separated by marks and interface IDs; or, with the groups it is linked to, part of one. A change
 * affects only a group and those. @module
 */

import { mirrored } from '../xfrm/matching.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import type { XfrmMark, XfrmSelector } from '../xfrm/types.ts';
import type { LocalAddresses } from './addresses.ts';
import {
  type AddressRoles,
  fits,
  isOnlyShared,
  isOpen,
  type Orientation,
  orientationOf,
  type Pair,
  pairKey,
  pairOf,
  type TemplateDemand,
} from './endpoints.ts';
import { each, type Few, including, kept, NONE, sizeOf } from './few.ts';
import type { Label } from './policy-index.ts';
import {
  acceptsIn,
  answersIn,
  carriesOut,
  type HostPolicies,
  isOutFromAny,
  obstaclesOf,
} from './policy-match.ts';
import type { TrafficDirection } from './tunnel.ts';
import {
  both,
  NO_SHARED,
  type Policy,
  type RemovedSa,
  type Sa,
  type TunnelContents,
} from './tunnel-contents.ts';
import type { TunnelRecord } from './tunnel-record.ts';

/** A request for an SA, for packets that match a selector. */
export interface SaNeed {
  readonly pair: Pair;
  readonly selector: XfrmSelector;
  readonly mark: XfrmMark | undefined;
  readonly ifId: number | undefined;
}

/** A pending request for an SA. */
export interface PendingAcquire extends SaNeed {
  /** Negative, unlike those of incarnations. */
  readonly number: number;
  /** Monotonic. */
  readonly at: number;
  readonly saddr: string;
  record: TunnelRecord | undefined;
}

/** The removal of a policy, and who claims to have requested it, if that was reported. */
export type PolicyGone = Pick<RemovedSa, 'portId' | 'time'>;

export class SaGroup {
  readonly pair: Pair;
  /** The text of its pair. */
  readonly ends: string;
  readonly reqid: number;
  sas: Few<Sa>;
  policies: Few<Policy>;
  /** SAs removed since its last evaluation. */
  gone: readonly RemovedSa[] = NONE;
  /** Its last removed policy. */
  policyGone: PolicyGone | undefined;
  /** Recent requests for SAs that do not exist yet. */
  acquired: readonly PendingAcquire[] = NONE;
  records: Few<TunnelRecord>;
  /** What the answers to its packets may have, but for none. */
  labels: readonly Label[] = NONE;
  /** Whether it was evaluated since the counters were read. */
  looked = false;
  /** The groups it was last evaluated with; undefined: only itself. */
  #linked: readonly SaGroup[] | undefined;

  constructor(pair: Pair, reqid: number, ends = pairKey(pair)) {
    this.pair = pair;
    this.ends = ends;
    this.reqid = reqid;
  }

  /** Whether it was last evaluated with others. */
  get isLinked(): boolean {
    return this.#linked !== undefined;
  }

  /** The groups it was last evaluated with, including itself; the first has the records of all. */
  get linked(): readonly SaGroup[] {
    return this.#linked ?? [this];
  }

  set linked(groups: readonly SaGroup[]) {
    this.#linked = groups.length > 1 ? groups : undefined;
  }

  /** The reqids of all groups it was last evaluated with. */
  get reqids(): readonly number[] {
    return this.linked.map(({ reqid }) => reqid);
  }

  /** An SA was removed. */
  lose(sa: RemovedSa): void {
    if (this.gone.length === 0) this.gone = [sa];
    else (this.gone as RemovedSa[]).push(sa);
  }

  /** An SA was requested. */
  ask(asked: PendingAcquire): void {
    if (this.acquired.length === 0) this.acquired = [asked];
    else (this.acquired as PendingAcquire[]).push(asked);
  }

  /** Drops requests. @param keeps whether one is still pending */
  forget(keeps: (asked: PendingAcquire) => boolean): void {
    if (this.acquired.length > 0) this.acquired = kept(this.acquired.filter(keeps));
  }

  /** Whether an SA belongs here. */
  isFor({ saddr, daddr, reqid }: XfrmState): boolean {
    return reqid === this.reqid && pairKey(pairOf(saddr, daddr)) === this.ends;
  }

  get isEmpty(): boolean {
    return (
      this.sas === undefined &&
      this.policies === undefined &&
      this.records === undefined &&
      this.acquired.length + this.gone.length === 0
    );
  }
}

/** Marks and interface IDs of members, undefined for one without. */
export interface Labels {
  readonly marks: readonly (XfrmMark | undefined)[];
  readonly ifIds: readonly (number | undefined)[];
}

export const NO_LABELS: Labels = { marks: NONE, ifIds: NONE };
/** Of members that have neither, as most have. */
export const UNLABELLED: Labels = { marks: [undefined], ifIds: [undefined] };

/** The members of one tunnel. */
export interface GroupPart {
  readonly labels: Labels;
  readonly contents: TunnelContents;
  /** What partly stays the same through rekeys: the numbers of SAs, policies and requests. */
  readonly members: readonly number[];
  readonly acquired: readonly PendingAcquire[];
}

/** Merges several groups into one, with the identity of the first. */
export function mergedGroup(groups: readonly [SaGroup, ...SaGroup[]]): SaGroup {
  const [first, ...others] = groups;
  if (others.length === 0) return first;
  const all = new SaGroup(first.pair, first.reqid);
  for (const group of groups) {
    for (const sa of each(group.sas)) all.sas = including(all.sas, sa);
    for (const policy of each(group.policies)) all.policies = including(all.policies, policy);
    for (const record of each(group.records)) all.records = including(all.records, record);
  }
  all.gone = groups.flatMap(({ gone }) => gone).sort((a, b) => a.order - b.order);
  all.acquired = groups.flatMap(({ acquired }) => acquired);
  return all;
}

/** What concerns a group in addition to its members. */
export interface Surroundings {
  /** The reqids of the merged groups. */
  readonly reqids: ReadonlySet<number>;
  /** Whether no others are between its endpoints, and none have its reqids. */
  readonly alone: { readonly ends: boolean; readonly reqids: boolean };
  /** Policies that match its SAs, but make no tunnel by themselves. */
  readonly covers: readonly Policy[];
  /** Inbound policies for any peer. */
  readonly open: ReadonlySet<Policy>;
  /** SAs from any source to one of the endpoints. */
  readonly shared: readonly Sa[];
  readonly roleOf: AddressRoles['roleOf'];
  /** Whether packets that requested an SA now use other policies. */
  isLeftOver(asked: SaNeed): boolean;
  readonly host: Omit<HostPolicies, 'has'>;
}

type Any = Member & {
  readonly number: number;
  readonly sa?: Sa;
  readonly acquired?: PendingAcquire;
  readonly policy?: Policy;
  /** Its demands in this group. */
  readonly demands?: readonly TemplateDemand[];
};

/** Joins a group into tunnels: a function of its members, surroundings and local addresses. */
export function partsOfGroup(
  group: Pick<SaGroup, 'pair' | 'reqid' | 'sas' | 'policies' | 'acquired'>,
  surroundings: Surroundings,
  { has, isLocal }: Pick<LocalAddresses, 'has' | 'isLocal'>,
): { readonly orientation: Orientation; readonly parts: readonly GroupPart[] } {
  const { pair, reqid } = group;
  const { reqids, covers } = surroundings;
  const [a, b] = pair;
  const here = (demand: TemplateDemand) =>
    (reqids.has(demand.reqid) || demand.reqid === 0) && (fits(demand, a, b) || fits(demand, b, a));
  const policies = [...each(group.policies), ...covers];
  const demandsOf = (isForward: boolean) =>
    policies.flatMap(({ entry, demands }) =>
      (entry.value.dir === 'fwd') === isForward ? demands.filter(here) : [],
    );
  const states = [...each(group.sas)].map(({ entry }) => entry.value);
  const { roleOf } = surroundings;
  const roles = { isLocal, roleOf };
  const orientation = orientationOf(pair, states, demandsOf(false), roles, demandsOf(true));
  const { local, remote } = orientation;
  const members: Any[] = [];
  for (const sa of each(group.sas)) {
    const { incarnation: number, entry } = sa;
    const { selector, spi } = entry.value;
    const { mark, ifId } = entry.value;
    const needed = { pair, selector, mark, ifId };
    if (sa.isLarval && spi === 0 && surroundings.isLeftOver(needed)) continue;
    const direction = directionOf(entry.value, local);
    members.push({ number, direction, isPolicy: false, mark, ifId, sa });
  }
  for (const acquired of group.acquired) {
    if (surroundings.isLeftOver(acquired)) continue;
    const { number, mark, ifId } = acquired;
    const direction = directionOf(acquired, local);
    members.push({ number, direction, isPolicy: false, mark, ifId, acquired });
  }
  for (const policy of each(group.policies)) {
    const { incarnation: number, entry } = policy;
    const mine = policy.demands.filter(here);
    const [first] = mine;
    if (first === undefined) continue;
    const direction: TrafficDirection = fits(first, local, remote) ? 'out' : 'in';
    const { mark, ifId } = entry.value;
    members.push({ number, direction, isPolicy: true, mark, ifId, policy, demands: mine });
  }
  // A larval SA without a reqid only reserves an SPI, for any tunnel between these endpoints.
  const counts = ({ sa }: Any) => !sa?.isLarval || reqid !== 0;
  const parts = isOnlyShared(pair)
    ? []
    : splitByLabels(members).filter((part) => part.some(counts));
  return {
    orientation,
    parts: parts.map((part) => joined(part, orientation, surroundings, here, has)),
  };
}

/**
 * The policies that cover a tunnel: those without a mark or with one of its own; inbound ones with
 * any mark, if it has no others of their direction.
 */
function covering(
  part: readonly Any[],
  covers: readonly Policy[],
  here: (demand: TemplateDemand) => boolean,
): Policy[] {
  const labels = new Set(part.map(({ mark, ifId }) => labelText(mark, ifId)));
  const isIn = ({ demands }: Policy) => demands.every(({ direction }) => direction === 'in');
  const mine = covers.filter(({ entry, demands }) => {
    const label = labelText(entry.value.mark, entry.value.ifId);
    return (label === '' || labels.has(label)) && demands.some(here);
  });
  const own = part.flatMap(({ policy }) => policy ?? []);
  const isLabelled = part.some(({ direction, mark, ifId }) => direction === 'in' && (mark || ifId));
  if (isLabelled) return mine;
  const has = new Set([...mine, ...own].map(({ entry }) => entry.value.dir));
  const isFree = (one: Policy) =>
    isIn(one) && !has.has(one.entry.value.dir) && one.demands.some(here);
  return [...mine, ...covers.filter(isFree)];
}

/** The direction of an SA: its own attribute, else by its endpoints. */
export const directionOf = (
  { dir, saddr }: Pick<XfrmState, 'dir' | 'saddr'>,
  local: string,
): TrafficDirection => (dir === 'in' || dir === 'out' ? dir : saddr === local ? 'out' : 'in');

function joined(
  members: readonly Any[],
  { local, remote, directed }: Orientation,
  { reqids, alone, covers, open, shared, host }: Surroundings,
  here: (demand: TemplateDemand) => boolean,
  has: (address: string) => boolean,
): GroupPart {
  const sas = both((direction) => {
    const its = members.filter((one) => one.direction === direction);
    return kept(its.flatMap(({ sa }) => (sa && !sa.isLarval ? [sa] : [])).sort(byAge));
  });
  const acquired = members.flatMap((one) => one.acquired ?? []);
  const works = sas.out.length + sas.in.length > 0;
  const own = members.flatMap(({ policy }) => policy ?? []);
  const policies = kept([...covering(members, covers, here), ...own]);
  const larval = members.flatMap(({ sa }) => (sa?.isLarval ? [sa] : [])).sort(byAge);
  const accepts = ({ demands, entry: { value } }: Policy, sa: Sa) =>
    demands.some((one) => one.direction === 'in' && acceptsIn(sa.entry.value, one, value));
  const known = [...new Set([...policies, ...open])];
  const protos = new Set(sas.in.map(({ entry }) => entry.value.proto));
  const labels = new Set(members.map(({ mark, ifId }) => labelText(mark, ifId)));
  const isSending = (one: TemplateDemand) =>
    one.direction === 'out' && reqids.has(one.reqid) && here(one);
  const senders = policies.filter(({ demands }) => demands.some((one) => isSending(one)));
  // Answers in transport mode need no policy that accepts them.
  const answers = ({ demands, entry: { value } }: Policy, { entry }: Sa) =>
    reqids.has(entry.value.reqid) &&
    labels.has(labelText(entry.value.mark, entry.value.ifId)) &&
    demands.some(
      (one) =>
        isSending(one) &&
        one.mode === 'transport' &&
        answersIn(entry.value, one, mirrored(value.selector)),
    );
  const sends = ({ demands, entry: { value } }: Policy, { entry }: Sa) =>
    isOutFromAny(entry.value) &&
    demands.some((one) => isSending(one) && carriesOut(entry.value, one, value));
  const serving = {
    out: shared.filter(
      (sa) =>
        !sa.isLarval &&
        sa.entry.value.daddr === remote &&
        // Nor is it looked for while one from the source is requested.
        ![...sas.out, ...larval].some(
          ({ entry: { value } }) => value.proto === sa.entry.value.proto && value.daddr === remote,
        ) &&
        senders.some((one) => sends(one, sa)),
    ),
    in: shared.filter(
      (sa) =>
        !sa.isLarval &&
        sa.entry.value.daddr === local &&
        !protos.has(sa.entry.value.proto) &&
        (known.some((one) => accepts(one, sa)) || senders.some((one) => answers(one, sa))),
    ),
  };
  const concerns = (policy: Policy) => {
    const { mark, ifId } = policy.entry.value;
    return labels.has(labelText(mark, ifId)) || serving.in.some((sa) => accepts(policy, sa));
  };
  // If it is unknown which endpoint is local, policies of both hosts may be here.
  const values = both((direction) =>
    [...(directed ? sas[direction] : [...sas.out, ...sas.in]), ...serving[direction]].map(
      ({ entry }) => entry.value,
    ),
  );
  // Both ends may be in one network: then the policy says it.
  const wayOf = (one: TemplateDemand) => {
    if (!fits(one, local, remote)) return 'in';
    return fits(one, remote, local) ? (one.direction ?? 'out') : 'out';
  };
  // An outbound template only uses SAs with its own reqid, 0 included.
  const isOwn = (one: TemplateDemand) => reqids.has(one.reqid) && here(one);
  const isOnlyIts = (one: TemplateDemand) => {
    if (!isOwn(one) && one.reqid !== 0) return false;
    if (!isOpen(one)) return here(one) && (one.reqid !== 0 || alone.ends);
    return here(one) && one.reqid !== 0 && alone.reqids;
  };
  const isHere = (one: TemplateDemand) => fits(one, local, remote) || fits(one, remote, local);
  return {
    contents: {
      sas,
      shared: serving.out.length + serving.in.length > 0 ? serving : NO_SHARED,
      sends: policies.some(({ demands }) =>
        demands.some((one) => one.direction !== 'in' && isOwn(one)),
      ),
      obstacles: obstaclesOf(
        {
          policies,
          open: [...open].filter((one) => !policies.includes(one) && concerns(one)),
          sas: values,
          ...{ isOwn, isOnlyIts, isHere, wayOf },
        },
        { ...host, has },
      ),
      larval: kept(larval),
      policies,
      demands:
        works && reqids.size === 1 ? NONE : kept(members.flatMap(({ demands }) => demands ?? [])),
      acquiredAt: works ? undefined : acquired.at(-1)?.at,
    },
    members: members.map(({ number }) => number),
    acquired,
    labels: members.some(({ mark, ifId }) => mark || ifId)
      ? { marks: members.map(({ mark }) => mark), ifIds: members.map(({ ifId }) => ifId) }
      : UNLABELLED,
  };
}

/** Compares by order of addition. */
export function byAge(a: Sa, b: Sa): number {
  return (
    a.entry.value.current.addedAt - b.entry.value.current.addedAt || a.incarnation - b.incarnation
  );
}

/**
 * The known tunnel that each part continues: the one with the most members in common; else one that
 * has nothing left; else none, and it is new.
 */
export function matchRecords(
  parts: readonly GroupPart[],
  known: Few<TunnelRecord>,
): (TunnelRecord | undefined)[] {
  if (sizeOf(known) === 0) return parts.map(() => undefined);
  const pairs: { part: number; record: TunnelRecord; shared: number }[] = [];
  const members = parts.map((part) => new Set(part.members));
  for (const record of each(known)) {
    parts.forEach(({ labels }, part) => {
      const shared = record.members.filter((one) => members[part]?.has(one)).length;
      if (shared > 0 || fitsLabels(record, labels)) pairs.push({ part, record, shared });
    });
  }
  pairs.sort((x, y) => y.shared - x.shared);
  const found: (TunnelRecord | undefined)[] = parts.map(() => undefined);
  for (const { part, record } of pairs) {
    if (found[part] === undefined && !found.includes(record)) found[part] = record;
  }
  return found;
}

/** Whether marks and interface IDs match those the tunnel had. */
function fitsLabels({ tunnel }: TunnelRecord, { marks, ifIds }: Labels): boolean {
  if (tunnel === undefined) return false;
  const fit = (mine: number | undefined, ...had: (number | undefined)[]) =>
    mine === undefined || had.every((one) => one === undefined) || had.includes(mine);
  const { mark, ifId } = tunnel;
  return (
    fit(marks.find(Boolean)?.value, mark.out?.value, mark.in?.value) &&
    fit(ifIds.find(Boolean), ifId.out, ifId.in)
  );
}

/** The parts of an SA, a policy or a request for an SA that matter here. */
export interface Member {
  readonly direction: TrafficDirection;
  readonly isPolicy: boolean;
  readonly mark: XfrmMark | undefined;
  readonly ifId: number | undefined;
}

/** The members with the same mark and interface ID. */
interface Labelled<M> extends Pick<Member, 'mark' | 'ifId'> {
  readonly text: string;
  readonly members: M[];
  in: boolean;
  out: boolean;
  sas: boolean;
  policies: boolean;
}

/** The text for a mark and an interface ID; empty if there is neither. */
export function labelText(mark: XfrmMark | undefined, ifId: number | undefined): string {
  const marked = mark ? ` mark 0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}` : '';
  return marked + (ifId ? ` if_id 0x${ifId.toString(16)}` : '');
}

/**
 * Splits a group's members into tunnels: a function of the members alone, ordered by label (mark
 * and interface ID).
 *
 * 1. A label found in both directions is a tunnel.
 * 2. If there is none, but both directions have labels, everything is one tunnel: its directions
 *    have different labels (ikey and okey, mark_in and mark_out).
 * 3. If only one direction exists, each label is a tunnel.
 * 4. Members with a less specific label (no mark, say) join the tunnel they match, if it is only
 *    one: an SA without a mark serves all marks (net/xfrm/xfrm_state.c, __xfrm_state_lookup). So do
 *    policies with a more specific label, if the tunnel has none in their direction: an SA can mark
 *    packets (XFRMA_SET_MARK).
 */
export function splitByLabels<M extends Member>(members: readonly M[]): M[][] {
  const parts = partsOf(members);
  let tunnels = parts.filter((part) => part.in && part.out);
  if (tunnels.length === 0) {
    if (parts.some((part) => part.in) && parts.some((part) => part.out)) return [[...members]];
    tunnels = parts.filter((part) => !parts.some((other) => isLess(part, other)));
  }
  // SAs without a label whose policies have one: otherwise the policies would have no SAs.
  const served = tunnels.filter((part) => {
    const [only, ...more] = tunnels.filter((other) => isLess(part, other) && !other.sas);
    if (part.policies || only === undefined || more.length > 0) return true;
    only.members.push(...part.members);
    return false;
  });
  const own: Labelled<M>[] = [];
  for (const part of parts) {
    if (tunnels.includes(part)) continue;
    const [only, ...more] = served.filter(
      (tunnel) => isLess(part, tunnel) || (isLess(tunnel, part) && wants(tunnel, part)),
    );
    if (only === undefined || more.length > 0) own.push(part);
    else only.members.push(...part.members);
  }
  return [...served, ...own].sort((a, b) => (a.text < b.text ? -1 : 1)).map((part) => part.members);
}

function partsOf<M extends Member>(members: readonly M[]): Labelled<M>[] {
  const parts = new Map<string, Labelled<M>>();
  for (const member of members) {
    const { mark, ifId, direction, isPolicy } = member;
    const text = labelText(mark, ifId);
    let part = parts.get(text);
    if (part === undefined) {
      part = { text, mark, ifId, members: [], in: false, out: false, sas: false, policies: false };
      parts.set(text, part);
    }
    part.members.push(member);
    part[direction] = true;
    part[isPolicy ? 'policies' : 'sas'] = true;
  }
  return [...parts.values()].sort((a, b) => (a.text < b.text ? -1 : 1));
}

/** Whether a part is policies of one direction, which a tunnel lacks. */
const wants = ({ members }: Labelled<Member>, part: Labelled<Member>): boolean =>
  !part.sas &&
  !(part.in && part.out) &&
  !members.some(({ isPolicy, direction }) => isPolicy && part[direction]);

/** Whether one label is less specific than another, and otherwise equal. */
function isLess(less: Labelled<unknown>, more: Labelled<unknown>): boolean {
  const [mine, its] = [less, more].map(({ mark }) => labelText(mark, undefined));
  return less !== more && (mine === '' || mine === its) && (!less.ifId || less.ifId === more.ifId);
}
