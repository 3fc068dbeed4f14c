/** The tables of a monitor for its users: live, read-only, found by what people know. @module */
import type { EventTime } from '../netlink/event.ts';
import { canonicalAddress } from '../wire/address.ts';
import type { IpsecProto } from '../xfrm/names.ts';
import type { XfrmPolicy, XfrmState } from '../xfrm/objects.ts';
import type { XfrmMark } from '../xfrm/types.ts';
import type { Table, TableEntry } from './table.ts';
import { location } from './xfrm-objects.ts';
import type { XfrmStat } from './xfrm-stat.ts';

export type StateEntry = TableEntry<XfrmState>;
export type PolicyEntry = TableEntry<XfrmPolicy>;

/** What both tables can do. Entries are replaced, never changed. Addresses may be spelt in any way. */
class View<Value> implements Iterable<TableEntry<Value>> {
  protected readonly table: Table<Value>;

  constructor(table: Table<Value>) {
    this.table = table;
  }

  get size(): number {
    return this.table.size;
  }

  [Symbol.iterator](): Iterator<TableEntry<Value>> {
    return this.table[Symbol.iterator]();
  }

  /** Those between two tunnel ends, in this direction; for policies, the ends of their template. */
  byPeers(saddr: string, daddr: string): TableEntry<Value>[] {
    return this.table.find('peers', `${canonicalAddress(saddr)} ${canonicalAddress(daddr)}`);
  }

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

/** All SAs, larval ones included as of the last comparison. */
export class StatesView extends View<XfrmState> {
  /** By its id, which is made of destination, protocol, SPI and mark. */
  get(id: string): StateEntry | undefined {
    return this.table.get(id);
  }

  /** The SAs of a destination, protocol and SPI: more than one only where marks differ. */
  bySpi(daddr: string, spi: number, proto: IpsecProto = 'esp'): StateEntry[] {
    const sought = { daddr: canonicalAddress(daddr), spi, proto, saddr: '' };
    return this.table.find('location', location(sought));
  }
}

/** All policies. */
export class PoliciesView extends View<XfrmPolicy> {
  /**
   * By its id, which is made of direction, selector and what else the kernel finds it by. Between `overrun` and `repaired`
   * there may be two, of which one is gone: this is the later one.
   */
  get(id: string): PolicyEntry | undefined {
    return this.table.find('id', id).at(-1);
  }

  /** By the number that the kernel gave it. */
  byIndex(index: number): PolicyEntry | undefined {
    return this.table.get(String(index));
  }
}

/** All that a monitor knew at one moment: plain data, nothing of it changes. */
export interface XfrmSnapshot {
  /** What the monitor was told to call itself. */
  readonly label: string | undefined;
  readonly states: readonly StateEntry[];
  readonly policies: readonly PolicyEntry[];
  /** Whether the tables were right, or being repaired. */
  readonly synced: boolean;
  /** When all counters were last read. */
  readonly counted: EventTime;
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
  return after.states.flatMap(({ id, uid, value: { current }, counted }) => {
    const then = earlier.get(uid);
    const seconds = then ? (counted.monotonic - then.counted.monotonic) / 1000 : 0;
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
