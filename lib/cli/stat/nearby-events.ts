/**
 * The events next to a counter's move in time. That they are close does not prove that one caused
 * the other.
 * @module
 */
import { EVENT_KINDS } from '../../monitor/filter-input.ts';
import type { SubscriptionEvent } from '../../monitor/subscribe.ts';
import type { XfrmStatCounter } from '../../monitor/xfrm-stat-counters.ts';
import type { SocketOwner } from '../../socket/index.ts';

/** Milliseconds before a reading in which an event still counts as next to what follows. */
export const NEAR = 1000;

/** A span between two readings, of performance.now(). */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The last event of a kind next to a move. */
export interface NearbyEvent {
  readonly event: SubscriptionEvent;
  /** How many of its kind there were. */
  readonly count: number;
  /** The most milliseconds that can lie between it and the move. */
  readonly within: number;
  /** Undefined if the event names no requester, null if no process is visible. */
  readonly claimed: SocketOwner | null | undefined;
}

interface Kept {
  readonly event: SubscriptionEvent;
  readonly claimed: Promise<SocketOwner | null> | undefined;
}

/** Events of one kind that one reading of counters can still be next to. */
interface OfKind {
  /** Their times, the oldest first. */
  readonly times: number[];
  last: Kept;
}

/** Keeps of each kind the last event, and the times of the others, for as long as they are near. */
export class NearbyEvents {
  readonly #kinds = new Map<string, OfKind>();

  /** @param claimed who requested it, if the event says so */
  add(event: SubscriptionEvent, claimed: Promise<SocketOwner | null> | undefined): void {
    const last = { event, claimed };
    const before = this.#kinds.get(event.kind);
    if (before) {
      before.last = last;
      before.times.push(event.time.monotonic);
    } else this.#kinds.set(event.kind, { last, times: [event.time.monotonic] });
  }

  /** Forgets what is not next to anything that happens after this time. */
  forget(now: number): void {
    for (const [kind, { times, last }] of this.#kinds) {
      if (last.event.time.monotonic < now - NEAR) this.#kinds.delete(kind);
      else
        times.splice(
          0,
          times.findIndex((time) => time >= now - NEAR),
        );
    }
  }

  /** The events next to a move of a counter within a span, the last first. */
  async near({ from, to }: Span, about: XfrmStatCounter['about']): Promise<NearbyEvent[]> {
    const found = [...this.#kinds.values()].flatMap(({ last: { event, claimed }, times }) => {
      const at = event.time.monotonic;
      if (at < from - NEAR || !concerns(event, about)) return [];
      const count = times.filter((time) => time >= from - NEAR).length;
      return [{ event, count, claimed, within: Math.max(to - at, at - from) }];
    });
    found.sort((a, b) => b.event.time.monotonic - a.event.time.monotonic);
    return Promise.all(found.map(async (one) => ({ ...one, claimed: await one.claimed })));
  }
}

/** Whether an event can have to do with a counter about SAs or policies; a loss with any. */
function concerns(event: SubscriptionEvent, about: XfrmStatCounter['about']): boolean {
  if (event.kind === 'overrun') return true;
  if (event.protocol !== 'xfrm' || event.kind === 'malformed') return false;
  const of = EVENT_KINDS[event.kind];
  return about === 'both' || of === 'both' || of === about;
}
