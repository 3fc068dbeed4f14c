/**
 * Ends a command that runs until it is interrupted.
 * @module
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Milliseconds in which several signals count as one: timeout(1) signals the process and then its group. */
const ONE = 1000;

/** Aborted by SIGINT (Ctrl-C), SIGTERM and SIGHUP; a later signal kills. */
export function endedBySignal(): AbortController {
  const ended = new AbortController();
  const end = () => {
    ended.abort();
    setTimeout(() => {
      for (const signal of SIGNALS) process.off(signal, end);
    }, ONE).unref();
  };
  for (const signal of SIGNALS) process.on(signal, end);
  return ended;
}
