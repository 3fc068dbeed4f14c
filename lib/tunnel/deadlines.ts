/** Deadlines by owner, the earliest first. @module */

/** What can have a deadline; the heap keeps it there, so that an owner takes no object more. */
export interface Due {
  /** Infinity for none. Only {@link Deadlines.set} changes it. */
  dueAt: number;
  /** Its place in the heap; meaningless without a deadline. */
  duePlace: number;
}

/** A binary heap. An owner has at most one deadline; setting another replaces it. */
export class Deadlines<Owner extends Due> {
  readonly #heap: Owner[] = [];

  /** The earliest time; Infinity if there is none. */
  get next(): number {
    return this.#heap[0]?.dueAt ?? Number.POSITIVE_INFINITY;
  }

  /** @param at Infinity for never */
  set(owner: Owner, at: number): void {
    const before = owner.dueAt;
    if (before === at) return;
    owner.dueAt = at;
    if (at === Number.POSITIVE_INFINITY) this.#remove(owner.duePlace);
    else if (before === Number.POSITIVE_INFINITY) this.#up(owner, this.#heap.length);
    else if (at < before) this.#up(owner, owner.duePlace);
    else this.#down(owner, owner.duePlace);
  }

  /** Removes and yields the owners whose time has come. */
  *due(now: number): Generator<Owner> {
    for (let first = this.#heap[0]; first && first.dueAt <= now; first = this.#heap[0]) {
      this.set(first, Number.POSITIVE_INFINITY);
      yield first;
    }
  }

  /** Puts the last one in the place of one that leaves. */
  #remove(place: number): void {
    const last = this.#heap.pop() as Owner;
    if (place === this.#heap.length) return;
    const parent = this.#heap[(place - 1) >> 1];
    if (parent && parent.dueAt > last.dueAt) this.#up(last, place);
    else this.#down(last, place);
  }

  /** Moves an owner from a place, which is free, towards the top. */
  #up(owner: Owner, from: number): void {
    let place = from;
    while (place > 0) {
      const parent = this.#heap[(place - 1) >> 1] as Owner;
      if (parent.dueAt <= owner.dueAt) break;
      this.#put(parent, place);
      place = (place - 1) >> 1;
    }
    this.#put(owner, place);
  }

  #down(owner: Owner, from: number): void {
    const heap = this.#heap;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      if (right && right.dueAt < left.dueAt) child++;
      const least = heap[child] as Owner;
      if (owner.dueAt <= least.dueAt) break;
      this.#put(least, place);
      place = child;
    }
    this.#put(owner, place);
  }

  #put(owner: Owner, place: number): void {
    this.#heap[place] = owner;
    owner.duePlace = place;
  }
}
