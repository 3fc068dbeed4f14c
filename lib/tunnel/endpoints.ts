/** Between which ends SAs and policies are, and which end is this host's. @module */

import type { IpsecProto, StateDir, XfrmMode } from '../xfrm/names.ts';
import type { XfrmPolicy } from '../xfrm/objects.ts';
import type { PolicyTemplate, XfrmSelector } from '../xfrm/types.ts';
import type { TrafficDirection } from './tunnel.ts';

/** An address that stands for all. */
export const isWild = (address: string): boolean =>
  address === '0.0.0.0' || address === '::' || address === 'any';

/** Two ends, in the order of their texts. */
export type Pair = readonly [string, string];
export const pairOf = (a: string, b: string): Pair => (a < b ? [a, b] : [b, a]);
export const pairKey = ([a, b]: Pair): string => `${a} ${b}`;

/** What a template of a policy asks for: an SA between two ends. */
export interface TemplateDemand {
  readonly from: string;
  readonly to: string;
  readonly reqid: number;
  readonly proto: IpsecProto;
  readonly mode: XfrmMode;
  /** 0 for any. */
  readonly spi: number;
  /** Packets pass without it too (`level use`). */
  readonly optional: boolean;
  /** undefined for a policy of a direction that this version does not know. */
  readonly direction: TrafficDirection | undefined;
  /** Forwarded packets have a policy of their own, whose template repeats that of `in`. */
  readonly forward: boolean;
}

/**
 * Of a policy, what each template asks for. A tunnel's ends stand in its template; those of transport
 * mode are those of the packet, or of the tunnel that a template before it makes
 * (net/xfrm/xfrm_policy.c, xfrm_tmpl_resolve_one). Of a policy that blocks there is none.
 */
export function demandsOf(policy: XfrmPolicy): TemplateDemand[] {
  if (policy.action !== 'allow' || policy.templates === undefined) return [];
  const { selector, dir } = policy;
  const direction = directionOf(dir);
  let [from, to] = [hostOf(selector, 'saddr'), hostOf(selector, 'daddr')];
  return policy.templates.map((template) => {
    const { saddr, daddr, reqid, proto, mode, spi, optional } = template;
    if (hasEnds(template)) [from, to] = [saddr, daddr];
    else {
      // Some programs write the ends of the packet there, where the selector is for many.
      if (isWild(from) && !isWild(saddr)) from = saddr;
      if (isWild(to) && !isWild(daddr)) to = daddr;
    }
    const more = { optional: Boolean(optional), direction, forward: dir === 'fwd' };
    return { from, to, reqid, proto, mode, spi, ...more };
  });
}

/** 3 and 4 are policies of single sockets (linux/xfrm.h, XFRM_POLICY_MAX). */
function directionOf(dir: XfrmPolicy['dir']): TrafficDirection | undefined {
  if (dir === 'out' || dir === 4) return 'out';
  return dir === 'in' || dir === 'fwd' || dir === 3 ? 'in' : undefined;
}

const hasEnds = ({ mode }: PolicyTemplate): boolean =>
  mode === 'tunnel' || mode === 'beet' || mode === 'iptfs';

/** The one address that a selector is for, or one that stands for all. */
function hostOf(selector: XfrmSelector, end: 'saddr' | 'daddr'): string {
  const bits = end === 'saddr' ? selector.prefixlenS : selector.prefixlenD;
  return bits === (selector.family === 'inet6' ? 128 : 32) ? selector[end] : 'any';
}

/**
 * Whether a demand makes a tunnel by itself, also while there is no SA. One for any peer does not, nor
 * one without which packets pass too, nor one for whatever comes in: an inbound template with the
 * reqid 0 takes SAs of all (xfrm_state_ok), an outbound one only those of reqid 0 (xfrm_state_find).
 */
export const makesTunnel = ({ from, to, reqid, optional, direction }: TemplateDemand): boolean =>
  !isWild(from) && !isWild(to) && !optional && (reqid !== 0 || direction === 'out');

/** Whether SAs from `a` to `b` are what a demand asks for, their reqid and protocol left aside. */
export const fits = ({ from, to }: TemplateDemand, a: string, b: string): boolean =>
  (isWild(from) || from === a) && (isWild(to) || to === b);

/** Of IPv4 and of IPv6, as the kernel's addresses are written here. */
const isGroup = (address: string): boolean => /^(22[4-9]|23\d)\.|^ff..:/.test(address);

/**
 * Whether an SA between two ends serves both directions: of an address that talks to itself; and to a group, from
 * which nobody answers. RFC 4552 has one SA for all that routers send to a link and hear there.
 */
export const servesBoth = ([a, b]: Pair): boolean => a === b || isGroup(a) || isGroup(b);

/** Whether SAs between two ends make no tunnel by themselves: those from any source, unless that serves both directions. */
export const isOnlyShared = (pair: Pair): boolean => pair.some(isWild) && !pair.some(isGroup);

/** Which end is this host's. */
export interface Orientation {
  readonly local: string;
  readonly remote: string;
  /** false: nobody knows; the ends are in the order of their texts. */
  readonly directed: boolean;
}

/**
 * Which end is this host's: by the direction that SAs have (kernel 6.10), else by the policies, those for
 * forwarded packets last, else by the addresses of this host. Where what is asked says both, or nothing,
 * the next is asked. An end that stands for all is nobody's.
 */
export function orientationOf(
  [a, b]: Pair,
  sas: Iterable<{ readonly saddr: string; readonly daddr: string; readonly dir?: StateDir }>,
  demands: Iterable<TemplateDemand>,
  isLocal: (address: string) => boolean,
): Orientation {
  if (isWild(a) || isWild(b)) {
    return { local: isWild(a) ? a : b, remote: isWild(a) ? b : a, directed: false };
  }
  /** Whether the first of the ends is local: what each that is asked says, which may be both. */
  const votes = Array.from({ length: 4 }, () => new Set<boolean>());
  const [bySa, byPolicy, byForward, byAddress] = votes as [Vote, Vote, Vote, Vote];
  for (const { saddr, daddr, dir } of sas) {
    if (saddr === daddr) continue;
    if (dir === 'out') bySa.add(saddr === a);
    else if (dir === 'in') bySa.add(daddr === a);
  }
  for (const demand of demands) {
    const [along, against] = [fits(demand, a, b), fits(demand, b, a)];
    if (demand.direction === undefined || along === against) continue;
    (demand.forward ? byForward : byPolicy).add(along === (demand.direction === 'out'));
  }
  const [aIsLocal, bIsLocal] = [isLocal(a), isLocal(b)];
  if (aIsLocal !== bIsLocal) byAddress.add(aIsLocal);
  const [first] = votes.find(({ size }) => size === 1) ?? [];
  const directed = first !== undefined && a !== b;
  return first === false ? { local: b, remote: a, directed } : { local: a, remote: b, directed };
}

type Vote = Set<boolean>;
