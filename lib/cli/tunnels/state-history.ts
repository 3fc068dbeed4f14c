/**
 * The states of tunnels over time, from their changes.
 * @module
 */
import pc from 'picocolors';
import type { EventTime } from '../../netlink/event.ts';
import { isUpState, type Tunnel, type TunnelState } from '../../tunnel/tunnel.ts';
import type { TunnelChange } from '../../tunnel/tunnel-changes.ts';
import { printable } from '../../wire/text.ts';
import type { Colors } from '../terminal/colors.ts';
import { describeChange } from './change-text.ts';
import { seconds, titleOf } from './tunnel-text.ts';

/** A time in which a state lasted. Times are {@link StateHistory.wallOf}. */
export interface StateSpan {
  readonly from: number;
  to: number;
  readonly state: TunnelState;
  /** Why, in words. */
  readonly reason: string;
}

/** Something that happened at one moment. */
export interface Mark {
  readonly at: number;
  readonly kind: 'rekeyed' | 'warning';
  readonly text: string;
}

export interface TunnelHistory {
  tunnel: Tunnel;
  readonly spans: StateSpan[];
  readonly marks: Mark[];
}

/** A time in which events are missing. */
export interface Gap {
  readonly from: number;
  to: number;
}

export class StateHistory {
  readonly tunnels = new Map<string, TunnelHistory>();
  readonly gaps: Gap[] = [];
  readonly #from: EventTime;
  readonly #wasSetBack: boolean;
  #gap: Gap | undefined;

  /**
   * @param existing tunnels at the beginning
   * @param wasSetBack whether the wall clock was set back: the monotonic clock then says what passed
   */
  constructor(existing: readonly Tunnel[], from: EventTime, wasSetBack: boolean) {
    this.#from = from;
    this.#wasSetBack = wasSetBack;
    for (const one of existing) this.#state(one, from.wall);
  }

  /** The wall clock, in ms since 1970; if it was set back, what it would show without. */
  wallOf({ wall, monotonic }: EventTime): number {
    const { wall: began, monotonic: since } = this.#from;
    return this.#wasSetBack ? began + monotonic - since : wall;
  }

  /** @param isWanted whether its tunnel is to be shown */
  add(change: TunnelChange, isWanted: boolean): void {
    const wall = this.wallOf(change.time);
    if (change.kind === 'overrun' && !change.slowConsumer) {
      this.#gap ??= { from: wall, to: wall };
      if (!this.gaps.includes(this.#gap)) this.gaps.push(this.#gap);
    } else if (change.kind === 'resynced') {
      if (this.#gap) this.#gap.to = wall;
      this.#gap = undefined;
    }
    if (!isWanted || !('tunnel' in change) || change.tunnel === undefined) return;
    const { tunnel } = change;
    if (change.kind === 'removed') {
      this.#end(tunnel.id, wall);
      return;
    }
    const history = this.#state(tunnel, wall);
    if (change.kind === 'rekeyed' || (change.kind === 'warning' && change.raised)) {
      const text = describeChange(change, PLAIN);
      history.marks.push({ at: wall, kind: change.kind, text });
    }
  }

  /** Ends it. */
  end(time: EventTime): void {
    const wall = this.wallOf(time);
    for (const id of this.tunnels.keys()) this.#end(id, wall);
    if (this.#gap) this.#gap.to = wall;
  }

  /** One line for each tunnel: how long it was up, and what happened. */
  lines(colors: Colors): string[] {
    return [...this.tunnels.values()].map(({ tunnel, spans, marks }) => {
      let [up, all, downs, longest] = [0, 0, 0, 0];
      let isDown = false;
      let lasted = 0;
      for (const { from, to, state } of spans) {
        const length = Math.max(0, to - from);
        all += length;
        if (isUpState(state)) {
          up += length;
          isDown = false;
          lasted = 0;
        } else {
          if (!isDown) downs++;
          isDown = true;
          lasted += length;
          longest = Math.max(longest, lasted);
        }
      }
      const share = all === 0 ? '' : ` (${((up / all) * 100).toFixed(up === all ? 0 : 2)} %)`;
      const rekeys = marks.filter(({ kind }) => kind === 'rekeyed').length;
      const warnings = marks.length - rekeys;
      return [
        `${titleOf(tunnel, colors)}: up ${seconds(up)} of ${seconds(all)}${share}`,
        `rekeyed ${rekeys} times`,
        downs === 0 ? 'never down' : `down ${downs} times, ${seconds(longest)} at most`,
        `${warnings} warnings`,
      ].join(', ');
    });
  }

  #state(tunnel: Tunnel, wall: number): TunnelHistory {
    let history = this.tunnels.get(tunnel.id);
    if (history === undefined) {
      history = { tunnel, spans: [], marks: [] };
      this.tunnels.set(tunnel.id, history);
    }
    history.tunnel = tunnel;
    const { spans } = history;
    const last = spans.at(-1);
    const isSame = last?.to === Number.POSITIVE_INFINITY && last.state === tunnel.state;
    if (isSame) return history;
    this.#end(tunnel.id, wall);
    const { state, reason } = tunnel;
    spans.push({ from: wall, to: Number.POSITIVE_INFINITY, state, reason: printable(reason) });
    return history;
  }

  #end(id: string, wall: number): void {
    const last = this.tunnels.get(id)?.spans.at(-1);
    if (last?.to === Number.POSITIVE_INFINITY) last.to = Math.max(last.from, wall);
  }
}

const PLAIN = pc.createColors(false);
