/**
 * When a socket of events is read: while it is wanted, with rests in which the kernel gathers events.
 * @module
 */
import { addon } from '../socket/addon.ts';
import type { Batch, NetlinkSocket } from '../socket/index.ts';
import type { EventSocket } from './event-socket.ts';

/**
 * The least receive buffer, in bytes as granted, with which there are rests. A smaller one could fill
 * meanwhile: 6,500 policy events fit into this one, and a busy kernel makes 500 a millisecond.
 */
const LEAST_BUFFER = 4 * 2 ** 20;

/** The pace at which one socket is read. */
export class Pace {
  readonly #socket: NetlinkSocket;
  readonly #rest: number;
  #flowing = true;
  #alive = true;
  #timer: NodeJS.Timeout | undefined;

  /** @param rest milliseconds; 0 for none */
  constructor({ socket, granted }: EventSocket, rest: number) {
    this.#socket = socket;
    this.#rest = granted < LEAST_BUFFER ? 0 : rest;
  }

  /** Whether it is to be read at all. */
  set flowing(flowing: boolean) {
    this.#flowing = flowing;
    if (!flowing) this.#endRest();
    if (this.#timer === undefined) flowing ? this.#socket.resume() : this.#socket.pause();
  }

  /** Whether that keeps the process alive. */
  set alive(alive: boolean) {
    this.#alive = alive;
    if (alive) {
      this.#socket.ref();
      this.#timer?.ref();
    } else {
      this.#socket.unref();
      this.#timer?.unref();
    }
  }

  /** After a batch: rests if that was all that waited. While the kernel drops events it does not. */
  batchRead({ count, lost }: Batch): void {
    if (this.#rest === 0 || !this.#flowing || lost !== undefined || count === addon().batch) return;
    this.#socket.pause();
    this.#timer = setTimeout(this.now, this.#rest);
    if (!this.#alive) this.#timer.unref();
  }

  /** Ends a rest. */
  readonly now = (): void => {
    this.#endRest();
    if (this.#flowing) this.#socket.resume();
  };

  close(): Promise<void> {
    this.#flowing = false;
    this.#endRest();
    return this.#socket.close();
  }

  #endRest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
