/**
 * Actions to run when an AbortSignal is aborted.
 * @module
 */
import { addAbortListener } from 'node:events';

type Ended = (reason: unknown) => void;

/**
 * Callbacks of each signal, behind a single listener: Node warns of a leak from the eleventh
 * listener on.
 */
const ends = new WeakMap<
  AbortSignal,
  { readonly all: Set<Ended>; readonly listener: Disposable }
>();

/**
 * Calls `ended` with the reason when the signal is aborted; after the current turn if it already
 * is.
 *
 * @returns disposing it removes the callback
 */
export function onAbort(signal: AbortSignal | undefined, ended: Ended): Disposable {
  if (signal === undefined) return { [Symbol.dispose]() {} };
  let group = ends.get(signal);
  if (group === undefined) {
    const all = new Set<Ended>();
    const listener = addAbortListener(signal, () => {
      ends.delete(signal);
      for (const one of all) one(signal.reason);
    });
    group = { all, listener };
    ends.set(signal, group);
  }
  const { all, listener } = group;
  // A new function, because `ended` may already be in the set.
  const one: Ended = (reason) => ended(reason);
  all.add(one);
  return {
    [Symbol.dispose]() {
      all.delete(one);
      if (all.size > 0 || ends.get(signal)?.all !== all) return;
      ends.delete(signal);
      listener[Symbol.dispose]();
    },
  };
}
