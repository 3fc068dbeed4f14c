/**
 * What becomes of a packet that leaves: the policy that catches it, and the SAs that its templates
 * find (net/xfrm/xfrm_policy.c, xfrm_lookup).
 * @module
 */
import { formatSpi } from '../xfrm/text.ts';
import type { XfrmState } from '../xfrm/objects.ts';
import type { Packet } from './flow.ts';
import { lookUpPolicy } from './policy-lookup.ts';
import { demandsFor, isPast, type Resolution, resolve } from './sa-lookup.ts';
import type { Tables } from './tables.ts';
import type { Counter, Sending } from './verdict.ts';

export function send(tables: Tables, packet: Packet): Sending {
  const lookup = lookUpPolicy(tables, 'out', packet);
  const { policy } = lookup;
  const base = { stage: 'send', lookup, templates: [], through: [] } as const;
  const clear = (because: string): Sending => ({
    ...base,
    outcome: 'clear',
    because,
    counters: [],
  });
  const drop = (because: string, ...counters: Counter[]): Sending => ({
    ...base,
    outcome: 'dropped',
    because,
    counters,
  });
  if (policy === undefined) {
    return tables.defaults.out === 'block'
      ? drop('no policy catches it, and the default for out is to block')
      : clear('no policy catches it');
  }
  if (policy.action === 'block') return drop('the policy blocks', 'XfrmOutPolBlock');
  const demands = demandsFor(policy, packet, tables.sourceFor);
  if (demands.length === 0) return clear('the policy allows it without IPsec');
  const templates: Resolution[] = [];
  const through: XfrmState[] = [];
  const ended = (outcome: Sending['outcome'], because: string, ...counters: Counter[]): Sending => ({
    ...base,
    templates,
    through,
    outcome,
    because,
    counters,
  });
  for (const demand of demands) {
    const found = resolve(tables, demand, policy, packet);
    templates.push(found);
    const { sa, demand: { template, from, to } } = found;
    if (from === undefined && sa === undefined) {
      return ended('dropped', `no route to ${to}, from which its source would come`, 'XfrmOutPolError');
    }
    if (sa?.dir === 'in') {
      const because = `the SA ${formatSpi(sa.spi)} is for inbound packets only`;
      return ended('dropped', because, 'XfrmOutStateDirError', 'XfrmOutPolError');
    }
    if (sa) through.push(sa);
    else if (template.optional) continue;
    else if (found.isAcquiring) {
      return ended('dropped', 'its SA is being negotiated, and has no keys yet', 'XfrmOutNoStates');
    } else if (found.isTaken) {
      const because = `the SA with the SPI ${formatSpi(template.spi)} does not fit`;
      return ended('dropped', because, 'XfrmOutPolError');
    } else return ended('dropped', 'no SA fits its template', 'XfrmOutNoStates');
  }
  if (through.length === 0) return ended('clear', 'its templates are optional, and have no SA');
  // They are applied from the innermost on.
  for (const sa of through) {
    const spi = formatSpi(sa.spi);
    if (isPast(sa, 'hard', tables.now)) {
      return ended('dropped', `the SA ${spi} has reached its limit`, 'XfrmOutStateExpired');
    }
    if (isWornOut(sa)) {
      return ended('dropped', `the SA ${spi} has no sequence numbers left`, 'XfrmOutStateSeqError');
    }
  }
  return ended('protected', `in ${through.map(({ proto, spi }) => `${proto} ${formatSpi(spi)}`).join(', in ')}`);
}

const LAST = 0xffff_ffff;

/** Whether the next packet would have no sequence number (net/xfrm/xfrm_replay.c). */
function isWornOut({ proto, replay, replayEsn, flags, extraFlags }: XfrmState): boolean {
  if (proto !== 'esp' && proto !== 'ah') return false;
  if (extraFlags?.names.includes('oseq-may-wrap')) return false;
  if (replayEsn === undefined) return replay?.oseq === LAST;
  const isLast = replayEsn.oseq === LAST;
  return flags.names.includes('esn') ? isLast && replayEsn.oseqHi === LAST : isLast;
}
