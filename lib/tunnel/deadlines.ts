/** Deadlines by owner, the earliest first. @module */

interface Moment<Owner> {
  readonly at: number;
  readonly owner: Owner;
}

/** A binary heap of times. An owner has at most one; setting another replaces it. */
export class Deadlines<Owner extends object> {
  #heap: Moment<Owner>[] = [];
  readonly #current = new Map<Owner, number>();

  /** The earliest time; Infinity if there is none. */
  get next(): number {
    for (let top = this.#heap[0]; top; top = this.#heap[0]) {
      if (this.#current.get(top.owner) === top.at) return top.at;
      this.#pop();
    }
    return Number.POSITIVE_INFINITY;
  }

  /** @param at Infinity for never */
  set(owner: Owner, at: number): void {
    if (this.#current.get(owner) === at) return;
    this.#current.delete(owner);
    if (at === Number.POSITIVE_INFINITY) return;
    this.#current.set(owner, at);
    this.#push({ at, owner });
    // Replaced entries stay in the heap until they reach the top, unless they are most of it.
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#current.size) {
      this.#heap = [];
      for (const [one, moment] of this.#current) this.#push({ at: moment, owner: one });
    }
  }

  /** Removes and yields the owners whose time has come. */
  *due(now: number): Generator<Owner> {
    while (this.next <= now) {
      const { owner } = this.#heap[0] as Moment<Owner>;
      this.#pop();
      this.#current.delete(owner);
      yield owner;
    }
  }

  #push(moment: Moment<Owner>): void {
    const heap = this.#heap;
    let i = heap.length;
    while (i > 0) {
      const parent = heap[(i - 1) >> 1] as Moment<Owner>;
      if (parent.at <= moment.at) break;
      heap[i] = parent;
      i = (i - 1) >> 1;
    }
    heap[i] = moment;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Moment<Owner>;
    let [i, child] = [0, 1];
    for (let least = heap[child]; least; least = heap[child]) {
      const other = heap[child + 1];
      if (other && other.at < least.at) [least, child] = [other, child + 1];
      if (last.at <= least.at) break;
      heap[i] = least;
      [i, child] = [child, 2 * child + 1];
    }
    if (heap.length > 0) heap[i] = last;
  }
}
