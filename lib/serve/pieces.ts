/** Long answers, made and sent piece by piece, so that nothing else has to wait. @module */
import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';

/** Bytes written at a time. */
const CHUNK = 128 * 1024;
/** Milliseconds of work before others get a turn. */
const SLICE = 8;

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Whether a request accepts gzip (RFC 9110, 12.5.3). */
export const acceptsGzip = (header: string | undefined): boolean =>
  (header ?? '').split(',', 32).some((one) => {
    const [, q = '1'] = /^\s*gzip\s*(?:;\s*q=([\d.]+))?\s*$/i.exec(one) ?? [undefined, '0'];
    return Number(q) > 0;
  });

/** Writes bytes, which may be overwritten once the promise is fulfilled. */
const written = (to: Writable, bytes: Uint8Array, gone: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const left = () => reject(gone.reason);
    gone.addEventListener('abort', left, { once: true });
    to.write(bytes, (error) => {
      gone.removeEventListener('abort', left);
      if (error) reject(error);
      else resolve();
    });
  });

/**
 * Sends pieces of text, which are made while they are sent. A reader that is slow makes them be
 * made slower; one that leaves ends it.
 */
export async function sendPieces(
  response: ServerResponse,
  type: string,
  pieces: Iterable<string | Uint8Array>,
  gzip: boolean,
): Promise<void> {
  response.setHeader('content-type', type);
  response.setHeader('vary', 'accept, accept-encoding');
  if (gzip) response.setHeader('content-encoding', 'gzip');
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  // The least effort: the text of metrics shrinks to a twentieth with any.
  const zip = gzip ? createGzip({ level: constants.Z_BEST_SPEED, chunkSize: CHUNK }) : undefined;
  zip?.pipe(response);
  const to = zip ?? response;
  const gone = new AbortController();
  response.on('close', () => {
    gone.abort();
    zip?.destroy();
  });
  // One buffer for all of it: a megabyte of buffers a response makes the collector run all the time.
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
        await written(to, chunk, gone.signal);
        length = 0;
      }
      if (gone.signal.aborted) return;
      if (performance.now() - began < SLICE) continue;
      await turn();
      began = performance.now();
    }
    if (gone.signal.aborted) return;
    to.end(chunk.subarray(0, length));
  } catch (error) {
    // The reader left, or an error that the answer can no longer tell.
    response.destroy();
    if ((error as Error).name !== 'AbortError') throw error;
  }
}
