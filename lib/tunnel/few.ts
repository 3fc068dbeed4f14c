/**
 * Sets that usually have very few values, of which a host has several for each tunnel: an empty Set
 * takes 170 bytes. None takes nothing, one is held as it is, some are an array of just their number,
 * and many a Set. @module
 */

/** Values in the order in which they were added. They must not be arrays or Sets. */
export type Few<Value extends object> = undefined | Value | readonly Value[] | Set<Value>;

/** The most values in an array: adding one copies it. */
const SOME = 8;
/** No values: one array for all. */
export const NONE: readonly never[] = Object.freeze([]);

/** The values, to read. */
export function each<Value extends object>(few: Few<Value>): readonly Value[] | Set<Value> {
  if (few === undefined) return NONE;
  return Array.isArray(few) || few instanceof Set ? few : [few as Value];
}

/**
 * An array to keep: of just its length (what filter() and flatMap() return has room for sixteen
 * more), or for none the one that all share.
 */
export const kept = <Value>(values: readonly Value[]): readonly Value[] =>
  values.length === 0 ? NONE : values.slice();

export function has<Value extends object>(few: Few<Value>, value: Value): boolean {
  if (few instanceof Set) return few.has(value);
  return few === value || (Array.isArray(few) && few.includes(value));
}

/** The first that was added. */
export function firstOf<Value extends object>(few: Few<Value>): Value | undefined {
  if (few instanceof Set) return few.values().next().value;
  return Array.isArray(few) ? few[0] : (few as Value | undefined);
}

export function sizeOf(few: Few<object>): number {
  if (few === undefined) return 0;
  return few instanceof Set ? few.size : Array.isArray(few) ? few.length : 1;
}

/** The set with a value more, which takes the place of the one given. */
export function including<Value extends object>(few: Few<Value>, value: Value): Few<Value> {
  if (few === undefined) return value;
  if (few instanceof Set) return few.add(value);
  if (has(few, value)) return few;
  if (!Array.isArray(few)) return [few as Value, value];
  // Of just their length, unlike what `...` makes; quickest for the three policies of a tunnel.
  const all = few.length === 2 ? [few[0], few[1], value] : few.concat([value]);
  return all.length > SOME ? new Set(all) : all;
}

/** The set without a value, which takes the place of the one given. */
export function excluding<Value extends object>(few: Few<Value>, value: Value): Few<Value> {
  if (few instanceof Set) {
    few.delete(value);
    return few.size === 0 ? undefined : few;
  }
  if (!has(few, value)) return few;
  const left = kept([...each(few)].filter((one) => one !== value));
  return left.length > 1 ? left : left[0];
}

/** A Map with several values for a key, usually one. */
export class MultiMap<Key, Value extends object> {
  readonly #values = new Map<Key, Few<Value>>();

  get size(): number {
    return this.#values.size;
  }

  get(key: Key): readonly Value[] | Set<Value> {
    return each(this.#values.get(key));
  }

  first(key: Key): Value | undefined {
    return firstOf(this.#values.get(key));
  }

  /** How many values a key has. */
  count(key: Key): number {
    return this.#values.size === 0 ? 0 : sizeOf(this.#values.get(key));
  }

  *values(): Generator<Value, undefined> {
    for (const few of this.#values.values()) yield* each(few);
  }

  add(key: Key, value: Value): void {
    const before = this.#values.get(key);
    const after = including(before, value);
    if (after !== before) this.#values.set(key, after);
  }

  /** @returns whether it was there */
  delete(key: Key, value: Value): boolean {
    const before = this.#values.get(key);
    if (!has(before, value)) return false;
    const after = excluding(before, value);
    if (after === undefined) this.#values.delete(key);
    else if (after !== before) this.#values.set(key, after);
    return true;
  }

  clear(): void {
    this.#values.clear();
  }
}

/**
 * A MultiMap that is made when someone looks into it for the first time. Nobody does while a monitor
 * opens, which takes an eighth less time without the indexes that only changes and look-ups need.
 */
export class LateMap<Key, Value extends object> {
  #made: MultiMap<Key, Value> | undefined;
  readonly #all: () => Iterable<Value>;
  readonly #keysOf: (value: Value) => Iterable<Key>;

  /** @param keysOf the keys of a value, which stay the same while it is there */
  constructor(all: () => Iterable<Value>, keysOf: (value: Value) => Iterable<Key>) {
    this.#all = all;
    this.#keysOf = keysOf;
  }

  get #map(): MultiMap<Key, Value> {
    if (this.#made === undefined) {
      this.#made = new MultiMap();
      for (const value of this.#all()) this.add(value);
    }
    return this.#made;
  }

  get(key: Key): readonly Value[] | Set<Value> {
    return this.#map.get(key);
  }

  /** The first value of a key. */
  first(key: Key): Value | undefined {
    return this.#map.first(key);
  }

  /** A value is there from now on. */
  add(value: Value): void {
    if (this.#made) for (const key of this.#keysOf(value)) this.#made.add(key, value);
  }

  /** A value is no longer there. */
  delete(value: Value): void {
    if (this.#made) for (const key of this.#keysOf(value)) this.#made.delete(key, value);
  }
}
