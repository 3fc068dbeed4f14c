/**
 * The command, many times in one process: starting Node and loading the command takes a third of a
 * second, and in the lab more. Each run evaluates lib/cli/main.ts anew; the modules below it are those of
 * the run before. With NETLINK_XFRM_THOROUGH=1 (`npm run test:all`) each run is a process of its own.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { paths, readLine } from './warm-paths.ts';

/** How a run of the command ended, and what it printed. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const program = join(import.meta.dirname, '../../bin/netlink-xfrm.js');

/** The environment of every run. */
export const env = { ...process.env, NO_COLOR: undefined, FORCE_COLOR: undefined, TZ: 'UTC' };

/** A process that runs the command each time it is asked to. */
class WarmCommand {
  readonly #folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-warm-'));
  readonly #requests: number;
  readonly #answers: number;

  /** `before`: words to put before the command. */
  constructor(before: readonly string[]) {
    const { requests, answers, out, err } = paths(this.#folder);
    spawnSync('mkfifo', [requests, answers]);
    const prints = [out, err].map((path) => openSync(path, 'a'));
    const node = [process.execPath, join(import.meta.dirname, 'warm-server.js'), this.#folder];
    const [file = '', ...args] = [...before, ...node];
    const child = spawn(file, args, { env, stdio: ['ignore', ...prints] });
    child.unref();
    for (const descriptor of prints) closeSync(descriptor);
    this.#requests = openSync(requests, 'w');
    this.#answers = openSync(answers, 'r');
    process.once('exit', () => rmSync(this.#folder, { recursive: true, force: true }));
  }

  run(args: readonly string[]): Outcome {
    const { out, err } = paths(this.#folder);
    writeSync(this.#requests, `${JSON.stringify(args)}\n`);
    const answer = readLine(this.#answers);
    const texts = [out, err].map((path) => readFileSync(path));
    if (answer === undefined) throw new Error(`the command ended: ${texts[1]}`);
    const { status, printed } = JSON.parse(answer) as { status: number; printed: number[] };
    const [stdout = '', stderr = ''] = texts.map((text, i) =>
      text.subarray(0, printed[i]).toString(),
    );
    // Both were opened to append.
    for (const path of [out, err]) truncateSync(path);
    return { status, stdout, stderr };
  }
}

const warm = new Map<string, WarmCommand>();

/**
 * Runs the command to its end, as a user does.
 *
 * @param before - words to put before it, of a program that changes what it may do
 */
export function runCommand(args: readonly string[], before: readonly string[] = []): Outcome {
  if (process.env.NETLINK_XFRM_THOROUGH === '1') {
    const [file = '', ...rest] = [...before, process.execPath, program, ...args];
    const { status, stdout, stderr } = spawnSync(file, rest, { encoding: 'utf8', env });
    return { status, stdout, stderr };
  }
  const key = before.join(' ');
  const one = warm.get(key) ?? new WarmCommand(before);
  warm.set(key, one);
  return one.run(args);
}
