/**
 * A map of keys to several values each.
 * @module
 */
export class MultiMap<Key, Value> {
  readonly #sets = new Map<Key, Set<Value>>();

  get(key: Key): ReadonlySet<Value> {
    return this.#sets.get(key) ?? new Set();
  }

  add(key: Key, value: Value): void {
    const set = this.#sets.get(key);
    if (set) set.add(value);
    else this.#sets.set(key, new Set([value]));
  }

  delete(key: Key, value: Value): void {
    const set = this.#sets.get(key);
    set?.delete(value);
    if (set?.size === 0) this.#sets.delete(key);
  }
}
