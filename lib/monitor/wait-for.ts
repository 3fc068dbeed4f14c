/** Waiting until something holds of a monitor. @module */
import { fromCaller } from '../netlink/caller.ts';
import { checkedOptions, optionalInteger, optionalSignal, wrongType } from '../socket/argument.ts';
import { StateError } from '../socket/index.ts';
import type { EventHub } from './event-hub.ts';

/** How long to wait, and for what. */
export interface WaitOptions {
  /** Milliseconds after which to give up, with a {@link StateError} `ERR_WAIT_TIMEOUT`. Default: never. */
  timeout?: number | undefined;
  /** Gives up waiting: the promise is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for which it must hold without a break. Default 0: it may be over at once. */
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

/** Milliseconds after which it is asked again whether all has been read that a judgement waits for. */
const AGAIN = 10;
/** Milliseconds beyond its time for which a wait stays where nothing is read: a slow loop may have stopped that. */
const LAST_LOOK = 5000;

/** A monitor, as far as waiting needs it. */
interface Watched {
  /** Until when it knows what the kernel announced, on the monotonic clock. */
  readonly heardUntil: number;
}

/**
 * Waits until `predicate` gives something that is true: it is asked now, and after each change.
 *
 * Node serves timers before it reads sockets. So the time is over, and something has held for long enough, only when all
 * is read that the kernel announced until then.
 *
 * @returns a promise of what `predicate` gave
 * @throws (the promise is rejected) what `predicate` threw; StateError `ERR_WAIT_TIMEOUT`; the reason of the signal; what
 *   ended the monitor
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
      const look = () => {
        clearTimeout(timer);
        try {
          value = predicate(monitor);
          // A promise is something true, whatever becomes of it.
          if (value instanceof Promise) throw wrongType('predicate', 'synchronous', predicate);
        } catch (error) {
          failed(error);
          return;
        }
        const now = performance.now();
        const { heardUntil } = monitor;
        if (!value) since = undefined;
        else since ??= now;
        const held = since === undefined ? Number.POSITIVE_INFINITY : since + heldFor;
        if (since !== undefined && (heldFor === 0 || heardUntil >= held)) done();
        else if (heardUntil >= deadline || now >= deadline + LAST_LOOK) failed(tooLate(timeout));
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
