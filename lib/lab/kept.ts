import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { lockFile } from './cache.ts';
import { LabError } from './errors.ts';
import type { Interruption } from './interruption.ts';
import {
  errorOf,
  type KeeperAnswer,
  type KeepReport,
  type KeepSetup,
  type KeptLabGuest,
  line,
  type Opening,
  type StreamName,
} from './kept-messages.ts';
import {
  connectKept,
  keeperOf,
  keptGuests,
  keptPlace,
  keptPlaces,
  removeEarlier,
} from './kept-place.ts';
import type { LabKernel } from './kernel.ts';
import { type CommandStreams, checkLimits, commandStreams, type LabOptions } from './options.ts';
import { plainEnvironment } from './programs.ts';
import { guestRun, interruptible, type LabResult, sharePath } from './run.ts';
import { readLines } from './vm.ts';

/** Default milliseconds without a command after which a kept guest shuts down. */
const IDLE = 600_000;

/** Milliseconds for the process that keeps a guest to answer, however busy the machine. */
const PATIENCE = 60_000;

/** The same for a stop request, after which it is killed. */
const STOP_PATIENCE = 10_000;

const lockKept = (signal?: AbortSignal) => lockFile(`${keptGuests()}.lock`, signal);

/** The guest ended before it accepted the command, which can be sent to another one. */
class Gone extends Error {}

/** Resolves with the answer, a single line; undefined if there is none. */
async function ask<T>(
  place: string,
  opening: Opening,
  patience = PATIENCE,
): Promise<T | undefined> {
  const socket = await connectKept(place);
  if (socket === undefined) return undefined;
  const timer = setTimeout(() => socket.destroy(), patience);
  try {
    return await new Promise<T | undefined>((done) => {
      readLines(socket, (text) => done(JSON.parse(text) as T));
      socket.once('end', () => done(undefined));
      socket.once('close', () => done(undefined));
      socket.write(line(opening));
    });
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** Starts the process that keeps a guest at `place`; resolves when it accepts commands. */
async function startKeeper(place: string, setup: KeepSetup, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  // Next to this module, also when the package is bundled (scripts/bundle.mjs).
  const program = fileURLToPath(new URL('../lab/keep-server.js', import.meta.url));
  const failed = (message: string, log = '') =>
    new LabError(
      'LAB_KEEP',
      message,
      'Keep no guest, or run the command netlink-xfrm as it is installed: a bundle does not hold this file.',
      { log },
    );
  if (!existsSync(program)) throw failed(`The program that keeps a guest is missing: ${program}.`);
  const env = plainEnvironment();
  delete env.NODE_OPTIONS;
  const child = spawn(process.execPath, [program, place], {
    cwd: '/',
    env,
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.stdin.on('error', () => {});
  const abort = () => child.stdin.destroy();
  signal.addEventListener('abort', abort);
  try {
    await new Promise<void>((up, refused) => {
      readLines(child.stdout, (text) => {
        const report = JSON.parse(text) as KeepReport;
        if ('ready' in report) up();
        else if ('error' in report) refused(errorOf(report.error));
        else refused(failed(`The guest cannot be kept: ${report.failure}.`));
      });
      child.once('error', (error) => refused(failed(`Cannot run ${program}: ${error.message}.`)));
      child.once('close', () => refused(failed('The process that keeps a guest has ended.')));
      child.stdin.write(line(setup));
    });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    child.stdin.destroy();
    child.stdout.destroy();
    child.unref();
  }
}

/** A connection to the kept guest; boots one if there is none. */
async function connectOrStart(
  place: string,
  setup: KeepSetup,
  signal: AbortSignal,
): Promise<Socket> {
  const running = await connectKept(place);
  if (running) return running;
  const lock = await lockKept(signal);
  try {
    // Another process may have started it meanwhile.
    const meanwhile = await connectKept(place);
    if (meanwhile) return meanwhile;
    removeEarlier();
    rmSync(place, { recursive: true, force: true });
    await startKeeper(place, setup, signal);
    const started = await connectKept(place);
    if (started) return started;
    throw new Gone();
  } finally {
    await lock.release();
  }
}

/** Copies to the end, no faster than `to` accepts it. */
async function copy(from: Socket, to: CommandStreams['stdout']): Promise<void> {
  const stop = () => from.destroy();
  let refuse: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    refuse = reject;
  });
  to?.on('error', refuse);
  to?.on('close', stop);
  try {
    if (to) from.pipe(to, { end: false });
    else from.resume();
    await Promise.race([
      failed,
      new Promise<void>((done) => {
        from.once('end', done);
        from.once('close', done);
      }),
    ]);
  } finally {
    to?.removeListener('error', refuse);
    to?.removeListener('close', stop);
  }
}

/** Runs a command over a connection to the process that keeps a guest. */
async function runOver(
  control: Socket,
  place: string,
  opening: Extract<Opening, { ask: 'run' }>,
  streams: CommandStreams,
  interruption: Interruption,
  started: () => void,
): Promise<number> {
  const sockets: Socket[] = [];
  const copies: Promise<void>[] = [];
  let startInput = () => {};
  let stopInput = () => {};
  const unanswered = setTimeout(() => {
    fail(
      new LabError(
        'LAB_KEEP',
        `The process ${keeperOf(place) ?? '?'} that keeps the guest does not answer.`,
        'End it: netlink-xfrm lab --stop. The next run boots another guest.',
      ),
    );
  }, PATIENCE);
  let fail = (_error: unknown) => {};
  const aborted = () => fail(interruption.signal.reason);
  try {
    return await new Promise<number>((done, failed) => {
      fail = failed;
      interruption.signal.addEventListener('abort', aborted);
      if (interruption.signal.aborted) aborted();
      const attach = async (id: string) => {
        for (const stream of opening.streams) {
          const socket = await connectKept(place);
          if (socket === undefined) throw new Gone();
          sockets.push(socket);
          socket.write(line({ ask: 'stream', id, stream } satisfies Opening));
          if (stream === 'stdin') {
            const { stdin } = streams;
            // Not before the command runs: until then it may be retried in another guest, which needs all of the input.
            startInput = () => stdin?.pipe(socket);
            stopInput = () => {
              stdin?.unpipe(socket);
              stdin?.pause();
              (stdin as (Readable & { unref?: () => void }) | undefined)?.unref?.();
            };
            socket.resume();
          } else {
            const copied = copy(socket, streams[stream]);
            copied.catch(failed);
            copies.push(copied);
          }
        }
      };
      let accepted = false;
      let answered = false;
      const ended = () => {
        if (!answered) failed(accepted ? lost() : new Gone());
      };
      control.once('end', ended);
      control.once('close', ended);
      readLines(control, (text) => {
        const answer = JSON.parse(text) as KeeperAnswer;
        clearTimeout(unanswered);
        if ('id' in answer) attach(answer.id).catch(failed);
        else if ('started' in answer) {
          accepted = true;
          startInput();
          interruption.passOn = (signal) => control.write(line({ signal }));
          started();
        } else if ('status' in answer) {
          answered = true;
          Promise.all(copies).then(() => done(answer.status), failed);
        } else if ('failure' in answer) failed(new Error(answer.failure));
        else if (!accepted && answer.error.code === 'LAB_LOST') failed(new Gone());
        else failed(errorOf(answer.error));
      });
      control.write(line(opening));
    });
  } finally {
    clearTimeout(unanswered);
    interruption.signal.removeEventListener('abort', aborted);
    interruption.passOn = undefined;
    stopInput();
    // Closing it kills the command if that is still running.
    control.destroy();
    for (const socket of sockets) socket.destroy();
  }
}

const lost = () =>
  new LabError(
    'LAB_LOST',
    'The process that keeps the guest has ended, and the guest with it.',
    'Run the command again: that boots another guest.',
  );

/** Runs a command in the guest kept for this kernel, memory and share. */
export async function runInKept(
  kernel: LabKernel,
  command: readonly string[],
  options: LabOptions,
): Promise<LabResult> {
  const run = guestRun(kernel, command, options);
  const { memory } = checkLimits({ kernel: kernel.kind, memory: options.memory });
  const idle = typeof options.keep === 'number' ? options.keep : IDLE;
  checkLimits({ timeout: idle });
  const setup: KeepSetup = { kernel, memory, share: sharePath(options), idle };
  const streams = commandStreams(options);
  // A full kernel's input line can serve only one command.
  if (kernel.kind === 'full') streams.stdin = undefined;
  const wanted = (['stdin', 'stdout', 'stderr'] satisfies StreamName[]).filter(
    (name) => streams[name] !== undefined,
  );
  return interruptible(kernel, options, async (interruption, started) => {
    const place = keptPlace(kernel, memory, setup.share);
    for (let attempt = 1; ; attempt++) {
      try {
        const control = await connectOrStart(place, setup, interruption.signal);
        const opening = { ask: 'run', run, streams: wanted, idle } as const;
        return await runOver(control, place, opening, streams, interruption, started);
      } catch (error) {
        if (!(error instanceof Gone)) throw error;
        if (attempt === 3) throw lost();
      }
    }
  });
}

/** The guests kept for this user on this machine. */
export async function listLabGuests(): Promise<KeptLabGuest[]> {
  const found: KeptLabGuest[] = [];
  for (const place of keptPlaces()) {
    const guest = await ask<KeptLabGuest>(place, { ask: 'describe' });
    if (guest) found.push(guest);
  }
  return found;
}

/**
 * Stops all guests kept for this user on this machine, including what runs in them, and removes leftovers of others. One
 * that does not answer is killed. @returns how many were stopped
 */
export async function stopLabGuests(): Promise<number> {
  const lock = await lockKept();
  try {
    removeEarlier();
    let ended = 0;
    for (const place of keptPlaces()) {
      const pid = keeperOf(place);
      const answer = await ask(place, { ask: 'stop' }, STOP_PATIENCE);
      if (answer === undefined && pid !== undefined) process.kill(pid, 'SIGKILL');
      if (answer !== undefined || pid !== undefined) ended += 1;
      rmSync(place, { recursive: true, force: true });
    }
    return ended;
  } finally {
    await lock.release();
  }
}
