/** What of the changes of tunnels is worth a line in a log. @module */
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { ClaimedRequester, TunnelChange } from '../tunnel/tunnel-changes.ts';
import type { Notice } from './life-cycle.ts';

/** undefined for what happens all the time, such as a reading of the counters. */
export function noticeOf(change: TunnelChange, netns: string | null): Notice | undefined {
  const where = { netns };
  switch (change.kind) {
    case 'added':
    case 'removed':
    case 'up':
      return ofTunnel('info', change.kind, change.tunnel, where);
    case 'down': {
      const { before, reason } = change;
      const by = 'by' in reason ? claimantOf(reason.by) : {};
      return ofTunnel('warning', 'down', change.tunnel, {
        ...where,
        before,
        cause: reason.kind,
        ...by,
      });
    }
    case 'stalled':
      return ofTunnel('warning', 'stalled', change.tunnel, { ...where, before: change.before });
    case 'state':
      return ofTunnel(change.rekey ? 'debug' : 'info', 'state', change.tunnel, {
        ...where,
        before: change.before,
      });
    case 'rekeyed': {
      const { id, rekeys } = change.tunnel;
      const about = { ...where, tunnel: id, rekeys };
      return { level: 'debug', event: 'tunnel-rekeyed', text: `${id} was rekeyed`, about };
    }
    case 'warning': {
      const { raised, warning, tunnel } = change;
      const about = { ...where, tunnel: tunnel?.id, warning: warning.kind };
      return raised
        ? { level: 'warning', event: 'warning-raised', text: warning.text, about }
        : { level: 'info', event: 'warning-cleared', text: `no longer: ${warning.text}`, about };
    }
    case 'malformed': {
      const reason = [...change.path, change.reason].join(': ');
      const text = `an event could not be decoded: ${reason}`;
      return { level: 'warning', event: 'malformed', text, about: where };
    }
    // Namespaces are reported as synced, repairing or blind; SAs are reported as tunnels.
    case 'replaced':
    case 'overrun':
    case 'resynced':
    case 'refreshed':
    case 'namespace-gone':
      return undefined;
  }
}

function ofTunnel(
  level: Notice['level'],
  kind: string,
  { id, state, reason }: Tunnel,
  about: Notice['about'],
): Notice {
  const text = kind === 'removed' ? `${id} is no longer known` : `${id} is ${state}: ${reason}`;
  return { level, event: `tunnel-${kind}`, text, about: { ...about, tunnel: id, state } };
}

/** Who says to have requested it: a claim, not a proof. */
const claimantOf = (by: ClaimedRequester | undefined): Notice['about'] =>
  by?.process === undefined ? {} : { claimedBy: by.process, claimedPid: by.pid };
