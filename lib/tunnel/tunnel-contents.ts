/** The contents of a tunnel: its SAs and policies, as the join keeps them. @module */
import { type AnyEntry, incarnationOf, madeEntry } from '../monitor/table.ts';
import { isLarval } from '../monitor/xfrm-objects.ts';
import type { EventTime } from '../netlink/event.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { TemplateDemand } from './endpoints.ts';
import { firstOf, kept, NONE } from './few.ts';
import { ALL_CLEAR, type Obstacle } from './policy-match.ts';
import type { SaGroup } from './sa-group.ts';
import { isSoftSpent, slotOf } from './sa-limits.ts';
import type { PerDirection, TrafficDirection } from './tunnel.ts';
import type { TunnelRecord } from './tunnel-record.ts';

export const DIRECTIONS: readonly TrafficDirection[] = ['out', 'in'];

export const both = <T>(of: (direction: TrafficDirection) => T): PerDirection<T> => ({
  out: of('out'),
  in: of('in'),
});

/** An SA and what the join knows about it. */
export class Sa {
  readonly group: SaGroup;
  /** Those added later have higher numbers. */
  readonly incarnation: number;
  entry: AnyEntry<XfrmState>;
  /** Its entry by a reading of the counters, until its group is evaluated by that. */
  read: AnyEntry<XfrmState> | undefined;
  /** When it was added, monotonic. */
  readonly came: number;
  /** Whether it existed at the start or an event reported it; else a resync found it. */
  readonly heard: boolean;
  readonly slot: string;
  readonly isLarval: boolean;
  /** When a soft limit was reported or seen to be reached, wall clock. */
  softAt: number | undefined;
  record: TunnelRecord | undefined;

  constructor(group: SaGroup, entry: AnyEntry<XfrmState>, came: EventTime, heard: boolean) {
    const { value } = entry;
    this.group = group;
    this.incarnation = incarnationOf(entry);
    this.entry = entry;
    this.read = undefined;
    this.came = came.monotonic;
    this.heard = heard;
    const slot = slotOf(value);
    // One text for both directions.
    const other = firstOf(group.sas);
    this.slot = other?.slot === slot ? other.slot : slot;
    this.isLarval = isLarval(value);
    this.softAt = isSoftSpent(value) ? came.wall : undefined;
  }
}

export interface Policy {
  readonly incarnation: number;
  readonly entry: AnyEntry<XfrmPolicy>;
  readonly demands: readonly TemplateDemand[];
  /** When it was created or last changed, monotonic. */
  readonly changedAt: number;
}

export interface RemovedSa {
  readonly sa: Sa;
  readonly last: XfrmState;
  readonly reason: string;
  readonly portId: number | undefined;
  readonly time: EventTime;
  /** Those removed later have higher numbers. */
  readonly order: number;
  /** Whether an event reported its removal; else a resync found it. */
  readonly heard: boolean;
}

/** The contents of a tunnel: the members of one part of a group. */
export interface TunnelContents {
  readonly sas: PerDirection<readonly Sa[]>;
  /** SAs from any source, which also serve other tunnels. */
  readonly shared: PerDirection<readonly Sa[]>;
  readonly larval: readonly Sa[];
  readonly policies: readonly Policy[];
  /** The demands of its own policies; left out if it has SAs, which show its protocol, and one reqid. */
  readonly demands: readonly TemplateDemand[];
  /** Whether one of its policies sends packets through SAs with its reqids. */
  readonly sends: boolean;
  readonly obstacles: PerDirection<Obstacle>;
  /** When an SA that does not exist yet was last requested, monotonic. */
  readonly acquiredAt: number | undefined;
}

/** Of most tunnels. */
export const NO_SHARED: TunnelContents['shared'] = { out: NONE, in: NONE };

export const NO_CONTENTS: TunnelContents = {
  sas: { out: NONE, in: NONE },
  shared: NO_SHARED,
  larval: NONE,
  policies: NONE,
  demands: NONE,
  sends: false,
  obstacles: ALL_CLEAR,
  acquiredAt: undefined,
};

/** The contents in the form that a tunnel shows. */
export const entriesOf = (contents: TunnelContents) => ({
  sas: both((direction) => serving(contents, direction).map(({ entry }) => madeEntry(entry))),
  larval: kept(contents.larval.map(({ entry }) => madeEntry(entry))),
  policies: kept(contents.policies.map(({ entry }) => madeEntry(entry))),
});

/** The SAs of a direction, including those from any source. */
export const serving = (
  { sas, shared }: TunnelContents,
  direction: TrafficDirection,
): readonly Sa[] =>
  shared[direction].length > 0 ? [...shared[direction], ...sas[direction]] : sas[direction];

/** ESP before AH before IPCOMP: packets protected by two protocols count once. */
export function protocolOf({
  sas,
  shared,
  larval,
  demands,
}: Pick<TunnelContents, 'sas' | 'shared' | 'larval' | 'demands'>): IpsecProto | undefined {
  // Of most: found without looking at all of them.
  if (sas.out[0]?.entry.value.proto === 'esp') return 'esp';
  const there = [...sas.out, ...sas.in, ...shared.out, ...shared.in, ...larval].map(
    ({ entry }) => entry.value.proto,
  );
  const protocols = new Set(there.length > 0 ? there : demands.map(({ proto }) => proto));
  return (
    (['esp', 'ah', 'comp'] as const).find((proto) => protocols.has(proto)) ?? [...protocols][0]
  );
}
