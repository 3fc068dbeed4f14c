import type { Duplex, Writable } from 'node:stream';

const turn = () => new Promise<void>((resume) => setImmediate(resume));

/**
 * One output of a slot, read all the time; what comes goes to the output of the command that runs, no faster
 * than that takes it. The guest then waits.
 */
export class OutputLine {
  readonly #line: Duplex;
  #to: Writable | undefined;
  #fail: (reason: unknown) => void = () => {};
  #bytes = 0;
  #changed: () => void = () => {};

  constructor(line: Duplex) {
    this.#line = line;
    line.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      const to = this.#to;
      if (to && !to.destroyed && !to.write(chunk)) line.pause();
      this.#changed();
    });
  }

  /** From here on the output goes to `to`, or nowhere. `fail` is called when that cannot be written to. */
  attach(to: Writable | undefined, fail: (reason: unknown) => void): void {
    this.#bytes = 0;
    this.#to = to;
    this.#fail = fail;
    to?.on('error', this.#failed);
    to?.on('drain', this.#resume);
    to?.on('close', this.#resume);
  }

  detach(): void {
    const to = this.#to;
    to?.removeListener('error', this.#failed);
    to?.removeListener('drain', this.#resume);
    to?.removeListener('close', this.#resume);
    this.#to = undefined;
    this.#resume();
  }

  /**
   * Waits until all that the command wrote has been passed on: `bytes` of it; without them, all that has left
   * the guest, which lies in the socket: then a whole turn of the event loop brings nothing more.
   */
  async complete(bytes: number | undefined): Promise<void> {
    for (;;) {
      if (this.#line.readableEnded || this.#line.destroyed) return;
      const before = this.#bytes;
      if (this.#line.isPaused() || (bytes !== undefined && before < bytes)) {
        await new Promise<void>((resume) => {
          this.#changed = resume;
          this.#line.once('close', resume);
        });
        this.#changed = () => {};
      } else {
        // The first may come before the next time that sockets are looked at, the second after it.
        await turn();
        await turn();
        if (this.#bytes === before && !this.#line.isPaused()) return;
      }
    }
  }

  #failed = (reason: unknown): void => {
    this.#fail(reason);
    this.#resume();
  };

  #resume = (): void => {
    this.#line.resume();
    this.#changed();
  };
}
