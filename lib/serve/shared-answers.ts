/**
 * Long answers that many ask for at the same time, as the browsers do that have the page open: made
 * and compressed once, for as long as nothing has changed. @module
 */
import { once } from 'node:events';
import { constants, createGzip } from 'node:zlib';
import { SLICE, turn } from './pieces.ts';

/** Answers kept: of different queries. */
const MOST = 4;
/** Bytes given to the compressor at a time. */
const CHUNK = 64 * 1024;
/** Milliseconds for which one is kept that nobody asks for. */
const KEPT = 15_000;

interface Shared {
  readonly version: string;
  readonly compressed: Promise<readonly Uint8Array[]>;
}

export class SharedAnswers {
  readonly #answers = new Map<string, Shared>();
  #expiry: NodeJS.Timeout | undefined;

  /** Whether an answer is there, or being made: it takes no work. */
  has(query: string, version: string): boolean {
    return this.#answers.get(query)?.version === version;
  }

  /**
   * An answer, compressed with gzip.
   *
   * @param version of what it is made from: another one needs another answer
   */
  get(
    query: string,
    version: string,
    make: () => Iterable<string>,
  ): Promise<readonly Uint8Array[]> {
    const known = this.#answers.get(query);
    this.#answers.delete(query);
    const shared = known?.version === version ? known : { version, compressed: compressed(make()) };
    this.#answers.set(query, shared);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > MOST && oldest !== undefined) this.#answers.delete(oldest);
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.#answers.clear(), KEPT).unref();
    shared.compressed.catch(() => this.#answers.delete(query));
    return shared.compressed;
  }
}

/** Makes and compresses an answer, with turns for others. */
async function compressed(pieces: Iterable<string>): Promise<readonly Uint8Array[]> {
  const zip = createGzip({ level: constants.Z_BEST_SPEED });
  const chunks: Uint8Array[] = [];
  zip.on('data', (chunk: Uint8Array) => chunks.push(chunk));
  const ended = once(zip, 'end');
  // It is awaited only in the end.
  ended.catch(() => {});
  let text = '';
  let began = performance.now();
  for (const piece of pieces) {
    text += piece;
    if (text.length >= CHUNK) {
      if (!zip.write(text)) await once(zip, 'drain');
      text = '';
    }
    if (performance.now() - began < SLICE) continue;
    await turn();
    began = performance.now();
  }
  zip.end(text);
  await ended;
  return chunks;
}
