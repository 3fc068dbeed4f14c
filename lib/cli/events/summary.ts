/**
 * Summary of a stream of events.
 * @module
 */
import type { SocketStatus, SubscriptionEvent } from '../../monitor/subscribe.ts';
import type { TunnelChange } from '../../tunnel/tunnel-changes.ts';

/** Event counts, most frequent kinds first, and socket counters. */
export interface Totals {
  readonly events: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly overruns: number;
  /** Datagrams not sent by the kernel; absent if only tunnels are shown, where they are not counted. */
  readonly rejected?: number;
}

/** Changes by which a monitor reports its own state. */
const OF_THE_MONITOR = new Set<TunnelChange['kind']>(['resynced', 'refreshed', 'namespace-gone']);

/** Counts events as they are received. */
export class Summary {
  readonly #kinds = new Map<string, { count: number }>();
  #overruns = 0;
  #tooSlow = 0;

  add(event: SubscriptionEvent): void {
    this.count(event.kind === 'rtnetlink' ? (event.name ?? event.kind) : event.kind);
  }

  /** Counts a change from a tunnel monitor. Reports of its own state are not counted as events. */
  addChange(change: TunnelChange): void {
    const { kind } = change;
    if (kind === 'overrun') {
      if (change.slowConsumer) this.#tooSlow++;
      else this.#overruns++;
    } else if (!OF_THE_MONITOR.has(kind)) this.count(kind);
  }

  /** Counts an event of the given kind. */
  count(name: string): void {
    const known = this.#kinds.get(name);
    if (known) known.count++;
    else this.#kinds.set(name, { count: 1 });
  }

  totals(sockets: readonly SocketStatus[]): Totals {
    const sum = (of: 'overruns' | 'rejected') => sockets.reduce((all, one) => all + one[of], 0);
    const kinds = [...this.#kinds].flatMap(([kind, { count }]): [string, number][] =>
      kind === 'overrun' ? [] : [[kind, count]],
    );
    return {
      events: kinds.reduce((all, [, count]) => all + count, 0),
      kinds: Object.fromEntries(kinds.sort((a, b) => b[1] - a[1])),
      overruns: this.#overruns + this.#tooSlow + sum('overruns'),
      ...(sockets.length === 0 ? {} : { rejected: sum('rejected') }),
    };
  }

  /** The summary as a paragraph of text. */
  format(sockets: readonly SocketStatus[]): string {
    const { events, kinds, overruns, rejected = 0 } = this.totals(sockets);
    const list = Object.entries(kinds).map(([kind, count]) => `${kind} ${count}`);
    const inOverruns = (what: string, count: number, advice: string) =>
      count === 0 ? [] : [`${what} lost in ${count} overrun${count === 1 ? '' : 's'} (${advice})`];
    const losses = [
      ...inOverruns('events', overruns - this.#tooSlow, 'use a larger --buffer'),
      ...inOverruns('changes', this.#tooSlow, 'the output was not read fast enough'),
    ];
    const lost = losses.join(', ') || 'nothing lost';
    const forged = rejected === 0 ? '' : `, ${rejected} rejected as not from the kernel`;
    return `${events} event${events === 1 ? '' : 's'}${list.length ? ` (${list.join(', ')})` : ''}, ${lost}${forged}`;
  }
}
