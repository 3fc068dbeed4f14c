/**
 * The connection to the daemon: answers, and the stream of events, which is resumed where it broke off. The stream is
 * read with fetch, since EventSource cannot send a token.
 * @module
 */
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { Link } from './model.ts';

/** Milliseconds. */
const FIRST_RETRY = 500;
const LAST_RETRY = 10_000;
/** The daemon sends at least a comment every 15 s; without any for this long the connection is dead. */
const SILENCE = 40_000;

const TOKEN = 'token';

/** All that changes what is shown; with a term `change`, that includes the steps of a rekey. And what came before. */
const EVENTS = 'api/events?change=added,up,down,rekeyed,stalled,state,warning,removed&last=200';

/** The daemon refused a request. */
export class Refused extends Error {
  readonly status: number;
  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

export interface Listener {
  /**
   * The stream is open, anew or resumed, or events are missing at this point of it. Events are held back until this is
   * done.
   *
   * @param resumed nothing was missed
   * @param signal the stream has ended: what is fetched for it is no longer wanted
   */
  opened(resumed: boolean, signal: AbortSignal): Promise<void>;
  /** Whether a change of what is watched makes it necessary to fetch everything, as events that are missing do. */
  outdates(change: unknown, id: number): boolean;
  /** @param id its number; events are numbered in order */
  event(name: string, data: unknown, id: number): void;
  link(link: Link): void;
}

export class Connection {
  readonly #listener: Listener;
  #lastId: string | undefined;
  #lostSince: number | undefined;
  /** Ends the wait before the next attempt. */
  #wake: () => void = () => {};

  constructor(listener: Listener) {
    this.#listener = listener;
    addEventListener('online', () => this.#wake());
    document.addEventListener('visibilitychange', () => this.#wake());
  }

  /** An answer of the daemon. */
  async get(path: string, signal?: AbortSignal): Promise<unknown> {
    const response = await this.#fetch(path, {}, signal);
    return response.json();
  }

  /** Tries a token. */
  unlock(token: string): void {
    sessionStorage.setItem(TOKEN, token);
    this.#wake();
  }

  async #fetch(path: string, headers: Record<string, string>, signal?: AbortSignal) {
    const token = sessionStorage.getItem(TOKEN);
    const response = await fetch(path, {
      headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
      cache: 'no-store',
      redirect: 'error',
      ...(signal && { signal }),
    });
    if (response.ok) return response;
    const answer: unknown = await response.json().catch(() => undefined);
    const { error } = (answer ?? {}) as { error?: string };
    throw new Refused(response.status, error ?? `the daemon answered ${response.status}`);
  }

  /** Connects, and connects again whenever the connection is lost. */
  async run(): Promise<never> {
    let wait = FIRST_RETRY;
    this.#listener.link({ kind: 'connecting' });
    for (;;) {
      try {
        await this.#stream(() => {
          wait = FIRST_RETRY;
        });
      } catch (error) {
        if (error instanceof Refused && error.status === 401) {
          const wrong = sessionStorage.getItem(TOKEN) !== null;
          sessionStorage.removeItem(TOKEN);
          this.#listener.link({ kind: 'locked', wrong });
          await this.#pause(undefined);
          continue;
        }
        this.#lostSince ??= Date.now();
        const reason = error instanceof Refused ? error.message : 'no answer';
        this.#listener.link({ kind: 'lost', reason, since: this.#lostSince });
      }
      await this.#pause(wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, LAST_RETRY);
    }
  }

  #pause(milliseconds: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Reads the stream until it ends, which is an error. */
  async #stream(opened: () => void): Promise<never> {
    const abort = new AbortController();
    let timer = setTimeout(() => abort.abort(), SILENCE);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), SILENCE);
    };
    try {
      const resumed = this.#lastId !== undefined;
      const headers = {
        Accept: 'text/event-stream',
        ...(this.#lastId === undefined ? {} : { 'Last-Event-ID': this.#lastId }),
      };
      const response = await this.#fetch(EVENTS, headers, abort.signal);
      // Events that come while the tables are fetched are applied after them.
      const waiting: EventSourceMessage[] = [];
      let isBusy = true;
      const hearAll = async () => {
        isBusy = true;
        for (let message = waiting.shift(); message; message = waiting.shift()) {
          if (this.#outdates(message)) await this.#listener.opened(false, abort.signal);
          abort.signal.throwIfAborted();
          this.#hear(message);
        }
        isBusy = false;
      };
      const parser = createParser({
        onEvent: (message) => {
          waiting.push(message);
          // A gap that cannot be filled ends the stream: the next one begins with it.
          if (!isBusy) hearAll().catch(() => abort.abort());
        },
      });
      const reading = this.#read(response, (text) => {
        heard();
        parser.feed(text);
      });
      const opening = this.#listener.opened(resumed, abort.signal).then(hearAll);
      await Promise.race([reading, opening]);
      opened();
      this.#lostSince = undefined;
      this.#listener.link({ kind: 'live' });
      return await reading;
    } finally {
      clearTimeout(timer);
      abort.abort();
    }
  }

  async #read(response: Response, feed: (text: string) => void): Promise<never> {
    const decoder = new TextDecoder();
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Error('the stream ended');
      feed(decoder.decode(value, { stream: true }));
    }
  }

  #outdates({ id, event, data }: EventSourceMessage): boolean {
    if (event !== 'state') return event === 'gap';
    return this.#listener.outdates(JSON.parse(data), Number(id));
  }

  #hear({ id, event = 'message', data }: EventSourceMessage): void {
    if (id !== undefined) this.#lastId = id;
    this.#listener.event(event, JSON.parse(data), Number(id));
  }
}
