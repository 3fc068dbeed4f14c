/**
 * What ends a command that runs until it is told.
 * @module
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Milliseconds in which signals are one: timeout(1) sends its own to the process and then to its group. */
const ONE = 1000;

/** Is aborted by SIGINT (Ctrl-C), SIGTERM and SIGHUP; one that comes later kills. */
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
