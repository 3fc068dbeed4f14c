/**
 * TCP connections and calls between this machine and a guest of the lab, which has no network: as lines of JSON over the
 * standard input and output of a program there.
 * @module
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

type Message =
  /** A connection begins, carries bytes, ends. */
  | { readonly open: number; readonly port: number }
  | { readonly data: number; readonly bytes: string }
  | { readonly end: number }
  | { readonly call: number; readonly name: string; readonly args: readonly unknown[] }
  | { readonly answer: number; readonly value?: unknown; readonly error?: string };

type Call = { resolve(value: unknown): void; reject(error: Error): void };
// biome-ignore lint/suspicious/noExplicitAny: called with what came as JSON
export type Actions = Readonly<Record<string, (...args: any[]) => unknown>>;

export class Bridge {
  readonly #output: Writable;
  readonly #actions: Actions;
  readonly #sockets = new Map<number, Socket>();
  readonly #calls = new Map<number, Call>();
  #serial = 0;
  /** When the other side has ended. */
  readonly ended: Promise<void>;

  constructor(input: Readable, output: Writable, actions: Actions = {}) {
    this.#output = output;
    this.#actions = actions;
    this.ended = new Promise((resolve) => {
      createInterface({ input })
        // Programs may print other things, too.
        .on('line', (line) => line.startsWith('{') && this.#hear(JSON.parse(line)))
        .on('close', () => {
          for (const { reject } of this.#calls.values()) reject(new Error('the guest has ended'));
          for (const socket of this.#sockets.values()) socket.destroy();
          resolve();
        });
    });
  }

  /** Accepts connections here, which lead to a port there. */
  listen(port: number): Promise<Server> {
    const server = createServer((socket) => {
      const id = this.#serial++;
      this.#tell({ open: id, port });
      this.#carry(id, socket);
    });
    return new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve(server));
    });
  }

  /** Calls an action of the other side. */
  call(name: string, ...args: readonly unknown[]): Promise<unknown> {
    const call = this.#serial++;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject });
      this.#tell({ call, name, args });
    });
  }

  #tell(message: Message): void {
    this.#output.write(`${JSON.stringify(message)}\n`);
  }

  #carry(id: number, socket: Socket): void {
    this.#sockets.set(id, socket);
    socket
      .on('data', (bytes) => this.#tell({ data: id, bytes: bytes.toString('base64') }))
      .on('error', () => {})
      .on('close', () => {
        if (this.#sockets.delete(id)) this.#tell({ end: id });
      });
  }

  #hear(message: Message): void {
    if ('open' in message) {
      this.#carry(message.open, connect(message.port, '127.0.0.1'));
    } else if ('data' in message) {
      this.#sockets.get(message.data)?.write(Buffer.from(message.bytes, 'base64'));
    } else if ('end' in message) {
      const socket = this.#sockets.get(message.end);
      this.#sockets.delete(message.end);
      socket?.destroySoon();
    } else if ('call' in message) {
      void this.#act(message);
    } else {
      const call = this.#calls.get(message.answer);
      this.#calls.delete(message.answer);
      if (message.error === undefined) call?.resolve(message.value);
      else call?.reject(new Error(message.error));
    }
  }

  async #act({ call, name, args }: Extract<Message, { call: number }>): Promise<void> {
    try {
      this.#tell({ answer: call, value: await this.#actions[name]?.(...args) });
    } catch (error) {
      this.#tell({ answer: call, error: (error as Error).stack ?? String(error) });
    }
  }
}
