/** Counters of a tunnel that never go back. @module */
import type { StateEntry } from '../monitor/xfrm-views.ts';
import type { TrafficDirection, Tunnel } from '../tunnel/tunnel.ts';
import type { TunnelDownReason } from '../tunnel/tunnel-changes.ts';

/** The counters that a tunnel shows, each with how to read it. */
const READ = {
  bytesOut: ({ traffic }: Tunnel) => Number(traffic.out.bytes),
  bytesIn: ({ traffic }: Tunnel) => Number(traffic.in.bytes),
  packetsOut: ({ traffic }: Tunnel) => Number(traffic.out.packets),
  packetsIn: ({ traffic }: Tunnel) => Number(traffic.in.packets),
  integrity: ({ refused }: Tunnel) => Number(refused.integrity),
  replay: ({ refused }: Tunnel) => Number(refused.replay),
  replayWindow: ({ refused }: Tunnel) => Number(refused.replayWindow),
  rekeys: ({ rekeys }: Tunnel) => rekeys,
  unreplaced: ({ unreplaced }: Tunnel) => unreplaced,
  acquires: ({ acquires }: Tunnel) => acquires,
  natMappings: ({ natMappings }: Tunnel) => natMappings,
};

export type CounterName = keyof typeof READ;
export const COUNTERS = Object.keys(READ) as CounterName[];
const READERS = Object.values(READ);
/** The place of each counter. */
export const AT = Object.fromEntries(COUNTERS.map((name, at) => [name, at])) as Readonly<
  Record<CounterName, number>
>;

/** The causes of a `down`, in the order in which they are counted. */
export const CAUSES = Object.keys({
  deleted: true,
  flushed: true,
  'policy-gone': true,
  expired: true,
  'address-gone': true,
  'link-gone': true,
  migrated: true,
  'found-missing': true,
  unknown: true,
} satisfies Record<TunnelDownReason['kind'], true>) as readonly TunnelDownReason['kind'][];

/** What one SA had counted when it was last read. */
export interface SaCounts {
  /** Its id and the time when it was added: the same only for the same SA. */
  readonly sa: string;
  readonly bytes: number;
  readonly packets: number;
  readonly integrity: number;
  readonly replay: number;
  readonly replayWindow: number;
}

/** An SA's counters, to find out later what was added since. */
export function countsOf({ id, value }: StateEntry): SaCounts {
  const { current, stats } = value;
  return {
    sa: `${id} @${current.addedAt}`,
    bytes: Number(current.bytes),
    packets: Number(current.packets),
    integrity: stats.integrityFailed,
    replay: stats.replay,
    replayWindow: stats.replayWindow,
  };
}

const zeros = (count: number): number[] => new Array<number>(count).fill(0);
const NO_DOWNS: readonly number[] = zeros(CAUSES.length);

/**
 * Sums of what a tunnel's counters gained. A monitor's own totals can step back: when an SA that
 * serves several tunnels stops to serve one, or the protocol that counts changes; and they begin
 * again with each monitor. Here a step back adds nothing, and what follows counts from there.
 */
export class TunnelTotals {
  // Arrays of numbers take half of what a Float64Array of so few takes.
  /** In the order of {@link COUNTERS}. */
  readonly sums: number[] = zeros(READERS.length);
  /** In the order of {@link CAUSES}. */
  downs: readonly number[] = NO_DOWNS;
  /** As last read. */
  readonly #read: number[] = zeros(READERS.length);

  /** Adds what was gained since it was last called. */
  add(tunnel: Tunnel): void {
    const [sums, read] = [this.sums, this.#read];
    for (let i = 0; i < READERS.length; i++) {
      const value = (READERS[i] as (tunnel: Tunnel) => number)(tunnel);
      const gained = value - (read[i] as number);
      if (gained > 0) sums[i] = (sums[i] as number) + gained;
      read[i] = value;
    }
  }

  /** Begins to count now: what its SAs have counted so far is not included. */
  begin(tunnel: Tunnel): void {
    READERS.forEach((read, i) => {
      this.#read[i] = read(tunnel);
    });
  }

  /** Sets everything to 0. */
  reset(): void {
    this.sums.fill(0);
    this.downs = NO_DOWNS;
  }

  down(cause: TunnelDownReason['kind']): void {
    this.downs = this.downs.map((count, at) => count + (CAUSES[at] === cause ? 1 : 0));
  }

  /**
   * Another monitor, or another tunnel, begins to count under this name. What its SAs had counted
   * when they were last read here is not added again.
   *
   * @param mayGoBack whether more was counted and exported than is known here. What is known is
   *   then no total to go on with if an SA is gone: the counters begin again.
   * @returns how many of `last` are gone: what they counted after that is not known
   */
  restart(tunnel: Tunnel, last: ReadonlyMap<string, SaCounts>, mayGoBack: boolean): number {
    const read = this.#read;
    read.fill(0);
    let found = 0;
    const add = (name: CounterName, value: number) => {
      read[AT[name]] = (read[AT[name]] as number) + value;
    };
    const take = (direction: TrafficDirection) => {
      for (const entry of tunnel.sas[direction]) {
        const counts = last.get(`${entry.id} @${entry.value.current.addedAt}`);
        if (counts === undefined) continue;
        found++;
        add('integrity', counts.integrity);
        add('replay', counts.replay);
        add('replayWindow', counts.replayWindow);
        if (entry.value.proto !== tunnel.protocol) continue;
        add(direction === 'out' ? 'bytesOut' : 'bytesIn', counts.bytes);
        add(direction === 'out' ? 'packetsOut' : 'packetsIn', counts.packets);
      }
    };
    take('out');
    take('in');
    const gone = last.size - found;
    if (gone > 0 && mayGoBack) this.reset();
    this.add(tunnel);
    return gone;
  }

  /** Adds what another one has gained, for a sum of several. */
  include({ sums, downs }: Readonly<Record<'sums' | 'downs', readonly number[]>>): void {
    sums.forEach((value, i) => {
      this.sums[i] = (this.sums[i] as number) + value;
    });
    if (downs.some((count) => count > 0)) {
      this.downs = this.downs.map((count, i) => count + (downs[i] ?? 0));
    }
  }
}
