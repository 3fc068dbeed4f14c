/**
 * Where a request was made. Errors from answers are created at the socket, whose stack does not
 * show that.
 * @module
 */

import { once } from '../base/once.ts';

/** The folder of this library; undefined if a bundler removed import.meta.url. */
const library = once(() => {
  try {
    return new URL('..', import.meta.url).href;
  } catch {
    return undefined;
  }
});

/**
 * Gives an error the async stack of the code that awaits it, from where the library was called.
 * Call it in the catch of an async function, where V8 knows the awaiting functions; successful
 * requests cost nothing.
 */
export function fromCaller(error: Error): Error {
  Error.captureStackTrace(error, fromCaller);
  const [, ...frames] = (error.stack ?? '').slice(`${error}`.length).split('\n');
  const own = library();
  const outside = frames.findIndex((frame) => own === undefined || !frame.includes(own));
  // No frame is outside if the library is bundled with the program, or if nothing awaits the
  // request itself.
  error.stack = [`${error}`, ...frames.slice(Math.max(outside, 0))].join('\n');
  return error;
}
