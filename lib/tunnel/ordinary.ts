/**
 * The part of a group that is one ordinary tunnel, as most are: SAs both ways, and policies that
 * all packets meet, of this group and of no other. For such a group the full look (sa-group.ts,
 * policy-match.ts) finds nothing else, and takes eight times as long. @module
 */
import { isSame, meet, mirrored } from '../xfrm/matching.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import type { XfrmSelector } from '../xfrm/types.ts';
import type { Orientation } from './endpoints.ts';
import { each, type Few, NONE, sizeOf } from './few.ts';
import {
  ALL_CLEAR,
  acceptsIn,
  carriesOut,
  type HostPolicies,
  precedes,
  waysOf,
} from './policy-match.ts';
import { byAge, type GroupPart, type SaGroup, UNLABELLED } from './sa-group.ts';
import { NO_SHARED, type Policy, type Sa } from './tunnel-contents.ts';

/** A host's policies and addresses. */
type Host = Pick<HostPolicies, 'index' | 'defaults' | 'has'>;

/** What an ordinary tunnel has of policies: one for each way that packets take. */
interface Policies {
  readonly out: Policy;
  readonly in: Policy;
  readonly fwd: Policy | undefined;
}

/**
 * @param group one that nothing else concerns: no other group with its ends, no policy that covers
 *   it, no SA from any source
 * @returns what the full look finds; undefined if that is needed
 */
export function ordinaryPart(
  group: SaGroup,
  host: Host,
): { readonly orientation: Orientation; readonly parts: readonly [GroupPart] } | undefined {
  const { policies } = group;
  if (group.reqid === 0 || group.acquired.length > 0 || !Array.isArray(policies)) return undefined;
  const all = policies as readonly Policy[];
  const its = policiesOf(all, group.reqid);
  if (its === undefined) return undefined;
  const { from: local, to: remote } = its.out.demands[0] as Policy['demands'][0];
  if (local === remote || !isBetween(its.in, local, remote)) return undefined;
  if (its.fwd && !isBetween(its.fwd, local, remote)) return undefined;
  const sas = sasOf(group, its, local);
  if (sas === undefined || !isClear(its, host)) return undefined;
  return {
    orientation: { local, remote, directed: true },
    parts: [
      {
        contents: {
          sas,
          shared: NO_SHARED,
          larval: NONE,
          policies: all,
          demands: NONE,
          sends: true,
          obstacles: ALL_CLEAR,
          acquiredAt: undefined,
        },
        members: numbersOf(group.sas, all),
        acquired: NONE,
        labels: UNLABELLED,
      },
    ],
  };
}

/** The policies of a group, if there is one for each way, with one template and no label. */
function policiesOf(all: readonly Policy[], reqid: number): Policies | undefined {
  let [out, inbound, fwd]: (Policy | undefined)[] = [];
  for (const policy of all) {
    const { dir, mark, ifId } = policy.entry.value;
    const [demand] = policy.demands;
    if (demand === undefined || policy.demands.length > 1 || mark || ifId) return undefined;
    if (demand.reqid !== reqid || demand.mode !== 'tunnel' || demand.optional) return undefined;
    if (dir === 'out' && out === undefined) out = policy;
    else if (dir === 'in' && inbound === undefined) inbound = policy;
    else if (dir === 'fwd' && fwd === undefined) fwd = policy;
    else return undefined;
  }
  return out && inbound && { out, in: inbound, fwd };
}

/** Whether the template of a policy leads from one end to the other, or back if it is inbound. */
function isBetween({ demands }: Policy, local: string, remote: string): boolean {
  const { from, to, direction } = demands[0] as Policy['demands'][0];
  return direction === 'out' ? from === local && to === remote : from === remote && to === local;
}

/** Their numbers, in an array of just its length. */
function numbersOf(sas: Few<Sa>, policies: readonly Policy[]): number[] {
  const numbers = new Array<number>(sizeOf(sas) + policies.length);
  let count = 0;
  for (const { incarnation } of each(sas)) numbers[count++] = incarnation;
  for (const { incarnation } of policies) numbers[count++] = incarnation;
  return numbers;
}

/** The SAs by direction, if there are some both ways and each serves the policies of its own. */
function sasOf(group: SaGroup, its: Policies, local: string) {
  const sas = { out: NONE as readonly Sa[], in: NONE as readonly Sa[] };
  let first: XfrmState | undefined;
  for (const sa of each(group.sas)) {
    const { value } = sa.entry;
    const { mark, ifId, setMark, setMarkMask, dir } = value;
    if (sa.isLarval || mark || ifId) return undefined;
    if (setMark !== undefined || setMarkMask !== undefined) return undefined;
    first ??= value;
    if (value.encap?.type !== first.encap?.type) return undefined;
    const direction = value.saddr === local ? 'out' : 'in';
    if (dir !== undefined && dir !== direction) return undefined;
    if (direction === 'out') {
      if (!serves(carriesOut, value, its.out)) return undefined;
    } else {
      if (!serves(acceptsIn, value, its.in)) return undefined;
      if (its.fwd && !serves(acceptsIn, value, its.fwd)) return undefined;
    }
    const others = sas[direction];
    sas[direction] = others.length === 0 ? [sa] : others.concat([sa]).sort(byAge);
  }
  return sas.out.length > 0 && sas.in.length > 0 ? sas : undefined;
}

const serves = (
  does: typeof carriesOut | typeof acceptsIn,
  sa: XfrmState,
  { demands, entry }: Policy,
): boolean => does(sa, demands[0] as Policy['demands'][0], entry.value);

/** Whether all its packets meet its policies first, or none (obstaclesOf in policy-match.ts). */
function isClear(its: Policies, { index, defaults, has }: Host): boolean {
  const policy = its.out.entry.value;
  const packets = policy.selector;
  const answers = mirrored(packets);
  const before = index.isFirst(its.out) ? its.out : index.first('out', packets, policy);
  if (before !== undefined && precedes(before, its.out)) return false;
  if (!meet(its.in.entry.value.selector, answers)) return false;
  const ways = waysOf(policy, its.out.demands, has);
  // What this host forwards may have no policy for the answers.
  if (!ways.some((way) => its[way])) return false;
  for (const way of ways) {
    if (!isFor(its[way], answers, index) && index.first(way, answers, NO_LABEL) !== its[way])
      return false;
    // What this host forwards: those packets on their way here, and the answers on theirs.
    if (way === 'in') continue;
    if (defaults.fwd === 'block' || defaults.out === 'block') return false;
    if (index.first('fwd', packets, policy) || index.first('out', answers, NO_LABEL)) return false;
  }
  return true;
}

/** Whether a policy is the first that answers meet, because it has no other packets than those. */
const isFor = (policy: Policy | undefined, answers: XfrmSelector, index: Host['index']): boolean =>
  policy !== undefined && isSame(policy.entry.value.selector, answers) && index.isFirst(policy);

const NO_LABEL = {};
