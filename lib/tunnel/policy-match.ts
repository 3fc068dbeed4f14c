/**
 * Which SAs serve which policies, as the kernel chooses them: outbound, it resolves a policy's
 * templates; inbound, it finds a packet's SA by destination, SPI, protocol and mark, and checks the
 * SAs that the packet passed through against the templates of the packet's policy.
 * @module
 */

import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { XfrmMark, XfrmSelector } from '../xfrm/types.ts';
import { fits, isWild, type TemplateDemand } from './endpoints.ts';
import { contains, meet, mirrored, startAlike } from './selectors.ts';
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
  fits(demand, sa.saddr, sa.daddr) &&
  (ifId ?? 0) === (sa.ifId ?? 0) &&
  holds(sa.mark, mark) &&
  isForPackets(sa, selector);

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

/**
 * Whether a source matches a template's, which may be a wildcard. It is compared as an address of
 * the packets' family: an IPv6 source for IPv4 packets by its first 32 bits only
 * (include/net/xfrm.h, xfrm_state_addr_cmp; seen on 7.2).
 */
const isSource = (wanted: string, saddr: string, packets: XfrmSelector['family']): boolean =>
  isWild(wanted) ||
  wanted === saddr ||
  (packets === 'inet' && wanted.includes(':') && startAlike(wanted, saddr, 32));

const isKind = ({ proto, mode, spi }: XfrmState, demand: TemplateDemand): boolean =>
  proto === demand.proto && mode === demand.mode && (demand.spi === 0 || demand.spi === spi);

/** Whether an SA's mark matches the one a policy looks for; an SA without a mark always does. */
function holds(mine: XfrmMark | undefined, sought: XfrmMark | undefined): boolean {
  const value = sought ? sought.value & sought.mask : 0;
  return mine === undefined || ((value ^ mine.value) & mine.mask) === 0;
}

/** Whether packets from an SA can have a mark: the SA fixes some bits, and may set others. */
function canHave(
  { mark, setMark, setMarkMask = 0xffff_ffff }: XfrmState,
  wanted?: XfrmMark,
): boolean {
  if (wanted === undefined) return true;
  const set = setMark === undefined ? 0 : setMarkMask;
  const known = ((mark?.mask ?? 0) & ~set) | set;
  const value = ((mark?.value ?? 0) & ~set) | ((setMark ?? 0) & set);
  return ((value ^ wanted.value) & wanted.mask & known) === 0;
}

/** Whether an SA is for some of a policy's packets. */
const isForPackets = ({ selector }: XfrmState, packets: XfrmSelector): boolean =>
  meet(selector, packets);

/** What keeps packets of one direction from passing through SAs. */
export interface Obstacle {
  /** Protocols of required templates that have no matching SA. */
  readonly missing: readonly IpsecProto[];
  /** The action of a policy that takes precedence and matches all packets; undefined: none. */
  readonly caught: XfrmPolicy['action'] | undefined;
}

/** SAs and policies keep nothing from passing. */
export const CLEAR: Obstacle = { missing: [], caught: undefined };

/**
 * What keeps a tunnel's packets from passing, in each direction: in every policy that sends, and in
 * those that the answers meet, for this host or forwarded.
 *
 * @param policies of the tunnel, including those that cover it
 * @param shunts the host's policies without templates
 * @param sas in each direction, including other tunnels' SAs that serve it
 * @param isOwn whether an outbound demand belongs to this tunnel
 * @param wayOf the direction of a template: its policy's, unless it is unknown which endpoint is
 *   local
 * @param isLocal whether an address is this host's
 */
export function obstaclesOf(
  policies: readonly Policy[],
  shunts: ReadonlyMap<string, XfrmPolicy>,
  sas: PerDirection<readonly XfrmState[]>,
  isOwn: (demand: TemplateDemand) => boolean,
  wayOf: (demand: TemplateDemand) => TrafficDirection,
  isLocal: (address: string) => boolean,
): PerDirection<Obstacle> {
  const sends = policies.filter(({ demands }) =>
    demands.some(({ direction }) => direction === 'out'),
  );
  const takes = both((forward) => policies.filter(takesIn(forward)).sort(byPriority));
  const missing = { out: new Set<IpsecProto>(), in: new Set<IpsecProto>() };
  const caught: Record<TrafficDirection, Obstacle['caught'][]> = { out: [], in: [] };
  for (const { entry, demands } of sends) {
    const policy = entry.value;
    const answers = mirrored(policy.selector);
    const ways = waysOf(policy, demands, isLocal);
    const leaving = ways.includes('fwd')
      ? blocking(shunts, policy, takes.fwd, policy.selector)
      : undefined;
    caught.out.push((catching(shunts, 'out', policy.selector, policy) ?? leaving)?.action);
    for (const demand of demands) {
      if (demand.optional || !isOwn(demand)) continue;
      if (!sas.out.some((sa) => carriesOut(sa, demand, policy)))
        missing[wayOf(demand)].add(demand.proto);
    }
    const required = new Set(demands.filter(({ optional }) => !optional).map(({ proto }) => proto));
    const isPlain = demands.every(({ mode }) => mode === 'transport');
    const coming: Obstacle['caught'][] = [];
    for (const way of ways) {
      const met = meeting(takes[way], answers);
      const { action } = catching(shunts, way, answers, met[0]?.entry.value ?? policy) ?? {};
      // A policy that allows without templates rejects packets out of a tunnel, and only those
      // (__xfrm_policy_check).
      coming.push(action === 'allow' && isPlain ? undefined : action);
      if (action !== undefined) {
        // The peer answers with the same protocol, whichever policy accepts it.
        for (const { optional, mode, proto } of demands) {
          if (optional || mode !== 'transport') continue;
          if (!sas.in.some((sa) => sa.proto === proto && sa.mode === mode)) missing.in.add(proto);
        }
        continue;
      }
      for (const one of met) {
        // A packet passes through an SA only once.
        const taken = new Set<XfrmState>();
        for (const demand of one.demands) {
          const { optional, mode, proto } = demand;
          if (optional && mode === 'transport') {
            // It need not accept an SA; but the peer answers with the protocol it is sent, which
            // then needs an SA.
            if (
              required.has(proto) &&
              !sas.in.some((sa) => sa.proto === proto && sa.mode === mode)
            ) {
              missing[wayOf(demand)].add(proto);
            }
            continue;
          }
          // A packet out of a tunnel must be accepted by a template, even an optional one
          // (secpath_has_nontransport).
          const accepted = sas.in.find(
            (sa) => !taken.has(sa) && acceptsIn(sa, demand, one.entry.value),
          );
          if (accepted) taken.add(accepted);
          else missing[wayOf(demand)].add(demand.proto);
        }
      }
    }
    caught.in.push(coming.find((one) => one !== undefined));
  }
  const obstacle = (direction: TrafficDirection): Obstacle => ({
    missing: [...missing[direction]],
    caught: caught[direction].every((one) => one !== undefined) ? caught[direction][0] : undefined,
  });
  return { out: obstacle('out'), in: obstacle('in') };
}

/** The policies for inbound packets: those for this host, and those for forwarded packets. */
type Way = 'in' | 'fwd';
const both = <T>(of: (way: Way) => T): Record<Way, T> => ({ in: of('in'), fwd: of('fwd') });

const takesIn =
  (way: Way) =>
  ({ demands }: Policy): boolean =>
    demands.some((one) => one.direction === 'in' && one.forward === (way === 'fwd'));

/**
 * Which of them answers to a policy's packets meet: depends on whether they are for this host's
 * address. Answers to a network may meet both; transport mode is for this host.
 */
function waysOf(
  { selector: { saddr, prefixlenS, family } }: XfrmPolicy,
  demands: readonly TemplateDemand[],
  isLocal: (address: string) => boolean,
): readonly Way[] {
  if (demands[0]?.mode === 'transport') return ['in'];
  if (prefixlenS < (family === 'inet6' ? 128 : 32)) return ['in', 'fwd'];
  return [isLocal(saddr) ? 'in' : 'fwd'];
}

/** A policy that blocks packets this host would forward, before another lets them pass. */
function blocking(
  shunts: ReadonlyMap<string, XfrmPolicy>,
  policy: XfrmPolicy,
  forwarded: readonly Policy[],
  packets: XfrmSelector,
): XfrmPolicy | undefined {
  const passes = forwarded.find(({ entry }) => contains(entry.value.selector, packets));
  const { priority, index } = passes?.entry.value ?? { priority: Infinity, index: 0 };
  const found = catching(shunts, 'fwd', packets, { ...policy, priority, index });
  return found?.action === 'block' ? found : undefined;
}

/**
 * At equal priority the kernel prefers the older policy; indexes increase (xfrm_policy.c,
 * xfrm_gen_index).
 */
const precedence = (a: Precedence, b: Precedence): number =>
  a.priority - b.priority || a.index - b.index;
type Precedence = Pick<XfrmPolicy, 'priority' | 'index'>;

const byPriority = (a: Policy, b: Policy): number =>
  a.entry.value.priority - b.entry.value.priority;

/** The policies that some of the packets meet, in order, up to one that all meet. */
function meeting(policies: readonly Policy[], packets: XfrmSelector): Policy[] {
  const met: Policy[] = [];
  for (const policy of policies) {
    const { selector } = policy.entry.value;
    if (!meet(selector, packets)) continue;
    met.push(policy);
    if (contains(selector, packets)) break;
  }
  return met;
}

/** The policy without templates, if any, that all packets meet before a given policy. */
function catching(
  shunts: ReadonlyMap<string, XfrmPolicy>,
  dir: 'in' | 'out' | 'fwd',
  packets: XfrmSelector,
  policy: XfrmPolicy,
): XfrmPolicy | undefined {
  const { mark, ifId } = policy;
  for (const shunt of shunts.values()) {
    if (shunt.dir !== dir || (shunt.ifId ?? 0) !== (ifId ?? 0)) continue;
    if (precedence(shunt, policy) >= 0) continue;
    if (shunt.mark && !(mark && holds(shunt.mark, mark))) continue;
    if (contains(shunt.selector, packets)) return shunt;
  }
  return undefined;
}
