import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { bootError, KernelLog, lostError } from './boot-log.ts';
import { LabError } from './errors.ts';
import { commandScript, type GuestCommand } from './guest.ts';
import type { Interruption } from './interruption.ts';
import { KEEPER } from './keeper.ts';
import type { LabKernel } from './kernel.ts';
import { descriptors, LINES, slotLines, slotNumbers } from './lines.ts';
import type { CommandStreams } from './options.ts';
import { OutputLine } from './output-line.ts';
import { encodePiece, TerminalInput } from './stdin.ts';

/** The program that is or runs a guest kernel. */
export interface GuestProgram {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Output by which it shows that it is broken without ending. */
  readonly broken?: RegExp;
}

/** Parameters for starting a guest. */
export interface GuestSetup {
  readonly kernel: LabKernel;
  /** Private directory that holds `init`; removed afterwards. */
  readonly run: string;
  readonly program: GuestProgram;
  /** How many commands can run concurrently. */
  readonly slots: number;
  /** Whether a command can have standard input. */
  readonly stdin: boolean;
}

/** A command for a guest. */
export interface GuestRun extends GuestCommand {
  /** Whether it gets its own network namespace. */
  readonly isolated: boolean;
}

/** How a run can be influenced while it lasts; see {@link Interruption}. */
export type RunControl = Pick<Interruption, 'signal' | 'passOn'>;

/** Calls `each` with every complete line that arrives. */
export function readLines(from: Readable, each: (line: string) => void): void {
  let rest = '';
  from.setEncoding('utf8');
  from.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) each(line.trim());
  });
}

/** The keeper died before the kernel did: kills the kernel in its place. */
function killOrphan(run: string): void {
  try {
    const pid = Number.parseInt(readFileSync(join(run, 'kernel.pid'), 'utf8'), 10);
    if (pid > 1) process.kill(-pid, 'SIGKILL');
  } catch {
    // The directory was removed along with the kernel, as it should be.
  }
}

/** Milliseconds for a guest to kill a command, however busy the machine; after that it counts as hung. */
const KILL_TIME = 60_000;

/** The command running in a slot. */
interface Running {
  readonly id: string;
  started(): void;
  taken(): void;
  exit(status: number, counts: readonly number[]): void;
  fail(error: unknown): void;
}

/** A slot for a command. */
interface Slot {
  readonly line: { readonly out: OutputLine; readonly err: OutputLine };
  running?: Running | undefined;
}

/** Placeholder in a slot that is chosen but whose command has not started. */
const RESERVED: Running = { id: '', started() {}, taken() {}, exit() {}, fail() {} };

/** A guest that is up. */
export class Guest {
  /** Milliseconds from its start until it accepted commands. */
  readonly bootMs: number;
  /** Settles when it has ended, for whatever reason. */
  readonly ended: Promise<void>;
  readonly #setup: GuestSetup;
  readonly #child: ChildProcess;
  readonly #log: KernelLog;
  readonly #slots: Slot[];
  readonly #waiting: (() => void)[] = [];
  #last = 0;
  #over = false;
  #end: Promise<void> | undefined;

  constructor(setup: GuestSetup, boot: Boot) {
    this.#setup = setup;
    this.#child = boot.child;
    this.#log = boot.log;
    this.bootMs = performance.now() - boot.started;
    this.#slots = slotNumbers(setup.slots).map((slot) => {
      const { out, err } = slotLines(slot);
      return {
        line: { out: new OutputLine(this.#line(out)), err: new OutputLine(this.#line(err)) },
      };
    });
    this.ended = boot.ended.then(() => {
      this.#over = true;
      for (const { running } of this.#slots) running?.fail(this.#lost());
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  /** Whether it no longer accepts commands. */
  get over(): boolean {
    return this.#over;
  }

  /** Number of running commands. */
  get busy(): number {
    return this.#slots.filter(({ running }) => running !== undefined).length;
  }

  /** Handles a message from the guest's control line. */
  said(text: string): void {
    const [word, slot = '', ...rest] = text.split(' ');
    const running = this.#slots[Number(slot)]?.running;
    if (word === 'started') running?.started();
    else if (word === 'taken' && rest[0] === running?.id) running?.taken();
    else if (word === 'exit') running?.exit(Number(rest[0]), rest.slice(1).map(Number));
    else if (word === 'error') running?.fail(directoryError('working', this.#log));
  }

  /**
   * Runs a command. Resolves with its status once all of its output has been passed on. If `control` is aborted, the
   * command is killed, and then the promise rejected with the reason; if the guest has only one slot, the guest is killed
   * instead.
   */
  async run(
    command: GuestRun,
    { stdin, stdout, stderr }: CommandStreams,
    control: RunControl,
    started = () => {},
  ): Promise<number> {
    const { signal } = control;
    const slot = await this.#slot(signal);
    const state = this.#slots[slot] as Slot;
    this.#last += 1;
    const id = String(this.#last);
    const terminal = this.#setup.kernel.kind === 'user-mode';
    const path = join(this.#setup.run, `command.${id}`);
    let input: Input | undefined;
    let timer: NodeJS.Timeout | undefined;
    const kill = () => {
      if (this.#slots.length === 1) return this.kill();
      this.#tell(`kill ${slot}`);
      timer ??= setTimeout(() => this.kill(), KILL_TIME);
    };
    // The first reason is the one reported.
    let failure: { reason: unknown } | undefined;
    const stop = (reason: unknown) => {
      if (failure) return;
      failure = { reason };
      kill();
    };
    const aborted = () => stop(signal.reason);
    try {
      signal.throwIfAborted();
      writeFileSync(path, commandScript(command), { mode: 0o600 });
      const { out, err } = state.line;
      out.attach(stdout, stop);
      err.attach(stderr, stop);
      const { status, counts } = await new Promise<{ status: number; counts: readonly number[] }>(
        (done, fail) => {
          state.running = {
            id,
            started: () => {
              // Until now there was nothing to kill.
              if (failure) kill();
              if (stdin) input = new Input(stdin, this.#line(slotLines(slot).input), terminal, id);
              control.passOn = (name) => this.#tell(`signal ${slot} ${name}`);
              started();
            },
            taken: () => input?.taken(),
            exit: (status, counts) => done({ status, counts }),
            fail,
          };
          signal.addEventListener('abort', aborted);
          const isolated = command.isolated ? ' isolated' : '';
          this.#tell(`run ${slot} ${id} ${stdin ? 'input' : 'none'}${isolated}`);
        },
      );
      input?.stop();
      await Promise.all([out.complete(counts[0]), err.complete(counts[1])]);
      if (failure) throw failure.reason;
      return status;
    } catch (error) {
      throw failure ? failure.reason : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      control.passOn = undefined;
      input?.stop();
      state.line.out.detach();
      state.line.err.detach();
      state.running = undefined;
      rmSync(path, { force: true });
      for (const wake of this.#waiting.splice(0)) wake();
    }
  }

  /** Kills the guest immediately, with all that runs in it. */
  kill(): void {
    this.#over = true;
    this.#line(LINES.lifeline).destroy();
  }

  /** Shuts the guest down; resolves when nothing of it is left. */
  close(): Promise<void> {
    this.kill();
    this.#end ??= this.ended.finally(() =>
      rmSync(this.#setup.run, { recursive: true, force: true }),
    );
    return this.#end;
  }

  #line(descriptor: number): Duplex {
    return this.#child.stdio[descriptor] as Duplex;
  }

  #tell(text: string): void {
    this.#line(LINES.control).write(`${text}\n`);
  }

  #lost(): LabError {
    return lostError(this.#setup.kernel, this.#log.text);
  }

  /** Waits for a free slot. */
  async #slot(signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#over) throw this.#lost();
      const free = this.#slots.findIndex(({ running }) => running === undefined);
      if (free >= 0) {
        (this.#slots[free] as Slot).running = RESERVED;
        return free;
      }
      await new Promise<void>((wake) => {
        this.#waiting.push(wake);
        signal.addEventListener('abort', () => wake(), { once: true });
      });
    }
  }
}

/** A guest that is being started. */
interface Boot {
  readonly child: ChildProcess;
  readonly log: KernelLog;
  readonly started: number;
  readonly ended: Promise<void>;
}

function directoryError(which: 'working' | 'shared', log: KernelLog): LabError {
  return new LabError(
    'LAB_DIRECTORY',
    `The guest cannot use the ${which} directory.`,
    'Give a directory whose path holds no comma and that you can enter.',
    { log: log.text },
  );
}

/** Boots a guest that runs `setup.run`/init. Resolves when it accepts commands; an abort kills it. */
export async function bootGuest(setup: GuestSetup, signal: AbortSignal): Promise<Guest> {
  signal.throwIfAborted();
  const { kernel, run, program } = setup;
  const started = performance.now();
  const used = new Set<number>([LINES.lifeline, LINES.control]);
  for (const { out, err, input } of slotNumbers(setup.slots).map(slotLines)) {
    used.add(out).add(err);
    if (setup.stdin) used.add(input);
  }
  const stdio = Array.from({ length: descriptors(setup.slots) }, (_, descriptor) =>
    descriptor === 0 || (descriptor >= LINES.lifeline && !used.has(descriptor)) ? 'ignore' : 'pipe',
  );
  const child: ChildProcess = spawn(
    kernel.busybox,
    ['sh', '-c', KEEPER, 'keeper', run, ...program.command],
    {
      cwd: run,
      detached: true,
      // TMP and TEMP, which the kernel would check first, are left out.
      env: { PATH: '/usr/bin:/bin', HOME: run, ...program.env },
      stdio,
    },
  );
  const line = (descriptor: number) => child.stdio[descriptor] as Duplex;
  const ended = new Promise<void>((done, failed) => {
    child.once('close', () => done());
    child.once('error', failed);
    child.once('exit', () => {
      killOrphan(run);
      (child.stdio[LINES.lifeline] as Duplex | null)?.destroy();
    });
  });
  if (child.pid === undefined) await ended;
  for (const stream of child.stdio.slice(LINES.lifeline)) stream?.on('error', () => {});
  const kill = () => line(LINES.lifeline).destroy();

  const log = new KernelLog();
  line(1).on('data', (chunk: Buffer) => log.add(chunk));
  line(2).on('data', (chunk: Buffer) => {
    log.add(chunk);
    if (program.broken?.test(log.text)) kill();
  });
  // The keeper sends nothing here; reading keeps the descriptor from filling.
  line(LINES.lifeline).resume();

  const boot = { child, log, started, ended };
  let guest: Guest | undefined;
  let refused = false;
  signal.addEventListener('abort', kill);
  try {
    return await new Promise<Guest>((up, failed) => {
      readLines(line(LINES.control), (text) => {
        if (text === 'ready') {
          guest = new Guest(setup, boot);
          up(guest);
        } else if (text === 'error share') refused = true;
        else guest?.said(text);
      });
      ended.then(() => {
        if (guest) return;
        if (signal.aborted) failed(signal.reason);
        else failed(refused ? directoryError('shared', log) : bootError(kernel, log.text));
      }, failed);
    });
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/** Forwards the standard input of one command. */
class Input {
  readonly #from: Readable;
  readonly #to: Writable;
  readonly #encoder: TerminalInput | undefined;
  #flowing = false;

  /** A guest's terminal needs its input encoded; a port of a virtio console carries any bytes. */
  constructor(from: Readable, to: Writable, terminal: boolean, id: string) {
    this.#from = from;
    this.#to = to;
    if (terminal) {
      this.#encoder = new TerminalInput();
      // Input that an earlier command left unread is still in the line: no more would fit before this is taken.
      to.write(encodePiece(Buffer.from(id)));
    } else this.#flow(to);
  }

  /** The guest has accepted the last piece. */
  taken(): void {
    const encoder = this.#encoder;
    if (this.#flowing) encoder?.acknowledge();
    else if (encoder) {
      encoder.pipe(this.#to, { end: false });
      this.#flow(encoder);
    }
  }

  stop(): void {
    const from = this.#from as Readable & { unref?: () => void };
    from.unpipe(this.#encoder ?? this.#to);
    this.#encoder?.destroy();
    from.pause();
    // A terminal or pipe that is merely paused would keep this process alive.
    from.unref?.();
  }

  #flow(to: Writable): void {
    this.#flowing = true;
    this.#from.pipe(to);
  }
}
