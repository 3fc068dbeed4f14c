/**
 * What a protocol says of its objects and events, for the reconciler.
 * @module
 */
import type { Kinds, NameIn, Why } from './changes.ts';
import type { Table } from './table.ts';

export type Tables<K extends Kinds> = { readonly [Name in NameIn<K>]: Table<K[Name]> };

/** What a protocol says of its objects and events. */
export interface Family<K extends Kinds, Event> {
  /** Empty tables, with their indexes. */
  tables(): Tables<K>;
  /** Under what a row is kept: two objects that exist at once differ in it. */
  key<N extends NameIn<K>>(kind: N, value: K[N]): string;
  /** What people call it; it may be the key. */
  id<N extends NameIn<K>>(kind: N, value: K[N], key: string): string;
  /** Of two objects of one key in a list: whether the second is the one that stays. */
  supersedes<N extends NameIn<K>>(kind: N, first: K[N], second: K[N]): boolean;
  /** Whether no event told when it was made. */
  unannounced<N extends NameIn<K>>(kind: N, value: K[N]): boolean;
  /** Whether both can be one object at two times, the first the earlier. */
  sameIncarnation<N extends NameIn<K>>(kind: N, before: K[N], after: K[N]): boolean;
  /** The names of the fields that differ, counters left out. */
  differences<N extends NameIn<K>>(kind: N, before: K[N], after: K[N]): string[];
  /** Why an object went of which no event said so. */
  missing<N extends NameIn<K>>(kind: N, value: K[N], since: readonly Event[]): Why;
  /** Does to the rows what the event says. */
  apply(event: Event, rows: Rows<K>): void;
  /** Whether something that is listed is about to go, of which no event will tell. */
  passing(tables: Tables<K>): boolean;
  /** Whether it is kept to explain what the next comparison finds. */
  explains(event: Event): boolean;
}

/** What an event can do. */
export interface Rows<K extends Kinds> {
  /** Whether a row may be newer than the event: it was listed while events came. */
  readonly overlap: boolean;
  /** For looking things up. */
  readonly tables: Tables<K>;
  /** Sets a row: `new` for another object than the one there, `same` for that one, changed. */
  put<N extends NameIn<K>>(kind: N, key: string, value: K[N], as: 'new' | 'same'): void;
  /** Takes a row away, if it is there. @param last the object as it last was, if known better */
  remove<N extends NameIn<K>>(kind: N, key: string, why: Why, last?: K[N]): void;
  /** The object told that a soft limit was reached. */
  expiring<N extends NameIn<K>>(kind: N, key: string, value: K[N]): void;
  /** Nobody can tell from this event what became of the row: another list must. */
  doubt<N extends NameIn<K>>(kind: N, key: string): void;
  /** Nobody can tell which rows this event is about: another list must. */
  look(): void;
}
