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
  /** Replaced, as most never change: an array that grows has room for sixteen more. */
  states: readonly StateMark[];
  rekeys: readonly number[];
  /** Its place in samples. */
  readonly place: number;
}

/** The totals of all tunnels at one time, in one array, not one for each tunnel. */
interface TrafficSample {
  readonly at: number;
  /** Bytes inbound and outbound, by place; NaN where there is none. */
  readonly totals: Float64Array;
}

export interface HistoryPart {
  readonly states: readonly StateMark[];
  readonly rekeys: readonly number[];
  readonly traffic: readonly (readonly [at: number, bytesIn: number, bytesOut: number])[];
}

/** The history of one namespace's tunnels, by their ids. */
export class History {
  readonly #tunnels = new Map<string, TunnelHistory>();
  /** Places of tunnels that were removed. */
  readonly #free: number[] = [];
  #places = 0;
  /** Oldest first. */
  readonly #samples: TrafficSample[] = [];
  #sampledAt = -Infinity;

  #of(id: string): TunnelHistory {
    let known = this.#tunnels.get(id);
    if (known === undefined) {
      known = { states: [], rekeys: [], place: this.#free.pop() ?? this.#places++ };
      this.#tunnels.set(id, known);
    }
    return known;
  }

  state(id: string, at: number, state: TunnelState, reason: string): void {
    const known = this.#of(id);
    if (known.states.at(-1)?.[1] === state) return;
    known.states = [...known.states, [at, state, reason] as const].slice(-MOST);
  }

  rekeyed(id: string, at: number): void {
    const known = this.#of(id);
    known.rekeys = [...known.rekeys, at].slice(-MOST);
  }

  remove(id: string): void {
    const known = this.#tunnels.get(id);
    if (known === undefined) return;
    this.#tunnels.delete(id);
    const { place } = known;
    for (const { totals } of this.#samples) totals.fill(Number.NaN, 2 * place, 2 * place + 2);
    this.#free.push(place);
  }

  /** Takes a sample of the traffic, if it is time for one. */
  sample(all: Iterable<TunnelSeries>, at: number): void {
    // A clock that was set back must not stop it.
    if (at - this.#sampledAt < STEP - 1000 && at >= this.#sampledAt) return;
    this.#sampledAt = at;
    const there: [number, TunnelSeries][] = [];
    for (const series of all) {
      const { tunnel, current } = series;
      if (tunnel && current) there.push([this.#of(tunnel.id).place, series]);
    }
    const totals = new Float64Array(2 * this.#places).fill(Number.NaN);
    for (const [place, { totals: own }] of there) {
      totals[2 * place] = own.sums[AT.bytesIn] as number;
      totals[2 * place + 1] = own.sums[AT.bytesOut] as number;
    }
    this.#samples.push({ at, totals });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  get ids(): Iterable<string> {
    return this.#tunnels.keys();
  }

  /** What is known since a time. The last state before it is included: it still held. */
  since(id: string, since: number): HistoryPart | undefined {
    const known = this.#tunnels.get(id);
    if (known === undefined) return undefined;
    const { states, rekeys, place } = known;
    const first = states.findLastIndex(([at]) => at <= since);
    const samples: [number, number, number][] = [];
    for (const { at, totals } of this.#samples) {
      const bytesIn = totals[2 * place] ?? Number.NaN;
      const bytesOut = totals[2 * place + 1] ?? Number.NaN;
      if (at >= since && !Number.isNaN(bytesIn)) samples.push([at, bytesIn, bytesOut]);
    }
    return {
      states: states.slice(Math.max(0, first)),
      rekeys: rekeys.filter((at) => at >= since),
      traffic: samples,
    };
  }
}
