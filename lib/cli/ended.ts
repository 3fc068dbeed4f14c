/**
 * What ends a command that runs until it is told.
 * @module
 */

/** Is aborted by SIGINT (Ctrl-C), SIGTERM and SIGHUP. */
export function endedBySignal(): AbortController {
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => ended.abort());
  }
  return ended;
}

/** Until a signal is aborted. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
