/**
 * Which SA carries a packet for a template, and which nearly would.
 * @module
 */
import { isLarval } from '../monitor/xfrm-objects.ts';
import { NO_LIMIT } from '../wire/time.ts';
import { holdsMark, isSource, isWild } from '../xfrm/matching.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { PolicyTemplate } from '../xfrm/types.ts';
import type { Packet } from './flow.ts';
import { selects } from './policy-lookup.ts';
import type { Tables } from './tables.ts';

/** Why an SA does not serve a template. */
export type SaDifference =
  | 'source'
  | 'destination'
  | 'protocol'
  | 'mode'
  | 'reqid'
  | 'SPI'
  | 'mark'
  | 'if_id'
  | 'selector'
  | 'direction'
  /** It has no keys yet. */
  | 'larval';

export interface NearSa {
  readonly sa: XfrmState;
  readonly but: readonly SaDifference[];
}

/** A template for one packet: with the endpoints that its SA must have. */
export interface Demand {
  readonly template: PolicyTemplate;
  /** undefined: the kernel finds no source for it. */
  readonly from: string | undefined;
  readonly to: string;
}

/** Modes whose templates have endpoints of their own (xfrm_policy.c, xfrm_tmpl_resolve_one). */
export const hasEnds = ({ mode }: Pick<PolicyTemplate, 'mode'>): boolean =>
  mode === 'tunnel' || mode === 'beet' || mode === 'iptfs';

/** What the templates of a policy require for a packet, in order, the innermost first. */
export function demandsFor(
  { templates = [] }: XfrmPolicy,
  { flow }: Packet,
  sourceFor: Tables['sourceFor'],
): Demand[] {
  let [from, to]: [string | undefined, string] = [flow.saddr, flow.daddr];
  return templates.map((template) => {
    if (hasEnds(template)) {
      to = template.daddr;
      from = isWild(template.saddr) ? sourceFor(to) : template.saddr;
    }
    return { template, from, to };
  });
}

const MOST = 5;
/** How many things may differ in an SA that is worth naming. */
const NEAR = 2;

/** Whether so little differs that it is worth naming: more than between any two endpoints. */
export const isNear = (but: readonly SaDifference[]): boolean =>
  but.length <= NEAR && !(but.includes('source') && but.includes('destination'));

/** What keeps an SA from being found for a template (net/xfrm/xfrm_state.c, xfrm_state_find). */
function differencesOut(
  sa: XfrmState,
  { template, from, to }: Demand,
  policy: XfrmPolicy,
  packet: Packet,
): SaDifference[] {
  const found: SaDifference[] = [];
  if (sa.daddr !== to) found.push('destination');
  if (sa.saddr !== from && !isWild(sa.saddr)) found.push('source');
  if (sa.proto !== template.proto) found.push('protocol');
  if (sa.mode !== template.mode) found.push('mode');
  if (sa.reqid !== template.reqid) found.push('reqid');
  if (template.spi !== 0 && sa.spi !== template.spi) found.push('SPI');
  if (!holdsMark(sa.mark, policy.mark)) found.push('mark');
  if ((sa.ifId ?? 0) !== (policy.ifId ?? 0)) found.push('if_id');
  // Not worth the time for an SA that is for something else.
  if (found.length <= NEAR && !selects(sa.selector, packet)) found.push('selector');
  return found;
}

/** What becomes of a template of an outbound policy. */
export interface Resolution {
  readonly demand: Demand;
  /** The SA that carries the packet. */
  readonly sa: XfrmState | undefined;
  /** Those that would have carried it, had it not been for the chosen one; the next choice first. */
  readonly others: readonly XfrmState[];
  /** An SA has been requested, and has no keys yet. */
  readonly isAcquiring: boolean;
  /** An SA with the SPI that the template asks for exists, but does not fit: no other is requested. */
  readonly isTaken: boolean;
  /**
   * SAs that the kernel may choose instead. Where it looks for SAs from any source it compares only
   * the destination, and so also finds one from another source that its hash puts in the same place;
   * in the same way one from any source may be found together with those of the right one;
   * and when its hash table grows, the order of SAs of the same second is reversed (both seen on
   * 6.12 and 7.2).
   */
  readonly rivals: readonly XfrmState[];
  readonly near: readonly NearSa[];
}

export function resolve(
  { states, now }: Tables,
  demand: Demand,
  policy: XfrmPolicy,
  packet: Packet,
): Resolution {
  const { template, from } = demand;
  const fitting: XfrmState[] = [];
  const near: NearSa[] = [];
  let isAcquiring = false;
  let isTaken = false;
  for (const sa of states) {
    const but = differencesOut(sa, demand, policy, packet);
    const larval = isLarval(sa);
    if (larval && but.every((one) => one === 'selector')) isAcquiring = true;
    else if (but.length === 0) fitting.push(sa);
    else if (isNear(but) && !larval && sa.dir !== 'in') near.push({ sa, but });
    if (
      template.spi !== 0 &&
      sa.spi === template.spi &&
      sa.daddr === demand.to &&
      sa.proto === template.proto &&
      holdsMark(sa.mark, policy.mark)
    )
      isTaken = true;
  }
  // Those from any source come last, wherever they are in the list.
  const exact = sorted(
    fitting.filter(({ saddr }) => saddr === from),
    now,
  );
  const open = sorted(
    fitting.filter((one) => !exact.includes(one)),
    now,
  );
  // While one from the right source is negotiated, the kernel does not look for those from any.
  const [sa, ...others] = exact.length === 0 && isAcquiring ? [] : [...exact, ...open];
  const rivals =
    exact.length > 0 || isAcquiring
      ? []
      : near.flatMap(({ sa, but }) => (`${but}` === 'source' ? [sa] : []));
  const [next] = others;
  if (sa && next && states.length > SURE && preference(sa, next, now) === 0) rivals.push(next);
  const [best] = exact;
  const sooner = open.find((one) => (best ? preference(one, best, now) <= 0 : isAcquiring));
  if (sooner) rivals.push(sooner);
  near.sort((a, b) => a.but.length - b.but.length);
  return { demand, sa, others, isAcquiring, isTaken, rivals, near: near.slice(0, MOST) };
}

/** With so many SAs the kernel's hash table has not grown yet. */
const SURE = 7;

/**
 * The kernel's choice first: an SA that is past a soft limit comes last; of the others the one that
 * was added last, by whole seconds, then as listed (xfrm_state_look_at).
 */
const sorted = (sas: readonly XfrmState[], now: number): XfrmState[] =>
  [...sas].sort((a, b) => preference(a, b, now));

const preference = (a: XfrmState, b: XfrmState, now: number): number =>
  Number(isPast(a, 'soft', now)) - Number(isPast(b, 'soft', now)) || seconds(b) - seconds(a);

const seconds = ({ current }: XfrmState): number => Math.floor(current.addedAt / 1000);

/** Whether an SA has reached a limit. */
export function isPast({ lifetime, current }: XfrmState, which: 'soft' | 'hard', now: number) {
  const { bytes, packets, addedAt, firstUsedAt } = current;
  const limit = (name: 'Bytes' | 'Packets' | 'AddSeconds' | 'UseSeconds') =>
    lifetime[`${which}${name}`];
  const since = (start: number | undefined, seconds: number | bigint) =>
    start !== undefined && seconds !== NO_LIMIT && now >= start + Number(seconds) * 1000;
  // The limits of traffic count from the packet after: a soft one is noticed by it.
  const before = which === 'soft' ? packets - 1n : packets;
  return (
    reached(bytes, limit('Bytes')) ||
    reached(before, limit('Packets')) ||
    since(addedAt, limit('AddSeconds')) ||
    since(firstUsedAt, limit('UseSeconds'))
  );
}

const reached = (used: bigint, limit: bigint | number): boolean =>
  limit !== NO_LIMIT && used >= BigInt(limit);

/** The SA of an ESP, AH or IPComp packet that arrives (xfrm_state.c, xfrm_state_lookup). */
export const arriving = (
  { states }: Pick<Tables, 'states'>,
  { daddr, proto, spi }: Pick<XfrmState, 'daddr' | 'proto' | 'spi'>,
  mark: number,
): XfrmState | undefined =>
  states.find(
    (one) =>
      one.spi === spi &&
      one.proto === proto &&
      one.daddr === daddr &&
      holdsMark(one.mark, { value: mark, mask: 0xffff_ffff }),
  );

/**
 * What keeps a template from accepting an SA that a packet came through (xfrm_policy.c,
 * xfrm_state_ok).
 */
export function differencesIn(
  sa: XfrmState,
  template: PolicyTemplate,
  policy: XfrmPolicy,
  { flow }: Packet,
): SaDifference[] {
  const found: SaDifference[] = [];
  if (sa.proto !== template.proto) found.push('protocol');
  if (sa.mode !== template.mode) found.push('mode');
  if (template.reqid !== 0 && sa.reqid !== template.reqid) found.push('reqid');
  if (template.spi !== 0 && sa.spi !== template.spi) found.push('SPI');
  if (sa.mode !== 'transport' && !isSource(template.saddr, sa.saddr, flow.family))
    found.push('source');
  if (policy.ifId && policy.ifId !== sa.ifId) found.push('if_id');
  return found;
}
