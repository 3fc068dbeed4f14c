/**
 * Which policy catches a packet, and which nearly would.
 * @module
 */
import { precedence } from '../tunnel/policy-index.ts';
import { meet, startAlike } from '../xfrm/matching.ts';
import type { XfrmPolicy } from '../xfrm/objects.ts';
import type { XfrmSelector } from '../xfrm/types.ts';
import { type Packet, selectorOf } from './flow.ts';
import type { Tables } from './tables.ts';

export type PolicyDirection = 'in' | 'out' | 'fwd';

/** Why a policy does not catch a packet. */
export type PolicyDifference =
  | 'source'
  | 'destination'
  | 'protocol'
  | 'source port'
  | 'destination port'
  | 'interface'
  | 'mark'
  | 'if_id'
  /** It matches, and another has precedence. */
  | 'priority';

export interface NearPolicy {
  readonly policy: XfrmPolicy;
  readonly but: readonly PolicyDifference[];
}

export interface PolicyLookup {
  readonly dir: PolicyDirection;
  /** undefined: none matches. */
  readonly policy: XfrmPolicy | undefined;
  /** Those that would catch it but for one thing, the nearest first. */
  readonly near: readonly NearPolicy[];
  /** One of the same priority that may catch it instead: the tables do not tell which is older. */
  readonly rival: XfrmPolicy | undefined;
}

/** How many near misses are named. */
const MOST = 5;

/** The properties of a selector that a packet does not have. */
export function selectorDifferences(selector: XfrmSelector, packet: Packet): PolicyDifference[] {
  const { flow, ifindex } = packet;
  const one = selectorOf(flow);
  const found: PolicyDifference[] = [];
  // Neither address is of another family.
  const isOther = selector.family !== 'unspec' && selector.family !== flow.family;
  const { saddr, daddr, prefixlenS, prefixlenD } = selector;
  if (isOther || !startAlike(saddr, flow.saddr, prefixlenS)) found.push('source');
  if (isOther || !startAlike(daddr, flow.daddr, prefixlenD)) found.push('destination');
  if (selector.proto !== 0 && selector.proto !== flow.proto) found.push('protocol');
  if (!portMatches(selector.sport, selector.sportMask, one.sport, one.sportMask))
    found.push('source port');
  if (!portMatches(selector.dport, selector.dportMask, one.dport, one.dportMask))
    found.push('destination port');
  if (selector.ifindex !== 0 && selector.ifindex !== ifindex) found.push('interface');
  return found;
}

const portMatches = (wanted: number, mask: number, port: number, known: number): boolean =>
  (mask & ~known) === 0 && ((wanted ^ port) & mask) === 0;

/** Whether a selector takes a packet. */
export const selects = (selector: XfrmSelector, packet: Packet): boolean =>
  meet(selector, selectorOf(packet.flow)) && selectorDifferences(selector, packet).length === 0;

function differencesOf(policy: XfrmPolicy, packet: Packet): PolicyDifference[] {
  const { selector, mark, ifId = 0 } = policy;
  const found = selectorDifferences(selector, packet);
  if (found.length > 1) return found;
  if (mark && ((packet.mark & mark.mask) ^ mark.value) !== 0) found.push('mark');
  if (ifId !== packet.ifId) found.push('if_id');
  return found;
}

/**
 * The policy of a direction that catches a packet: of those that match, that of the lowest
 * priority, of these the oldest (net/xfrm/xfrm_policy.c, xfrm_policy_lookup_bytype).
 *
 * The index tells the age. A policy that was replaced keeps its index and is listed as the newest;
 * it also keeps its place among those of its priority, but only if it had that priority before (seen
 * on 6.12 and 7.2), which nothing tells.
 */
export function lookUpPolicy(
  { policies }: Pick<Tables, 'policies'>,
  dir: PolicyDirection,
  packet: Packet,
): PolicyLookup {
  let policy: XfrmPolicy | undefined;
  const near: NearPolicy[] = [];
  const matching: XfrmPolicy[] = [];
  for (const one of policies) {
    if (one.dir !== dir || one.policyType?.type === 'sub') continue;
    const but = differencesOf(one, packet);
    if (but.length === 1) near.push({ policy: one, but });
    if (but.length > 0) continue;
    matching.push(one);
    if (policy === undefined || precedence(one, policy) < 0) policy = one;
  }
  const later = matching
    .filter((one) => one !== policy)
    .map((one): NearPolicy => ({ policy: one, but: ['priority'] }));
  // An address that differs is worth a word only where nothing else caught the packet.
  const others = near.filter(({ but }) => policy === undefined || !ofAddress(but));
  const sorted = [...later, ...others].sort(
    (a, b) => Number(ofAddress(a.but)) - Number(ofAddress(b.but)),
  );
  return { dir, policy, near: sorted.slice(0, MOST), rival: rivalOf(policy, matching) };
}

/**
 * In the order of the list, the newest first, one after another is older than it. Policies between
 * two hosts are kept apart from the others: 6.1 does not compare their age with that of others, later
 * kernels do (seen on 6.12 and 7.2).
 */
function rivalOf(policy: XfrmPolicy | undefined, matching: readonly XfrmPolicy[]) {
  if (policy === undefined) return undefined;
  const at = matching.indexOf(policy);
  return matching.find(
    (one, i) =>
      one !== policy &&
      one.priority === policy.priority &&
      (i > at || isOfHosts(one) !== isOfHosts(policy)),
  );
}

const isOfHosts = ({ selector: { family, prefixlenS, prefixlenD } }: XfrmPolicy): boolean =>
  Math.min(prefixlenS, prefixlenD) === (family === 'inet6' ? 128 : 32);

const ofAddress = (but: readonly PolicyDifference[]): boolean =>
  but.includes('source') || but.includes('destination');
