/** What a tunnel is to those who look at it. docs/tunnels.md has the rules. @module */
import type { PolicyEntry, StateEntry } from '../monitor/xfrm-views.ts';
import type { EventTime } from '../netlink/event.ts';
import type { IpsecProto, PolicyDir, XfrmMode } from '../xfrm/names.ts';
import type { EncapTemplate, XfrmMark, XfrmSelector } from '../xfrm/types.ts';

/** As seen from this host. Where nobody can tell which end is local, `out` is from `local` to `remote`. */
export type TrafficDirection = 'in' | 'out';
/** One of something for each direction of traffic. */
export type PerDirection<T> = { readonly [D in TrafficDirection]: T };

/**
 * The states, the worst first: in this order tunnels are sorted by trouble.
 *
 * - `down`: SAs it had are gone, and nothing is left, or a hard limit took the last one; or its local
 *   address is not on this host; or it is expected, and was never seen
 * - `blocked`: policies, but no SA for them in either direction: packets wait, or are dropped
 * - `orphan`: SAs, but no policy sends packets through them
 * - `one-way`: SAs that its policies take in one direction only; or packets go out, and none come in
 * - `acquiring`: no SA yet, but one is being asked for
 * - `expiring`: past a soft limit, or near a hard one, without a successor
 * - `rekeying`: old and new SA overlap
 * - `idle`: nothing was carried for a while
 * - `up`: none of these
 */
export const TUNNEL_STATES = [
  'down',
  'blocked',
  'orphan',
  'one-way',
  'acquiring',
  'expiring',
  'rekeying',
  'idle',
  'up',
] as const;
/** What a tunnel can be; docs/tunnels.md says when it is which. */
export type TunnelState = (typeof TUNNEL_STATES)[number];

/** Whether a tunnel in this state can carry packets both ways: expiring, rekeying, idle and up ones. */
export const isUpState = (state: TunnelState): boolean =>
  state === 'up' || state === 'idle' || state === 'rekeying' || state === 'expiring';

/** What a tunnel carried in one direction, across rekeys. As of the last reading of the counters. */
export interface TunnelTraffic {
  /** Bytes since the monitor knows the tunnel, and before, of SAs that were there when it came to know it. */
  readonly bytes: bigint;
  readonly packets: bigint;
  /** When a packet was last seen, in milliseconds since 1970; undefined if none was. */
  readonly lastUsedAt: number | undefined;
}

/** The next limit in time that an SA of a direction runs into, of its newest SA. Milliseconds since 1970. */
export interface TunnelExpiry {
  readonly softAt: number | undefined;
  readonly hardAt: number | undefined;
}

/**
 * What is wrong, or may soon be, although the state does not show it. `value` and `limit` are
 *
 * - `piling-up`: SAs of a direction (and CPU), and how many may be
 * - `spi-shared`: destinations of one SPI, and 1
 * - `sequence`: share of the sequence numbers used, and the threshold
 * - `lifetime`: share of the hard limit of bytes or packets used, and the threshold
 * - `integrity`, `replay`, `replay-window`: packets refused since it was raised, and 0
 * - `acquire-storm`: SAs asked for within the window, and how many may be
 * - `stale-policy`: policies that outlived their last SA, and 0
 * - `nat-mapping`: changes of the peer's address or port within the window, and how many may be
 * - `leak`: SAs or policies that nothing uses, and how many there were at the start of the window
 */
export interface TunnelWarning {
  readonly kind:
    | 'piling-up'
    | 'spi-shared'
    | 'sequence'
    | 'lifetime'
    | 'integrity'
    | 'replay'
    | 'replay-window'
    | 'acquire-storm'
    | 'stale-policy'
    | 'nat-mapping'
    | 'leak';
  /** Which of several of a kind: the direction, `bytes`, `policies` …; may be empty. */
  readonly what: string;
  /** In words. */
  readonly text: string;
  readonly value: number;
  readonly limit: number;
  /** When it was raised. */
  readonly since: EventTime;
}

/** A packet filter of a policy of the tunnel. */
export interface TrafficSelector {
  readonly dir: PolicyDir;
  readonly selector: XfrmSelector;
}

/** What one reqid has of a tunnel. Whether packets pass is judged of all together. */
export interface TunnelPart {
  readonly reqid: number;
  readonly protocol: IpsecProto | undefined;
  /** Its SAs, larval ones left out, the oldest first. */
  readonly sas: PerDirection<readonly StateEntry[]>;
  readonly policies: readonly PolicyEntry[];
  /** What the SAs that are there carried. */
  readonly traffic: PerDirection<TunnelTraffic>;
}

/** A tunnel, at one moment. It is replaced, never changed: who keeps it keeps a moment. */
export interface Tunnel {
  /** What it is called while the monitor lives; rekeys do not change it. */
  readonly id: string;
  /** The name that {@link TunnelMonitorOptions.expected} gives it. */
  readonly name: string | undefined;
  /** Whether it is one of {@link TunnelMonitorOptions.expected}: it stays in all lists. */
  readonly expected: boolean;
  /** This host's address; of an expected tunnel that was never seen perhaps undefined. */
  readonly local: string | undefined;
  readonly remote: string | undefined;
  /**
   * Whether it is known which end is this host's. If not (both are, or nothing tells), `local` and
   * `remote` are the ends in the order of their texts.
   */
  readonly directed: boolean;
  /** Of several (docs/tunnels.md), that of what protects its packets. */
  readonly reqid: number | undefined;
  /** Of the xfrm interface, where there is one. */
  readonly ifId: PerDirection<number | undefined>;
  readonly mark: PerDirection<XfrmMark | undefined>;
  readonly mode: XfrmMode | undefined;
  /** What protects the packets: ESP before AH before IPCOMP. */
  readonly protocol: IpsecProto | undefined;
  /** UDP or TCP around it, of the newest SA. */
  readonly encap: EncapTemplate | undefined;

  readonly state: TunnelState;
  /** Why it is in this state, in words. */
  readonly reason: string;
  /** Since when it is in this state. */
  readonly since: EventTime;
  /**
   * Whether that is known. If not, it was found so when the monitor opened, `since` is that moment, and nothing tells
   * for how long it had been so.
   */
  readonly sinceKnown: boolean;
  /** Since when it can carry packets both ways ({@link isUpState}), whatever was rekeyed meanwhile. */
  readonly upSince: EventTime | undefined;

  readonly selectors: readonly TrafficSelector[];
  /** Its SAs, larval ones left out, the oldest first. */
  readonly sas: PerDirection<readonly StateEntry[]>;
  /** SAs without keys: asked for, not yet agreed. */
  readonly larval: readonly StateEntry[];
  readonly policies: readonly PolicyEntry[];
  /** Of several reqids, what each has; undefined for one, and without {@link TunnelMonitorOptions.apart}. */
  readonly parts: readonly TunnelPart[] | undefined;

  readonly traffic: PerDirection<TunnelTraffic>;
  /** When the newest SA was added (the child's age), in milliseconds since 1970. */
  readonly installedAt: number | undefined;
  readonly expiry: PerDirection<TunnelExpiry>;
  /** Rekeys seen: both directions are one. */
  readonly rekeys: number;
  /** SAs that reached a hard limit without a successor. */
  readonly unreplaced: number;
  /** Packets refused: sums of its SAs, across rekeys. */
  readonly refused: {
    readonly integrity: bigint;
    readonly replay: bigint;
    readonly replayWindow: bigint;
  };
  readonly acquires: number;
  readonly natMappings: number;
  readonly warnings: readonly TunnelWarning[];
}
