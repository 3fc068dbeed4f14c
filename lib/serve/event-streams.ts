/** Streams of server-sent events, each reading the log at its own pace. @module */
import type { ServerResponse } from 'node:http';
import { type EventLog, eventText, isWanted, type Wanted } from './event-log.ts';

/** Bytes that may wait for a reader; then it gets no more until it has read. */
const WAITING = 256 * 1024;
/** Milliseconds for which a reader may not read. */
const PATIENCE = 30_000;
/** Milliseconds between two signs of life: a reader that is gone is noticed by them. */
const BEAT = 15_000;
/** Events looked at before others get a turn. */
const SOME = 256;

/** How a stream is cut off. */
export type CutOff = 'slow-reader';

interface Stream {
  readonly response: ServerResponse;
  readonly wanted: Wanted;
  /** The number of the last event looked at. */
  seen: number;
  /** Since when it waits for its reader, monotonic. */
  waitingSince: number | undefined;
}

/**
 * Every stream has a place in the log, and nothing of its own: a reader that is too slow for the
 * log gets `gap`, one that does not read is cut off, and a flood of events costs no memory.
 */
export class EventStreams {
  readonly #log: EventLog;
  readonly #streams = new Set<Stream>();
  readonly #cut: (why: CutOff) => void;
  #pumping = false;
  readonly #beat: NodeJS.Timeout;

  constructor(log: EventLog, cut: (why: CutOff) => void) {
    this.#log = log;
    this.#cut = cut;
    log.added = () => this.#soon();
    this.#beat = setInterval(() => this.#tick(), BEAT).unref();
  }

  get size(): number {
    return this.#streams.size;
  }

  /** @param from the last event that the reader has, if it resumes */
  add(response: ServerResponse, wanted: Wanted, from: number | undefined): void {
    const { last } = this.#log;
    const stream: Stream = { response, wanted, seen: from ?? last, waitingSince: undefined };
    response.on('close', () => this.#streams.delete(stream));
    // A comment, so that the reader knows that it is connected.
    response.write('retry: 1000\n: connected\n\n');
    this.#streams.add(stream);
    this.#soon();
  }

  close(): void {
    clearInterval(this.#beat);
    for (const { response } of this.#streams) response.end();
    this.#streams.clear();
  }

  #soon(): void {
    if (this.#pumping || this.#streams.size === 0) return;
    this.#pumping = true;
    setImmediate(() => this.#pump());
  }

  #pump(): void {
    this.#pumping = false;
    let more = false;
    for (const stream of this.#streams) if (this.#send(stream)) more = true;
    if (more) this.#soon();
  }

  /** Sends some events. @returns whether there are more that the reader can take */
  #send(stream: Stream): boolean {
    const { response, wanted } = stream;
    if (stream.waitingSince !== undefined) return false;
    let text = '';
    if (this.#log.isGone(stream.seen, wanted.kinds)) {
      // What was asked for is gone: the reader must ask for everything again.
      stream.seen = this.#log.last;
      text = `id: ${stream.seen}\nevent: gap\ndata: {}\n\n`;
    }
    let looked = 0;
    while (looked++ < SOME && text.length < WAITING) {
      const event = this.#log.after(stream.seen, wanted.kinds);
      if (event === undefined) break;
      stream.seen = event.id;
      if (isWanted(event, wanted)) text += eventText(event);
    }
    if (text !== '') response.write(text);
    if (response.writableLength > WAITING) {
      stream.waitingSince = performance.now();
      response.once('drain', () => {
        stream.waitingSince = undefined;
        this.#soon();
      });
      return false;
    }
    return looked > SOME || text.length >= WAITING;
  }

  #tick(): void {
    const now = performance.now();
    for (const { response, waitingSince } of this.#streams) {
      if (waitingSince === undefined) response.write(': \n\n');
      else if (now - waitingSince > PATIENCE) {
        this.#cut('slow-reader');
        response.destroy();
      }
    }
  }
}
