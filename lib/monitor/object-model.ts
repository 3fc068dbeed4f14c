/** A protocol's objects and events, as the reconciler needs them. @module */
import type { ObjectName, ObjectTypes, RemovalReason } from './changes.ts';
import { type Indexers, type Lookup, type RowKey, Table } from './table.ts';

export type Tables<K extends ObjectTypes> = { readonly [Name in ObjectName<K>]: Table<K[Name]> };

export type Lookups<K extends ObjectTypes> = { readonly [Name in ObjectName<K>]: Lookup<K[Name]> };

/** One kind of object of a protocol. */
export interface ObjectKind<Value, Event> {
  readonly indexes: Indexers<Value>;
  /** Objects in it that are often the same from one dumped value to the next: then they are shared. */
  readonly shared?: readonly (keyof Value & string)[];
  /** Whether dumps list the newest first. */
  readonly newestFirst?: true;
  /** The key of a row: two objects that exist at the same time have different ones. */
  key(value: Value): RowKey;
  /** The id that users see. Default: the key. */
  id?(value: Value): string;
  /**
   * Of two objects with the same key in a dump, whether the second replaces the first. Default:
   * yes.
   */
  supersedes?(first: Value, second: Value): boolean;
  /** Whether it is created without an event. Default: no. */
  unannounced?(value: Value): boolean;
  /** Whether both can be the same object, first seen earlier, then later. Default: yes. */
  sameIncarnation?(before: Value, after: Value): boolean;
  /** The names of the fields that differ, except counters. */
  differences(before: Value, after: Value): string[];
  /** Whether a field that differs is only a counter. Default: no. */
  isCounter?(field: keyof Value & string, before: Value, after: Value): boolean;
  /** Why an object was removed if no event says so. Default: `found-missing`. */
  missing?(value: Value, since: readonly Event[]): RemovalReason;
}

/** The objects and events of a protocol. */
export interface ObjectModel<K extends ObjectTypes, Event> {
  readonly kinds: { readonly [Name in ObjectName<K>]: ObjectKind<K[Name], Event> };
  /** Applies an event to the rows. */
  apply(event: Event, rows: Rows<K>): void;
  /** Whether a dumped object is about to be removed without an event. */
  awaitsSilentRemoval?(tables: Lookups<K>): boolean;
  /** Whether to keep an event because it may explain what the next comparison finds. */
  explains?(event: Event): boolean;
}

/** Empty tables. */
export function tablesOf<K extends ObjectTypes>({ kinds }: Pick<ObjectModel<K, never>, 'kinds'>) {
  const all = Object.entries<ObjectKind<never, never>>(kinds);
  const tables = all.map(([name, { indexes, id }]) => [name, new Table(indexes, id)]);
  return Object.fromEntries(tables) as Tables<K>;
}

/** The operations of an event. */
export interface Rows<K extends ObjectTypes> {
  /** Whether a row may be newer than the event, as it was dumped while events arrived. */
  readonly overlap: boolean;
  /** For lookups. */
  readonly tables: Lookups<K>;
  /** Sets a row: `new` replaces the object there, `same` updates it. */
  put<N extends ObjectName<K>>(kind: N, key: RowKey, value: K[N], as: 'new' | 'same'): void;
  /** Removes a row, if it exists. @param last the object's last state, if known better */
  remove<N extends ObjectName<K>>(kind: N, key: RowKey, reason: RemovalReason, last?: K[N]): void;
  /** The object reached a soft limit. */
  expiring<N extends ObjectName<K>>(kind: N, key: RowKey, value: K[N]): void;
  /** The event does not determine what became of the row, or of which rows: another dump must. */
  markUncertain(kind?: ObjectName<K>, key?: RowKey): void;
}
