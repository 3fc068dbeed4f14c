/** What happened to each tunnel in the last hour: states, rekeys and traffic, in bounded rings. @module */
import type { TunnelSeries } from '../metrics/tunnel-series.ts';
import { AT } from '../metrics/tunnel-totals.ts';
import type { TunnelState } from '../tunnel/tunnel.ts';

/** Milliseconds between two samples of traffic. */
export const STEP = 30_000;
/** Samples kept: an hour. */
const SAMPLES = 120;
/** States, and rekeys, kept for a tunnel. */
const MOST = 64;

export type StateMark = readonly [at: number, state: TunnelState, reason: string];

/** One tunnel's history. */
interface TunnelHistory {
  readonly states: StateMark[];
  readonly rekeys: number[];
  /** Totals of bytes, inbound and outbound, by sample; NaN where there is none. */
  readonly traffic: Float64Array;
}

export interface HistoryPart {
  readonly states: readonly StateMark[];
  readonly rekeys: readonly number[];
  readonly traffic: readonly (readonly [at: number, bytesIn: number, bytesOut: number])[];
}

/** The history of one namespace's tunnels, by their ids. */
export class History {
  readonly #tunnels = new Map<string, TunnelHistory>();
  /** The times of the samples, which all tunnels share; NaN where there is none yet. */
  readonly #times = new Float64Array(SAMPLES).fill(Number.NaN);
  #next = 0;
  #sampledAt = -Infinity;

  #of(id: string): TunnelHistory {
    let known = this.#tunnels.get(id);
    if (known === undefined) {
      known = { states: [], rekeys: [], traffic: new Float64Array(2 * SAMPLES).fill(Number.NaN) };
      this.#tunnels.set(id, known);
    }
    return known;
  }

  state(id: string, at: number, state: TunnelState, reason: string): void {
    const { states } = this.#of(id);
    if (states.at(-1)?.[1] === state) return;
    states.push([at, state, reason]);
    if (states.length > MOST) states.shift();
  }

  rekeyed(id: string, at: number): void {
    const { rekeys } = this.#of(id);
    rekeys.push(at);
    if (rekeys.length > MOST) rekeys.shift();
  }

  remove(id: string): void {
    this.#tunnels.delete(id);
  }

  /** Takes a sample of the traffic, if it is time for one. */
  sample(all: Iterable<TunnelSeries>, at: number): void {
    // A clock that was set back must not stop it.
    if (at - this.#sampledAt < STEP - 1000 && at >= this.#sampledAt) return;
    this.#sampledAt = at;
    const slot = this.#next;
    this.#next = (slot + 1) % SAMPLES;
    this.#times[slot] = at;
    for (const { traffic } of this.#tunnels.values())
      traffic.fill(Number.NaN, 2 * slot, 2 * slot + 2);
    for (const { tunnel, totals, current } of all) {
      if (tunnel === undefined || !current) continue;
      const { traffic } = this.#of(tunnel.id);
      traffic[2 * slot] = totals.sums[AT.bytesIn] as number;
      traffic[2 * slot + 1] = totals.sums[AT.bytesOut] as number;
    }
  }

  get ids(): Iterable<string> {
    return this.#tunnels.keys();
  }

  /** What is known since a time. The last state before it is included: it still held. */
  since(id: string, since: number): HistoryPart | undefined {
    const known = this.#tunnels.get(id);
    if (known === undefined) return undefined;
    const { states, rekeys, traffic } = known;
    const first = states.findLastIndex(([at]) => at <= since);
    const samples: [number, number, number][] = [];
    for (let i = 0; i < SAMPLES; i++) {
      const slot = (this.#next + i) % SAMPLES;
      const [at, bytesIn, bytesOut] = [this.#times[slot], traffic[2 * slot], traffic[2 * slot + 1]];
      if (at === undefined || bytesIn === undefined || bytesOut === undefined) continue;
      if (at >= since && !Number.isNaN(bytesIn)) samples.push([at, bytesIn, bytesOut]);
    }
    return {
      states: states.slice(Math.max(0, first)),
      rekeys: rekeys.filter((at) => at >= since),
      traffic: samples,
    };
  }
}
