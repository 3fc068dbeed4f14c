/**
 * Lines that may become ready at different times, in the order in which they were started.
 * @module
 */
import type { Backpressure } from '../terminal/output.ts';

/** Pending lines above which reading of events is paused. */
const MANY = 1000;

/** Passes on each line once it and all lines before it are ready. */
export class InOrder {
  readonly #pass: (line: string) => void;
  readonly #backpressure: Backpressure;
  readonly #waiting: (string | Promise<string>)[] = [];
  #passing: Promise<void> | undefined;

  constructor(pass: (line: string) => void, backpressure: Backpressure) {
    this.#pass = pass;
    this.#backpressure = backpressure;
  }

  add(line: string | Promise<string>): void {
    if (typeof line === 'string' && this.#passing === undefined) {
      this.#pass(line);
      return;
    }
    this.#waiting.push(line);
    if (this.#waiting.length === MANY) this.#backpressure.full();
    this.#passing ??= this.#passAll();
  }

  /** Resolves when all lines have been passed on. */
  async settled(): Promise<void> {
    while (this.#passing) await this.#passing;
  }

  async #passAll(): Promise<void> {
    for (let line = this.#waiting.shift(); line !== undefined; line = this.#waiting.shift()) {
      const text = await line;
      this.#pass(text);
      if (this.#waiting.length === MANY - 1) this.#backpressure.drained();
    }
    this.#passing = undefined;
  }
}
