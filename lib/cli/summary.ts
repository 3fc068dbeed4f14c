/**
 * What a stream of events amounted to.
 * @module
 */
import type { SocketStatus, SubscriptionEvent } from '../monitor/subscribe.ts';

/** Numbers of events, most frequent kinds first, and what the sockets counted. */
export interface Totals {
  readonly events: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly overruns: number;
  readonly rejected: number;
}

/** Counts events as they come. */
export class Summary {
  readonly #kinds = new Map<string, { count: number }>();

  add(event: SubscriptionEvent): void {
    const name = event.kind === 'rtnetlink' ? (event.name ?? event.kind) : event.kind;
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
      overruns: sum('overruns'),
      rejected: sum('rejected'),
    };
  }

  /** One paragraph of text. */
  format(sockets: readonly SocketStatus[]): string {
    const { events, kinds, overruns, rejected } = this.totals(sockets);
    const list = Object.entries(kinds).map(([kind, count]) => `${kind} ${count}`);
    const lost =
      overruns === 0
        ? 'nothing lost'
        : `events lost in ${overruns} overrun${overruns === 1 ? '' : 's'} (a larger --buffer helps)`;
    const forged = rejected === 0 ? '' : `, ${rejected} not from the kernel refused`;
    return `${events} event${events === 1 ? '' : 's'}${list.length ? ` (${list.join(', ')})` : ''}, ${lost}${forged}`;
  }
}
