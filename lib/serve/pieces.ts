/** Long answers, made and sent piece by piece, so that nothing else has to wait. @module */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { constants, createGzip } from 'node:zlib';
import type { CutOff } from './event-streams.ts';

/** Bytes written at a time. */
const CHUNK = 128 * 1024;
/** Milliseconds of work before others get a turn. */
const SLICE = 8;
/** Milliseconds that a reader may be waited for, all in all: one that takes a little now and then would stay. */
const PATIENCE = 60_000;

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Whether a request accepts gzip (RFC 9110, 12.5.3). */
export const acceptsGzip = (header: string | undefined): boolean =>
  (header ?? '').split(',', 32).some((one) => {
    const [, q = '1'] = /^\s*gzip\s*(?:;\s*q=([\d.]+))?\s*$/i.exec(one) ?? [undefined, '0'];
    return Number(q) > 0;
  });

/**
 * Sends pieces of text, which are made while they are sent. A reader that is slow makes them be
 * made slower; one that leaves, or has to be waited for for more than a minute, ends it.
 *
 * @param cut called if the reader took too long
 */
export async function sendPieces(
  response: ServerResponse,
  type: string,
  pieces: Iterable<string | Uint8Array>,
  gzip: boolean,
  cut: (why: CutOff) => void,
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
  const drained = async () => {
    waits();
    await once(to, 'drain', { signal: gone.signal });
    clearTimeout(waiting.timer);
    patience -= performance.now() - waiting.since;
  };
  response.on('close', () => {
    clearTimeout(waiting.timer);
    gone.abort();
    zip?.destroy();
  });
  let chunks: Uint8Array[] = [];
  let text = '';
  let length = 0;
  let began = performance.now();
  const taken = () => {
    if (text !== '') chunks.push(Buffer.from(text));
    const all = Buffer.concat(chunks);
    chunks = [];
    text = '';
    length = 0;
    return all;
  };
  try {
    for (const piece of pieces) {
      length += piece.length;
      if (typeof piece === 'string') text += piece;
      else {
        if (text !== '') chunks.push(Buffer.from(text));
        text = '';
        chunks.push(piece);
      }
      if (length >= CHUNK && !to.write(taken())) await drained();
      if (gone.signal.aborted) return;
      if (performance.now() - began < SLICE) continue;
      await turn();
      began = performance.now();
    }
    if (gone.signal.aborted) return;
    waits();
    to.end(taken());
  } catch (error) {
    // The reader left, or an error that the answer can no longer tell.
    response.destroy();
    if ((error as Error).name !== 'AbortError') throw error;
  }
}
