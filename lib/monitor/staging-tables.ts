/** The rows of an incomplete dump. @module */
import type { EventTime } from '../netlink/event.ts';
import type { ObjectName, ObjectTypes } from './changes.ts';
import { type ObjectModel, type Rows, type Tables, tablesOf } from './object-model.ts';
import { equal } from './table.ts';

type Listable<K extends ObjectTypes> = Pick<ObjectModel<K, never>, 'kinds'>;

/** Known only to the live tables. */
const UNKNOWN: EventTime = { wall: Number.NaN, monotonic: Number.NaN };

/** The staging tables of a dump: its rows, with the events that arrived during it applied. */
export class StagingTables<K extends ObjectTypes> implements Rows<K> {
  readonly overlap = true;
  readonly tables: Tables<K>;
  readonly #kinds: Listable<K>['kinds'];
  readonly #live: Tables<K>;
  readonly #uncertain = new Set<string>();
  /** The parts of the value staged last. */
  readonly #parts: Record<string, object> = {};
  /** Rows that events added. */
  readonly #announced = new Set<string>();

  /** @param live the previous rows: a dumped object that is unchanged is the same object */
  constructor(model: Listable<K>, live: Tables<K>) {
    this.#kinds = model.kinds;
    this.#live = live;
    this.tables = tablesOf(model);
  }

  /** Whether a row is uncertain, or all are. */
  get hasUncertain(): boolean {
    return this.#uncertain.size > 0;
  }

  isUncertain(kind: string, key: string): boolean {
    return this.#uncertain.size > 0 && this.#uncertain.has(`${kind} ${key}`);
  }

  /** Rows in the order in which they were added: those that events added during the dump last. */
  inOrder(kind: ObjectName<K>, keys: readonly string[]): string[] {
    const isAnnounced = (key: string) => this.#announced.has(`${kind} ${key}`);
    const dumped = keys.filter((key) => !isAnnounced(key));
    if (this.#kinds[kind].newestFirst) dumped.reverse();
    return [...dumped, ...keys.filter(isAnnounced)];
  }

  /** Stages a dumped object. */
  stage<N extends ObjectName<K>>(kind: N, value: K[N]): void {
    const model = this.#kinds[kind];
    const key = model.key(value);
    const table = this.tables[kind];
    const known = table.get(key);
    let free = key;
    if (known !== undefined && model.supersedes?.(known.value, value) === false) {
      if (model.supersedes(value, known.value)) return;
      // The kernel has several that cannot be distinguished; each gets a row.
      for (let n = 2; table.get(free) !== undefined; n++) free = `${key} (${n})`;
    }
    // Most of a dump is already known. Sharing the known value saves comparing it again, and
    // memory.
    const before = this.#live[kind].get(free)?.value;
    const same = before !== undefined && equal(before, value);
    if (!same) this.#share(kind, value);
    this.#set(kind, free, same ? before : value);
  }

  /** Gives a value the parts of the one before it that are equal. */
  #share<N extends ObjectName<K>>(kind: N, value: K[N]): void {
    this.#parts[kind] ??= {};
    const parts = this.#parts[kind] as Partial<K[N]>;
    for (const name of this.#kinds[kind].shared ?? []) {
      if (value[name] === undefined) continue;
      if (equal(parts[name], value[name])) value[name] = parts[name] as K[N][typeof name];
      else parts[name] = value[name];
    }
  }

  put<N extends ObjectName<K>>(kind: N, key: string, value: K[N]): void {
    this.#question(kind, key);
    if (this.tables[kind].get(key) === undefined) this.#announced.add(`${kind} ${key}`);
    this.#set(kind, key, value);
  }

  remove<N extends ObjectName<K>>(kind: N, key: string): void {
    this.#question(kind, key);
    this.tables[kind].delete(key);
  }

  expiring<N extends ObjectName<K>>(kind: N, key: string, value: K[N]): void {
    this.put(kind, key, value);
  }

  #set<N extends ObjectName<K>>(kind: N, key: string, value: K[N]): void {
    this.tables[kind].set(key, { id: key, uid: '', value, countersReadAt: UNKNOWN });
  }

  /**
   * An event concerns a dumped object that was created without one: it may be about its
   * predecessor.
   */
  #question<N extends ObjectName<K>>(kind: N, key: string): void {
    const known = this.tables[kind].get(key);
    if (known !== undefined && this.#kinds[kind].unannounced?.(known.value))
      this.markUncertain(kind, key);
  }

  markUncertain(kind?: ObjectName<K>, key?: string): void {
    this.#uncertain.add(`${kind} ${key}`);
  }
}
