/** How many events the kernel announced, by kind. @module */
import type { XfrmEvent } from '../xfrm/events.ts';

/** How many events of a kind were received. */
export interface EventCount {
  /** `malformed`: messages that could not be decoded. */
  readonly kind: XfrmEvent['kind'] | 'malformed';
  /** Which limit `EXPIRE` and `POLEXPIRE` report. The kernel gives no reason for other events. */
  readonly reason: 'soft' | 'hard' | undefined;
  readonly count: number;
}

type Counted = Pick<XfrmEvent, 'kind'> | { readonly kind: 'malformed' };

/** Counts events as they arrive. */
export class EventCounts {
  readonly #counts = new Map<string, { -readonly [Key in keyof EventCount]: EventCount[Key] }>();

  add(event: Counted): void {
    const { kind } = event;
    const reason = 'hard' in event ? (event.hard ? 'hard' : 'soft') : undefined;
    const key = reason === undefined ? kind : `${kind} ${reason}`;
    const known = this.#counts.get(key);
    if (known) known.count++;
    else this.#counts.set(key, { kind, reason, count: 1 });
  }

  /** The counts, in order of first occurrence. */
  get all(): EventCount[] {
    return Array.from(this.#counts.values(), (one) => ({ ...one }));
  }
}
