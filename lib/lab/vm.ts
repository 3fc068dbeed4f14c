import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { bootError, KernelLog, lostError } from './boot-log.ts';
import { LabError } from './errors.ts';
import { KEEPER } from './keeper.ts';
import type { LabKernel } from './kernel.ts';
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

/** What one guest is started with. */
export interface GuestSetup extends LabLimits {
  readonly kernel: LabKernel;
  /** Private directory that holds `init`; removed afterwards. */
  readonly run: string;
  /** Directory for the file that is the guest's memory. */
  readonly memoryDirectory: string;
}

/** File descriptors of the keeper and, but for the first, of the guest kernel. */
const LIFELINE = 3;
const OUT = 4;
const ERR = 5;
const CONTROL = 6;
const INPUT = 7;

/** Signals passed on, by the name that the guest's kill takes. */
const FORWARDED = ['INT', 'TERM', 'HUP', 'QUIT'] as const;

function kernelArguments(setup: GuestSetup, stdin: boolean): string[] {
  return [
    `mem=${setup.memory}M`,
    // It tries, and traces its programs where the machine has no seccomp filters for it.
    ...(setup.kernel.seccomp ? ['seccomp=auto'] : []),
    'root=/dev/root',
    'rootfstype=hostfs',
    'rootflags=/',
    'ro',
    // Terminal lines: what the kernel prints, then the command's (guest.ts).
    'con=null',
    'con0=null,fd:1',
    `con1=null,fd:${OUT}`,
    `con2=null,fd:${ERR}`,
    `con3=fd:${CONTROL}`,
    ...(stdin ? [`con4=fd:${INPUT},null`] : []),
    `init=${setup.run}/init`,
    'umid=lab',
    `uml_dir=${setup.run}/`,
  ];
}

function destination(output: LabOutput | undefined, inherited: Writable): Writable | undefined {
  if (output === 'ignore') return undefined;
  return output === undefined || output === 'inherit' ? inherited : output;
}

/** Copies to the end, no faster than `to` takes it; the guest then waits. */
async function pump(from: Readable, to: Writable | undefined): Promise<void> {
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
      if (!to || to.destroyed || to.write(chunk)) continue;
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
  const { kernel, run } = setup;
  const stdin = options.stdin === 'inherit';
  const started = performance.now();
  const child: ChildProcess = spawn(
    kernel.busybox,
    ['sh', '-c', KEEPER, 'keeper', run, kernel.program, ...kernelArguments(setup, stdin)],
    {
      cwd: run,
      detached: true,
      // TMP and TEMP, which the kernel would look at first, are left out.
      env: {
        PATH: '/usr/bin:/bin',
        HOME: run,
        TMPDIR: setup.memoryDirectory,
        ...(kernel.preload && { LD_PRELOAD: kernel.preload }),
      },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', stdin ? 'pipe' : 'ignore'],
    },
  );
  const ended = new Promise<void>((done, failed) => {
    child.once('close', () => done());
    child.once('error', failed);
    child.once('exit', () => {
      killOrphan(run);
      (child.stdio[LIFELINE] as Duplex | null)?.destroy();
    });
  });
  if (child.pid === undefined) {
    await ended;
  }
  const line = (descriptor: number) => child.stdio[descriptor] as Duplex;
  for (const descriptor of [LIFELINE, CONTROL]) line(descriptor).on('error', () => {});
  const kill = () => line(LIFELINE).destroy();

  const log = new KernelLog();
  line(1).on('data', (chunk: Buffer) => log.add(chunk));
  line(2).on('data', (chunk: Buffer) => log.add(chunk));
  // The keeper says nothing here; reading keeps the descriptor from filling.
  line(LIFELINE).resume();

  let bootMs: number | undefined;
  let status: number | undefined;
  let refused: string | undefined;
  const encoder = stdin ? new TerminalInput() : undefined;
  let stopInput = () => {};
  readLines(line(CONTROL), (text) => {
    const [word, value = ''] = text.split(' ');
    if (word === 'ready') {
      bootMs = performance.now() - started;
      if (encoder) stopInput = feed(encoder, line(INPUT));
    } else if (word === 'taken') encoder?.acknowledge();
    else if (word === 'exit') status = Number.parseInt(value, 10);
    else if (word === 'error') refused = value;
  });

  let failure: unknown;
  const stop = (reason: unknown) => {
    failure ??= reason;
    kill();
  };
  const copies = Promise.all([
    pump(line(OUT), destination(options.stdout, process.stdout)),
    pump(line(ERR), destination(options.stderr, process.stderr)),
  ]).catch(stop);

  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, setup.timeout);
  const onAbort = () => stop(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });

  let interrupted: number | undefined;
  const handlers = (options.forwardSignals ? FORWARDED : []).map((name) => {
    const handler = () => {
      if (bootMs === undefined || interrupted !== undefined) kill();
      interrupted ??= 128 + constants.signals[`SIG${name}`];
      if (bootMs !== undefined) line(CONTROL).write(`signal ${name}\n`);
    };
    process.on(`SIG${name}`, handler);
    return () => process.removeListener(`SIG${name}`, handler);
  });

  try {
    await ended;
    await copies;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
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
function feed(encoder: TerminalInput, to: Writable): () => void {
  to.on('error', () => {});
  process.stdin.pipe(encoder).pipe(to, { end: false });
  return () => {
    process.stdin.unpipe(encoder);
    process.stdin.pause();
    // A terminal or pipe that is only paused would keep this process from ending.
    process.stdin.unref?.();
  };
}
