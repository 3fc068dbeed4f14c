/** Where a request was made. An error that an answer brings is made at the socket, which says nothing of it. @module */

import { once } from '../base/once.ts';

/** The folder that this library is in; undefined where a bundler leaves no address. */
const library = once(() => {
  try {
    return new URL('..', import.meta.url).href;
  } catch {
    return undefined;
  }
});

/**
 * Gives an error the stack of those who wait for it, from where the library was called. For the catch of an async
 * function: there V8 knows who awaits it, and a request that succeeds costs nothing.
 */
export function fromCaller(error: Error): Error {
  Error.captureStackTrace(error, fromCaller);
  const [, ...frames] = (error.stack ?? '').slice(`${error}`.length).split('\n');
  const own = library();
  const outside = frames.findIndex((frame) => own === undefined || !frame.includes(own));
  // None is outside where the library has been made one file with the program, or nobody awaits the request itself.
  error.stack = [`${error}`, ...frames.slice(Math.max(outside, 0))].join('\n');
  return error;
}
