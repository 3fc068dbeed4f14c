/** What identifies SAs and policies, and which of their fields change without events. @module */

import { object } from '../base/argument.ts';
import { flat } from '../base/flat.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { LifetimeUsage, StateStats } from '../xfrm/types.ts';
import { equal } from './table.ts';

/** The kinds of object in IPsec tables. */
export type XfrmObjectTypes = { state: XfrmState; policy: XfrmPolicy };

/** ESP, AH and IPCOMP SAs are found by SPI, others by source (xfrm_id_proto_match). */
export const hasSpi = (proto: IpsecProto): boolean =>
  proto === 'esp' || proto === 'ah' || proto === 'comp';

/**
 * Whether an SA is larval, a placeholder without keys, made by an SPI allocation or for a packet
 * that needs an SA. Dumps do not say so (km.state is not in them), but all other SAs must have an
 * algorithm (net/xfrm/xfrm_user.c, verify_newsa_info).
 */
export function isLarval(state: XfrmState): boolean {
  object('state', state);
  const { proto, aead, auth, authTrunc, crypt, comp } = state;
  return hasSpi(proto) && !(aead || auth || authTrunc || crypt || comp);
}

/**
 * IP in IP: the kernel's helper for IPCOMP in tunnel mode (net/ipv4/ipcomp.c,
 * ipcomp_tunnel_attach).
 */
export function isIpcompHelper(state: XfrmState): boolean {
  object('state', state);
  return state.proto === 4 || state.proto === 41;
}

/** The kernel's lookup key of an SA; among several, the mark decides (__xfrm_state_locate). */
export function location(state: Pick<XfrmState, 'daddr' | 'proto' | 'spi' | 'saddr'>): string {
  const { daddr, proto, spi, saddr } = state;
  return `${daddr} ${proto} ${hasSpi(proto) ? `0x${spi.toString(16)}` : `from ${saddr}`}`;
}

/** The key of an SA's row. A larval SA may have no SPI yet. */
export function stateRowKey(state: XfrmState, at = location(state)): string {
  const { mark, spi, proto } = state;
  const marked = mark ? ` mark ${mark.value}/${mark.mask}` : '';
  if (spi !== 0 || !hasSpi(proto)) return at + marked;
  const { saddr, mode, reqid, seq, ifId = 0, pcpu = '' } = state;
  return `${at}${marked} from ${saddr} ${mode} reqid ${reqid} seq ${seq} if ${ifId} ${pcpu}`;
}

/** The key of a policy's row: the kernel's indexes are unique (xfrm_gen_index). */
export const policyRowKey = ({ index }: XfrmPolicy): number => index;

/** The id of a policy: what the kernel compares to find one (xfrm_policy_insert_list). */
export function policyId(policy: XfrmPolicy): string {
  const { selector: s, dir, mark, ifId, policyType, securityContext } = policy;
  const from = `${s.saddr}/${s.prefixlenS} ${s.sport}/${s.sportMask}`;
  const to = `${s.daddr}/${s.prefixlenD} ${s.dport}/${s.dportMask}`;
  let id = `${dir} ${from} ${to}`;
  if (s.proto) id += ` proto ${s.proto}`;
  if (s.ifindex) id += ` dev ${s.ifindex}`;
  if (s.user) id += ` user ${s.user}`;
  if (mark) id += ` mark ${mark.value}/${mark.mask}`;
  if (ifId) id += ` if ${ifId}`;
  if (policyType && policyType.type !== 'main') id += ` type ${policyType.type}`;
  if (securityContext) id += ' labelled';
  return flat(id);
}

/** Fields that change without events; comparisons refresh them without reporting a change. */
const STATE_COUNTERS: ReadonlySet<string> = new Set([
  'current',
  'stats',
  'replay',
  'lastUsedAt',
  'lifetimeCurrent',
  'exact',
]);

/** Whether a field that differs is only a counter of an SA. */
export const isStateCounter = (
  field: keyof XfrmState,
  before: XfrmState,
  after: XfrmState,
): boolean =>
  STATE_COUNTERS.has(field) ||
  // Among the sequence numbers, the window size is not a counter.
  (field === 'replayEsn' && before.replayEsn?.replayWindow === after.replayEsn?.replayWindow);

export const stateDifferences = (before: XfrmState, after: XfrmState): string[] =>
  differences(before, after, isStateCounter);

/** Not `current` if the policy was set again: its time limits count from then. */
export const isPolicyCounter = (
  field: keyof XfrmPolicy,
  before: XfrmPolicy,
  after: XfrmPolicy,
): boolean => field === 'current' && before.current.addedAt === after.current.addedAt;

export const policyDifferences = (before: XfrmPolicy, after: XfrmPolicy): string[] =>
  differences(before, after, isPolicyCounter);

/** An SA with the counters of an event. */
export const withCounters = (
  state: XfrmState,
  { current, stats }: { current: LifetimeUsage; stats: StateStats },
): XfrmState => ({ ...state, current, stats });

/** An SA with all counters from another of its readings. */
export function countedAs(state: XfrmState, counters: XfrmState): XfrmState {
  const { current, stats, replay, replayEsn, lastUsedAt } = counters;
  return {
    ...state,
    current,
    stats,
    ...(replay && { replay }),
    ...(replayEsn && state.replayEsn && { replayEsn }),
    ...(lastUsedAt !== undefined && { lastUsedAt }),
  };
}

function differences<Value extends object>(
  before: Value,
  after: Value,
  isCounter: (field: keyof Value & string, before: Value, after: Value) => boolean,
): string[] {
  // Most often one: an array that grows would take room for sixteen more.
  let found: string[] = [];
  let more = 0;
  for (const field in before) {
    const old = before[field];
    const now = after[field];
    if (now !== undefined) more--;
    if (old !== now && !isCounter(field, before, after) && !equal(old, now)) {
      found = found.length === 0 ? [field] : [...found, field];
    }
  }
  // Counting takes a tenth of looking.
  for (const _ in after) more++;
  if (more === 0) return found;
  for (const field in after) {
    if (before[field] !== undefined || after[field] === undefined) continue;
    if (!(field in before) && !isCounter(field, before, after)) found.push(field);
  }
  return found;
}
