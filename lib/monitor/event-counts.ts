/** How many events the kernel announced, by kind. @module */
import type { XfrmEvent } from '../xfrm/events.ts';

/** How many events of a kind came. */
export interface EventCount {
  /** `malformed`: messages that made no sense. */
  readonly kind: XfrmEvent['kind'] | 'malformed';
  /** Of `EXPIRE` and `POLEXPIRE`: which limit. The kernel gives no reason for other events. */
  readonly reason: 'soft' | 'hard' | undefined;
  readonly count: number;
}

type Counted = Pick<XfrmEvent, 'kind'> | { readonly kind: 'malformed' };

/** Counts events as they come. */
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

  /** Those that came, each in the order in which its first came. */
  get all(): EventCount[] {
    return Array.from(this.#counts.values(), (one) => ({ ...one }));
  }
}
