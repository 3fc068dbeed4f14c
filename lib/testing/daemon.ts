/** A daemon on a host: its files, its log, and its end. @module */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestingError } from './error.ts';
import type { Host } from './host.ts';
import { finished, kill, type ProgramOutput } from './program.ts';

/** Lines of the log that an error shows. */
const SHOWN = 40;
const KEPT = 10_000;
/** Milliseconds that a daemon may take until it listens, on a slow machine. */
const PATIENCE = 60_000;
const AGAIN = 20;

/** How a daemon is started. */
export interface DaemonOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly mounts?: Readonly<Record<string, string>> | undefined;
  /** The file, below its folder, that is there once it listens. */
  readonly ready: string;
}

/** The first of some paths at which there is a program. @throws TestingError that says which packages have it */
export function findProgram(paths: readonly string[], what: string, packages: string): string {
  const found = paths.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const message = `${what} is not installed: looked for ${paths.join(', ')}. ${packages}`;
  throw new TestingError('ERR_PROGRAM_MISSING', message);
}

/** A folder for the files of a daemon, gone with its host. */
export function makeFolder(host: Host): string {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-daemon-'));
  host.own(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
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

  /** What it said so far. */
  get log(): string {
    return this.#lines.join('\n');
  }

  /** Its process id; undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts it, and waits until it listens. */
  protected async start({ program, args, mounts, ready }: DaemonOptions): Promise<void> {
    const { env } = this;
    const child = this.host.spawn(program, args, { env, ...(mounts && { mounts }) });
    this.#process = child;
    let failed: unknown;
    child.on('error', (error) => {
      failed = error;
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#lines.push(...text.trimEnd().split('\n'));
        if (this.#lines.length > KEPT) this.#lines.splice(0, this.#lines.length - KEPT);
      });
    }
    const deadline = performance.now() + PATIENCE;
    while (!existsSync(join(this.folder, ready))) {
      const over = failed !== undefined || child.exitCode !== null || child.signalCode !== null;
      if (over || performance.now() > deadline) {
        await this.kill();
        throw this.failure(
          over ? 'did not start' : `did not listen within ${PATIENCE / 1000} s`,
          failed,
        );
      }
      await sleep(AGAIN);
    }
  }

  /** Runs a program that speaks with it. @throws TestingError with the end of the daemon's log */
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

  /** An error that shows the end of its log. */
  failure(what: string, cause?: unknown): TestingError {
    const log = this.#lines.slice(-SHOWN).map((line) => `  ${line}`);
    const text = log.length > 0 ? `the end of its log:\n${log.join('\n')}` : 'its log is empty';
    return new TestingError(
      'ERR_PROGRAM_FAILED',
      `${this.name} of ${this.host.name}: ${what}; ${text}`,
      cause,
    );
  }

  /** Stops it as it is, until {@link resume}: to its peer it is dead. */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  /** Lets it go on after {@link pause}. */
  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Ends it at once, without a word to its peer or the kernel: its SAs stay. */
  async kill(): Promise<void> {
    if (this.#process) await kill(this.#process);
  }

  /** Ends it, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** Settings of a configuration file. */
export type DaemonSettings = Readonly<Record<string, string | number>>;
