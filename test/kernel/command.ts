/**
 * What the tests of the command share: running it as a user does.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach } from 'node:test';
import { env, program, runCommand } from '../warm-command.ts';

export { env, program };

/** The command with these arguments, run to its end. */
export const run = (...args: string[]) => runCommand(args);

/** The same without CAP_NET_ADMIN. */
export const runWithoutPrivilege = (...args: string[]) =>
  runCommand(args, ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']);

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

/** The command, running, when it has joined its groups. */
export const start = (...args: string[]) => startBy([program], ...args);

/** The same, by a program that runs it. */
export async function startBy(by: readonly string[], ...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [...by, ...args], { env });
  running.add(child);
  const stdout = child.stdout as NodeJS.ReadableStream;
  let out = '';
  let err = '';
  stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  const exited = once(child, 'close');
  while (!err.includes('listening')) {
    await once(child.stderr as NodeJS.ReadableStream, 'data');
  }
  return {
    child,
    /** Until standard output holds a text. */
    printed: async (text: string) => {
      while (!out.includes(text)) await once(stdout, 'data');
    },
    /** Until standard error holds a text. @returns all of it */
    said: async (text: string) => {
      while (!err.includes(text)) await once(child.stderr as NodeJS.ReadableStream, 'data');
      return err;
    },
    end: async () => {
      child.kill('SIGINT');
      const [status] = await exited;
      return { out, err, status: status as number };
    },
    exited,
  };
}
