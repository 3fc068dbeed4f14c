/** What a live table tells of itself, as one union: switch over `kind`. @module */
import type { EventTime } from '../netlink/event.ts';

/** What sorts of object there are, by name. */
export type ObjectTypes = Record<string, object>;
export type ObjectName<K extends ObjectTypes> = keyof K & string;

/** Why an object is gone; `found-missing`: a comparison did not find it, and no event said why. */
export type RemovalReason =
  | 'deleted'
  | 'hard-expired'
  | 'flushed'
  | 'migrated'
  /** Another took its place: a larval SA got its keys, or the same id was made again. */
  | 'replaced'
  | 'found-missing';

interface ChangeBase<Name extends string, Value> {
  /** `kernel`: an event said so. `resync`: found by comparing with a fresh list. */
  readonly origin: 'kernel' | 'resync';
  readonly time: EventTime;
  readonly object: Name;
  readonly id: string;
  readonly uid: string;
  /** The object after the change; where it is gone, as it last was. */
  readonly value: Value;
  /** When the counters of `value` were read. */
  readonly countersReadAt: EventTime;
}

/** An object is there that was not before. */
export interface ObjectAdded<Name extends string, Value> extends ChangeBase<Name, Value> {
  readonly kind: 'added';
}
/** An object is another than before, in the same place. */
export interface ObjectUpdated<Name extends string, Value> extends ChangeBase<Name, Value> {
  readonly kind: 'updated';
  readonly before: Value;
  /** The fields that are different, counters left out. */
  readonly fields: readonly (keyof Value & string)[];
}
/** An object is gone. */
export interface ObjectRemoved<Name extends string, Value> extends ChangeBase<Name, Value> {
  readonly kind: 'removed';
  readonly reason: RemovalReason;
  /**
   * Of what an event says was `deleted` or `flushed`: the port id that the requester wrote into its
   * message. A claim: anything can be written there (docs/sockets.md, section 6).
   */
  readonly portId?: number;
}
/** A soft limit was reached: it works on, and wants a successor. */
export interface ObjectExpiring<Name extends string, Value> extends ChangeBase<Name, Value> {
  readonly kind: 'expiring';
}

/** What can happen to an object. */
export type ObjectChange<K extends ObjectTypes> = {
  [Name in ObjectName<K>]:
    | ObjectAdded<Name, K[Name]>
    | ObjectUpdated<Name, K[Name]>
    | ObjectRemoved<Name, K[Name]>
    | ObjectExpiring<Name, K[Name]>;
}[ObjectName<K>];

/** One or more losses of events: the table may be wrong until `resynced`, which always follows. */
interface TableOverrun {
  readonly kind: 'overrun';
  readonly code: string;
  readonly time: EventTime;
}

/** A comparison with fresh lists has ended, and the table is right. */
export interface SyncReport {
  /**
   * `resynced`: events had been lost. `refreshed`: none had; the counters are fresh, and what no event announces,
   * or an event left in doubt, is as the kernel has it.
   */
  readonly kind: 'resynced' | 'refreshed';
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
  /** How many rounds of listing it took. */
  readonly rounds: number;
  /** How often the kernel reported a loss since the table was last right. */
  readonly overruns: number;
  /** Messages since then that made no sense. */
  readonly malformed: number;
  /** Milliseconds since then, or since the round began. */
  readonly durationMs: number;
  readonly time: EventTime;
}

export type TableChange<K extends ObjectTypes> = ObjectChange<K> | TableOverrun | SyncReport;

/**
 * The path that was given as `netns` no longer leads to the namespace that is watched: its name was removed or given to
 * another (`ip netns`), or the process that it is of has ended. Nothing else changes. The monitor goes on in that
 * namespace, which the kernel keeps as long as anything is open in it, this monitor included; whether anybody else is in
 * it, the kernel does not tell. Told once, within a second.
 */
export interface NamespaceGone {
  readonly kind: 'namespace-gone';
  readonly path: string;
  readonly time: EventTime;
}
