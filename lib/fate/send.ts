/**
 * What becomes of a packet that leaves: the policy that catches it, and the SAs that its templates
 * find (net/xfrm/xfrm_policy.c, xfrm_lookup).
 * @module
 */

import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import { formatSpi } from '../xfrm/text.ts';
import type { Packet } from './flow.ts';
import { lookUpPolicy } from './policy-lookup.ts';
import { demandsFor, isPast, type Resolution, resolve } from './sa-lookup.ts';
import type { Tables } from './tables.ts';
import type { Counter, Sending } from './verdict.ts';

/** @param isLoopback whether its route leads back to this host, by a loopback device */
export function send(tables: Tables, packet: Packet, isLoopback = false): Sending {
  const lookup = lookUpPolicy(tables, 'out', packet);
  const { policy, rival } = lookup;
  const doubts = rival ? [doubtOf(rival)] : [];
  const templates: Resolution[] = [];
  const through: XfrmState[] = [];
  const ended = (
    outcome: Sending['outcome'],
    because: string,
    ...counters: Counter[]
  ): Sending => ({ stage: 'send', lookup, templates, through, outcome, because, counters, doubts });
  if (policy === undefined) {
    return tables.defaults.out === 'block' && !isLoopback
      ? ended('dropped', 'no policy catches it, and the default for out is to block')
      : ended('clear', 'no policy catches it');
  }
  if (policy.action === 'block') return ended('dropped', 'the policy blocks', 'XfrmOutPolBlock');
  const demands = demandsFor(policy, packet, tables.sourceFor);
  if (demands.length === 0) return ended('clear', 'the policy allows it without IPsec');
  const chosen: XfrmState[] = [];
  for (const demand of demands) {
    const found = resolve(tables, demand, policy, packet);
    templates.push(found);
    const { sa, rivals } = found;
    doubts.push(...rivals.map(doubtOfSa));
    const failure = sa ? wrongWay(sa) : missing(found);
    if (failure) return ended('dropped', ...failure);
    if (sa) chosen.push(sa);
  }
  if (chosen.length === 0) return ended('clear', 'its templates are optional, and have no SA');
  // They are applied from the innermost on.
  for (const sa of chosen) {
    const failure = exhausted(sa, tables.now);
    if (failure) return ended('dropped', ...failure);
    through.push(sa);
  }
  const names = through.map(({ proto, spi }) => `${proto} ${formatSpi(spi)}`);
  return ended('protected', `in ${names.join(', in ')}`);
}

type Failure = readonly [because: string, ...counters: Counter[]];

/** An SA for inbound packets is found like any other (6.10), and then refused. */
const wrongWay = ({ dir, spi }: XfrmState): Failure | undefined =>
  dir === 'in'
    ? [
        `the SA ${formatSpi(spi)} is for inbound packets only`,
        'XfrmOutStateDirError',
        'XfrmOutPolError',
      ]
    : undefined;

function missing({ demand, isAcquiring, isTaken }: Resolution): Failure | undefined {
  const { template, from, to } = demand;
  if (template.optional) return undefined;
  if (from === undefined)
    return [`no route to ${to}, which would give a source`, 'XfrmOutPolError'];
  if (isAcquiring) return ['its SA is being negotiated, and has no keys yet', 'XfrmOutNoStates'];
  if (!isTaken) return ['no SA fits its template', 'XfrmOutNoStates'];
  return [`the SA with the SPI ${formatSpi(template.spi)} does not fit`, 'XfrmOutPolError'];
}

function exhausted(sa: XfrmState, now: number): Failure | undefined {
  const name = `the SA ${formatSpi(sa.spi)}`;
  if (isPast(sa, 'hard', now)) return [`${name} has reached its limit`, 'XfrmOutStateExpired'];
  return isWornOut(sa)
    ? [`${name} has no sequence numbers left`, 'XfrmOutStateSeqError']
    : undefined;
}

/** @internal */
export const doubtOf = ({ index, priority }: XfrmPolicy): string =>
  `the policy with the index ${index} has the same priority ${priority} and may come first: it or another was replaced, or it depends on the kernel's version`;

const doubtOfSa = ({ spi, saddr, daddr }: XfrmState): string =>
  `the SA ${saddr} > ${daddr} ${formatSpi(spi)} may be chosen instead: that depends on the kernel's hash table`;

const LAST = 0xffff_ffff;

/** Whether the next packet would have no sequence number (net/xfrm/xfrm_replay.c). */
function isWornOut({ proto, replay, replayEsn, flags, extraFlags }: XfrmState): boolean {
  if (proto !== 'esp' && proto !== 'ah') return false;
  if (extraFlags?.names.includes('oseq-may-wrap')) return false;
  if (replayEsn === undefined) return replay?.oseq === LAST;
  const isLast = replayEsn.oseq === LAST;
  return flags.names.includes('esn') ? isLast && replayEsn.oseqHi === LAST : isLast;
}
