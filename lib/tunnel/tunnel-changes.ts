/** What a monitor of tunnels tells, as one union: switch over `kind`. @module */
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

/** Who asked for it: a claim, since anything can be written into a message (docs/sockets.md). */
export interface ClaimedRequester {
  /** The port id that the request's header held: charon writes its process id, iproute2 0. */
  readonly portId: number;
  /** The process that has an XFRM socket of that port id, if one could be found. */
  readonly pid: number | undefined;
  /** Its name, as it came: escape it before printing. */
  readonly process: string | undefined;
}

/** Why a tunnel went down, as far as the kernel tells. */
export type TunnelDownReason =
  | { readonly kind: 'deleted' | 'flushed'; readonly by: ClaimedRequester }
  /** SAs are left, and no policy sends packets through them; by whom, where that was heard. */
  | { readonly kind: 'policy-gone'; readonly by: ClaimedRequester | undefined }
  /** A hard limit took the last SA of a direction, and there was no successor. */
  | { readonly kind: 'expired' }
  | { readonly kind: 'address-gone'; readonly address: string }
  | { readonly kind: 'link-gone'; readonly address: string; readonly link: string }
  /** Its SAs have other addresses now, those of another tunnel where that is known. */
  | { readonly kind: 'migrated'; readonly to: string | undefined }
  /** A resync found it without SAs: nobody heard why. */
  | { readonly kind: 'found-missing' }
  | { readonly kind: 'unknown' };

interface TunnelChangeBase {
  /** The tunnel after the change; of `removed`, as it last was. */
  readonly tunnel: Tunnel;
  readonly time: EventTime;
}

/** A tunnel that was not there before. */
export interface TunnelAdded extends TunnelChangeBase {
  readonly kind: 'added';
}
/** It can carry packets both ways ({@link isUpState}), and could not before. */
export interface TunnelUp extends TunnelChangeBase {
  readonly kind: 'up';
  /** The state before; undefined for a new one. */
  readonly before: TunnelState | undefined;
}
/** It can carry no packets any more: `down`, `blocked`, `orphan` or `acquiring`; and could, or had SAs that work. */
export interface TunnelDown extends TunnelChangeBase {
  readonly kind: 'down';
  readonly before: TunnelState;
  readonly reason: TunnelDownReason;
}
/** An SA, and the one whose place it took. */
export interface SaSuccession {
  readonly protocol: IpsecProto;
  /** SPIs. */
  readonly from: number;
  readonly to: number;
  /** Milliseconds in which neither was there; 0: both were. undefined: a resync found it. */
  readonly gapMs: number | undefined;
}
/**
 * New SAs took the place of old ones, in both directions. In one only, if the other does not follow within the
 * threshold `acquiring`, or the tunnel goes down before.
 */
export interface TunnelRekeyed extends TunnelChangeBase, PerDirection<readonly SaSuccession[]> {
  readonly kind: 'rekeyed';
}
/** A part of a rekey: one SA took the place of one. Told at once, before `rekeyed` tells of both directions. */
export interface TunnelReplaced extends TunnelChangeBase, SaSuccession {
  readonly kind: 'replaced';
  readonly direction: TrafficDirection;
}
/** Packets go out, and none come in. */
export interface TunnelStalled extends TunnelChangeBase {
  readonly kind: 'stalled';
  readonly before: TunnelState;
}
/** Any other change of the state. */
export interface TunnelStateChange extends TunnelChangeBase {
  readonly kind: 'state';
  readonly before: TunnelState;
  /** Whether it is a part of a rekey: to `rekeying`, or from there to `up` or to what it was before. */
  readonly rekey: boolean;
}
/** A warning was raised, or no longer holds. */
export interface TunnelWarningChange {
  readonly kind: 'warning';
  readonly raised: boolean;
  readonly warning: TunnelWarning;
  /** undefined: it is about the host (`leak`). */
  readonly tunnel: Tunnel | undefined;
  readonly time: EventTime;
}
/** It is no longer in the lists: nothing of it is left, and it was forgotten. */
export interface TunnelRemoved extends TunnelChangeBase {
  readonly kind: 'removed';
}

/** What can happen to tunnels. */
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
  /** The worst first. */
  readonly tunnels: readonly Tunnel[];
  /** About the host. */
  readonly warnings: readonly TunnelWarning[];
  /** Whether the tables below were right, or being resynced. */
  readonly synced: boolean;
  /** When the counters were last read. */
  readonly countersReadAt: EventTime;
}

/**
 * All tunnels at the start: of a loop, and again after a slow loop missed changes; or for listeners, of the monitor. The
 * changes that follow start from it.
 */
export interface TunnelsSynced {
  readonly kind: 'synced';
  readonly snapshot: TunnelSnapshot;
}

/** What a {@link TunnelMonitor} tells: `resynced` and `refreshed` as by XfrmMonitor. */
export type TunnelChange = TunnelEvent | OverrunEvent | SyncReport | NamespaceGone | MalformedEvent;
