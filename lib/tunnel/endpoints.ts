/** The endpoints of SAs and policies, and which of them is this host's. @module */

import { flat } from '../base/flat.ts';
import { isWild, startAlike } from '../xfrm/matching.ts';
import type { IpsecProto, StateDir, XfrmMode } from '../xfrm/names.ts';
import type { XfrmPolicy } from '../xfrm/objects.ts';
import type { PolicyTemplate, XfrmSelector } from '../xfrm/types.ts';
import { NONE } from './few.ts';
import type { TrafficDirection } from './tunnel.ts';

/** Two endpoints, in string order. */
export type Pair = readonly [string, string];
export const pairOf = (a: string, b: string): Pair => (a < b ? [a, b] : [b, a]);
export const pairKey = ([a, b]: Pair): string => flat(`${a} ${b}`);

/** What a policy's template requires: an SA between two endpoints. */
export interface TemplateDemand {
  readonly from: string;
  readonly to: string;
  readonly reqid: number;
  readonly proto: IpsecProto;
  readonly mode: XfrmMode;
  /** 0 for any. */
  readonly spi: number;
  /** Packets also pass without it (`level use`). */
  readonly optional: boolean;
  /** undefined for a policy with a direction unknown to this version. */
  readonly direction: TrafficDirection | undefined;
  /** The packets that it is for, whose ends are its own where it is open. */
  readonly packets?: XfrmSelector | undefined;
}

/**
 * The demands of a policy's templates. A tunnel mode template holds its endpoints; those of
 * transport mode are the packet's, or those of the tunnel made by a preceding template
 * (net/xfrm/xfrm_policy.c, xfrm_tmpl_resolve_one). A blocking policy has none.
 */
export function demandsOf(policy: XfrmPolicy): readonly TemplateDemand[] {
  if (policy.action !== 'allow' || policy.templates === undefined) return NONE;
  const { selector, dir } = policy;
  const direction = directionOf(dir);
  // Most have one, with its ends.
  const [only, another] = policy.templates;
  if (only && !another && hasEnds(only)) {
    return [demandOf(only, only.saddr, only.daddr, direction, undefined)];
  }
  let [from, to] = [hostOf(selector, 'saddr'), hostOf(selector, 'daddr')];
  let packets: XfrmSelector | undefined = selector;
  return policy.templates.map((template) => {
    const { saddr, daddr } = template;
    if (hasEnds(template)) {
      from = saddr;
      to = daddr;
      packets = undefined;
    } else {
      // Some programs put the packet's endpoints there, where the selector covers many.
      if (isWild(from) && !isWild(saddr)) from = saddr;
      if (isWild(to) && !isWild(daddr)) to = daddr;
    }
    return demandOf(template, from, to, direction, packets);
  });
}

const demandOf = (
  { reqid, proto, mode, spi, optional }: PolicyTemplate,
  from: string,
  to: string,
  direction: TrafficDirection | undefined,
  packets: XfrmSelector | undefined,
): TemplateDemand => ({
  from,
  to,
  reqid,
  proto,
  mode,
  spi,
  optional: Boolean(optional),
  direction,
  packets,
});

/** The demands of policies, of which those for forwarded packets repeat those of `in`. */
export class Demands {
  #templates: XfrmPolicy['templates'];
  #direction: TrafficDirection | undefined;
  #last: readonly TemplateDemand[] = NONE;

  /** {@link demandsOf}; the same for a policy as for the one before it, where they are equal. */
  of(policy: XfrmPolicy): readonly TemplateDemand[] {
    const { templates, dir, action } = policy;
    const direction = directionOf(dir);
    // Equal ones are usually the same object (lib/monitor/xfrm-table.ts).
    const areSame = templates !== undefined && templates === this.#templates;
    if (areSame && direction === this.#direction && action === 'allow') return this.#last;
    const found = demandsOf(policy);
    // Without ends of their own they depend on the packets.
    const areWhole = found.length > 0 && found.every(({ packets }) => packets === undefined);
    this.#templates = areWhole ? templates : undefined;
    this.#direction = direction;
    this.#last = found;
    return found;
  }
}

/** 3 and 4 are per-socket policies (linux/xfrm.h, XFRM_POLICY_MAX). */
function directionOf(dir: XfrmPolicy['dir']): TrafficDirection | undefined {
  if (dir === 'out' || dir === 4) return 'out';
  return dir === 'in' || dir === 'fwd' || dir === 3 ? 'in' : undefined;
}

const hasEnds = ({ mode }: PolicyTemplate): boolean =>
  mode === 'tunnel' || mode === 'beet' || mode === 'iptfs';

/** A selector's host address, or a wildcard. */
function hostOf(selector: XfrmSelector, end: 'saddr' | 'daddr'): string {
  const bits = end === 'saddr' ? selector.prefixlenS : selector.prefixlenD;
  return bits === (selector.family === 'inet6' ? 128 : 32) ? selector[end] : 'any';
}

/**
 * Whether a demand makes a tunnel by itself, even without an SA. A demand for any peer does not,
 * nor an optional one, nor one for anything inbound: an inbound template with reqid 0 accepts SAs
 * with any reqid (xfrm_state_ok), an outbound one only those with reqid 0 (xfrm_state_find).
 */
export const makesTunnel = ({ from, to, reqid, optional, direction }: TemplateDemand): boolean =>
  !isWild(from) && !isWild(to) && !optional && (reqid !== 0 || direction === 'out');

/** Whether an endpoint is a wildcard. */
export const isOpen = ({ from, to }: TemplateDemand): boolean => isWild(from) || isWild(to);

/** Whether SAs from `a` to `b` match a demand, regardless of reqid and protocol. */
export const fits = ({ from, to, packets }: TemplateDemand, a: string, b: string): boolean =>
  (isWild(from) ? isAmong(packets, 'S', a) : from === a) &&
  (isWild(to) ? isAmong(packets, 'D', b) : to === b);

/** Whether packets may have an address at one of their ends. */
function isAmong(packets: XfrmSelector | undefined, end: 'S' | 'D', address: string): boolean {
  if (packets === undefined || isWild(address)) return true;
  if (packets.family !== (address.includes(':') ? 'inet6' : 'inet')) return false;
  return end === 'S'
    ? startAlike(packets.saddr, address, packets.prefixlenS)
    : startAlike(packets.daddr, address, packets.prefixlenD);
}

/** Whether an address is a multicast group, IPv4 or IPv6, in the spelling used here. */
export const isGroup = (address: string): boolean => /^(22[4-9]|23\d)\.|^ff..:/.test(address);

/**
 * Whether an SA between two endpoints serves both directions: if an address talks to itself, or
 * with a multicast group, which sends no answers. RFC 4552 uses one SA for everything that routers
 * send and receive on a link.
 */
export const servesBoth = ([a, b]: Pair): boolean => a === b || isGroup(a) || isGroup(b);

/**
 * Whether SAs between two endpoints make no tunnel by themselves: those from any source, unless
 * they serve both directions.
 */
export const isOnlyShared = (pair: Pair): boolean => pair.some(isWild) && !pair.some(isGroup);

/** Which endpoint is this host's. */
export interface Orientation {
  readonly local: string;
  readonly remote: string;
  /** false: unknown; the endpoints are in string order. */
  readonly directed: boolean;
}

/** What is known of addresses of a host. */
export interface AddressRoles {
  /** Whether an address is this host's, or was. */
  readonly isLocal: (address: string) => boolean;
  /** Whether policies have an address as that of this host (true) or of a peer; undefined: neither. */
  readonly roleOf: (address: string) => boolean | undefined;
}

/**
 * Which endpoint is this host's: by the direction of SAs (Linux 6.10), else by policies, those for
 * forwarded packets last, then by other policies with these addresses, else by this host's
 * addresses. If a source says both or nothing, the next decides. A wildcard endpoint is neither.
 *
 * @param forward those of policies for forwarded packets, which the others do not include
 */
export function orientationOf(
  [a, b]: Pair,
  sas: Iterable<{ readonly saddr: string; readonly daddr: string; readonly dir?: StateDir }>,
  demands: Iterable<TemplateDemand>,
  { isLocal, roleOf }: AddressRoles,
  forward: Iterable<TemplateDemand> = NONE,
): Orientation {
  if (isWild(a) || isWild(b)) {
    return { local: isWild(a) ? a : b, remote: isWild(a) ? b : a, directed: false };
  }
  /** Whether the first endpoint is local, according to each source, which may say both. */
  const votes = Array.from({ length: 5 }, () => new Set<boolean>());
  const [bySa, byPolicy, byForward, byOthers, byAddress] = votes as [Vote, Vote, Vote, Vote, Vote];
  for (const { saddr, daddr, dir } of sas) {
    if (saddr === daddr) continue;
    if (dir === 'out') bySa.add(saddr === a);
    else if (dir === 'in') bySa.add(daddr === a);
  }
  const hear = (demand: TemplateDemand, votes: Vote) => {
    const [along, against] = [fits(demand, a, b), fits(demand, b, a)];
    if (demand.direction === undefined || along === against) return;
    votes.add(along === (demand.direction === 'out'));
  };
  for (const demand of demands) hear(demand, byPolicy);
  for (const demand of forward) hear(demand, byForward);
  const [aRole, bRole] = [roleOf(a), roleOf(b)];
  if (aRole !== bRole) byOthers.add(aRole ?? !bRole);
  const [aIsLocal, bIsLocal] = [isLocal(a), isLocal(b)];
  if (aIsLocal !== bIsLocal) byAddress.add(aIsLocal);
  const [first] = votes.find(({ size }) => size === 1) ?? [];
  const directed = first !== undefined && a !== b;
  return first === false ? { local: b, remote: a, directed } : { local: a, remote: b, directed };
}

type Vote = Set<boolean>;
