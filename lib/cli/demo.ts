/**
 * `netlink-xfrm demo`: real SAs are added and deleted between two hosts, and the monitor shows it. It runs
 * on this kernel if that has ESP, else in the lab's.
 * @module
 */
import { execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import pc from 'picocolors';
import { fetchLabTools, runInLab } from '../lab/index.ts';
import { findPlace } from '../testing/place.ts';
import { runScenario } from './demo/scenario.ts';

const program = fileURLToPath(new URL('../../../bin/netlink-xfrm.js', import.meta.url));
/** The command to continue with in the chosen namespace or kernel. */
const inside = [process.execPath, program, 'demo', '--here'];

export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'Creates two hosts in a private network namespace, sets up a tunnel between them, sends\n' +
        'traffic, lets SAs expire and deletes everything, and prints the events that the kernel\n' +
        'sends. Uses the lab kernel if this one has no ESP. Nothing on this host is changed.',
    )
    .option('--here', 'run in the current network namespace, which must be a disposable one')
    .action(async ({ here }: { here?: true }) => {
      if (here) process.exitCode = await runScenario(program);
      else process.exitCode = await elsewhere();
    });
}

/** This environment, with `ip` in its PATH: fetched if the machine has none. */
async function withIp(): Promise<NodeJS.ProcessEnv> {
  try {
    execFileSync('ip', ['-V'], { stdio: 'ignore' });
    return process.env;
  } catch {
    return { ...process.env, ...(await fetchLabTools(['iproute2'], { progress })).env };
  }
}

const progress = (text: string) => void process.stderr.write(`${text}\n`);

async function elsewhere(): Promise<number> {
  const env = await withIp();
  const place = await findPlace(['namespaces', 'esp', 'veth']);
  if (place.kind === 'here') {
    progress('this kernel has ESP: using a private network namespace');
    const words = place.words.length > 0 ? place.words : ['unshare', '--net'];
    const [command = '', ...args] = [...words, ...inside];
    const child = spawn(command, args, { env, stdio: 'inherit' });
    return await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (status) => resolve(status ?? 1));
    });
  }
  progress('no ESP in a network namespace of this kernel: using the lab kernel');
  // Standard output is not a terminal there, even if it ends up on one.
  const color = pc.isColorSupported && process.stdout.isTTY ? 'FORCE_COLOR' : 'NO_COLOR';
  const { status } = await runInLab(inside, {
    env: { ...env, [color]: '1' },
    progress,
    forwardSignals: true,
  });
  return status;
}
