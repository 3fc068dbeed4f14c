/**
 * Numbers that look random and can be had again from their seed.
 * @module
 */

/** A stream of numbers (mulberry32, a generator in the public domain). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 32 bits. */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** A whole number from 0 to `end` - 1. */
  below(end: number): number {
    return Math.floor((this.u32() / 2 ** 32) * end);
  }

  /** True `times` out of `of`. */
  chance(times: number, of: number): boolean {
    return this.below(of) < times;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** `bits` bits: often an end of the range or near it, else anything between. */
  number(bits: 8 | 16 | 32): number {
    const most = 2 ** bits;
    switch (this.below(6)) {
      case 0:
        return 0;
      case 1:
        return most - 1;
      case 2:
        return this.below(Math.min(256, most));
      case 3:
        return 2 ** this.below(bits);
      default:
        return this.below(most);
    }
  }
}

/** The seed of a run: NETLINK_XFRM_SEED to repeat one, else a new one. */
export const runSeed = (): number =>
  process.env.NETLINK_XFRM_SEED === undefined
    ? Math.floor(Math.random() * 2 ** 31)
    : Number(process.env.NETLINK_XFRM_SEED);

/**
 * How many inputs a test generates: all of `count` when NETLINK_XFRM_THOROUGH is 1, as with
 * `npm run test:all`; else a tenth, which is what a change that breaks something needs to be found.
 */
export const generated = (count: number): number =>
  process.env.NETLINK_XFRM_THOROUGH === '1' ? count : Math.ceil(count / 10);
