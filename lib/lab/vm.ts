import { type ChildProcess, spawn } from 'node:child_process';
import { addAbortListener } from 'node:events';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { bootError, KernelLog, lostError } from './boot-log.ts';
import { LabError } from './errors.ts';
import { KEEPER } from './keeper.ts';
import type { LabKernel } from './kernel.ts';
import { LINES } from './lines.ts';
import type { LabLimits, LabOptions, LabOutput } from './options.ts';
import { TerminalInput } from './stdin.ts';

/** How the command in one guest ended. */
export interface GuestResult {
  /** The command's exit status; 128 + n if signal n killed it; 124 if the time was up. */
  readonly status: number;
  /** Whether `timeout` ended it. */
  readonly timedOut: boolean;
  /** Milliseconds until the command started; absent if it never did. */
  readonly bootMs?: number;
  /** Milliseconds from start to power off. */
  readonly totalMs: number;
}

/** The program that is or runs a guest kernel. */
export interface GuestProgram {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What it prints when it is broken and does not end. */
  readonly broken?: RegExp;
}

/** What one guest is started with. */
export interface GuestSetup extends Pick<LabLimits, 'timeout'> {
  readonly kernel: LabKernel;
  /** Private directory that holds `init`; removed afterwards. */
  readonly run: string;
  readonly program: GuestProgram;
}

/** Signals passed on, by the name that the guest's kill takes. */
const FORWARDED = ['INT', 'TERM', 'HUP', 'QUIT'] as const;

function destination(output: LabOutput | undefined, inherited: Writable): Writable | undefined {
  if (output === 'ignore') return undefined;
  return output === undefined || output === 'inherit' ? inherited : output;
}

/**
 * Copies to the end, no faster than `to` takes it; the guest then waits. `passed` is called with the
 * size of each piece that was passed on.
 */
async function pump(
  from: Readable,
  to: Writable | undefined,
  passed: (length: number) => void,
): Promise<void> {
  let failure: Error | undefined;
  let wake = () => {};
  const failed = (error: Error) => {
    failure = error;
    wake();
  };
  to?.on('error', failed);
  const resume = () => wake();
  to?.on('drain', resume);
  to?.on('close', resume);
  try {
    for await (const chunk of from) {
      if (failure) throw failure;
      const flows = !to || to.destroyed || to.write(chunk);
      passed(chunk.length);
      if (flows) continue;
      await new Promise<void>((ready) => {
        wake = ready;
        if (failure || to.destroyed) ready();
      });
    }
    if (failure) throw failure;
  } finally {
    to?.removeListener('drain', resume);
    to?.removeListener('close', resume);
    to?.removeListener('error', failed);
  }
}

/** Calls `each` with every whole line that arrives. */
function readLines(from: Readable, each: (line: string) => void): void {
  let rest = '';
  from.setEncoding('latin1');
  from.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) each(line.trim());
  });
}

/** The keeper died before the kernel did: end the kernel in its place. */
function killOrphan(run: string): void {
  try {
    const pid = Number.parseInt(readFileSync(join(run, 'kernel.pid'), 'utf8'), 10);
    if (pid > 1) process.kill(-pid, 'SIGKILL');
  } catch {
    // The directory is gone with the kernel, as it should be.
  }
}

/** Boots a guest that runs `setup.run`/init, and waits for its end. */
export async function bootGuest(setup: GuestSetup, options: LabOptions): Promise<GuestResult> {
  const { signal } = options;
  signal?.throwIfAborted();
  const { kernel, run, program } = setup;
  const stdin = options.stdin === 'inherit';
  const started = performance.now();
  const child: ChildProcess = spawn(
    kernel.busybox,
    ['sh', '-c', KEEPER, 'keeper', run, ...program.command],
    {
      cwd: run,
      detached: true,
      // TMP and TEMP, which the kernel would look at first, are left out.
      env: { PATH: '/usr/bin:/bin', HOME: run, ...program.env },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', stdin ? 'pipe' : 'ignore'],
    },
  );
  const ended = new Promise<void>((done, failed) => {
    child.once('close', () => done());
    child.once('error', failed);
    child.once('exit', () => {
      killOrphan(run);
      (child.stdio[LINES.lifeline] as Duplex | null)?.destroy();
    });
  });
  if (child.pid === undefined) {
    await ended;
  }
  const line = (descriptor: number) => child.stdio[descriptor] as Duplex;
  for (const descriptor of [LINES.lifeline, LINES.control]) line(descriptor).on('error', () => {});
  const kill = () => line(LINES.lifeline).destroy();

  const log = new KernelLog();
  line(1).on('data', (chunk: Buffer) => log.add(chunk));
  line(2).on('data', (chunk: Buffer) => {
    log.add(chunk);
    if (program.broken?.test(log.text)) kill();
  });
  // The keeper says nothing here; reading keeps the descriptor from filling.
  line(LINES.lifeline).resume();

  let bootMs: number | undefined;
  let status: number | undefined;
  let refused: string | undefined;
  // A guest that cannot know what has arrived says how much it wrote, and is ended then.
  const arrived = [0, 0];
  let expected: readonly number[] | undefined;
  const endIfComplete = () => {
    if (expected?.every((bytes, index) => arrived[index] === bytes)) kill();
  };
  const count = (index: number) => (length: number) => {
    arrived[index] = (arrived[index] ?? 0) + length;
    endIfComplete();
  };
  // A terminal of the guest has to be told what is data; a port of a virtio console carries anything.
  const encoder = stdin && kernel.kind === 'user-mode' ? new TerminalInput() : undefined;
  let stopInput = () => {};
  readLines(line(LINES.control), (text) => {
    const [word, value = '', ...counts] = text.split(' ');
    if (word === 'ready') {
      bootMs = performance.now() - started;
      if (stdin) stopInput = feed(encoder, line(LINES.input));
    } else if (word === 'taken') encoder?.acknowledge();
    else if (word === 'exit') {
      status = Number.parseInt(value, 10);
      if (counts.length > 0) expected = counts.map(Number);
      endIfComplete();
    } else if (word === 'error') refused = value;
  });

  let failure: unknown;
  const stop = (reason: unknown) => {
    failure ??= reason;
    kill();
  };
  const copies = Promise.all([
    pump(line(LINES.out), destination(options.stdout, process.stdout), count(0)),
    pump(line(LINES.err), destination(options.stderr, process.stderr), count(1)),
  ]).catch(stop);

  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, setup.timeout);
  const aborted = signal && addAbortListener(signal, () => stop(signal.reason));

  let interrupted: number | undefined;
  const handlers = (options.forwardSignals ? FORWARDED : []).map((name) => {
    const handler = () => {
      if (bootMs === undefined || interrupted !== undefined) kill();
      interrupted ??= 128 + constants.signals[`SIG${name}`];
      if (bootMs !== undefined) line(LINES.control).write(`signal ${name}\n`);
    };
    process.on(`SIG${name}`, handler);
    return () => process.removeListener(`SIG${name}`, handler);
  });

  try {
    await ended;
    await copies;
  } finally {
    clearTimeout(timer);
    aborted?.[Symbol.dispose]();
    for (const remove of handlers) remove();
    stopInput();
  }
  const totalMs = performance.now() - started;
  const times = { totalMs, ...(bootMs !== undefined && { bootMs }) };
  if (failure !== undefined) throw failure;
  if (status !== undefined) return { status, timedOut: false, ...times };
  if (timedOut) return { status: 124, timedOut: true, ...times };
  if (interrupted !== undefined) return { status: interrupted, timedOut: false, ...times };
  if (refused !== undefined) {
    throw new LabError(
      'LAB_DIRECTORY',
      `The guest cannot use the ${refused === 'cwd' ? 'working' : 'shared'} directory.`,
      'Give a directory whose path holds no comma and that you can enter.',
      { log: log.text },
    );
  }
  throw bootMs === undefined ? bootError(kernel, log.text) : lostError(kernel, log.text);
}

/** Passes this process's standard input on; returns what stops that. */
function feed(encoder: TerminalInput | undefined, to: Writable): () => void {
  to.on('error', () => {});
  if (encoder) encoder.pipe(to, { end: false });
  const first = encoder ?? to;
  process.stdin.pipe(first);
  return () => {
    process.stdin.unpipe(first);
    process.stdin.pause();
    // A terminal or pipe that is only paused would keep this process from ending.
    process.stdin.unref?.();
  };
}
