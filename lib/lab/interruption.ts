import { addAbortListener } from 'node:events';
import { constants } from 'node:os';
import type { LabOptions } from './options.ts';

/** Signals passed on, by the name that the guest's kill takes. */
const FORWARDED = ['INT', 'TERM', 'HUP', 'QUIT'] as const;

/** A signal that is passed on, without its SIG. */
export type ForwardedSignal = (typeof FORWARDED)[number];

/** What may end a run from outside: its time limit, the caller's signal, signals to this process. */
export class Interruption implements Disposable {
  /** Passes a signal on to the command; absent while none runs. A second signal, or one then, ends the run. */
  passOn: ((name: ForwardedSignal) => void) | undefined;
  /** The status that the end has if the command tells none. */
  status: number | undefined;
  timedOut = false;
  readonly #controller = new AbortController();
  readonly #remove: (() => void)[] = [];

  constructor(options: Pick<LabOptions, 'signal' | 'forwardSignals'>, timeout: number) {
    const { signal } = options;
    signal?.throwIfAborted();
    const timer = setTimeout(() => {
      this.timedOut = true;
      this.#end(124);
    }, timeout);
    this.#remove.push(() => clearTimeout(timer));
    if (signal) {
      const listener = addAbortListener(signal, () => this.#controller.abort(signal.reason));
      this.#remove.push(() => listener[Symbol.dispose]());
    }
    for (const name of options.forwardSignals ? FORWARDED : []) {
      const handler = () => {
        const status = 128 + constants.signals[`SIG${name}`];
        if (this.passOn === undefined || this.status !== undefined) this.#end(status);
        else {
          this.status = status;
          this.passOn(name);
        }
      };
      process.on(`SIG${name}`, handler);
      this.#remove.push(() => process.removeListener(`SIG${name}`, handler));
    }
  }

  /** Aborted when the run is to end at once. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether `error` is the end that this made of the run, with `status`. */
  caused(error: unknown): boolean {
    return error instanceof Interrupted;
  }

  #end(status: number): void {
    this.status ??= status;
    this.#controller.abort(new Interrupted());
  }

  [Symbol.dispose](): void {
    for (const remove of this.#remove) remove();
  }
}

class Interrupted extends Error {}
