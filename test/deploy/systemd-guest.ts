/**
 * Runs in the lab: starts a systemd as process 1 of namespaces of its own, and in it the service of
 * contrib/. Its exit status is that of its assertions.
 *
 *   node systemd-guest.js ROOT SHARE
 * @module
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const [root = '', share = ''] = process.argv.slice(2);
const clone = join(import.meta.dirname, '../../..');
const UNIT = 'netlink-xfrm.service';
const ADDRESS = 'http://127.0.0.1:9786';

/** Signals of systemd(1) that end it. */
const POWER_OFF = 'SIGRTMIN+4';

const boot = spawn(
  'unshare',
  [
    ...['--mount', '--pid', '--fork', '--cgroup', '--uts', '--ipc'],
    ...['sh', join(clone, 'test/deploy/systemd-boot.sh'), root, process.execPath, clone, share],
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);

/** Process 1 of the namespaces, as this one numbers it. */
let manager = '';

/** Runs a command where systemd is. */
function inside(...command: string[]) {
  const enter = ['-t', manager, '-m', '-p', '-u', '-i', '-C', '--', ...command];
  const { status, stdout, stderr } = spawnSync('nsenter', enter, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** The output of a command, which must succeed. */
function succeed(...command: string[]): string {
  const { status, stdout, stderr } = inside(...command);
  assert.equal(status, 0, `${command.join(' ')}: ${stdout}${stderr}\n${journal().slice(-3000)}`);
  return stdout;
}

const systemctl = (...args: string[]) => succeed('systemctl', ...args);
const journal = () => inside('journalctl', '-u', UNIT, '--no-pager', '-o', 'short-iso').stdout;
const property = (name: string) => systemctl('show', UNIT, '--property', name, '--value').trim();
const ip = (line: string) => succeed('ip', ...line.split(' '));

/** Repeats until `attempt` returns something. */
async function until<T>(
  what: string,
  attempt: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (let i = 0; i < 300; i++) {
    const result = await attempt();
    if (result !== undefined) return result;
    await pause(100);
  }
  throw new Error(`${what}: not within 30 seconds\n${journal().slice(-4000)}`);
}

/** Settings besides those of the unit; the service is restarted with them. @returns its result */
function restartWith(settings: readonly string[]): string {
  const folder = `/run/systemd/system/${UNIT}.d`;
  writeFileSync(join(share, 'drop-in'), ['[Service]', ...settings, ''].join('\n'));
  succeed('sh', '-c', `mkdir -p ${folder} && cp /host/drop-in ${folder}/test.conf`);
  systemctl('daemon-reload');
  inside('systemctl', 'reset-failed', UNIT);
  const { status } = inside('systemctl', 'restart', UNIT);
  return status === 0 ? 'success' : property('Result');
}

async function get(path: string): Promise<Response> {
  return fetch(`${ADDRESS}${path}`);
}
