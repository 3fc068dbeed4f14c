/** The public views of a monitor's tables: live, read-only, with lookups. @module */

import {
  integer,
  isObject,
  object,
  options as optionsOf,
  string,
  U32_MAX,
  wrongType,
} from '../base/argument.ts';
import type { EventTime } from '../netlink/event.ts';
import { canonicalAddress } from '../wire/address.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { XfrmMark } from '../xfrm/types.ts';
import { Filter } from './filter.ts';
import type { ListedObject } from './filter-input.ts';
import { idOf, type Table, type TableEntry } from './table.ts';
import type { XfrmStat } from './xfrm-stat.ts';

/** An SA in the table. */
export type StateEntry = TableEntry<XfrmState>;
/** A policy in the table. */
export type PolicyEntry = TableEntry<XfrmPolicy>;

/**
 * The base of both views: live, read-only, in insertion order. Addresses may be in any spelling.
 * Entries and values are replaced, never modified: one that you keep is a snapshot. They are not
 * frozen, which would cost too much: do not modify them, or the table is wrong.
 */
abstract class View<Value extends object> implements Iterable<TableEntry<Value>> {
  protected readonly table: Table<Value>;

  constructor(table: Table<Value>) {
    this.table = table;
  }

  /** The number of entries. */
  get size(): number {
    return this.table.size;
  }

  /** All entries, in the order in which they were added. */
  [Symbol.iterator](): Iterator<TableEntry<Value>> {
    return this.table[Symbol.iterator]();
  }

  /** The values of all entries, in the same order. */
  values(): Iterator<Value> & Iterable<Value> {
    return this.table.values();
  }

  /** The entries with an id, usually one. */
  protected abstract withId(id: string): TableEntry<Value>[];

  /** A value as {@link Filter.matches} takes it. */
  protected abstract listed(value: Value): ListedObject;

  /**
   * The entries that pass, in order. `by` is a function that returns a truthy value, or a
   * {@link Filter}, with the command's filter terms. Examines every entry; for frequent lookups use
   * {@link indexBy}.
   *
   * @example
   * monitor.states.filter(({ value }) => value.stats.replay > 0);
   * monitor.policies.filter(new Filter(['peer=198.51.100.0/24', 'dir=out']));
   */
  filter(by: Filter | ((entry: TableEntry<Value>) => unknown)): TableEntry<Value>[] {
    const passes = by instanceof Filter ? this.#matching(by) : by;
    if (typeof passes !== 'function') throw wrongType('by', 'a function or a Filter', by);
    return [...this].filter((entry) => passes(entry));
  }

  #matching(filter: Filter): (entry: TableEntry<Value>) => boolean {
    return ({ value }) => filter.matches(this.listed(value));
  }

  /**
   * The entry with an id. Between `overrun` and `resynced` two policies may have the same id, one
   * of them already gone: this returns the newer one.
   */
  get(id: string): TableEntry<Value> | undefined {
    return this.withId(string('id', id)).at(-1);
  }

  /** The entry with a uid: this incarnation, not a later one. */
  byUid(uid: string): TableEntry<Value> | undefined {
    string('uid', uid);
    return this.withId(idOf(uid)).find((entry) => entry.uid === uid);
  }

  /**
   * Creates a custom index, which is kept up to date from then on.
   *
   * @param of returns a value's term; undefined leaves it out. Called once for each value. If it
   *   throws, that is an uncaught exception, as in a listener, and the value is left out.
   * @example
   * const byMode = monitor.states.indexBy(({ mode }) => mode);
   * byMode.get('transport').length;
   */
  indexBy<Term>(of: (value: Value) => Term | undefined): EntryIndex<Value, Term> {
    if (typeof of !== 'function') throw wrongType('of', 'a function', of);
    return new EntryIndex(this.table, of);
  }

  /** Entries between two tunnel endpoints, in this direction; for policies, their template's. */
  byPeers(saddr: string, daddr: string): TableEntry<Value>[] {
    const [source, destination] = [
      canonicalAddress(saddr, 'saddr'),
      canonicalAddress(daddr, 'daddr'),
    ];
    return this.table.find('peers', `${source} ${destination}`);
  }

  /** Entries with a reqid. */
  byReqid(reqid: number): TableEntry<Value>[] {
    return this.table.find('reqid', String(integer('reqid', reqid, 0, U32_MAX)));
  }

  /** Entries with this mark; undefined: without a mark. */
  byMark(mark: XfrmMark | undefined): TableEntry<Value>[] {
    if (mark !== undefined) object('mark', mark);
    const { value, mask } = mark ?? { value: 0, mask: 0 };
    integer('mark.value', value, 0, U32_MAX);
    integer('mark.mask', mask, 0, U32_MAX);
    return this.table.find('mark', `${value}/${mask}`);
  }

  /** Entries of an xfrm interface; 0: of none. */
  byIfId(ifId: number): TableEntry<Value>[] {
    return this.table.find('ifId', String(integer('ifId', ifId, 0, U32_MAX)));
  }
}

/** An index from {@link StatesView.indexBy} or {@link PoliciesView.indexBy}. */
export class EntryIndex<Value extends object, Term> implements Disposable {
  readonly #table: Table<Value>;
  readonly #of: (value: Value) => Term | undefined;

  constructor(table: Table<Value>, of: (value: Value) => Term | undefined) {
    this.#table = table;
    // Once for each value: an entry must be found where it was put, whatever the function returns
    // later.
    const terms = new WeakMap<Value, { readonly term: Term | undefined }>();
    this.#of = (value) => {
      let known = terms.get(value);
      if (known === undefined) {
        known = { term: unlessThrown(() => of(value)) };
        terms.set(value, known);
      }
      return known.term;
    };
    // Built now, not on first use.
    this.#table.findBy(this.#of, undefined);
  }

  /** The entries with this term. Terms are compared like the keys of a Map. */
  get(term: Term): TableEntry<Value>[] {
    return this.#table.findBy(this.#of, term);
  }

  /** Drops the index, which is then no longer maintained. A later {@link get} rebuilds it. */
  [Symbol.dispose](): void {
    this.#table.dropIndex(this.#of);
  }
}

function unlessThrown<Result>(call: () => Result): Result | undefined {
  try {
    return call();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
    return undefined;
  }
}

/**
 * All SAs, including larval ones as of the last comparison. An id consists of destination,
 * protocol, SPI and mark.
 */
export class StatesView extends View<XfrmState> {
  protected withId(id: string): StateEntry[] {
    return [this.table.get(id) ?? []].flat();
  }

  /**
   * The SAs with an SPI, and with a destination and protocol if given: then several only if marks
   * differ.
   *
   * @example
   * const [sa] = monitor.states.bySpi(0xc0de, { daddr: '192.0.2.2', proto: 'esp' });
   */
  bySpi(spi: number, options: SpiOptions = {}): StateEntry[] {
    integer('spi', spi, 0, U32_MAX);
    optionsOf('options', options, SPI_OPTIONS);
    const { daddr, proto } = options;
    const address = daddr === undefined ? undefined : canonicalAddress(daddr, 'options.daddr');
    return this.table
      .find('spi', String(spi))
      .filter(
        ({ value }) =>
          (address === undefined || value.daddr === address) &&
          (proto === undefined || value.proto === proto),
      );
  }

  /** The SAs to an address: outbound to that peer, or inbound if it is this host's. */
  byDestination(daddr: string): StateEntry[] {
    return this.table.find('destination', canonicalAddress(daddr, 'daddr'));
  }

  protected listed(state: XfrmState): ListedObject {
    return { kind: 'state', state };
  }
}

/** Narrows a lookup by SPI. */
export interface SpiOptions {
  readonly daddr?: string | undefined;
  readonly proto?: IpsecProto | undefined;
}

const SPI_OPTIONS: ReadonlySet<string> = new Set<keyof SpiOptions>(['daddr', 'proto']);

/**
 * All policies. An id consists of direction, selector and whatever else identifies one to the
 * kernel.
 */
export class PoliciesView extends View<XfrmPolicy> {
  protected withId(id: string): PolicyEntry[] {
    return this.table.find('id', id);
  }

  /** The policy with an index, the number that the kernel assigned. */
  byIndex(index: number): PolicyEntry | undefined {
    return this.table.get(integer('index', index, 0, U32_MAX));
  }

  protected listed(policy: XfrmPolicy): ListedObject {
    return { kind: 'policy', policy };
  }
}

/** Everything a monitor knew at one moment: plain data that does not change. */
export interface XfrmSnapshot {
  /** The label in the monitor's options. */
  readonly label: string | undefined;
  readonly states: readonly StateEntry[];
  readonly policies: readonly PolicyEntry[];
  /** Whether the tables were right; if not, they were being resynced. */
  readonly synced: boolean;
  /** When all counters were last read. */
  readonly countersReadAt: EventTime;
  /** The kernel's IPsec error counters, read with the others; undefined if it has none. */
  readonly xfrmStat: XfrmStat | undefined;
}

function statesOf(name: string, snapshot: XfrmSnapshot): void {
  object(name, snapshot);
  const { states } = snapshot;
  if (!Array.isArray(states)) throw wrongType(`${name}.states`, 'an array', states);
  states.forEach((entry, i) => {
    // Texts for errors only: there may be many.
    if (isObject(entry) && isObject(entry.value)) return;
    object(`${name}.states[${i}]`, entry);
    object(`${name}.states[${i}].value`, entry.value);
  });
}

/** The traffic rate of an SA between two snapshots. */
export interface StateRate {
  readonly id: string;
  readonly uid: string;
  /** The time between the two readings of its counters, in seconds. */
  readonly seconds: number;
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
}

/**
 * The rates of SAs that are in both snapshots, as the same incarnation, with counters read again in
 * between: every comparison reads them (`refreshInterval`, {@link XfrmMonitor.refresh}).
 */
export function stateRates(before: XfrmSnapshot, after: XfrmSnapshot): StateRate[] {
  statesOf('before', before);
  statesOf('after', after);
  const earlier = new Map(before.states.map((entry) => [entry.uid, entry]));
  return after.states.flatMap(({ id, uid, value: { current }, countersReadAt }) => {
    const then = earlier.get(uid);
    const seconds = then ? (countersReadAt.monotonic - then.countersReadAt.monotonic) / 1000 : 0;
    if (then === undefined || seconds <= 0) return [];
    const { bytes, packets } = then.value.current;
    return {
      id,
      uid,
      seconds,
      bytesPerSecond: Number(current.bytes - bytes) / seconds,
      packetsPerSecond: Number(current.packets - packets) / seconds,
    };
  });
}
