/** The public form of a tunnel. docs/tunnels.md has the rules. @module */
import type { PolicyEntry, StateEntry } from '../monitor/xfrm-views.ts';
import type { EventTime } from '../netlink/event.ts';
import type { IpsecProto, PolicyDir, XfrmMode } from '../xfrm/names.ts';
import type { EncapTemplate, XfrmMark, XfrmSelector } from '../xfrm/types.ts';

/**
 * As seen from this host. If it is unknown which endpoint is local, `out` is from `local` to
 * `remote`.
 */
export type TrafficDirection = 'in' | 'out';
/** One value per direction of traffic. */
export type PerDirection<T> = { readonly [D in TrafficDirection]: T };

/**
 * The states, worst first: tunnels sort in this order.
 *
 * - `down`: its SAs are gone and nothing is left, or a hard limit removed the last one; or its
 *   local address is not on this host; or it is expected and was never seen
 * - `blocked`: policies, but no matching SA in either direction: packets wait or are dropped
 * - `orphan`: SAs, but no policy sends packets through them
 * - `one-way`: matching SAs in one direction only; or outbound packets, but no inbound ones
 * - `acquiring`: no SA yet, but one was requested
 * - `expiring`: past a soft limit, or near a hard one, without a successor
 * - `rekeying`: old and new SA overlap
 * - `idle`: no packets for a while
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
/** The state of a tunnel; docs/tunnels.md defines each. */
export type TunnelState = (typeof TUNNEL_STATES)[number];

/** Whether a state carries packets both ways: `expiring`, `rekeying`, `idle` or `up`. */
export const isUpState = (state: TunnelState): boolean =>
  state === 'up' || state === 'idle' || state === 'rekeying' || state === 'expiring';

/** Whether packets can pass in this state, even if only in one direction. */
export const carries = (state: TunnelState): boolean => isUpState(state) || state === 'one-way';

/** The traffic of a tunnel in one direction, across rekeys, as of the last counter reading. */
export interface TunnelTraffic {
  /**
   * Bytes since the monitor first saw the tunnel, plus those already counted by its SAs at that
   * time.
   */
  readonly bytes: bigint;
  readonly packets: bigint;
  /** When a packet was last seen, in milliseconds since 1970; undefined if never. */
  readonly lastUsedAt: number | undefined;
}

/** The next time limits of a direction's newest SA, in milliseconds since 1970. */
export interface TunnelExpiry {
  readonly softAt: number | undefined;
  readonly hardAt: number | undefined;
}

/**
 * A present or imminent problem that the state does not show. `value` and `limit` are
 *
 * - `piling-up`: SAs of a direction (and CPU), and how many are allowed
 * - `spi-shared`: destinations of one SPI, and 1
 * - `sequence`: used share of the sequence numbers, and the threshold
 * - `lifetime`: used share of the hard limit of bytes or packets, and the threshold
 * - `integrity`, `replay`, `replay-window`: packets rejected since it was raised, and 0
 * - `acquire-storm`: SAs requested within the window, and the threshold
 * - `stale-policy`: policies that outlived their last SA, and 0
 * - `nat-mapping`: changes of the peer's address or port within the window, and the threshold
 * - `leak`: unused SAs or policies, and how many there were at the start of the window
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
  /** Distinguishes warnings of a kind: the direction, `bytes`, `policies` …; may be empty. */
  readonly what: string;
  /** The warning as text. */
  readonly text: string;
  readonly value: number;
  readonly limit: number;
  /** When it was raised. */
  readonly since: EventTime;
}

/** A traffic selector, from one of the tunnel's policies. */
export interface TrafficSelector {
  readonly dir: PolicyDir;
  readonly selector: XfrmSelector;
}

/**
 * The part of a tunnel with one reqid. Whether packets pass is evaluated for all parts together.
 */
export interface TunnelPart {
  readonly reqid: number;
  readonly protocol: IpsecProto | undefined;
  /** Its SAs, oldest first, without larval ones. */
  readonly sas: PerDirection<readonly StateEntry[]>;
  readonly policies: readonly PolicyEntry[];
  /** Traffic of its current SAs. */
  readonly traffic: PerDirection<TunnelTraffic>;
}

/** A tunnel at one moment. It is replaced, never modified: one that you keep is a snapshot. */
export interface Tunnel {
  /** Its id while the monitor is open; rekeys do not change it. */
  readonly id: string;
  /** Its name in {@link TunnelMonitorOptions.expected}. */
  readonly name: string | undefined;
  /** Whether it is in {@link TunnelMonitorOptions.expected}, and so always listed. */
  readonly expected: boolean;
  /** This host's address; may be undefined for an expected tunnel that was never seen. */
  readonly local: string | undefined;
  readonly remote: string | undefined;
  /**
   * Whether it is known which endpoint is this host's. If not (both are, or nothing shows it),
   * `local` and `remote` are in string order.
   */
  readonly directed: boolean;
  /** The reqid; of several (docs/tunnels.md), the one that protects its packets. */
  readonly reqid: number | undefined;
  /** The xfrm interface's ID, if there is one. */
  readonly ifId: PerDirection<number | undefined>;
  readonly mark: PerDirection<XfrmMark | undefined>;
  readonly mode: XfrmMode | undefined;
  /** The protocol that protects packets: ESP before AH before IPCOMP. */
  readonly protocol: IpsecProto | undefined;
  /** UDP or TCP encapsulation of the newest SA. */
  readonly encap: EncapTemplate | undefined;

  readonly state: TunnelState;
  /** Why it is in this state, as text. */
  readonly reason: string;
  /** When this state began. */
  readonly since: EventTime;
  /**
   * Whether `since` is known. If not, the tunnel was already in this state when the monitor opened,
   * and `since` is that moment.
   */
  readonly sinceKnown: boolean;
  /** Since when it can carry packets both ways ({@link isUpState}), rekeys included. */
  readonly upSince: EventTime | undefined;

  readonly selectors: readonly TrafficSelector[];
  /** Its SAs, oldest first, without larval ones. */
  readonly sas: PerDirection<readonly StateEntry[]>;
  /** SAs without keys: requested, not yet negotiated. */
  readonly larval: readonly StateEntry[];
  readonly policies: readonly PolicyEntry[];
  /**
   * Its parts if it has several reqids; undefined for one, or without
   * {@link TunnelMonitorOptions.apart}.
   */
  readonly parts: readonly TunnelPart[] | undefined;

  readonly traffic: PerDirection<TunnelTraffic>;
  /** When the newest SA was added (the child's age), in milliseconds since 1970. */
  readonly installedAt: number | undefined;
  readonly expiry: PerDirection<TunnelExpiry>;
  /** Rekeys seen; both directions count as one. */
  readonly rekeys: number;
  /** SAs that reached a hard limit without a successor. */
  readonly unreplaced: number;
  /** Rejected packets: sums over its SAs, across rekeys. */
  readonly refused: {
    readonly integrity: bigint;
    readonly replay: bigint;
    readonly replayWindow: bigint;
  };
  readonly acquires: number;
  readonly natMappings: number;
  readonly warnings: readonly TunnelWarning[];
}
