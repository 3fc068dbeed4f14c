/**
 * The process of warm-command.ts: runs the command each time a line of the first FIFO says with which
 * arguments.
 * @module
 */
import { openSync, statSync, writeSync } from 'node:fs';
import { paths, readLine } from './warm-paths.ts';

const { requests, answers, out, err } = paths(process.argv[2] ?? '');
// In the order in which the other side opens them: each waits for its other end.
const [from, to] = [openSync(requests, 'r'), openSync(answers, 'w')];
const main = new URL('../lib/cli/main.js', import.meta.url);
for (const emitter of [process, process.stdout, process.stderr]) emitter.setMaxListeners(0);
const printed = () => [statSync(out).size, statSync(err).size];
let exited: { status: number; printed: number[] } | undefined;
const exit = process.exit.bind(process);
process.exit = (code) => {
  exited ??= { status: Number(code ?? process.exitCode ?? 0), printed: printed() };
  // Nothing that comes after it counts.
  throw new Error('process.exit');
};
let runs = 0;
for (let line = readLine(from); line !== undefined; line = readLine(from)) {
  exited = undefined;
  process.exitCode = undefined;
  process.argv.splice(2, Infinity, ...(JSON.parse(line) as string[]));
  await (await import(`${main.href}?run=${++runs}`)).done;
  const ended = exited ?? { status: Number(process.exitCode ?? 0), printed: printed() };
  writeSync(to, `${JSON.stringify(ended)}\n`);
}
exit(0);
