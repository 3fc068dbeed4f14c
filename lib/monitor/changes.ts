/** Changes of a live table, as one union: switch over `kind`. @module */
import type { EventTime } from '../netlink/event.ts';
import type { TableEntry } from './table.ts';

/** The kinds of object, by name. */
export type ObjectTypes = Record<string, object>;
export type ObjectName<K extends ObjectTypes> = keyof K & string;

/** Why an object was removed. `found-missing`: a resync did not find it, and no event says why. */
export type RemovalReason =
  | 'deleted'
  | 'hard-expired'
  | 'flushed'
  | 'migrated'
  /** Replaced by another: a larval SA got its keys, or the same id was created again. */
  | 'replaced'
  | 'found-missing';

interface ChangeBase<Name extends string, Value> {
  /** `kernel`: reported by an event. `resync`: found by comparing with a fresh dump. */
  readonly origin: 'kernel' | 'resync';
  readonly time: EventTime;
  readonly object: Name;
  readonly id: string;
  readonly uid: string;
  /** The object after the change; if it was removed, its last known value. */
  readonly value: Value;
  /** When the counters of `value` were read. */
  readonly countersReadAt: EventTime;
}

/** An object was added. */
export interface ObjectAdded<Name extends string, Value> extends ChangeBase<Name, Value> {
  readonly kind: 'added';
}
/** An object changed in place. */
export interface ObjectUpdated<Name extends string, Value> extends ChangeBase<Name, Value> {
  readonly kind: 'updated';
  readonly before: Value;
  /** The fields that changed, except counters. */
  readonly fields: readonly (keyof Value & string)[];
}
/** An object was removed. */
export interface ObjectRemoved<Name extends string, Value> extends ChangeBase<Name, Value> {
  readonly kind: 'removed';
  readonly reason: RemovalReason;
  /**
   * For `deleted` and `flushed` events: the port ID in the requester's message header. A claim: a
   * sender can write anything there (docs/sockets.md, section 6).
   */
  readonly portId?: number;
}
/** A soft limit was reached: the object still works but needs a successor. */
export interface ObjectExpiring<Name extends string, Value> extends ChangeBase<Name, Value> {
  readonly kind: 'expiring';
}

/** Any change of an object. */
export type ObjectChange<K extends ObjectTypes> = {
  [Name in ObjectName<K>]:
    | ObjectAdded<Name, K[Name]>
    | ObjectUpdated<Name, K[Name]>
    | ObjectRemoved<Name, K[Name]>
    | ObjectExpiring<Name, K[Name]>;
}[ObjectName<K>];

/** Events were lost: the table may be wrong until the `resynced` that always follows. */
interface TableOverrun {
  readonly kind: 'overrun';
  readonly code: string;
  readonly time: EventTime;
}

/** A comparison with fresh dumps is complete, and the table is right. */
export interface SyncReport {
  /**
   * `resynced`: events had been lost. `refreshed`: none had; counters are fresh, and silent changes
   * and doubts left by events are settled.
   */
  readonly kind: 'resynced' | 'refreshed';
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
  /** How many rounds of dumps it took. */
  readonly rounds: number;
  /** How many losses the kernel reported since the table was last right. */
  readonly overruns: number;
  /** Malformed messages since then. */
  readonly malformed: number;
  /** Milliseconds since then, or since the round began. */
  readonly durationMs: number;
  readonly time: EventTime;
}

/** What a comparison found of which no change tells. */
export interface CounterReading<K extends ObjectTypes> {
  /** When the dump began: counters that did not move had their present values then. */
  readonly began: EventTime;
  /** The entries whose counters moved since the last comparison, by kind of object. */
  readonly moved: { readonly [Name in ObjectName<K>]: Iterable<TableEntry<K[Name]>> };
}

const counterReadings = new WeakMap<SyncReport, CounterReading<never>>();

/** @param report of a comparison, as a {@link Reconciler} emitted it */
export const counterReading = <K extends ObjectTypes>(report: SyncReport): CounterReading<K> =>
  counterReadings.get(report) as CounterReading<never>;

export function setCounterReading<K extends ObjectTypes>(
  report: SyncReport,
  reading: CounterReading<K>,
): void {
  counterReadings.set(report, reading as CounterReading<never>);
}

export type TableChange<K extends ObjectTypes> = ObjectChange<K> | TableOverrun | SyncReport;

/**
 * The path given as `netns` no longer leads to the watched namespace: its name was removed or
 * reused (`ip netns`), or its process ended. Nothing else changes. The monitor stays in that
 * namespace, which the kernel keeps while anything in it is open, this monitor included; the kernel
 * does not say whether anything else still uses it. Reported once, within a second.
 */
export interface NamespaceGone {
  readonly kind: 'namespace-gone';
  readonly path: string;
  readonly time: EventTime;
}
