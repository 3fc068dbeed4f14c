/** Waiting for a condition on a monitor. @module */

import { checkedOptions, optionalInteger, optionalSignal, wrongType } from '../base/argument.ts';
import { fromCaller } from '../netlink/caller.ts';
import { StateError } from '../socket/index.ts';
import type { EventHub } from './event-hub.ts';

/** How long to wait, and for how long the condition must hold. */
export interface WaitOptions {
  /** Milliseconds until it fails with a {@link StateError} `ERR_WAIT_TIMEOUT`. Default: never. */
  timeout?: number | undefined;
  /** Cancels waiting: the promise is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for which it must hold without a break. Default 0: a moment is enough. */
  heldFor?: number | undefined;
}

const LONGEST = 0x7fff_ffff;
const milliseconds = (name: string, value: unknown, otherwise: number): number =>
  optionalInteger(name, value, otherwise, 0, LONGEST);

const WAIT_OPTIONS = {
  timeout: (name: string, value: unknown) => milliseconds(name, value, Number.POSITIVE_INFINITY),
  signal: optionalSignal,
  heldFor: (name: string, value: unknown) => milliseconds(name, value, 0),
} satisfies Record<keyof WaitOptions, unknown>;

/** Milliseconds until it checks again whether everything up to the deadline was read. */
const AGAIN = 10;
/**
 * Milliseconds beyond its deadline that a wait lasts if nothing is read: a slow loop may have
 * stopped reading.
 */
const LAST_LOOK = 5000;

/** The parts of a monitor that waiting needs. */
interface Watched {
  /** Up to when it knows what the kernel announced, on the monotonic clock. */
  readonly heardUntil: number;
}

/**
 * Waits until `predicate` returns a truthy value. It is called now, and after each change.
 *
 * Node runs timers before it reads sockets. So a deadline has passed, or a condition has held long
 * enough, only when everything the kernel announced until then has been read.
 *
 * @returns a promise of what `predicate` returned
 * @throws (the promise is rejected) what `predicate` threw; StateError `ERR_WAIT_TIMEOUT`; the
 *   signal's reason; what ended the monitor
 */
export async function waitFor<Monitor extends Watched, Value>(
  monitor: Monitor,
  hub: Pick<EventHub<never>, 'wait' | 'watch'>,
  predicate: (monitor: Monitor) => Value | undefined | null | false,
  options: WaitOptions = {},
): Promise<Value> {
  if (typeof predicate !== 'function') throw wrongType('predicate', 'a function', predicate);
  const { timeout, signal, heldFor } = checkedOptions('options', options, WAIT_OPTIONS);
  const deadline = performance.now() + timeout;
  let value: Value | undefined | null | false;
  let since: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let watch: Disposable | undefined;
  try {
    await hub.wait(signal, (done, failed) => {
      // What follows before the promise's reader continues must not replace the value.
      const settled = (settle: () => void) => {
        watch?.[Symbol.dispose]();
        watch = undefined;
        settle();
      };
      const look = () => {
        clearTimeout(timer);
        try {
          value = predicate(monitor);
          // A promise is truthy, whatever its outcome.
          if (value instanceof Promise) throw wrongType('predicate', 'synchronous', predicate);
        } catch (error) {
          settled(() => failed(error));
          return;
        }
        const now = performance.now();
        const { heardUntil } = monitor;
        if (!value) since = undefined;
        else since ??= now;
        const held = since === undefined ? Number.POSITIVE_INFINITY : since + heldFor;
        if (since !== undefined && (heldFor === 0 || heardUntil >= held)) settled(done);
        else if (heardUntil >= deadline || now >= deadline + LAST_LOOK)
          settled(() => failed(tooLate(timeout)));
        else {
          const wait = Math.min(held, deadline) - now;
          if (wait === Number.POSITIVE_INFINITY) return;
          timer = setTimeout(look, wait > 0 ? Math.min(Math.ceil(wait), LONGEST) : AGAIN);
        }
      };
      watch = hub.watch(look);
      look();
    });
  } catch (error) {
    throw error instanceof StateError && error.code === 'ERR_WAIT_TIMEOUT'
      ? fromCaller(error)
      : error;
  } finally {
    watch?.[Symbol.dispose]();
    clearTimeout(timer);
  }
  return value as Value;
}

const tooLate = (timeout: number): StateError =>
  new StateError('ERR_WAIT_TIMEOUT', `timed out after ${timeout} ms`);
