/** What a protocol says of its objects and events, for the reconciler. @module */
import type { ObjectName, ObjectTypes, RemovalReason } from './changes.ts';
import { type Indexers, Table } from './table.ts';

export type Tables<K extends ObjectTypes> = { readonly [Name in ObjectName<K>]: Table<K[Name]> };

/** What a protocol says of one kind of object. */
export interface ObjectKind<Value, Event> {
  readonly indexes: Indexers<Value>;
  /** Under what a row is kept: two objects that exist at once differ in it. */
  key(value: Value): string;
  /** What people call it. Default: the key. */
  id?(value: Value): string;
  /** Of two objects of one key in a list: whether the second is the one that stays. Default: it is. */
  supersedes?(first: Value, second: Value): boolean;
  /** Whether no event told when it was made. Default: one did. */
  unannounced?(value: Value): boolean;
  /** Whether both can be one object at two times, the first the earlier. Default: they can. */
  sameIncarnation?(before: Value, after: Value): boolean;
  /** The names of the fields that differ, counters left out. */
  differences(before: Value, after: Value): string[];
  /** Why an object went of which no event said so. Default: `found-missing`. */
  missing?(value: Value, since: readonly Event[]): RemovalReason;
}

/** What a protocol says of its objects and events. */
export interface ObjectModel<K extends ObjectTypes, Event> {
  readonly kinds: { readonly [Name in ObjectName<K>]: ObjectKind<K[Name], Event> };
  /** Does to the rows what the event says. */
  apply(event: Event, rows: Rows<K>): void;
  /** Whether something that is listed is about to go, of which no event will tell. */
  awaitsSilentRemoval?(tables: Tables<K>): boolean;
  /** Whether it is kept to explain what the next comparison finds. */
  explains?(event: Event): boolean;
}

/** Empty tables. */
export function tablesOf<K extends ObjectTypes>({ kinds }: Pick<ObjectModel<K, never>, 'kinds'>) {
  const all = Object.entries<ObjectKind<never, never>>(kinds);
  const tables = all.map(([name, { indexes }]) => [name, new Table(indexes)]);
  return Object.fromEntries(tables) as Tables<K>;
}

/** What an event can do. */
export interface Rows<K extends ObjectTypes> {
  /** Whether a row may be newer than the event: it was listed while events came. */
  readonly overlap: boolean;
  /** For looking things up. */
  readonly tables: Tables<K>;
  /** Sets a row: `new` for another object than the one there, `same` for that one, changed. */
  put<N extends ObjectName<K>>(kind: N, key: string, value: K[N], as: 'new' | 'same'): void;
  /** Takes a row away, if it is there. @param last the object as it last was, if known better */
  remove<N extends ObjectName<K>>(kind: N, key: string, reason: RemovalReason, last?: K[N]): void;
  /** The object told that a soft limit was reached. */
  expiring<N extends ObjectName<K>>(kind: N, key: string, value: K[N]): void;
  /** Nobody can tell from this event what became of the row, or of which rows: another list must. */
  markUncertain(kind?: ObjectName<K>, key?: string): void;
}
