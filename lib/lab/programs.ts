import { spawn } from 'node:child_process';
import { addAbortListener } from 'node:events';
import { LabError } from './errors.ts';

/** How a helper program ended, and what it printed. */
export interface ProgramResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Environment for host programs: the C locale, so that messages can be recognised, and none of our
 * NODE_OPTIONS or preloaded libraries.
 */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, LC_ALL: 'C', LANG: 'C' };
  delete env.LANGUAGE;
  delete env.LD_PRELOAD;
  delete env.LD_LIBRARY_PATH;
  env.PATH = `${env.PATH ?? ''}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  return env;
}

/**
 * Runs a helper to completion. A status other than 0 is returned, not thrown; a program that does not
 * exist throws `LAB_TOOLS`; an abort kills it and rejects with the signal's reason.
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  options.signal?.throwIfAborted();
  return new Promise<ProgramResult>((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env ?? plainEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      // In its own process group: apt's download methods are its children and must end with it.
      detached: true,
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    const kill = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has just ended.
      }
    };
    const aborted = options.signal && addAbortListener(options.signal, kill);
    // Otherwise a program that exits in the middle of a download would leave apt behind.
    process.once('exit', kill);
    const done = () => {
      aborted?.[Symbol.dispose]();
      process.removeListener('exit', kill);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      done();
      reject(
        new LabError(
          'LAB_TOOLS',
          `Cannot run ${file}: ${error.code ?? error.message}.`,
          'The lab fetches its kernel with apt-get, dpkg-deb and flock. They are part of every ' +
            'Debian; elsewhere install the packages apt, dpkg and util-linux.',
          { cause: error },
        ),
      );
    });
    child.once('close', (code, signal) => {
      done();
      if (options.signal?.aborted) {
        reject(options.signal.reason);
        return;
      }
      resolve({
        status: code ?? (signal === null ? 1 : 128),
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      });
    });
  });
}
