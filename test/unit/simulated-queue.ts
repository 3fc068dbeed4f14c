/**
 * The receive queue of a listener, as net/netlink/af_netlink.c of 7.3 keeps it, one step at a time: between the
 * steps the listener may run.
 * @module
 */
import type { Random } from './random.ts';

export class SimulatedQueue<Event> {
  readonly #random: Random;
  readonly #capacity: number;
  readonly #events: Event[] = [];
  #congested = false;
  #error = false;
  #drops = 0;
  /** What is left to do of the request under way: whoever makes the next one waits for it. */
  readonly #request: (() => void)[] = [];
  /** The same of timers, which wait for nobody. */
  readonly #timers: (() => void)[] = [];

  /** @param capacity how many events find room */
  constructor(random: Random, capacity: number) {
    this.#random = random;
    this.#capacity = capacity;
  }

  /** As recvmmsg: at most `most` events, or the error that stands before them. */
  read(most: number): Event[] | 'ENOBUFS' {
    if (this.#error) {
      this.#error = false;
      return 'ENOBUFS';
    }
    const events = this.#events.splice(0, most);
    if (events.length > 0 && this.#events.length === 0) this.#congested = false;
    return events;
  }

  /** SO_MEMINFO. */
  get queue(): { readonly bytes: number; readonly drops: number } {
    return { bytes: this.#events.length, drops: this.#drops };
  }

  /** NETLINK_NO_ENOBUFS on and off. */
  clearCongestion(): void {
    this.#congested = false;
  }

  /** Whether there is something to read, if only the error. */
  get waiting(): boolean {
    return this.#error || this.#events.length > 0;
  }

  /** Whether a step is left to do. */
  get late(): boolean {
    return this.#request.length > 0 || this.#timers.length > 0;
  }

  /** A request tells of what it has done: now, or a step later. */
  push(event: Event): void {
    this.#soon(this.#request, () => this.#deliver(event, this.#request));
  }

  pushByTimer(event: Event): void {
    this.#deliver(event, this.#timers);
  }

  /** No memory for one listener's copy: nothing is queued, and the socket is congested. */
  cloneFails(): void {
    this.#overrun(this.#timers);
  }

  /** A step of the request under way. @returns whether there was one */
  finishSome(): boolean {
    const step = this.#request.shift();
    step?.();
    return step !== undefined;
  }

  /** The request under way is done with. */
  finish(): void {
    while (this.finishSome());
  }

  /** A step of a timer. */
  timer(): void {
    this.#timers.shift()?.();
  }

  /** Nothing is left to do. */
  settle(): void {
    this.finish();
    while (this.#timers.length > 0) this.timer();
  }

  #deliver(event: Event, later: (() => void)[]): void {
    if (this.#congested || this.#events.length >= this.#capacity) this.#overrun(later);
    else this.#events.push(event);
  }

  /** The error is set, and the listener woken, before the drop is counted (netlink_overrun). */
  #overrun(later: (() => void)[]): void {
    if (!this.#congested) this.#error = true;
    this.#congested = true;
    this.#soon(later, () => {
      this.#drops++;
    });
  }

  #soon(later: (() => void)[], step: () => void): void {
    if (later.length > 0 || this.#random.chance(1, 3)) later.push(step);
    else step();
  }
}
