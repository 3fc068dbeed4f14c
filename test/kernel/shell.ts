/**
 * A shell that starts programs for the tests of this process: it forks in a third of the time that Node takes, which
 * in the lab is a tenth of a second and more.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { paths, readLine } from '../warm-paths.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-shell-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const { requests, answers, out, err } = paths(folder);
spawnSync('mkfifo', [requests, answers]);

/**
 * A line of the FIFO asks for the command in the file; its status is the answer. (A shell reads lines byte by byte, and
 * each of those is a system call.) It ends when this process does.
 */
const LOOP = `while read -r _; do . "$0/command" </dev/null >"$0/out" 2>"$0/err"; echo $? >&3
  done <"$0/requests" 3>"$0/answers"`;
spawn('sh', ['-c', LOOP, folder], { stdio: 'ignore' }).unref();
const [asks, answered] = [openSync(requests, 'w'), openSync(answers, 'r')];

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;

/**
 * Runs a program to its end.
 *
 * @returns what it printed
 * @throws Error with what it said, where its status is not 0
 */
export function runProgram(...command: readonly string[]): string {
  writeFileSync(join(folder, 'command'), command.map(quoted).join(' '));
  writeSync(asks, '\n');
  const status = Number(readLine(answered));
  if (status !== 0) {
    throw new Error(`${command.join(' ')}: status ${status}: ${readFileSync(err, 'utf8')}`);
  }
  return readFileSync(out, 'utf8');
}

/** A file with some lines, until the next such file. */
export function fileWith(lines: readonly string[]): string {
  const path = join(folder, 'lines');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}
