import type { Duplex, Writable } from 'node:stream';

const turn = () => new Promise<void>((resume) => setImmediate(resume));

/**
 * An output of a slot. It is always read, and its data goes to the output of the running command, no faster than that
 * accepts it; the guest is blocked meanwhile.
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

  /** From now on the output goes to `to`, or nowhere. `fail` is called if that cannot be written to. */
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
   * Waits until all output of the command has been passed on: `bytes` in total, or if that is unknown, all that has left
   * the guest: it is then in the socket, and a whole turn of the event loop brings nothing more.
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
        // The first may resolve before sockets are polled, the second after.
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
