/**
 * Which SAs and policies between the same two ends, with the same reqid, are one tunnel: those that
 * marks and interface ids do not keep apart.
 * @module
 */
import type { Mark } from '../xfrm/codec.ts';
import type { Direction } from './tunnel.ts';

/** An SA, a policy or a request for an SA, as far as it matters here. */
export interface Member {
  readonly direction: Direction;
  readonly isPolicy: boolean;
  readonly mark: Mark | undefined;
  readonly ifId: number | undefined;
}

/** The members that have one mark and interface id. */
interface Part<M> {
  readonly text: string;
  readonly mark: Mark | undefined;
  readonly ifId: number | undefined;
  readonly members: M[];
  in: boolean;
  out: boolean;
  sas: boolean;
  policies: boolean;
}

/** What a mark and an interface id are called; nothing if there is neither. */
export function labelText(mark: Mark | undefined, ifId: number | undefined): string {
  const marked = mark ? ` mark 0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}` : '';
  return marked + (ifId ? ` if_id 0x${ifId.toString(16)}` : '');
}

/**
 * The tunnels of a group, each as its members: a function of the members alone, in the order of their
 * labels (mark and interface id).
 *
 * 1. A label that is found in both directions is a tunnel.
 * 2. If there is none, but both directions have labels, all are one tunnel: the two directions are told
 *    apart by them (ikey and okey, mark_in and mark_out).
 * 3. If only one direction is there, each label is a tunnel.
 * 4. What has less (no mark, say) joins the tunnel that it fits, if it is one only: an SA without a mark
 *    serves all marks (net/xfrm/xfrm_state.c, __xfrm_state_lookup).
 */
export function split<M extends Member>(members: readonly M[]): M[][] {
  const parts = partsOf(members);
  if (parts.length <= 1) return members.length === 0 ? [] : [[...members]];
  let tunnels = parts.filter((part) => part.in && part.out);
  if (tunnels.length === 0) {
    if (parts.some((part) => part.in) && parts.some((part) => part.out)) return [[...members]];
    tunnels = parts.filter((part) => !parts.some((other) => isLess(part, other)));
  }
  // SAs without label of policies that have one: the policies would else stand without SAs.
  const served = tunnels.filter((part) => {
    const [only, ...more] = tunnels.filter((other) => isLess(part, other) && !other.sas);
    if (part.policies || only === undefined || more.length > 0) return true;
    only.members.push(...part.members);
    return false;
  });
  const own: Part<M>[] = [];
  for (const part of parts) {
    if (tunnels.includes(part)) continue;
    const [only, ...more] = served.filter((tunnel) => isLess(part, tunnel));
    if (only === undefined || more.length > 0) own.push(part);
    else only.members.push(...part.members);
  }
  return [...served, ...own].sort((a, b) => (a.text < b.text ? -1 : 1)).map((part) => part.members);
}

function partsOf<M extends Member>(members: readonly M[]): Part<M>[] {
  const parts = new Map<string, Part<M>>();
  for (const member of members) {
    const { mark, ifId, direction, isPolicy } = member;
    const text = labelText(mark, ifId);
    let part = parts.get(text);
    if (part === undefined) {
      const none = { in: false, out: false, sas: false, policies: false };
      part = { text, mark, ifId, members: [], ...none };
      parts.set(text, part);
    }
    part.members.push(member);
    part[direction] = true;
    if (isPolicy) part.policies = true;
    else part.sas = true;
  }
  return [...parts.values()].sort((a, b) => (a.text < b.text ? -1 : 1));
}

/** Whether one label says less than another, and nothing else. */
function isLess(less: Part<unknown>, more: Part<unknown>): boolean {
  const fits = (mine: string | undefined, its: string | undefined) =>
    mine === undefined || mine === its;
  return (
    less !== more &&
    fits(less.mark && labelText(less.mark, undefined), labelText(more.mark, undefined)) &&
    fits(less.ifId ? String(less.ifId) : undefined, String(more.ifId ?? 0))
  );
}
