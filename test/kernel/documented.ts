/** Programs that the documentation shows, or that examples/ has, run as a reader runs them. @module */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { root } from '../documents.ts';

/** A program that runs, and what it has printed so far. */
export class RunningProgram implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  /** Standard output and standard error. */
  printed = '';

  /** @param args after `node` */
  constructor(...args: string[]) {
    const env = {
      ...process.env,
      NO_COLOR: '1',
      FORCE_COLOR: undefined,
      // A suite is not part of the one that runs it.
      NODE_TEST_CONTEXT: undefined,
    };
    const child = spawn(process.execPath, args, {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#ended = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.printed += text;
        child.emit('printed');
      });
    }
  }

  /** Waits until it has printed something. */
  async prints(expected: RegExp): Promise<string> {
    while (!expected.test(this.printed)) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`it ended without ${expected}: ${this.printed}`);
      }
      await Promise.race([once(this.#child, 'printed'), this.#ended]);
    }
    return this.printed;
  }

  /** Ends it by a signal, if one is given, and gives its exit status. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal) this.#child.kill(signal);
    await this.#ended;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** A program to its end. @throws Error if it fails, with what it printed */
export async function output(...args: string[]): Promise<string> {
  await using program = new RunningProgram(...args);
  const status = await program.end();
  if (status !== 0) throw new Error(`status ${status}: ${program.printed}`);
  return program.printed;
}

/** What runs a module of this text. */
export const code = (text: string): string[] => ['--input-type=module', '-e', text];
