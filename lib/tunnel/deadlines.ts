/**
 * What is to be looked at again, and when: the next first.
 * @module
 */

/** A binary heap of moments. An owner has one moment at most; setting another replaces it. */
export class Deadlines<Owner extends object> {
  #heap: { readonly at: number; readonly owner: Owner }[] = [];
  readonly #current = new Map<Owner, number>();

  /** The earliest moment; Infinity if there is none. */
  get next(): number {
    this.#clean();
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** @param at Infinity for never */
  set(owner: Owner, at: number): void {
    if (this.#current.get(owner) === at) return;
    if (at === Number.POSITIVE_INFINITY) {
      this.#current.delete(owner);
      return;
    }
    this.#current.set(owner, at);
    this.#push(at, owner);
    // What was replaced is left in the heap till it comes up, unless that is most of it.
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#current.size) {
      this.#heap = [];
      for (const [one, moment] of this.#current) this.#push(moment, one);
    }
  }

  /** Takes out those whose moment has come. */
  *due(now: number): Generator<Owner> {
    while (this.next <= now) {
      const { owner } = this.#pop();
      this.#current.delete(owner);
      yield owner;
    }
  }

  #clean(): void {
    for (let top = this.#heap[0]; top; top = this.#heap[0]) {
      if (this.#current.get(top.owner) === top.at) return;
      this.#pop();
    }
  }

  #push(at: number, owner: Owner): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push({ at, owner });
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.#at(parent) <= at) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #pop(): { readonly at: number; readonly owner: Owner } {
    const heap = this.#heap;
    const top = heap[0] as { at: number; owner: Owner };
    const last = heap.pop() as { at: number; owner: Owner };
    if (heap.length > 0) {
      heap[0] = last;
      for (let i = 0; ; ) {
        const [left, right] = [2 * i + 1, 2 * i + 2];
        const least = this.#at(right) < this.#at(left) ? right : left;
        if (this.#at(least) >= this.#at(i)) break;
        this.#swap(i, least);
        i = least;
      }
    }
    return top;
  }

  #at(i: number): number {
    return this.#heap[i]?.at ?? Number.POSITIVE_INFINITY;
  }

  #swap(i: number, j: number): void {
    const heap = this.#heap;
    const held = heap[i] as (typeof heap)[number];
    heap[i] = heap[j] as (typeof heap)[number];
    heap[j] = held;
  }
}
