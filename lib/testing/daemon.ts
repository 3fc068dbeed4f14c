/** A daemon that runs on a host: configuration files, log, lifetime. @module */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { wrongType, wrongValue } from '../base/argument.ts';
import { hosts, names } from './argument.ts';
import { TestingError } from './error.ts';
import type { Host } from './host.ts';
import { finished, kill, type ProgramOutput } from './program.ts';

/** Log lines shown in an error. */
const SHOWN = 40;
const KEPT = 10_000;
/** Milliseconds a daemon may take until it listens, on a slow machine. */
const PATIENCE = 60_000;
const AGAIN = 20;

/** How to start a daemon. */
export interface DaemonOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly mounts?: Readonly<Record<string, string>> | undefined;
  /** File, relative to the daemon's folder, that exists once it listens. */
  readonly ready: string;
}

/** Returns the first of some paths that exists. @throws TestingError naming the packages that provide the program */
export function findProgram(paths: readonly string[], what: string, packages: string): string {
  const found = paths.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const message = `${what} is not installed: looked for ${paths.join(', ')}. ${packages}`;
  throw new TestingError('ERR_PROGRAM_MISSING', message);
}

/** A daemon that runs until it is killed, its host is closed, or this thread ends. */
export class Daemon implements AsyncDisposable {
  readonly host: Host;
  readonly name: string;
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #lines: string[] = [];
  #process: ChildProcess | undefined;

  constructor(host: Host, name: string, folder: string, env: NodeJS.ProcessEnv = process.env) {
    [this.host, this.name, this.folder, this.env] = [host, name, folder, env];
  }

  /** Its log output so far. */
  get log(): string {
    return this.#lines.join('\n');
  }

  /** Its process ID; undefined while it is not running. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts it, waits until it listens, and configures it. If any of that fails, it is killed. */
  protected async start(options: DaemonOptions, configure: () => Promise<void>): Promise<void> {
    try {
      await this.#listening(options);
      await configure();
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async #listening({ program, args, mounts, ready }: DaemonOptions): Promise<void> {
    const { env } = this;
    const child = this.host.spawn(program, args, { env, ...(mounts && { mounts }) });
    this.#process = child;
    let failed: unknown;
    child.on('error', (error) => {
      failed = error;
    });
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      // A line may come in parts.
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines.push(line);
        if (this.#lines.length > KEPT) this.#lines.splice(0, this.#lines.length - KEPT);
      });
    }
    const deadline = performance.now() + PATIENCE;
    while (!existsSync(join(this.folder, ready))) {
      const over = failed !== undefined || child.exitCode !== null || child.signalCode !== null;
      if (over || performance.now() > deadline) {
        throw this.failure(
          over ? 'did not start' : `did not listen within ${PATIENCE / 1000} s`,
          failed,
        );
      }
      await sleep(AGAIN);
    }
  }

  /** Runs a control program of the daemon. @throws TestingError with the end of the daemon's log */
  protected async ask(program: string, args: readonly string[]): Promise<ProgramOutput> {
    try {
      return await finished(
        this.host.spawn(program, args, { env: this.env }),
        [program, ...args].join(' '),
      );
    } catch (error) {
      throw this.failure((error as Error).message, error);
    }
  }

  /** Creates an error that shows the end of its log. */
  failure(what: string, cause?: unknown): TestingError {
    const log = this.#lines.slice(-SHOWN).map((line) => `  ${line}`);
    const text = log.length > 0 ? `the end of its log:\n${log.join('\n')}` : 'its log is empty';
    return new TestingError(
      'ERR_PROGRAM_FAILED',
      `${this.name} of ${this.host.name}: ${what}; ${text}`,
      cause,
    );
  }

  /** Stops it (SIGSTOP) until {@link resume}: to its peer it looks dead. */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  /** Continues it after {@link pause}. */
  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Kills it without notifying its peer or cleaning up the kernel: its SAs stay. */
  async kill(): Promise<void> {
    if (this.#process) await kill(this.#process);
  }

  /** Kills it, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** The host a daemon runs on. */
export type Side = 'left' | 'right';

/** A daemon on each of two hosts. */
export interface DaemonPair<Kind extends Daemon> extends AsyncDisposable {
  readonly left: Kind;
  readonly right: Kind;
}

/** Starts the right daemon, then the left one. If that fails, neither is left running. */
export async function startPair<Kind extends Daemon>(
  both: Readonly<Record<Side, Host>>,
  start: (own: Host, other: Host, side: Side) => Promise<Kind>,
): Promise<DaemonPair<Kind>> {
  hosts({ ...both });
  const right = await start(both.right, both.left, 'right');
  try {
    const left = await start(both.left, both.right, 'left');
    return {
      left,
      right,
      async [Symbol.asyncDispose]() {
        await Promise.all([left.kill(), right.kill()]);
      },
    };
  } catch (error) {
    await right.kill();
    throw error;
  }
}

/** Throws unless there is a folder for each host, with the files that the daemon cannot do without. */
export function checkFiles(files: unknown, needed: readonly string[]): void {
  if (files === undefined) return;
  names('options.files', files, ['left', 'right']);
  for (const side of ['left', 'right'] as const) {
    const folder = (files as Partial<Record<Side, unknown>>)[side];
    if (typeof folder !== 'string') throw wrongType(`options.files.${side}`, 'a folder', folder);
    const missing = needed.map((name) => join(folder, name)).find((path) => !existsSync(path));
    if (missing !== undefined) throw wrongValue(`options.files.${side}: there is no ${missing}`);
  }
}

/** Settings of a configuration file. */
export type DaemonSettings = Readonly<Record<string, string | number>>;
