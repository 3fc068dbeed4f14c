import { addAbortListener } from 'node:events';
import { constants } from 'node:os';
import type { LabOptions } from './options.ts';

/** Forwarded signals, by their names for kill in the guest. */
const FORWARDED = ['INT', 'TERM', 'HUP', 'QUIT'] as const;

/** A signal that is forwarded, without the SIG prefix. */
export type ForwardedSignal = (typeof FORWARDED)[number];

/** Ends a run from outside: its timeout, the caller's AbortSignal, signals to this process. */
export class Interruption implements Disposable {
  /** Forwards a signal to the command; unset while none runs. A second signal, or one while unset, ends the run. */
  passOn: ((name: ForwardedSignal) => void) | undefined;
  /** Exit status to use if the command reports none. */
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

  /** Aborted when the run must end immediately. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether `error` comes from this interruption; its exit status is `status`. */
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
