/**
 * `netlink-xfrm test`: runs a test suite on a suitable kernel: this one, this one in a user namespace, or the
 * lab's.
 * @module
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { Command } from 'commander';
import { LabError, runInLab } from '../lab/index.ts';
import { findPlace } from '../testing/place.ts';
import type { KernelFeature } from '../testing/probe.ts';
import { EXIT } from './exit.ts';
import { positive } from './positive.ts';
import { features } from './probe.ts';

interface Flags {
  require: KernelFeature[];
  lab?: true;
  suite?: string;
  keep?: true;
  timeout: number;
}

const say = (text: string) => void process.stderr.write(`netlink-xfrm test: ${text}\n`);

export function testCommand(): Command {
  return new Command('test')
    .description(
      'Runs a command, such as a test runner, where IPsec works: on this kernel if possible, directly or in\n' +
        'a user namespace; otherwise in the lab, where the working directory is writable.',
    )
    .argument('<command...>', 'the command and its arguments, after --')
    .option('--require <features>', 'features that the tests need, as named by probe', features, [
      'namespaces',
      'xfrm',
      'veth',
      'esp',
    ] satisfies KernelFeature[])
    .option('--lab', 'use the lab even if this kernel would do')
    .option('--suite <suite>', 'Debian suite of the lab kernel: bookworm, trixie, sid')
    .option('--keep', 'keep the lab guest for the next run')
    .option('--timeout <seconds>', 'time limit for boot and command in the lab', positive, 600)
    .passThroughOptions()
    .action(async (command: string[], flags: Flags) => {
      process.exitCode = await run(command, flags);
    });
}

/** The statuses of a shell for a command that is not found, or cannot be executed. */
const [NOT_FOUND, NOT_EXECUTABLE] = [127, 126];

/** Runs the command and passes signals on to it. @returns its exit status, as a shell has it */
function runHere(program: string, args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const passOn = (signal: NodeJS.Signals) => {
    // A terminal sends Ctrl-C to both.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  // Before the command starts: it could cause a signal at once, which would otherwise end only this process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, passOn);
  const child = spawn(program, args, { env, stdio: 'inherit' });
  return new Promise((resolve) => {
    child.on('error', ({ code }: NodeJS.ErrnoException) => {
      const missing = code === 'ENOENT';
      say(`${program}: ${missing ? 'not found' : `cannot be run (${code})`}`);
      resolve(missing ? NOT_FOUND : NOT_EXECUTABLE);
    });
    child.on('exit', (status, signal) => {
      resolve(status ?? 128 + (constants.signals[signal as NodeJS.Signals] ?? 0));
    });
  });
}

async function run(command: readonly string[], flags: Flags): Promise<number> {
  const place = flags.lab
    ? ({ kind: 'lab', reason: '--lab' } as const)
    : await findPlace(flags.require);
  // The kernel was chosen for what the suite requires, so its absence must not skip tests.
  const env = { NETLINK_XFRM_REQUIRE: flags.require.join(','), ...process.env };
  if (place.kind === 'here') {
    say(place.words.length > 0 ? 'on this kernel, in a user namespace' : 'on this kernel');
    const [program = '', ...args] = [...place.words, ...command];
    return runHere(program, args, env);
  }
  say(`in the lab kernel (this one: ${place.reason})`);
  try {
    const { status, timedOut } = await runInLab(command, {
      env,
      suite: flags.suite,
      keep: flags.keep,
      share: process.cwd(),
      timeout: flags.timeout * 1000,
      progress: say,
      stdin: 'inherit',
      forwardSignals: true,
    });
    if (timedOut) say(`timed out after ${flags.timeout} s: --timeout sets the limit`);
    return status;
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    say(`${error.message}\n${error.hint}`);
    return error.code === 'LAB_USAGE' ? EXIT.usage : EXIT.unavailable;
  }
}
