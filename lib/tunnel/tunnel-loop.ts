/** A loop over changes of tunnels. @module */
import type { Loop } from '../monitor/event-hub.ts';
import { EventQueue } from '../monitor/event-queue.ts';
import type { EventTime } from '../netlink/event.ts';
import type { TunnelChange, TunnelSnapshot, TunnelsSynced } from './tunnel-changes.ts';

/**
 * A loop over changes. One that is too slow misses changes, gets an `overrun`, and restarts.
 * Thousands of changes can arrive in one turn of the event loop, in which no reader runs: a loop is
 * slow only if it is still behind after that turn.
 */
export class TunnelLoop implements Loop<TunnelChange> {
  readonly queue: EventQueue<TunnelChange | TunnelsSynced>;
  readonly #snapshot: () => TunnelSnapshot;
  #slow = false;
  #overruns = 0;
  #turn: NodeJS.Immediate | undefined;
  #missed: EventTime | undefined;

  constructor(highWaterMark: number, snapshot: () => TunnelSnapshot, left: () => void) {
    this.#snapshot = snapshot;
    const changed = () => {
      clearImmediate(this.#turn);
      this.#slow = false;
      if (this.queue.full) this.#turn = setImmediate(() => (this.#slow = true));
      else this.#catchUp();
    };
    this.queue = new EventQueue<TunnelChange | TunnelsSynced>(highWaterMark, { changed, left });
    this.queue.push({ kind: 'synced', snapshot: snapshot() });
  }

  push(change: TunnelChange): void {
    if (this.#slow) this.#missed ??= change.time;
    else this.queue.push(change);
  }

  end(error: unknown): void {
    this.#catchUp();
    this.queue.end(error);
  }

  #catchUp(): void {
    if (this.#missed === undefined) return;
    const time = this.#missed;
    this.#missed = undefined;
    const count = ++this.#overruns;
    const overrun = { code: 'SLOW_CONSUMER', count, slowConsumer: true, time };
    this.queue.push({ kind: 'overrun', protocol: 'xfrm', ...overrun });
    this.queue.push({ kind: 'synced', snapshot: this.#snapshot() });
  }
}
