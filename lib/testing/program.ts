/**
 * Programs in a network namespace. The kernel kills them when the thread that started them ends, for whatever reason
 * (PR_SET_PDEATHSIG of prctl(2), set by util-linux's setpriv).
 * @module
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { wrongType, wrongValue } from '../base/argument.ts';
import { names } from './argument.ts';
import { TestingError } from './error.ts';

/** How to start a program. */
export interface ProgramOptions extends Pick<SpawnOptions, 'cwd' | 'env' | 'signal'> {
  /** Standard input, output and error; default `ignore`, `pipe`, `pipe`. */
  readonly stdio?: readonly ('pipe' | 'ignore' | 'inherit')[] | undefined;
  /**
   * Mounts for the program in its own mount namespace: by folder, `tmpfs` for an empty one, or the folder to bind there. A
   * daemon that keeps its PID file in /run needs `{ '/run': 'tmpfs' }`.
   */
  readonly mounts?: Readonly<Record<string, string>> | undefined;
}

/** What a program printed. */
export interface ProgramOutput {
  readonly stdout: string;
  readonly stderr: string;
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

function mounting(mounts: Readonly<Record<string, string>>): string[] {
  const lines = Object.entries(mounts).map(([path, source]) =>
    source === 'tmpfs'
      ? `mount -t tmpfs tmpfs ${quoted(path)}`
      : `mount --bind ${quoted(source)} ${quoted(path)}`,
  );
  return ['unshare', '--mount', 'sh', '-c', [...lines, 'exec "$@"'].join(' && '), 'sh'];
}

/** Starts a program in the namespace of a descriptor. Each wrapper execs the next, so the PID is the program's. */
export function spawnIn(
  netns: number,
  program: string,
  args: readonly string[],
  given: ProgramOptions = {},
): ChildProcess {
  if (typeof program !== 'string' || program === '') {
    throw wrongType('program', 'a path or the name of a program', program);
  }
  names('options', given, ['stdio', 'mounts', 'cwd', 'env', 'signal']);
  // For which Node has the same error as for a missing program.
  if (given.cwd !== undefined && !existsSync(given.cwd)) {
    throw wrongValue(`options.cwd: there is no folder ${given.cwd}`);
  }
  const { stdio = ['ignore', 'pipe', 'pipe'], mounts, ...options } = given;
  const [first = '', ...words] = [
    ...['setpriv', '--pdeathsig', 'KILL', 'nsenter', '--net=/proc/self/fd/3'],
    ...(mounts === undefined ? [] : mounting(mounts)),
    ...[program, ...args],
  ];
  // In a process group of its own, which is killed as a whole.
  const streams = [...[0, 1, 2].map((i) => stdio[i] ?? 'ignore'), netns];
  return spawn(first, words, { ...options, stdio: streams, detached: true });
}

/** Kills a program and the children left in its process group. Resolves when it is gone. */
export async function kill(child: ChildProcess): Promise<void> {
  const over = child.exitCode !== null || child.signalCode !== null;
  if (child.pid === undefined) return;
  const ended = over ? undefined : once(child, 'exit');
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL'); // not yet in a process group of its own, or already gone
  }
  await ended;
}

const HINT = 'it comes with the package util-linux, also on Alpine, whose own has no --pdeathsig';

/** Waits for a program to exit. @throws TestingError with its output if the exit status is not 0 */
export async function finished(child: ChildProcess, line: string): Promise<ProgramOutput> {
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
    });
  }
  try {
    const [status, signal] = await once(child, 'close');
    if (status === 0) return printed;
    const how = signal === null ? `status ${status}` : `was killed by ${signal}`;
    const said = printed.stderr.trim() || printed.stdout.trim();
    // The status that nsenter, unshare and setpriv use for "not found".
    const code = status === 127 ? 'ERR_PROGRAM_MISSING' : 'ERR_PROGRAM_FAILED';
    throw new TestingError(code, `${line}: ${how}${said && `: ${said}`}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new TestingError('ERR_PROGRAM_MISSING', `setpriv is not found in PATH: ${HINT}`, error);
  }
}
