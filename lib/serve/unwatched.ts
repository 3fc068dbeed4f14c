/** Tunnels of a namespace while nobody watches it. @module */
import { now } from '../netlink/event.ts';
import { checkedExpected, type ExpectedTunnel } from '../tunnel/expected.ts';
import { THRESHOLDS } from '../tunnel/thresholds.ts';
import { carries, isUpState, type Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelEvent } from '../tunnel/tunnel-changes.ts';
import { Tunnels } from '../tunnel/tunnels.ts';

const REASON = 'its network namespace does not exist';

/** The expected tunnels of a namespace that does not exist: all are down. */
export function absentTunnels(expected: readonly ExpectedTunnel[]): readonly Tunnel[] {
  const nothing = () => undefined;
  const none = () => false;
  const host = { has: none, isLocal: none, lost: nothing, emit: nothing, claimant: nothing };
  const all = new Tunnels(host, checkedExpected(expected), THRESHOLDS, now());
  all.open([], [], now());
  return Array.from(all, (tunnel) => Object.freeze({ ...tunnel, reason: REASON }));
}

/** What differs between two lists of tunnels, between which nobody watched. */
export function* changesBetween(
  before: Iterable<Tunnel>,
  after: Iterable<Tunnel>,
): Generator<TunnelEvent, undefined> {
  const time = now();
  const left = new Map(Array.from(before, (tunnel) => [tunnel.id, tunnel]));
  for (const tunnel of after) {
    const old = left.get(tunnel.id);
    left.delete(tunnel.id);
    if (old === undefined) yield { kind: 'added', tunnel, time };
    else if (old.state !== tunnel.state) yield changed(old, tunnel, time);
  }
  for (const tunnel of left.values()) yield { kind: 'removed', tunnel, time };
}

function changed(
  { state: before }: Tunnel,
  tunnel: Tunnel,
  time: TunnelEvent['time'],
): TunnelEvent {
  if (isUpState(tunnel.state) && !isUpState(before)) return { kind: 'up', tunnel, before, time };
  if (carries(tunnel.state) || !carries(before))
    return { kind: 'state', tunnel, before, rekey: false, time };
  return { kind: 'down', tunnel, before, reason: { kind: 'found-missing' }, time };
}
