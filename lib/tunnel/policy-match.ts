/**
 * Which SAs serve which policies, as the kernel chooses them: outbound, it resolves a policy's
 * templates; inbound, it finds a packet's SA by destination, SPI, protocol and mark, and checks the
 * SAs that the packet passed through against the templates of the packet's policy.
 * @module
 */

import { contains, holdsMark, isSource, isWild, meet, mirrored } from '../xfrm/matching.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { PolicyDefaults, XfrmMark, XfrmSelector } from '../xfrm/types.ts';
import { fits, isGroup, isOpen, type TemplateDemand } from './endpoints.ts';
import { NONE } from './few.ts';
import { type Label, labelKey, type PolicyIndex, precedence } from './policy-index.ts';
import type { PerDirection, TrafficDirection } from './tunnel.ts';
import type { Policy } from './tunnel-contents.ts';

/**
 * Whether a policy's packets go out through an SA for one of its templates (net/xfrm/xfrm_state.c,
 * xfrm_state_find). Mode, reqid (0 included), mark and interface ID must be the policy's.
 */
export const carriesOut = (
  sa: XfrmState,
  demand: TemplateDemand,
  { mark, ifId, selector }: XfrmPolicy,
) =>
  sa.dir !== 'in' &&
  demand.reqid === sa.reqid &&
  isKind(sa, demand) &&
  fits(demand, isOutFromAny(sa) ? demand.from : sa.saddr, sa.daddr) &&
  (ifId ?? 0) === (sa.ifId ?? 0) &&
  holdsMark(sa.mark, mark) &&
  isForPackets(sa, selector);

/**
 * Whether packets from any source go out through an SA: without one from their own, the kernel looks
 * for one without a source (xfrm_state_find). In tunnel mode that would be the source of what it
 * sends.
 */
export const isOutFromAny = ({ saddr, mode }: XfrmState): boolean =>
  mode === 'transport' && isWild(saddr);

/**
 * Whether a policy accepts packets that came in through an SA, for one of its templates
 * (xfrm_policy.c, xfrm_state_ok). Reqid 0 matches any. Modes other than transport compare the
 * source only.
 */
export const acceptsIn = (sa: XfrmState, demand: TemplateDemand, policy: XfrmPolicy): boolean =>
  sa.dir !== 'out' &&
  (demand.reqid === 0 || demand.reqid === sa.reqid) &&
  isKind(sa, demand) &&
  (demand.mode === 'transport' || isSource(demand.from, sa.saddr, policy.selector.family)) &&
  (!policy.ifId || policy.ifId === sa.ifId) &&
  canHave(sa, policy.mark) &&
  isForPackets(sa, policy.selector);

const isKind = ({ proto, mode, spi }: XfrmState, demand: TemplateDemand): boolean =>
  proto === demand.proto && mode === demand.mode && (demand.spi === 0 || demand.spi === spi);

/** Whether packets from an SA can have a mark: the SA fixes some bits, and may set others. */
function canHave(sa: XfrmState, wanted?: XfrmMark): boolean {
  if (wanted === undefined) return true;
  const { value, mask } = markAfter(sa);
  return ((value ^ wanted.value) & wanted.mask & mask) === 0;
}

/** The mark of packets that came in through an SA, as far as it is known. */
function markAfter({ mark, setMark, setMarkMask = 0xffff_ffff }: XfrmState): XfrmMark {
  const set = setMark === undefined ? 0 : setMarkMask;
  const value = ((mark?.value ?? 0) & ~set) | ((setMark ?? 0) & set);
  return { value: value >>> 0, mask: ((mark?.mask ?? 0) | set) >>> 0 };
}

/** Whether an SA is for some of a policy's packets. */
const isForPackets = ({ selector }: XfrmState, packets: XfrmSelector): boolean =>
  meet(selector, packets);

/**
 * The inbound SAs that answers can come in through. What is sent in UDP or TCP is answered in that,
 * and what is not, is not; an SA refuses what comes in otherwise than it says itself
 * (net/xfrm/xfrm_input.c, XfrmInStateMismatch).
 */
function hearing({ out, in: inbound }: PerDirection<readonly XfrmState[]>): readonly XfrmState[] {
  const types = new Set(out.flatMap(({ proto, encap }) => (proto === 'esp' ? [encap?.type] : [])));
  const [type] = types;
  if (types.size !== 1) return inbound;
  return inbound.filter(({ proto, encap }) => proto !== 'esp' || encap?.type === type);
}

/** Whether an SA that the peer answers through lets the answers pass (xfrm_policy.c, __xfrm_policy_check). */
export const answersIn = (
  { dir, proto, mode, selector }: XfrmState,
  demand: TemplateDemand,
  answers: XfrmSelector,
): boolean =>
  dir !== 'out' && proto === demand.proto && mode === demand.mode && meet(selector, answers);

/** What packets have that came in through an SA, as far as it is known. */
function labelAfter(sa: XfrmState): Label {
  const mark = markAfter(sa);
  return { mark: mark.mask === 0 ? undefined : mark, ifId: sa.ifId };
}

/** What takes packets before the policies of their tunnel do; none: no policy is for them at all. */
export type Caught = XfrmPolicy['action'] | 'tunnel' | 'default' | 'none';

/** What keeps packets of one direction from passing through SAs. */
export interface Obstacle {
  /** Protocols of required templates that have no matching SA. */
  readonly missing: readonly IpsecProto[];
  /**
   * What takes precedence and matches all packets: a policy without templates, by its action, or one
   * of another tunnel, or the default; undefined: nothing.
   */
  readonly caught: Caught | undefined;
  /** Whether packets that come in have no policy for the answers. */
  readonly unanswered: boolean;
}

/** SAs and policies keep nothing from passing. */
export const CLEAR: Obstacle = { missing: NONE, caught: undefined, unanswered: false };
/** In neither direction; most tunnels have that. */
export const ALL_CLEAR: PerDirection<Obstacle> = { out: CLEAR, in: CLEAR };

/** A host's policies, as a packet meets them. */
export interface HostPolicies {
  readonly index: PolicyIndex;
  /** What becomes of packets that match no policy. */
  readonly defaults: PolicyDefaults;
  /** Whether an address is this host's. */
  readonly has: (address: string) => boolean;
}

/** A tunnel's part in them. */
export interface Matching {
  /** Its policies, and those that cover it. */
  readonly policies: readonly Policy[];
  /** Inbound policies for any peer, which answers to its packets may meet. */
  readonly open: readonly Policy[];
  /** In each direction, including other tunnels' SAs that serve it. */
  readonly sas: PerDirection<readonly XfrmState[]>;
  /** Whether a demand, in whatever direction, belongs to this tunnel. */
  readonly isOwn: (demand: TemplateDemand) => boolean;
  /** Whether a demand accepts SAs of this tunnel and of no other. */
  readonly isOnlyIts: (demand: TemplateDemand) => boolean;
  /** Whether a demand is for its endpoints. */
  readonly isHere: (demand: TemplateDemand) => boolean;
  /** The direction of a template: its policy's, unless it is unknown which endpoint is local. */
  readonly wayOf: (demand: TemplateDemand) => TrafficDirection;
}

/**
 * What keeps a tunnel's packets from passing, in each direction: in every policy that sends, and in
 * those that the answers meet, for this host or forwarded.
 */
export function obstaclesOf(tunnel: Matching, host: HostPolicies): PerDirection<Obstacle> {
  const { policies, open, sas, isOwn, isOnlyIts, wayOf } = tunnel;
  const { index, has } = host;
  const own = new Set(policies);
  const heard = hearing(sas);
  const isBetween = (one: TemplateDemand) => !one.optional && !isWild(one.to) && tunnel.isHere(one);
  const isOurs = (one: Policy) => own.has(one) || one.demands.some(isBetween);
  // One whose ends are open is another tunnel's where it accepts no SA of this one.
  const mayBeOurs = ({ demands, entry }: Policy) =>
    demands.some(
      (one) =>
        (!isOpen(one) && tunnel.isHere(one)) ||
        sas.in.some((sa) => acceptsIn(sa, one, entry.value)),
    );
  const all = policies.filter(({ demands }) =>
    demands.some((one) => one.direction === 'out' && isOwn(one)),
  );
  // Policies for any peer, such as traps, send for it only if no other does.
  const toPeer = all.filter(({ demands }) => demands.some(({ to }) => !isWild(to)));
  const isUsed = ({ demands, entry }: Policy) =>
    demands.some((one) => sas.out.some((sa) => carriesOut(sa, one, entry.value)));
  const senders = toPeer.length > 0 ? toPeer : all.filter(isUsed);
  const sends = senders.length > 0 ? senders : all;
  const takes = both((way) =>
    [...policies, ...open].filter(({ entry }) => dirOf(entry.value) === way),
  );
  const labels = labelsIn([...takes.in, ...takes.fwd], sas.in);
  // Without any, nothing may be checked (disable_policy).
  const isChecked = [...takes.in, ...takes.fwd].some((one) => own.has(one));
  const missing = { out: new Set<IpsecProto>(), in: new Set<IpsecProto>() };
  const caught: Record<TrafficDirection, (Caught | undefined)[]> = { out: [], in: [] };
  for (const { entry, demands } of sends) {
    const policy = entry.value;
    const answers = mirrored(policy.selector);
    const ways = waysOf(policy, demands, has);
    const [first] = index.enclosing('out', policy.selector, policy);
    const before = first && precedence(first.entry.value, policy) < 0 ? first : undefined;
    // Packets that another of its policies takes, or one for other packets of the same gateways,
    // still pass between them.
    if (before && isOurs(before)) continue;
    const leaving = ways.includes('fwd')
      ? stopped(policy, own, host, takes.fwd.length > 0)
      : undefined;
    caught.out.push(before ? catchOf(before) : leaving);
    for (const demand of demands) {
      if (demand.optional || !isOwn(demand)) continue;
      if (!sas.out.some((sa) => carriesOut(sa, demand, policy)))
        missing[wayOf(demand)].add(demand.proto);
    }
    const required = demands.filter(({ optional }) => !optional);
    const isPlain = demands.every(({ mode }) => mode === 'transport');
    // The peer answers with the protocols it is sent, whichever policy accepts them.
    for (const demand of required) {
      if (demand.mode === 'transport' && !heard.some((sa) => answersIn(sa, demand, answers)))
        missing[wayOf(demand) === 'out' ? 'in' : 'out'].add(demand.proto);
    }
    const coming: (Caught | undefined)[] = [];
    let isMet = false;
    for (const way of ways) {
      const its = takes[way].filter(
        (one) => contains(one.entry.value.selector, answers) || mayBeOurs(one),
      );
      const { met, last } = meeting(its, way, answers, labels, policy, host);
      for (const one of met) {
        const lacking = unmet(one, heard, isPlain);
        const isForeign = !isOurs(one) && !open.includes(one);
        if (lacking.length > 0 && isForeign) coming.push('tunnel');
        else for (const demand of lacking) missing[wayOf(demand)].add(demand.proto);
      }
      // A policy that allows without templates rejects packets out of a tunnel, and only those
      // (__xfrm_policy_check).
      if (met.length === 0 && (last !== 'allow' || !isPlain)) coming.push(last);
      if (met.length > 0 || last !== undefined) isMet = true;
      if (way === 'fwd')
        coming.push(onward(answers, host, isOurs, ways.length === 1, takes.fwd.length > 0));
    }
    if (!isMet && !isPlain && isChecked && !isGroup(answers.saddr)) coming.push('none');
    caught.in.push(coming.find((one) => one !== undefined));
  }
  // Where an inbound policy is for the wrong packets, both are missing: told once.
  const isAmiss = caught.in.includes('none');
  const unanswered =
    !isAmiss &&
    takes.in.some(({ entry, demands }) => {
      const answers = mirrored(entry.value.selector);
      if (!demands.some(isOnlyIts) || isGroup(answers.saddr)) return false;
      return !sends.some((one) => meet(one.entry.value.selector, answers));
    });
  const obstacle = (direction: TrafficDirection): Obstacle => {
    // Of several, always the same: the order of policies differs between dumps and events.
    const [by] = caught[direction].filter((one) => one !== undefined).sort();
    const isUnanswered = direction === 'out' && unanswered;
    if (missing[direction].size === 0 && by === undefined && !isUnanswered) return CLEAR;
    return { missing: [...missing[direction]].sort(), caught: by, unanswered: isUnanswered };
  };
  const found = { out: obstacle('out'), in: obstacle('in') };
  return found.out === CLEAR && found.in === CLEAR ? ALL_CLEAR : found;
}

/** The policies for inbound packets: those for this host, and those for forwarded packets. */
type Way = 'in' | 'fwd';
const both = <T>(of: (way: Way) => T): Record<Way, T> => ({ in: of('in'), fwd: of('fwd') });

/** The templates of an inbound policy that accept none of some SAs. */
function unmet(
  { demands, entry }: Policy,
  sas: readonly XfrmState[],
  isPlain: boolean,
): TemplateDemand[] {
  // A packet passes through an SA only once.
  const taken = new Set<XfrmState>();
  return demands.filter((demand) => {
    // A packet out of a tunnel must be accepted by a template, even an optional one
    // (secpath_has_nontransport).
    if (demand.optional && (demand.mode === 'transport' || isPlain)) return false;
    const found = sas.find((sa) => !taken.has(sa) && acceptsIn(sa, demand, entry.value));
    if (found) taken.add(found);
    return !found;
  });
}

/** Policies of single sockets (3) are for packets to this host. */
const dirOf = ({ dir }: XfrmPolicy): XfrmPolicy['dir'] => (dir === 3 ? 'in' : dir);

/**
 * Which of them answers to a policy's packets meet: depends on whether they are for this host's
 * address. Answers to a network may meet both; transport mode is for this host.
 */
export function waysOf(
  { selector: { saddr, prefixlenS, family } }: XfrmPolicy,
  demands: readonly TemplateDemand[],
  has: (address: string) => boolean,
): readonly Way[] {
  if (demands[0]?.mode === 'transport') return ['in'];
  if (prefixlenS < (family === 'inet6' ? 128 : 32)) return ['in', 'fwd'];
  return [has(saddr) ? 'in' : 'fwd'];
}

/** What packets may have that come in: by the policies that take them, and by the SAs. */
export function labelsIn(policies: Iterable<Policy>, sas: Iterable<XfrmState>): readonly Label[] {
  const labels = new Map<string, Label>();
  const note = (label: Label) => labels.set(labelKey(label), label);
  for (const { entry } of policies) if (entry.value.dir !== 'out') note(entry.value);
  for (const sa of sas) note(labelAfter(sa));
  return [...labels.values()];
}

/** Whether a policy takes packets before another does. */
export const precedes = (one: Policy, other: Policy): boolean =>
  precedence(one.entry.value, other.entry.value) < 0;

/** What a policy does to packets that it takes from those of a tunnel. */
const catchOf = ({ entry, demands }: Policy): Caught =>
  demands.length === 0 ? entry.value.action : 'tunnel';

/**
 * What keeps packets that this host would forward from getting as far as a policy that sends.
 *
 * @param forwards whether the tunnel has policies for forwarded packets
 */
function stopped(
  policy: XfrmPolicy,
  own: ReadonlySet<Policy>,
  { index, defaults }: HostPolicies,
  forwards: boolean,
): Caught | undefined {
  const [first] = index.enclosing('fwd', policy.selector, policy);
  if (first === undefined) return defaults.fwd === 'block' && forwards ? 'default' : undefined;
  if (own.has(first) || first.demands.every(({ optional }) => optional)) {
    return first.entry.value.action === 'block' ? 'block' : undefined;
  }
  return 'tunnel';
}

/**
 * What keeps packets that came in from being sent on: they meet the policies for outbound packets.
 *
 * @param isOurs whether a policy sends packets between the same gateways
 * @param all whether all of them are forwarded
 * @param forwards whether the tunnel has policies for forwarded packets
 */
function onward(
  answers: XfrmSelector,
  { index, defaults }: HostPolicies,
  isOurs: (policy: Policy) => boolean,
  all: boolean,
  forwards: boolean,
): Caught | undefined {
  const [first] = index.enclosing('out', answers, {});
  if (first === undefined) return defaults.out === 'block' && forwards ? 'default' : undefined;
  if (first.entry.value.action === 'block') return all ? 'block' : undefined;
  const takes = first.demands.some(({ optional }) => !optional) && !isOurs(first);
  return takes && (all || forwards) ? 'tunnel' : undefined;
}

/**
 * The policies that some answers meet, in order, up to one that all meet; and what becomes of those
 * that are left then, if it has no templates.
 */
function meeting(
  takes: readonly Policy[],
  way: Way,
  answers: XfrmSelector,
  labels: readonly Label[],
  policy: XfrmPolicy,
  { index, defaults }: HostPolicies,
): { readonly met: readonly Policy[]; readonly last: Caught | undefined } {
  const some = takes.filter(({ entry }) => meet(entry.value.selector, answers));
  const all = (labels.length > 0 ? labels : [policy]).flatMap((label) =>
    index.enclosing(way, answers, label),
  );
  const sorted = [...new Set([...some, ...all])].sort((a, b) =>
    precedence(a.entry.value, b.entry.value),
  );
  const met: Policy[] = [];
  for (const one of sorted) {
    if (one.demands.length === 0) return { met, last: one.entry.value.action };
    met.push(one);
    if (contains(one.entry.value.selector, answers)) return { met, last: undefined };
  }
  const isTransport = policy.templates?.every(({ mode }) => mode === 'transport');
  // Without a policy, packets out of a tunnel are refused in any case, but where nothing is checked.
  return { met, last: isTransport && defaults[way] === 'block' ? 'default' : undefined };
}
