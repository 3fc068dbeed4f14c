/**
 * The process that keeps a guest: boots it, and runs commands requested over the socket in the directory given as
 * its only argument. It ends along with the guest when told to stop, or after some time without a command.
 */
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ForwardedSignal } from './interruption.ts';
import {
  errorAnswer,
  type KeepSetup,
  type KeptLabGuest,
  type Later,
  line,
  type Opening,
  type StreamName,
} from './kept-messages.ts';
import { SLOTS } from './lines.ts';
import { startGuest } from './run.ts';
import { type Guest, readLines } from './vm.ts';

/** A command whose streams are being connected. */
interface Pending {
  readonly streams: Map<StreamName, Socket>;
  readonly connected: () => void;
}

class Keeper {
  readonly #guest: Guest;
  readonly #setup: KeepSetup;
  readonly #place: string;
  readonly #pending = new Map<string, Pending>();
  readonly #since = new Date().toISOString();
  readonly #server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  #idle: number;
  #timer: NodeJS.Timeout | undefined;
  #running = 0;

  constructor(guest: Guest, setup: KeepSetup, place: string) {
    this.#guest = guest;
    this.#setup = setup;
    this.#place = place;
    this.#idle = setup.idle;
  }

  async listen(): Promise<void> {
    process.chdir(this.#place);
    await new Promise<void>((done, failed) => {
      this.#server.once('error', failed);
      // Relative to its directory, because a socket path is limited to 107 bytes.
      this.#server.listen('socket', done);
    });
    chmodSync('socket', 0o600);
    this.#wait();
  }

  /** Shuts the guest down; it can no longer be found. */
  async close(): Promise<void> {
    rmSync(this.#place, { recursive: true, force: true });
    await this.#guest.close();
  }

  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#running === 0) this.#timer = setTimeout(() => this.#guest.kill(), this.#idle);
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    let buffered = Buffer.alloc(0);
    const first = (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk]);
      const end = buffered.indexOf('\n');
      if (end < 0) return;
      socket.removeListener('data', first);
      socket.pause();
      // Stream data received with the first line.
      if (end + 1 < buffered.length) socket.unshift(buffered.subarray(end + 1));
      try {
        this.#open(socket, JSON.parse(buffered.toString('utf8', 0, end)) as Opening);
      } catch (error) {
        socket.end(line(errorAnswer(error)));
      }
    };
    socket.on('data', first);
  }

  #open(socket: Socket, opening: Opening): void {
    switch (opening.ask) {
      case 'run':
        void this.#run(socket, opening);
        break;
      case 'stream': {
        const pending = this.#pending.get(opening.id);
        if (pending === undefined) {
          socket.destroy();
          break;
        }
        pending.streams.set(opening.stream, socket);
        pending.connected();
        break;
      }
      case 'describe':
        socket.end(line(this.#description()));
        break;
      case 'stop':
        void this.close().then(() => socket.end(line({ stopped: true })));
        break;
    }
  }

  #description(): KeptLabGuest {
    const { kernel, memory, share } = this.#setup;
    const { kind, suite, release } = kernel;
    return {
      ...{ kind, suite, release, memory, share },
      running: this.#running,
      since: this.#since,
      idle: this.#idle,
      pid: process.pid,
    };
  }

  async #run(socket: Socket, opening: Extract<Opening, { ask: 'run' }>): Promise<void> {
    const caller = new AbortController();
    const gone = () => caller.abort(new Error('the caller has gone'));
    const control = {
      signal: caller.signal,
      passOn: undefined as ((name: ForwardedSignal) => void) | undefined,
    };
    socket.once('end', gone);
    socket.once('close', gone);
    readLines(socket, (text) => control.passOn?.((JSON.parse(text) as Later).signal));
    socket.resume();

    const id = randomUUID();
    const streams = new Map<StreamName, Socket>();
    this.#idle = opening.idle;
    this.#running += 1;
    this.#wait();
    try {
      await new Promise<void>((done, failed) => {
        const connected = () => {
          if (streams.size === opening.streams.length) done();
        };
        this.#pending.set(id, { streams, connected });
        caller.signal.addEventListener('abort', () => failed(caller.signal.reason));
        socket.write(line({ id }));
        connected();
      });
      const status = await this.#guest.run(
        opening.run,
        {
          stdin: streams.get('stdin'),
          stdout: streams.get('stdout'),
          stderr: streams.get('stderr'),
        },
        control,
        () => socket.write(line({ started: true })),
      );
      socket.end(line({ status }));
    } catch (error) {
      socket.end(line(errorAnswer(error)));
    } finally {
      this.#pending.delete(id);
      streams.get('stdin')?.destroy();
      streams.get('stdout')?.end();
      streams.get('stderr')?.end();
      this.#running -= 1;
      this.#wait();
    }
  }
}

const place = process.argv[2] ?? '';
const report = (message: object) => process.stdout.end(line(message));
process.stdout.on('error', () => {});

/** Ends this process if its starter goes away before the guest is up. */
const starting = new AbortController();

async function serve(setup: KeepSetup): Promise<void> {
  const { kernel, memory, share } = setup;
  const stdin = kernel.kind === 'user-mode';
  const guest = await startGuest(
    kernel,
    { memory, ...(share !== '' && { share }) },
    { slots: SLOTS, stdin, cwd: '/' },
    starting,
  );
  const keeper = new Keeper(guest, setup, place);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    process.on(signal, () => guest.kill());
  }
  try {
    mkdirSync(place, { mode: 0o700 });
    writeFileSync(join(place, 'pid'), `${process.pid}\n`, { mode: 0o600 });
    await keeper.listen();
    starting.signal.throwIfAborted();
    report({ ready: true });
    await guest.ended;
  } finally {
    await keeper.close();
  }
  // Pending messages are flushed; nobody is waited for.
  setTimeout(() => process.exit(), 1000);
}

let told = false;
readLines(process.stdin, (text) => {
  told = true;
  serve(JSON.parse(text) as KeepSetup).catch((error) => {
    report(errorAnswer(error));
    process.exitCode = 1;
  });
});
process.stdin.on('close', () => starting.abort(new Error('the caller has gone')));
process.stdin.on('end', () => {
  if (!told) process.exitCode = 1;
});
