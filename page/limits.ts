/** How much of its limits an SA has used. @module */
import { ENDLESS, sequenceUsed } from '../lib/tunnel/sa-limits.ts';
import type { TrafficDirection } from '../lib/tunnel/tunnel.ts';
import type { XfrmState } from '../lib/xfrm/objects.ts';
import type { PageSa } from './wire.ts';
import { bytes, count, span } from './words.ts';

/** A limit. Shares are of the hard limit, from 0 to 1. */
export interface Limit {
  readonly what: 'time' | 'bytes' | 'packets' | 'sequence numbers';
  readonly used: number;
  /** Where the soft limit is, if there is one. */
  readonly soft: number | undefined;
  readonly text: string;
}

const within = (share: number): number => Math.min(1, Math.max(0, share));

/** The limits of an SA. JSON has null for none. */
export function limitsOf(sa: PageSa, direction: TrafficDirection, now: number): Limit[] {
  const { lifetime, current } = sa;
  const found: Limit[] = [];
  for (const [from, soft, hard, word] of [
    [current.addedAt, lifetime.softAddSeconds, lifetime.hardAddSeconds, ''],
    [current.firstUsedAt, lifetime.softUseSeconds, lifetime.hardUseSeconds, ' since its first use'],
  ] as const) {
    const limit = hard ?? soft;
    if (!from || limit == null || limit <= 0 || limit >= ENDLESS) continue;
    const end = from + limit * 1000;
    const left = end > now ? `${span(end - now)} left` : 'over';
    found.push({
      what: 'time',
      used: within((now - from) / (limit * 1000)),
      soft: soft != null && hard != null && soft > 0 && soft < hard ? soft / hard : undefined,
      text: `${left} of ${span(limit * 1000)}${hard == null ? ', soft' : ''}${word}`,
    });
  }
  for (const [what, used, soft, hard, format] of [
    ['bytes', current.bytes, lifetime.softBytes, lifetime.hardBytes, bytes],
    ['packets', current.packets, lifetime.softPackets, lifetime.hardPackets, count],
  ] as const) {
    const limit = Number(hard ?? soft ?? 0);
    if (limit <= 0) continue;
    found.push({
      what,
      used: within(Number(used) / limit),
      soft: soft != null && hard != null && Number(soft) < limit ? Number(soft) / limit : undefined,
      text: `${format(used)} of ${format(hard ?? soft ?? 0)}${hard == null ? ', soft' : ''}`,
    });
  }
  // It reads numbers and names only, which JSON keeps.
  const sequence = sequenceUsed(sa as unknown as XfrmState, direction);
  if (sequence !== undefined) {
    const percent =
      sequence === 0 ? '0' : sequence < 0.001 ? 'less than 0.1' : (sequence * 100).toFixed(1);
    found.push({
      what: 'sequence numbers',
      used: within(sequence),
      soft: undefined,
      text: `${percent} % used`,
    });
  }
  return found;
}
