/** Why a tunnel is down, as far as the kernel reports. @module */
import type { LostAddress } from './addresses.ts';
import type { PolicyGone } from './sa-group.ts';
import type { SaGroups } from './sa-groups.ts';
import type { TunnelDownReason } from './tunnel-changes.ts';
import type { RemovedSa } from './tunnel-contents.ts';
import type { TunnelsHost } from './tunnels.ts';

/**
 * Why a tunnel that lost its last SA is down.
 *
 * @param settle milliseconds within which a moved SA reappears
 * @returns undefined while the requester is being looked up
 */
export function downReasonOf(
  lastGone: RemovedSa | undefined,
  members: SaGroups,
  settle: number,
  claimant: TunnelsHost['claimant'],
): TunnelDownReason | undefined {
  if (lastGone === undefined) return { kind: 'unknown' };
  const { last, reason, portId = 0, time } = lastGone;
  if (reason === 'hard-expired') return { kind: 'expired' };
  // A key manager moves an SA by deleting and adding it under the same SPI (strongSwan, update_sa).
  for (const other of members.bySpi(last.proto, last.spi)) {
    const { reqid, saddr, daddr } = other.entry.value;
    const moved = saddr !== last.saddr || daddr !== last.daddr;
    const late = other.came >= time.monotonic - settle;
    if (!moved || reqid !== last.reqid || !late || other.isLarval) continue;
    return { kind: 'migrated', to: other.record?.id };
  }
  if (reason === 'migrated') return { kind: 'migrated', to: undefined };
  if (reason === 'found-missing') return { kind: 'found-missing' };
  if (reason !== 'deleted' && reason !== 'flushed') return { kind: 'unknown' };
  const by = claimant(portId, time);
  return by && { kind: reason, by };
}

/**
 * Why no policy sends packets through the SAs of a tunnel any more.
 *
 * @returns undefined while the requester is being looked up
 */
export function policyGoneReason(
  gone: PolicyGone | undefined,
  claimant: TunnelsHost['claimant'],
): TunnelDownReason | undefined {
  if (gone?.portId === undefined) return { kind: 'policy-gone', by: undefined };
  const by = claimant(gone.portId, gone.time);
  return by && { kind: 'policy-gone', by };
}

/** Includes the raw link name: escape it before printing. */
export const unreachable = ({ address, link }: LostAddress): string =>
  link === undefined
    ? `local address ${address} is not on this host`
    : `link ${link} of local address ${address} is down or gone`;

export const addressGoneReason = ({ address, link }: LostAddress): TunnelDownReason =>
  link === undefined ? { kind: 'address-gone', address } : { kind: 'link-gone', address, link };
