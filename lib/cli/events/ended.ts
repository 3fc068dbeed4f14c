/**
 * Ends a command that runs until it is interrupted.
 * @module
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Milliseconds in which several signals count as one: timeout(1) signals the process and then its group. */
const ONE = 1000;

/** The longest time that a timer can wait (2^31 - 1 ms). */
const LONGEST = 2 ** 31 - 1;

/**
 * Aborted by SIGINT (Ctrl-C), SIGTERM and SIGHUP; a later signal kills.
 *
 * @param until ends it, too, in milliseconds since 1970
 */
export function endedBySignal(until?: number): AbortController {
  const ended = new AbortController();
  if (until !== undefined) endAt(until, ended);
  const end = () => {
    ended.abort();
    setTimeout(() => {
      for (const signal of SIGNALS) process.off(signal, end);
    }, ONE).unref();
  };
  for (const signal of SIGNALS) process.on(signal, end);
  return ended;
}

function endAt(time: number, ended: AbortController): void {
  const left = time - Date.now();
  if (left <= 0) ended.abort();
  else setTimeout(() => endAt(time, ended), Math.min(left, LONGEST)).unref();
}
