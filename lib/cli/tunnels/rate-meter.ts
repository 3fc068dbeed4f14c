/**
 * Throughput of tunnels, from two readings of their counters.
 * @module
 */

import type { PerDirection } from '../../tunnel/tunnel.ts';
import type { TunnelSnapshot } from '../../tunnel/tunnel-changes.ts';

/** Bytes per second. */
export type TunnelRates = PerDirection<number>;

/** Compares each reading of the counters with the previous one. */
export class RateMeter {
  #at: number | undefined;
  #bytes = new Map<string, PerDirection<bigint>>();
  #rates = new Map<string, TunnelRates>();

  /** Takes the counters of a snapshot, if they are new. */
  update({ countersReadAt, tunnels }: Pick<TunnelSnapshot, 'countersReadAt' | 'tunnels'>): void {
    const at = countersReadAt.monotonic;
    if (this.#at !== undefined && at <= this.#at) return;
    const seconds = (at - (this.#at ?? at)) / 1000;
    const bytes = new Map<string, PerDirection<bigint>>();
    const rates = new Map<string, TunnelRates>();
    for (const { id, traffic } of tunnels) {
      const now = { in: traffic.in.bytes, out: traffic.out.bytes };
      const then = this.#bytes.get(id);
      bytes.set(id, now);
      // A tunnel that was removed and reappeared starts counting anew.
      const rate = (direction: 'in' | 'out') =>
        Math.max(0, Number(now[direction] - (then?.[direction] ?? now[direction])) / seconds);
      if (then !== undefined) rates.set(id, { in: rate('in'), out: rate('out') });
    }
    this.#at = at;
    this.#bytes = bytes;
    this.#rates = rates;
  }

  /** undefined until the counters of a tunnel have been read twice. */
  of(id: string): TunnelRates | undefined {
    return this.#rates.get(id);
  }
}
