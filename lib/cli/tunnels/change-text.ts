/**
 * Tunnel changes as lines of text.
 * @module
 */
import type { EventTime } from '../../netlink/event.ts';
import type { TrafficDirection, Tunnel } from '../../tunnel/tunnel.ts';
import type {
  ClaimedRequester,
  SaSuccession,
  TunnelChange,
  TunnelDownReason,
} from '../../tunnel/tunnel-changes.ts';
import { printable } from '../../wire/text.ts';
import { formatSpi } from '../../xfrm/text.ts';
import type { Colors } from '../terminal/colors.ts';
import { formatNamespace, formatTime } from '../text/event.ts';
import { paintState, qualifiersOf, titleOf, warningText } from './tunnel-text.ts';

const CHANGE_COLOR: Readonly<
  Record<TunnelChange['kind'], 'green' | 'yellow' | 'red' | 'cyan' | 'dim'>
> = {
  added: 'green',
  up: 'green',
  down: 'red',
  rekeyed: 'cyan',
  replaced: 'cyan',
  stalled: 'red',
  state: 'yellow',
  warning: 'yellow',
  removed: 'dim',
  overrun: 'red',
  resynced: 'green',
  refreshed: 'dim',
  'namespace-gone': 'yellow',
  malformed: 'red',
};

/** A change in one line. @param label the network namespace it comes from, if that is to be shown */
export function formatTunnelChange(
  change: TunnelChange,
  colors: Colors,
  label?: string | null,
): string {
  const { kind, time } = change;
  const from = label === undefined ? '' : `${colors.magenta(formatNamespace(label))} `;
  const paint = kind === 'warning' && !change.raised ? 'green' : CHANGE_COLOR[kind];
  const word = colors[paint](kind.padEnd(9));
  return `${when(time, colors)} ${from}${word} ${describeChange(change, colors)}`;
}

const when = ({ wall }: EventTime, colors: Colors) => colors.dim(formatTime(wall));

/** The part of the line after the kind. */
export function describeChange(change: TunnelChange, colors: Colors): string {
  const of = (tunnel: Tunnel) => [titleOf(tunnel, colors), ...qualifiersOf(tunnel)].join(' ');
  switch (change.kind) {
    case 'added':
    case 'removed': {
      const { tunnel } = change;
      return `${of(tunnel)}: ${paintState(tunnel.state, colors)}, ${printable(tunnel.reason)}`;
    }
    case 'up': {
      const { tunnel, before } = change;
      const was = before === undefined ? 'new' : `was ${before}`;
      return `${of(tunnel)}: ${paintState(tunnel.state, colors)}, ${was}`;
    }
    case 'down': {
      const { tunnel, reason, before } = change;
      const state = paintState(tunnel.state, colors);
      return `${of(tunnel)}: ${state}, ${describeDownReason(reason)}, was ${before}`;
    }
    case 'stalled':
    case 'state': {
      const { tunnel, before } = change;
      const { state, reason } = tunnel;
      return `${of(tunnel)}: ${paintState(state, colors)}, ${printable(reason)}, was ${before}`;
    }
    case 'rekeyed': {
      const all = DIRECTIONS.flatMap((direction) =>
        change[direction].map((one) => `${direction} ${describeSuccession(one, colors)}`),
      );
      return `${of(change.tunnel)}: ${all.join(', ')}`;
    }
    case 'replaced':
      return `${of(change.tunnel)}: ${change.direction} ${describeSuccession(change, colors)}`;
    case 'warning': {
      const { raised, warning, tunnel } = change;
      const about = tunnel === undefined ? 'host' : of(tunnel);
      return `${about}: ${raised ? '' : 'cleared: '}${warningText(warning)}`;
    }
    case 'overrun':
      return change.slowConsumer
        ? `changes were lost before this line: output was not read fast enough (${change.code})`
        : `events were lost before this line (${change.code}); a resync is under way`;
    case 'resynced':
    case 'refreshed': {
      const { added, updated, removed, durationMs } = change;
      return `SAs and policies: ${added} added, ${updated} updated, ${removed} removed, took ${Math.round(durationMs)} ms`;
    }
    case 'namespace-gone':
      return `${printable(change.path)} no longer names this namespace, which is still watched`;
    case 'malformed': {
      const where = [...change.path, change.reason].join(' › ');
      return `${printable(where)} (offset ${change.offset})`;
    }
  }
}

const DIRECTIONS: readonly TrafficDirection[] = ['out', 'in'];

function describeSuccession({ protocol, from, to, gapMs }: SaSuccession, colors: Colors): string {
  const spis = `${protocol} ${formatSpi(from)} > ${colors.bold(formatSpi(to))}`;
  if (gapMs === undefined) return `${spis} (found by a resync)`;
  return gapMs === 0 ? spis : `${spis} (gap ${Math.max(1, Math.round(gapMs))} ms)`;
}

/** Why a tunnel went down. */
export function describeDownReason(reason: TunnelDownReason): string {
  switch (reason.kind) {
    case 'deleted':
    case 'flushed':
      return `${reason.kind}${describeClaimant(reason.by)}`;
    case 'policy-gone':
      return `no outbound policy uses its SAs${reason.by ? describeClaimant(reason.by) : ''}`;
    case 'expired':
      return 'expired without a successor';
    case 'address-gone':
      return `address ${reason.address} is gone`;
    case 'link-gone':
      return `link ${printable(reason.link)} of ${reason.address} is gone or down`;
    case 'migrated':
      return `moved${reason.to === undefined ? '' : ` to ${printable(reason.to)}`}`;
    case 'found-missing':
      return 'found without SAs by a resync';
    case 'unknown':
      return 'cause unknown';
  }
}

/** The process or port that an event claims as its requester: a claim, not proof. */
function describeClaimant({ portId, pid, process }: ClaimedRequester): string {
  if (process !== undefined) return `, claimed by ${printable(process)}[${pid ?? '?'}]`;
  return portId === 0 ? '' : `, claims port ${portId}`;
}
