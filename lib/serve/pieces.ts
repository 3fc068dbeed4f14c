/** Long answers, made and sent piece by piece, so that nothing else has to wait. @module */
import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import type { CutOff } from './event-streams.ts';

/** Bytes written at a time. */
const CHUNK = 128 * 1024;
/** Milliseconds of work before others get a turn. */
export const SLICE = 4;
/** Milliseconds that a reader may be waited for, all in all: one that takes a little now and then would stay. */
const PATIENCE = 60_000;

/** A turn of the event loop, for others. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Whether a request accepts gzip (RFC 9110, 12.5.3). */
export const acceptsGzip = (header: string | undefined): boolean =>
  (header ?? '').split(',', 32).some((one) => {
    const [, q = '1'] = /^\s*gzip\s*(?:;\s*q=([\d.]+))?\s*$/i.exec(one) ?? [undefined, '0'];
    return Number(q) > 0;
  });

/**
 * Writes bytes, which may be overwritten once the promise is fulfilled.
 *
 * @param gone aborted if they cannot be written; if it is aborted, the promise is fulfilled too
 */
const written = (to: Writable, bytes: Uint8Array, gone: AbortController): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      gone.signal.removeEventListener('abort', done);
      resolve();
    };
    gone.signal.addEventListener('abort', done);
    to.write(bytes, (error) => {
      if (error) gone.abort();
      done();
    });
  });

/**
 * Sends pieces of text, which are made while they are sent. A reader that is slow makes them be
 * made slower; one that leaves, or has to be waited for for more than a minute, ends it.
 *
 * @param gzip `done`: the pieces are compressed already
 * @param cut called if the reader took too long
 */
export async function sendPieces(
  response: ServerResponse,
  type: string,
  pieces: Iterable<string | Uint8Array>,
  gzip: boolean | 'done',
  cut: (why: CutOff) => void,
): Promise<void> {
  // It left before its answer could be begun; it will not be told of again.
  if (response.destroyed) return;
  response.setHeader('content-type', type);
  response.setHeader('vary', 'accept, accept-encoding');
  if (gzip) response.setHeader('content-encoding', 'gzip');
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  // Nothing may be written for long while many answers are made at once: `PATIENCE` is the limit.
  response.socket?.setTimeout(0);
  // The least effort: the text of metrics shrinks to a twentieth with any.
  const zip =
    gzip === true ? createGzip({ level: constants.Z_BEST_SPEED, chunkSize: CHUNK }) : undefined;
  zip?.pipe(response);
  const to = zip ?? response;
  const gone = new AbortController();
  let patience = PATIENCE;
  let waiting = { since: 0, timer: undefined as NodeJS.Timeout | undefined };
  // Only the reader's time counts, not what the answer takes to make.
  const waits = () => {
    const timer = setTimeout(() => {
      cut('slow-reader');
      response.destroy();
    }, patience).unref();
    waiting = { since: performance.now(), timer };
  };
  response.on('close', () => {
    clearTimeout(waiting.timer);
    gone.abort();
    zip?.destroy();
  });
  // One buffer for all of it: buffers for each piece make the collector run all the time.
  const chunk = Buffer.allocUnsafeSlow(CHUNK);
  let length = 0;
  let began = performance.now();
  try {
    for (const piece of pieces) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
      for (let from = 0; from < bytes.length; ) {
        const some = bytes.subarray(from, from + CHUNK - length);
        chunk.set(some, length);
        [from, length] = [from + some.length, length + some.length];
        if (length < CHUNK) continue;
        // It may be done at once: that is no turn of the event loop.
        waits();
        await written(to, chunk, gone);
        clearTimeout(waiting.timer);
        patience -= performance.now() - waiting.since;
        if (gone.signal.aborted) return;
        length = 0;
      }
      if (gone.signal.aborted) return;
      if (performance.now() - began < SLICE) continue;
      await turn();
      began = performance.now();
    }
    if (gone.signal.aborted) return;
    waits();
    to.end(chunk.subarray(0, length));
  } catch (error) {
    // The answer can no longer tell it.
    response.destroy();
    throw error;
  }
}
