/**
 * What the tests of the command share: running it as a user does.
 * @module
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
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

/** How long a running command may take to print what it is waited for, in milliseconds. */
const PATIENCE = 60_000;

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
  let hasExited = false;
  const end = exited.then(() => {
    hasExited = true;
  });
  /** Until what was printed holds a text: it fails when the child has exited, and after {@link PATIENCE}. */
  const until = async (from: NodeJS.ReadableStream, printed: () => string, text: string) => {
    const late = AbortSignal.timeout(PATIENCE);
    while (!printed().includes(text)) {
      if (hasExited || late.aborted) {
        const why = hasExited ? 'it has exited' : `not within ${PATIENCE} ms`;
        throw new Error(`'${text}' was not printed: ${why}:\n${out}${err}`);
      }
      await Promise.race([once(from, 'data', { signal: late }).catch(() => {}), end]);
    }
  };
  const stderr = child.stderr as NodeJS.ReadableStream;
  await until(stderr, () => err, 'listening');
  return {
    child,
    /** Until standard output holds a text. */
    printed: (text: string) => until(stdout, () => out, text),
    /** Until standard error holds a text. @returns all of it */
    said: async (text: string) => {
      await until(stderr, () => err, text);
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

/** Until nothing waits in any netlink socket of this namespace: the recorder has read everything. */
export async function allRead(): Promise<void> {
  // The fifth column, Rmem, of each socket.
  const waiting = () =>
    /^\S+ +\d+ +\d+ +\S+ +[1-9]/m.test(readFileSync('/proc/net/netlink', 'latin1'));
  // At least one turn of the event loop: the monitor of this process has timers, too.
  do await new Promise((resolve) => setImmediate(resolve));
  while (waiting());
}
