/**
 * Which SAs serve which policies, as the kernel chooses them: on the way out it resolves the templates of a policy; on
 * the way in it finds the SA of a packet by destination, SPI, protocol and mark, and holds what the packet came through
 * against the templates of the policy for it.
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
 * Whether packets of a policy go out through an SA for one of its templates (net/xfrm/xfrm_state.c, xfrm_state_find).
 * Its mode, reqid (0 is one like others), mark and interface id are the policy's.
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
 * Whether a policy accepts that packets came in through an SA, for one of its templates (xfrm_policy.c, xfrm_state_ok). The reqid
 * 0 is any, and only the source is compared, in other modes than transport.
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
 * Whether a source is that of a template, or that is open. It is compared as an address of the family of the packets, of IPv4 in
 * IPv6 only the first 32 bits (include/net/xfrm.h, xfrm_state_addr_cmp; seen on 7.2).
 */
const isSource = (wanted: string, saddr: string, packets: XfrmSelector['family']): boolean =>
  isWild(wanted) ||
  wanted === saddr ||
  (packets === 'inet' && wanted.includes(':') && startAlike(wanted, saddr, 32));

const isKind = ({ proto, mode, spi }: XfrmState, demand: TemplateDemand): boolean =>
  proto === demand.proto && mode === demand.mode && (demand.spi === 0 || demand.spi === spi);

/** Whether an SA's mark is that with which a policy looks for it; one without a mark has it. */
function holds(mine: XfrmMark | undefined, sought: XfrmMark | undefined): boolean {
  const value = sought ? sought.value & sought.mask : 0;
  return mine === undefined || ((value ^ mine.value) & mine.mask) === 0;
}

/** Whether packets that came through an SA can have a mark: it says some bits of theirs, and may set others. */
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

/** Whether some packets of a policy are those that an SA is for. */
const isForPackets = ({ selector }: XfrmState, packets: XfrmSelector): boolean =>
  meet(selector, packets);

/** What keeps packets of a direction from passing through SAs. */
export interface Obstacle {
  /** Protocols that required templates name, and of which there is no SA that fits. */
  readonly missing: readonly IpsecProto[];
  /** What a policy that comes first and takes all packets does with them; undefined: there is none. */
  readonly caught: XfrmPolicy['action'] | undefined;
}

/** As far as SAs and policies go, nothing. */
export const CLEAR: Obstacle = { missing: [], caught: undefined };

/**
 * What keeps the packets of a tunnel from passing, in each direction: of every policy that sends, and of those that its answers
 * meet, for this host or forwarded.
 *
 * @param policies of the tunnel, those that cover it included
 * @param shunts policies without templates, of the host
 * @param sas in each direction, those of others that serve it included
 * @param isOwn whether what a policy asks for on the way out is of this tunnel
 * @param wayOf in which direction a template is: that of its policy, but where nobody knows which end is this host's
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
      // One that lets pass refuses what came out of a tunnel, and nothing else (__xfrm_policy_check).
      coming.push(action === 'allow' && isPlain ? undefined : action);
      if (action !== undefined) {
        // The peer answers in kind, whoever takes it.
        for (const { optional, mode, proto } of demands) {
          if (optional || mode !== 'transport') continue;
          if (!sas.in.some((sa) => sa.proto === proto && sa.mode === mode)) missing.in.add(proto);
        }
        continue;
      }
      for (const one of met) {
        // A packet comes through an SA once.
        const taken = new Set<XfrmState>();
        for (const demand of one.demands) {
          const { optional, mode, proto } = demand;
          if (optional && mode === 'transport') {
            // It need not accept what is there; but the peer will use what it is sent, and packets find no SA if there is none.
            if (
              required.has(proto) &&
              !sas.in.some((sa) => sa.proto === proto && sa.mode === mode)
            ) {
              missing[wayOf(demand)].add(proto);
            }
            continue;
          }
          // What came out of a tunnel must be accepted by a template, be it optional (secpath_has_nontransport).
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

/** The policies that what comes in meets: those for this host, and those for what it forwards. */
type Way = 'in' | 'fwd';
const both = <T>(of: (way: Way) => T): Record<Way, T> => ({ in: of('in'), fwd: of('fwd') });

const takesIn =
  (way: Way) =>
  ({ demands }: Policy): boolean =>
    demands.some((one) => one.direction === 'in' && one.forward === (way === 'fwd'));

/**
 * Which of them answers to the packets of a policy meet: by whether they are for an address of this host. What is for a net may
 * be for both; transport mode is for this host.
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

/** A policy that blocks what comes from behind this host to be sent, before another lets it pass. */
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

/** Of one priority the kernel takes that which was there first; indexes grow (xfrm_policy.c, xfrm_gen_index). */
const precedence = (a: Precedence, b: Precedence): number =>
  a.priority - b.priority || a.index - b.index;
type Precedence = Pick<XfrmPolicy, 'priority' | 'index'>;

const byPriority = (a: Policy, b: Policy): number =>
  a.entry.value.priority - b.entry.value.priority;

/** The policies that some of the packets meet: in order, up to one that all meet. */
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

/** The policy without templates that all packets meet before one, if there is such. */
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
