/** Changes of tunnels, as one union: switch over `kind`. @module */
import type { NamespaceGone, SyncReport } from '../monitor/changes.ts';
import type { OverrunEvent } from '../monitor/overrun.ts';
import type { MalformedEvent } from '../monitor/subscribe.ts';
import type { EventTime } from '../netlink/event.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type {
  PerDirection,
  TrafficDirection,
  Tunnel,
  TunnelState,
  TunnelWarning,
} from './tunnel.ts';

/** Who requested it: a claim, since senders can write anything there (docs/sockets.md). */
export interface ClaimedRequester {
  /** The port ID in the request's header: charon writes its process ID, iproute2 0. */
  readonly portId: number;
  /** The process that has an XFRM socket with that port ID, if found. */
  readonly pid: number | undefined;
  /** Its raw name: escape it before printing. */
  readonly process: string | undefined;
}

/** Why a tunnel went down, as far as the kernel reports. */
export type TunnelDownReason =
  | { readonly kind: 'deleted' | 'flushed'; readonly by: ClaimedRequester }
  /** SAs are left, but no policy sends through them; `by` is known if the removal was reported. */
  | { readonly kind: 'policy-gone'; readonly by: ClaimedRequester | undefined }
  /** The last SA of a direction reached a hard limit without a successor. */
  | { readonly kind: 'expired' }
  | { readonly kind: 'address-gone'; readonly address: string }
  | { readonly kind: 'link-gone'; readonly address: string; readonly link: string }
  /** Its SAs have new addresses: those of the tunnel `to`, if known. */
  | { readonly kind: 'migrated'; readonly to: string | undefined }
  /** A resync found it without SAs: the cause was lost. */
  | { readonly kind: 'found-missing' }
  | { readonly kind: 'unknown' };

interface TunnelChangeBase {
  /** The tunnel after the change; for `removed`, its last known state. */
  readonly tunnel: Tunnel;
  readonly time: EventTime;
}

/** A tunnel was added. */
export interface TunnelAdded extends TunnelChangeBase {
  readonly kind: 'added';
}
/** It can now carry packets both ways ({@link isUpState}). */
export interface TunnelUp extends TunnelChangeBase {
  readonly kind: 'up';
  /** The previous state; undefined for a new tunnel. */
  readonly before: TunnelState | undefined;
}
/**
 * It can no longer carry packets (`down`, `blocked`, `orphan` or `acquiring`). Before, it could, at
 * least one way.
 */
export interface TunnelDown extends TunnelChangeBase {
  readonly kind: 'down';
  readonly before: TunnelState;
  readonly reason: TunnelDownReason;
}
/** An SA and its predecessor. */
export interface SaSuccession {
  readonly protocol: IpsecProto;
  /** SPIs. */
  readonly from: number;
  readonly to: number;
  /** Milliseconds without either; 0: they overlapped; undefined: found by a resync. */
  readonly gapMs: number | undefined;
}
/**
 * New SAs replaced old ones, in both directions; or in one only, if the other does not follow
 * within the threshold `acquiring`, or the tunnel goes down first.
 */
export interface TunnelRekeyed extends TunnelChangeBase, PerDirection<readonly SaSuccession[]> {
  readonly kind: 'rekeyed';
}
/** Part of a rekey: one SA replaced another. Reported immediately, before `rekeyed`. */
export interface TunnelReplaced extends TunnelChangeBase, SaSuccession {
  readonly kind: 'replaced';
  readonly direction: TrafficDirection;
}
/** There are outbound packets, but no inbound ones. */
export interface TunnelStalled extends TunnelChangeBase {
  readonly kind: 'stalled';
  readonly before: TunnelState;
}
/** Any other change of state. */
export interface TunnelStateChange extends TunnelChangeBase {
  readonly kind: 'state';
  readonly before: TunnelState;
  /** Whether it is part of a rekey: to `rekeying`, or from there to `up` or the state before. */
  readonly rekey: boolean;
}
/** A warning was raised or cleared. */
export interface TunnelWarningChange {
  readonly kind: 'warning';
  readonly raised: boolean;
  readonly warning: TunnelWarning;
  /** undefined: the warning is about the host (`leak`). */
  readonly tunnel: Tunnel | undefined;
  readonly time: EventTime;
}
/** It is no longer listed: nothing of it is left, and it was forgotten. */
export interface TunnelRemoved extends TunnelChangeBase {
  readonly kind: 'removed';
}

/** Any change of a tunnel. */
export type TunnelEvent =
  | TunnelAdded
  | TunnelUp
  | TunnelDown
  | TunnelRekeyed
  | TunnelReplaced
  | TunnelStalled
  | TunnelStateChange
  | TunnelWarningChange
  | TunnelRemoved;

/** All tunnels at one moment: plain data. */
export interface TunnelSnapshot {
  readonly label: string | undefined;
  /** Worst first. */
  readonly tunnels: readonly Tunnel[];
  /** Warnings about the host. */
  readonly warnings: readonly TunnelWarning[];
  /** Whether the underlying tables were right; if not, they were being resynced. */
  readonly synced: boolean;
  /** When the counters were last read. */
  readonly countersReadAt: EventTime;
}

/**
 * All tunnels at the start of a loop, and again after a slow loop missed changes; or for listeners,
 * at the start of the monitor. Later changes apply to this snapshot.
 */
export interface TunnelsSynced {
  readonly kind: 'synced';
  readonly snapshot: TunnelSnapshot;
}

/**
 * The changes that a {@link TunnelMonitor} reports: `resynced` and `refreshed` as in XfrmMonitor.
 */
export type TunnelChange = TunnelEvent | OverrunEvent | SyncReport | NamespaceGone | MalformedEvent;
