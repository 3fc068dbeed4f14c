/**
 * Starting, measuring and ending a contestant.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import type { Contestant, Listening } from './contestants.ts';
import { program } from './native.ts';
import { atRest, cpuTime, listeningSocket, type Queue } from './proc.ts';

/** A listener's final report. Times are nanoseconds on its own clock. */
export interface Report {
  readonly received: number;
  readonly overruns: number;
  readonly rejected: number;
  readonly first: number;
  readonly last: number;
  readonly latencies?: readonly number[];
}

/** Running processes, so that they end with this one, for whatever reason. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(1));
}

/** Starts a process that is killed with this one. */
function start(
  [file = '', ...args]: readonly string[],
  stdout: 'pipe' | 'ignore',
  env: NodeJS.ProcessEnv = {},
): ChildProcess {
  const child = spawn(file, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', stdout, 'pipe'],
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

/** Collects lines until the stream ends. */
async function lines(stream: NodeJS.ReadableStream | null, take: (line: string) => void) {
  if (stream) for await (const line of createInterface(stream)) take(line);
}

/** A running load generator. */
export interface Load {
  /** Resolves when it is done, with its duration in nanoseconds. */
  readonly done: Promise<number>;
  /** Ends it early. */
  stop(): Promise<void>;
}

/** Starts the load generator (native/load.c). */
export function startLoad(args: readonly string[]): Load {
  const child = start([program('load'), ...args], 'pipe');
  const ended = once(child, 'close') as Promise<[number | null]>;
  let took = 0;
  let said = '';
  const read = Promise.all([
    lines(child.stdout, (line) => {
      took = JSON.parse(line).nanoseconds;
    }),
    lines(child.stderr, (line) => {
      said += `${line}\n`;
    }),
  ]);
  let stopped = false;
  const done = (async () => {
    const [status] = await ended;
    await read;
    if (status !== 0 && !stopped) throw new Error(`load ${args.join(' ')}: ${said.trim()}`);
    return took;
  })();
  return {
    done,
    stop: async () => {
      stopped = true;
      child.kill('SIGKILL');
      await done;
    },
  };
}

/** A contestant that has joined its groups and is waiting. */
export class Listener {
  readonly #contestant: Contestant;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #read: Promise<unknown>;
  #printed = 0;
  #report: Report | undefined;
  #said = '';

  /** @param counted whether to read its output and count the events in it */
  static async start(
    contestant: Contestant,
    listening: Listening,
    { counted = false, more = [] as readonly string[] } = {},
  ): Promise<Listener> {
    const listener = new Listener(contestant, listening, counted, more);
    await listener.#ready();
    return listener;
  }

  private constructor(
    contestant: Contestant,
    listening: Listening,
    counted: boolean,
    more: readonly string[],
  ) {
    this.#contestant = contestant;
    const reports = contestant.eventsIn === undefined;
    this.#child = start(
      [...contestant.command(listening), ...more],
      counted || reports ? 'pipe' : 'ignore',
      contestant.env?.(listening),
    );
    this.#ended = once(this.#child, 'close');
    this.#read = Promise.all([
      lines(this.#child.stdout, (line) => {
        if (contestant.eventsIn) this.#printed += contestant.eventsIn(line);
        else this.#report = JSON.parse(line);
      }),
      lines(this.#child.stderr, (line) => {
        this.#said += `${line}\n`;
      }),
    ]);
  }

  get #pid(): number {
    const { pid } = this.#child;
    if (pid === undefined || this.ended) throw this.#endedError();
    return pid;
  }

  #endedError(): Error {
    return new Error(`${this.#contestant.name} has ended: ${this.#said.trim()}`);
  }

  /** Whether it has exited by itself. */
  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #ready(): Promise<void> {
    await this.#alive(async () => {
      while (listeningSocket(this.#pid) === undefined) await pause(10);
    });
    await this.atRest();
  }

  /** Inspects the process; if it has exited meanwhile, the error says so, and why. */
  async #alive<T>(look: () => Promise<T>): Promise<T> {
    try {
      return await look();
    } catch (error) {
      // Its /proc files disappear before Node reports its exit.
      await Promise.race([this.#ended, pause(1000)]);
      throw this.ended ? this.#endedError() : error;
    }
  }

  /** Nanoseconds of CPU time so far. */
  get cpu(): number {
    return cpuTime(this.#pid);
  }

  /** Waits until it has read everything, or has stopped reading. */
  atRest(): Promise<Queue> {
    return this.#alive(() => atRest(this.#pid));
  }

  /** Stops it, so that events stay in its queue. */
  hold(): void {
    process.kill(this.#pid, 'SIGSTOP');
  }

  release(): void {
    process.kill(this.#pid, 'SIGCONT');
  }

  /** Ends it. @returns its report, or for one that prints, how many events it printed, if counted */
  async end(): Promise<{ report: Report | undefined; printed: number }> {
    process.kill(this.#pid, 'SIGTERM');
    await Promise.all([this.#ended, this.#read]);
    if (this.#contestant.eventsIn === undefined && this.#report === undefined) {
      throw new Error(`${this.#contestant.name} gave no report: ${this.#said.trim()}`);
    }
    return { report: this.#report, printed: this.#printed };
  }
}
