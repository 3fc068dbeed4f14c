/**
 * What an AbortSignal ends.
 * @module
 */
import { addAbortListener } from 'node:events';

type Ended = (reason: unknown) => void;

/** What each signal ends, behind one listener: Node warns of a leak from the eleventh listener on. */
const ends = new WeakMap<
  AbortSignal,
  { readonly all: Set<Ended>; readonly listener: Disposable }
>();

/**
 * Calls `ended` with the reason when the signal is aborted; after the current turn if it was already.
 *
 * @returns what ends that
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
  // A function of its own, for `ended` may stand there already.
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
