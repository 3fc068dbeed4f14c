/**
 * What a stream of events amounted to.
 * @module
 */
import type { SocketStatus, SubscriptionEvent } from '../monitor/subscribe.ts';
import type { TunnelChange } from '../tunnel/changes.ts';

/** Numbers of events, most frequent kinds first, and what the sockets counted. */
export interface Totals {
  readonly events: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly overruns: number;
  /** Datagrams that were not the kernel's; where tunnels alone are told of, it is not counted. */
  readonly rejected?: number;
}

/** Counts events as they come. */
export class Summary {
  readonly #kinds = new Map<string, { count: number }>();
  #overruns = 0;

  add(event: SubscriptionEvent): void {
    this.#count(event.kind === 'rtnetlink' ? (event.name ?? event.kind) : event.kind);
  }

  /** Of what a monitor of tunnels told. What it tells of itself is no event. */
  addChange(change: TunnelChange['kind']): void {
    if (change === 'overrun') this.#overruns++;
    else if (change !== 'repaired' && change !== 'refreshed') this.#count(change);
  }

  #count(name: string): void {
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
      overruns: this.#overruns + sum('overruns'),
      ...(sockets.length === 0 ? {} : { rejected: sum('rejected') }),
    };
  }

  /** One paragraph of text. */
  format(sockets: readonly SocketStatus[]): string {
    const { events, kinds, overruns, rejected = 0 } = this.totals(sockets);
    const list = Object.entries(kinds).map(([kind, count]) => `${kind} ${count}`);
    const lost =
      overruns === 0
        ? 'nothing lost'
        : `events lost in ${overruns} overrun${overruns === 1 ? '' : 's'} (a larger --buffer helps)`;
    const forged = rejected === 0 ? '' : `, ${rejected} not from the kernel refused`;
    return `${events} event${events === 1 ? '' : 's'}${list.length ? ` (${list.join(', ')})` : ''}, ${lost}${forged}`;
  }
}
