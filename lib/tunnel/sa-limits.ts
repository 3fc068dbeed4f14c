/** An SA's limits, how much of them is used, and which SAs succeed each other. @module */
import { NO_LIMIT } from '../wire/time.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import type { TrafficDirection, TunnelExpiry, TunnelTraffic } from './tunnel.ts';

/** Limits of this many seconds, 30,000 years, count as none. */
export const ENDLESS = 1_000_000_000_000;

/** The earlier of the limits since an SA was added and since its first use, in wall-clock ms. */
function earlier(
  { addedAt, firstUsedAt }: XfrmState['current'],
  addSeconds: number,
  useSeconds: number,
): number | undefined {
  const isAdded = addedAt !== 0 && addSeconds < ENDLESS;
  const isUsed = Boolean(firstUsedAt) && useSeconds < ENDLESS;
  const added = addedAt + addSeconds * 1000;
  const used = (firstUsedAt ?? 0) + useSeconds * 1000;
  if (isAdded && isUsed) return Math.min(added, used);
  return isAdded ? added : isUsed ? used : undefined;
}

/** When a soft time limit is reached. */
export const softLimitAt = ({ current, lifetime }: XfrmState): number | undefined =>
  earlier(current, lifetime.softAddSeconds, lifetime.softUseSeconds);

const hardLimitAt = ({ current, lifetime }: XfrmState): number | undefined =>
  earlier(current, lifetime.hardAddSeconds, lifetime.hardUseSeconds);

/** The time limits. */
export const expiryOf = (state: XfrmState | undefined): TunnelExpiry => ({
  softAt: state && softLimitAt(state),
  hardAt: state && hardLimitAt(state),
});

/**
 * When a hard time limit becomes near: `margin` before it, but at most a tenth of the lifetime, so
 * that short lifetimes are not near their end from the start.
 */
export function nearHardAt(state: XfrmState, margin: number): number | undefined {
  const at = hardLimitAt(state);
  if (at === undefined) return undefined;
  const { firstUsedAt } = state.current;
  const { hardAddSeconds, hardUseSeconds } = state.lifetime;
  const isUse = firstUsedAt && at === firstUsedAt + hardUseSeconds * 1000;
  return at - Math.min(margin, (isUse ? hardUseSeconds : hardAddSeconds) * 100);
}

/** Whether a soft limit of bytes or packets is reached, as far as the counters are known. */
export const isSoftSpent = ({ lifetime, current }: XfrmState): boolean =>
  (lifetime.softBytes > 0n && current.bytes >= lifetime.softBytes) ||
  (lifetime.softPackets > 0n && current.packets >= lifetime.softPackets);

/** The used share of a limit; undefined if there is none. */
export const share = (used: bigint, limit: bigint | number): number | undefined =>
  limit <= 0n || limit === NO_LIMIT ? undefined : Number(used) / Number(limit);

/**
 * The used share of the sequence numbers: of 2^32, or with ESN of 2^64. An outbound SA that has
 * used them all carries no more packets, unless they may wrap (net/xfrm/xfrm_replay.c).
 */
export function sequenceUsed(state: XfrmState, direction: TrafficDirection): number | undefined {
  if (state.extraFlags?.names.includes('oseq-may-wrap')) return undefined;
  const { replay, replayEsn } = state;
  if (replayEsn && state.flags.names.includes('esn')) {
    return (direction === 'out' ? replayEsn.oseqHi : replayEsn.seqHi) / 2 ** 32;
  }
  const counters = replayEsn ?? replay;
  return counters && (direction === 'out' ? counters.oseq : counters.seq) / 2 ** 32;
}

const LAST = 0xffff_ffff;

/**
 * Whether an SA has used all its outbound sequence numbers: the kernel drops what it would send
 * (xfrm_replay.c, xfrm_replay_overflow). IPComp has none.
 */
export function isExhausted({ proto, flags, extraFlags, replay, replayEsn }: XfrmState): boolean {
  const counters = replayEsn ?? replay;
  if (counters?.oseq !== LAST || proto === 'comp') return false;
  if (replayEsn && flags.names.includes('esn')) return replayEsn.oseqHi === LAST;
  return !extraFlags?.names.includes('oseq-may-wrap');
}

/** SAs of a slot succeed each other; those of other CPUs, protocols, reqids, selectors coexist. */
export function slotOf({ proto, reqid, pcpu, selector: s }: XfrmState): string {
  const cpu = pcpu === undefined ? '' : ` cpu ${pcpu}`;
  if (s.prefixlenS === 0 && s.prefixlenD === 0 && s.proto === 0) return `${proto} ${reqid}${cpu}`;
  const ends = `${s.saddr}/${s.prefixlenS} ${s.sport} ${s.daddr}/${s.prefixlenD} ${s.dport}`;
  return `${proto} ${reqid}${cpu} ${ends} ${s.proto}`;
}

/** SAs by slot, each slot in the given order. */
export function bySlot<Of extends { readonly slot: string }>(sas: Iterable<Of>): Map<string, Of[]> {
  const slots = new Map<string, Of[]>();
  for (const sa of sas) {
    const slot = slots.get(sa.slot);
    if (slot) slot.push(sa);
    else slots.set(sa.slot, [sa]);
  }
  return slots;
}

export const NO_TRAFFIC: TunnelTraffic = { bytes: 0n, packets: 0n, lastUsedAt: undefined };

/** Adds an SA's traffic to a sum. */
export function withTraffic(
  { bytes, packets, lastUsedAt = 0 }: TunnelTraffic,
  state: XfrmState,
): TunnelTraffic {
  const { current } = state;
  // Older kernels report only the first use (XFRMA_LASTUSED: not in 6.1).
  const used = state.lastUsedAt || (current.firstUsedAt ?? 0);
  return {
    // A sum is another object, even of 0.
    bytes: bytes === 0n ? current.bytes : bytes + current.bytes,
    packets: packets === 0n ? current.packets : packets + current.packets,
    lastUsedAt: Math.max(lastUsedAt, used) || undefined,
  };
}
