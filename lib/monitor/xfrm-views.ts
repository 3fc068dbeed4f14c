/** The tables of a monitor for its users: live, read-only, found by what people know. @module */
import type { EventTime } from '../netlink/event.ts';
import { wrongType } from '../socket/argument.ts';
import { canonicalAddress } from '../wire/address.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { XfrmMark } from '../xfrm/types.ts';
import { Filter } from './filter.ts';
import type { ListedObject } from './filter-input.ts';
import type { Table, TableEntry } from './table.ts';
import type { XfrmStat } from './xfrm-stat.ts';

/** An SA in the table. */
export type StateEntry = TableEntry<XfrmState>;
/** A policy in the table. */
export type PolicyEntry = TableEntry<XfrmPolicy>;

/**
 * What both tables can do: read-only, live, in the order in which objects came to be known. Addresses may be spelt in any
 * way. An entry and its value are replaced, never changed: keep one, and you keep a moment. They are not frozen, which
 * would cost more than all else: do not change them, or the table is wrong.
 */
abstract class View<Value extends object> implements Iterable<TableEntry<Value>> {
  protected readonly table: Table<Value>;

  constructor(table: Table<Value>) {
    this.table = table;
  }

  /** How many there are. */
  get size(): number {
    return this.table.size;
  }

  /** All entries, in the order in which they were added. */
  [Symbol.iterator](): Iterator<TableEntry<Value>> {
    return this.table[Symbol.iterator]();
  }

  /** Those of an id: mostly one. */
  protected abstract withId(id: string): TableEntry<Value>[];

  /** How {@link Filter.matches} takes a value. */
  protected abstract listed(value: Value): ListedObject;

  /**
   * Those that pass, in order: a function that gives something true, or a {@link Filter}, whose terms are those of the
   * command. All entries are looked at; {@link indexBy} is for questions that are asked often.
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
   * By its id. Between `overrun` and `resynced` there may be two policies of one id, of which one is gone: this is the
   * later one.
   */
  get(id: string): TableEntry<Value> | undefined {
    return this.withId(id).at(-1);
  }

  /** By its uid: that incarnation of it, and no other that was made later. */
  byUid(uid: string): TableEntry<Value> | undefined {
    // The reconciler makes it of the id and a number.
    return this.withId(uid.slice(0, uid.lastIndexOf(' #'))).find((entry) => entry.uid === uid);
  }

  /**
   * Makes an index of your own, which is kept up to date from then on.
   *
   * @param of what a value is found by; undefined leaves it out. It is called once for each value. What it throws is an
   *   uncaught exception, as of a listener, and the value is left out.
   * @example
   * const byMode = monitor.states.indexBy(({ mode }) => mode);
   * byMode.get('transport').length;
   */
  indexBy<Term>(of: (value: Value) => Term | undefined): EntryIndex<Value, Term> {
    if (typeof of !== 'function') throw wrongType('of', 'a function', of);
    return new EntryIndex(this.table, of);
  }

  /** Those between two tunnel ends, in this direction; for policies, the ends of their template. */
  byPeers(saddr: string, daddr: string): TableEntry<Value>[] {
    return this.table.find('peers', `${canonicalAddress(saddr)} ${canonicalAddress(daddr)}`);
  }

  /** Those of a reqid. */
  byReqid(reqid: number): TableEntry<Value>[] {
    return this.table.find('reqid', String(reqid));
  }

  /** Those with this mark; undefined: those without. */
  byMark(mark: XfrmMark | undefined): TableEntry<Value>[] {
    return this.table.find('mark', `${mark?.value ?? 0}/${mark?.mask ?? 0}`);
  }

  /** Those of an xfrm interface; 0: those of none. */
  byIfId(ifId: number): TableEntry<Value>[] {
    return this.table.find('ifId', String(ifId));
  }
}

/** An index that {@link StatesView.indexBy} or {@link PoliciesView.indexBy} made. */
export class EntryIndex<Value extends object, Term> implements Disposable {
  readonly #table: Table<Value>;
  readonly #of: (value: Value) => Term | undefined;

  constructor(table: Table<Value>, of: (value: Value) => Term | undefined) {
    this.#table = table;
    // Once for each value: an entry must be found where it was put, whatever the function says later.
    const terms = new WeakMap<Value, { readonly term: Term | undefined }>();
    this.#of = (value) => {
      let known = terms.get(value);
      if (known === undefined) {
        known = { term: unlessThrown(() => of(value)) };
        terms.set(value, known);
      }
      return known.term;
    };
    // From now on, not from the first question on.
    this.#table.findBy(this.#of, undefined);
  }

  /** The entries of which the function gave this. Terms are compared as the keys of a Map are. */
  get(term: Term): TableEntry<Value>[] {
    return this.#table.findBy(this.#of, term);
  }

  /** Ends the index: no more is done for it. One that is asked again is made again. */
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

/** All SAs, larval ones included as of the last comparison. An id is made of destination, protocol, SPI and mark. */
export class StatesView extends View<XfrmState> {
  protected withId(id: string): StateEntry[] {
    return [this.table.get(id) ?? []].flat();
  }

  /**
   * The SAs of an SPI; of a destination and a protocol, if they are given: then more than one only where marks differ.
   *
   * @example
   * const [sa] = monitor.states.bySpi(0xc0de, { daddr: '192.0.2.2', proto: 'esp' });
   */
  bySpi(spi: number, { daddr, proto }: SpiOptions = {}): StateEntry[] {
    const address = daddr === undefined ? undefined : canonicalAddress(daddr);
    return this.table
      .find('spi', String(spi))
      .filter(
        ({ value }) =>
          (address === undefined || value.daddr === address) &&
          (proto === undefined || value.proto === proto),
      );
  }

  /** The SAs to an address: of packets to there, or from there if it is this host's. */
  byDestination(daddr: string): StateEntry[] {
    return this.table.find('destination', canonicalAddress(daddr));
  }

  protected listed(state: XfrmState): ListedObject {
    return { kind: 'state', state };
  }
}

/** Which SAs of an SPI. */
export interface SpiOptions {
  readonly daddr?: string | undefined;
  readonly proto?: IpsecProto | undefined;
}

/** All policies. An id is made of direction, selector and what else the kernel finds one by. */
export class PoliciesView extends View<XfrmPolicy> {
  protected withId(id: string): PolicyEntry[] {
    return this.table.find('id', id);
  }

  /** By the number that the kernel gave it. */
  byIndex(index: number): PolicyEntry | undefined {
    return this.table.get(String(index));
  }

  protected listed(policy: XfrmPolicy): ListedObject {
    return { kind: 'policy', policy };
  }
}

/** All that a monitor knew at one moment: plain data, nothing of it changes. */
export interface XfrmSnapshot {
  /** What the monitor was told to call itself. */
  readonly label: string | undefined;
  readonly states: readonly StateEntry[];
  readonly policies: readonly PolicyEntry[];
  /** Whether the tables were right, or being resynced. */
  readonly synced: boolean;
  /** When all counters were last read. */
  readonly countersReadAt: EventTime;
  /** The kernel's counters of packets that failed, read with the others; undefined if it has none. */
  readonly xfrmStat: XfrmStat | undefined;
}

/** What an SA carried between two snapshots. */
export interface StateRate {
  readonly id: string;
  readonly uid: string;
  /** The time between the two readings of its counters. */
  readonly seconds: number;
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
}

/**
 * The rates of the SAs that are in both snapshots, as the same incarnation, with counters read again
 * in between: every comparison reads them (`refreshInterval`, {@link XfrmMonitor.refresh}).
 */
export function stateRates(before: XfrmSnapshot, after: XfrmSnapshot): StateRate[] {
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
